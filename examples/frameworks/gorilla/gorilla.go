// Package gorilla: gorilla/mux copies the request, so the template is carried back.
package gorilla

import (
	"net/http"

	"github.com/gorilla/mux"

	"github.com/hotpath-go/hotpath/examples/frameworks/route"
)

func named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if template, err := mux.CurrentRoute(r).GetPathTemplate(); err == nil {
			route.Name(r.Context(), template)
		}
		next.ServeHTTP(w, r)
	})
}

// Shop is a service on gorilla/mux.
func Shop() http.Handler {
	r := mux.NewRouter()
	r.Use(named)
	r.HandleFunc("/items/{id}", func(w http.ResponseWriter, r *http.Request) {
		switch mux.Vars(r)["id"] {
		case "secret":
			http.Error(w, "forbidden", http.StatusForbidden)
		case "broken":
			panic("boom")
		}
	}).Methods(http.MethodGet)
	return route.Keep(r)
}
