// Package chi: chi sets the pattern on a copy of the request, so it is carried back.
package chi

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/hotpath-go/hotpath/examples/frameworks/route"
)

// named asks when the routers below have decided, also of a handler that panics.
func named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { route.Name(r.Context(), chi.RouteContext(r.Context()).RoutePattern()) }()
		next.ServeHTTP(w, r)
	})
}

// Shop is a service on chi.
func Shop() http.Handler {
	r := chi.NewRouter()
	r.Use(named)
	r.Route("/items", func(r chi.Router) {
		r.Get("/{id}", func(w http.ResponseWriter, r *http.Request) {
			switch chi.URLParam(r, "id") {
			case "secret":
				http.Error(w, "forbidden", http.StatusForbidden)
			case "broken":
				panic("boom")
			}
		})
	})
	return route.Keep(r)
}
