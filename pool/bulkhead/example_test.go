package bulkhead_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/hotpath-go/hotpath/pool/bulkhead"
)

func ExampleNew() {
	limit, err := bulkhead.New(bulkhead.Config{})
	if err != nil {
		log.Fatal(err)
	}
	h := limit.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "served") }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Body)
	// Output: served
}

// Before a database: as many queries as it has connections.
func ExampleBulkhead_Acquire() {
	queries, _ := bulkhead.New(bulkhead.Config{Limit: 10, Fixed: true})
	release, err := queries.Acquire(context.Background(), bulkhead.Class{})
	if err != nil {
		log.Fatal(err)
	}
	defer release()
	fmt.Println(queries.Stats().InFlight)
	// Output: 1
}

type tenantKey struct{}

// authenticated stands for whatever checks who asks, and notes it in the context.
func authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tenant := map[string]string{"secret": "acme"}[r.Header.Get("X-Key")]
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tenantKey{}, tenant)))
	})
}

// A class is made of what was checked, not of what a client claims: r.Header.Get("X-Tenant") in
// its place would let one client be as many tenants as it likes, each with a fair share.
func ExampleConfig_class() {
	limit, err := bulkhead.New(bulkhead.Config{Class: func(r *http.Request) bulkhead.Class {
		tenant, _ := r.Context().Value(tenantKey{}).(string)
		c := bulkhead.Class{Tenant: tenant}
		switch r.Pattern {
		case "POST /checkout":
			c.Priority = 1
		case "GET /export":
			c.Priority = -1
		case "GET /health":
			c.Exempt = true // by the pattern: /health/../export has another one
		}
		return c
	}})
	if err != nil {
		log.Fatal(err)
	}
	work := limit.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "served") }))
	mux := http.NewServeMux()
	for _, pattern := range []string{"POST /checkout", "GET /export", "GET /health"} {
		mux.Handle(pattern, work) // inside, for the pattern is known there
	}
	h := authenticated(mux)
	for _, target := range []string{"/export", "/health"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
	}
	s := limit.Stats()
	fmt.Println(s.Started["low"], "low,", s.Requests["exempt"], "exempt")
	// Output: 1 low, 1 exempt
}
