package stacktest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/pool/bulkhead"
	"github.com/hotpath-go/hotpath/throttle"
)

// routes: who stands outside sees the pattern that the mux found, also of what a cache has answered.
func routes(t *testing.T, s *stack) {
	for target, want := range map[string]string{"/items/9": "GET /items/{id}", "/items/14?fields=id": "GET /items/{id}", "/items/10": "GET /items/{id}", "/doc": "GET /doc", "/abort/much": "GET /abort/much"} {
		path, _, _ := strings.Cut(target, "?")
		for range 2 {
			s.route(path) // forgets those of earlier requests
			s.ask(t, "GET", target)
			got := s.route(path)
			for end := time.Now().Add(10 * time.Second); got == "" && time.Now().Before(end); got = s.route(path) {
				time.Sleep(time.Millisecond) // the client may have its answer before the handler has returned
			}
			if got != want {
				t.Errorf("outside, the route of %s is %q, want %q", path, got, want)
			}
		}
	}
}

// route is the pattern of the last request for path that has been handled since route was asked.
func (s *stack) route(path string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer delete(s.patterns, path)
	return s.patterns[path]
}

// counts: an abort reaches every layer outside as what it is, and no client makes a route.
func counts(t *testing.T, s *stack) {
	for _, l := range s.layers {
		if l.metrics == nil {
			continue
		}
		st := l.metrics.Stats()
		for route := range st.Routes {
			if strings.Contains(route, "/items/1") {
				t.Errorf("a route %s", route)
			}
		}
		if !s.around("m", "T") {
			if r := st.Routes["GET /abort/much"]; r.Duration["aborted"].Count() == 0 || r.Duration["2xx"].Count() != 0 {
				t.Errorf("aborts count as %d aborted, %d whole", r.Duration["aborted"].Count(), r.Duration["2xx"].Count())
			}
			if r := st.Routes["GET /doc"]; r.Duration["aborted"].Count() != 0 || r.Duration["2xx"].Count() == 0 {
				t.Errorf("what is whole counts as %d aborted, %d whole", r.Duration["aborted"].Count(), r.Duration["2xx"].Count())
			}
		}
	}
}

// work: what is to run after the response runs once, when it has been answered.
func work(t *testing.T, s *stack) {
	if s.work == nil {
		return
	}
	before := s.after.Load()
	if a := s.ask(t, "GET", "/work"); a.status != http.StatusAccepted {
		t.Errorf("work after the response: %s", a)
	}
	for end := time.Now().Add(20 * time.Second); s.after.Load() == before && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if n := s.after.Load() - before; n != 1 || s.origin.work.Stats().Unwrapped != 0 {
		t.Errorf("work after the response ran %d times, %d outside", n, s.origin.work.Stats().Unwrapped)
	}
}

// recorderKey is who asks by httptest.NewRequest.
var recorderKey = throttle.KeyAddr(netip.MustParseAddr("192.0.2.1"), 32)

// refusals: what a throttle or a bulkhead of a stack refuses is refused to one request, says until when, and is
// stored nowhere.
func refusals(t *testing.T, s *stack) {
	h, layers := build(t, s.letters, tight, newOrigin(t))
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Accept-Encoding", "gzip")
		h.ServeHTTP(w, r)
		return w
	}
	refused := func(path string, status int) {
		t.Helper()
		for range 2 {
			if w := get(path); w.Code != status || w.Header().Get("Retry-After") == "" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d %v, want %d", path, w.Code, w.Header(), status)
			}
		}
	}
	has := func(letter byte) int {
		return slices.IndexFunc(layers, func(l layer) bool { return l.letter == letter })
	}
	if at := has('u'); at >= 0 {
		release, err := layers[at].bulkhead.Acquire(t.Context(), bulkhead.Class{})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(s.letters, "t") == 0 { // it would refuse first, or have been paid
			refused("/items/21", http.StatusServiceUnavailable)
		}
		release()
	}
	served := 0
	for range 6 {
		if get("/own/1").Code == http.StatusNoContent {
			served++
		}
	}
	if at := has('t'); at < 0 && served != 6 || at >= 0 && served != 4 {
		t.Errorf("%d of 6 were served, by a burst of 4", served)
	} else if at >= 0 {
		refused("/items/21", http.StatusTooManyRequests)
		for _, l := range layers {
			if l.throttle != nil {
				l.throttle.Refund(context.Background(), recorderKey, 4)
			}
		}
	}
	for range 2 {
		if w := get("/items/21"); w.Code != http.StatusOK {
			t.Errorf("after a refusal: %d %v", w.Code, w.Header())
		}
	}
}
