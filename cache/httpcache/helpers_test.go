package httpcache_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// A site is a cache around a handler that counts.
type site struct {
	t *testing.T
	*httpcache.Cache
	http.Handler
	calls atomic.Int64
}

func newSite(t *testing.T, cfg httpcache.Config, f http.HandlerFunc) *site {
	t.Helper()
	c, err := httpcache.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, Cache: c}
	s.Handler = c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		f(w, r)
	}))
	return s
}

// ask sends one request; fields are "Name: value".
func (s *site) ask(method, target string, fields ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, request(method, target, fields...))
	return w
}

func (s *site) get(fields ...string) *httptest.ResponseRecorder {
	return s.ask("GET", "http://example.com/a", fields...)
}

func request(method, target string, fields ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// want compares the number of times the handler ran.
func (s *site) want(calls int64, what string) {
	s.t.Helper()
	if got := s.calls.Load(); got != calls {
		s.t.Errorf("%s: the handler ran %d times, want %d", what, got, calls)
	}
}

// says is a handler with these response fields and body.
func says(body string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			w.Header().Add(name, value)
		}
		_, _ = w.Write([]byte(body))
	}
}

// sink is a ResponseWriter that costs nothing.
type sink struct {
	h http.Header
	n int
}

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(p []byte) (int, error) { s.n += len(p); return len(p), nil }
