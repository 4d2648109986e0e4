// Package route carries the name of a route out of routers that work on a copy of the request.
package route

import (
	"context"
	"net/http"
)

type key struct{}

// Keep lets [Name] find the request that it was given. It stands around the router, inside of
// metrics.HTTP.
func Keep(router http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		router.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, r)))
	})
}

// Name says by which route the request of ctx is served.
func Name(ctx context.Context, pattern string) {
	if r, ok := ctx.Value(key{}).(*http.Request); ok {
		r.Pattern = pattern
	}
}
