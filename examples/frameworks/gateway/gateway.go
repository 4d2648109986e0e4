// Package gateway: grpc-gateway copies the request, so the pattern is carried back by a middleware.
package gateway

import (
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hotpath-go/hotpath/examples/frameworks/route"
)

func named(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		if pattern, ok := runtime.HTTPPattern(r.Context()); ok {
			route.Name(r.Context(), pattern.String())
		}
		next(w, r, params)
	}
}

// Shop is a gateway with one path, whose errors are those of gRPC.
func Shop() http.Handler {
	gw := runtime.NewServeMux(runtime.WithMiddlewares(named))
	err := gw.HandlePath(http.MethodGet, "/items/{id}", func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		switch params["id"] {
		case "secret":
			runtime.HTTPError(r.Context(), gw, &runtime.JSONPb{}, w, r, status.Error(codes.PermissionDenied, "forbidden"))
		case "broken":
			panic("boom")
		}
	})
	if err != nil {
		panic(err)
	}
	return route.Keep(gw)
}
