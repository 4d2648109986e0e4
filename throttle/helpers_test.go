package throttle_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/throttle"
)

func mustNew(t testing.TB, cfg throttle.Config) *throttle.Limiter {
	t.Helper()
	l, err := throttle.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// request is one with header fields such as "X-User: 7".
func request(fields ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var nothing = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

// codes are the statuses of n requests.
func codes(h http.Handler, n int, fields ...string) (all []int) {
	for range n {
		all = append(all, serve(h, request(fields...)).Code)
	}
	return all
}
