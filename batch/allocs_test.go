//go:build !race

package batch_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/hotpath-go/hotpath/batch"
)

func TestAllocations_Loader(t *testing.T) {
	answer := map[int]int{1: 10}
	l := newLoader(t, batch.LoaderConfig[int, int]{Fetch: func(context.Context, []int) (map[int]int, error) { return answer, nil }})
	none := context.Background()
	type key struct{}
	scope := context.WithValue(context.WithValue(context.WithValue(batch.WithScope(none), key{}, 1), key{}, 2), key{}, 3)
	_, _ = l.Load(scope, 1)
	for _, c := range []struct {
		name string
		want float64
		run  func()
	}{
		{"a remembered answer, three context layers above", 0, func() { _, _ = l.Load(scope, 1) }},
		{"a lonely load: the batch, its channel, the closures of the goroutine and of what it defers", 4, func() { _, _ = l.Load(none, 1) }},
		{"the same, in a scope", 4, func() { l.Forget(scope, 1); _, _ = l.Load(scope, 1) }},
	} {
		if got := testing.AllocsPerRun(1000, c.run); got > c.want {
			t.Errorf("%s: %v allocations, want %v", c.name, got, c.want)
		}
	}
	// Who joins costs nothing but the room for his key: 1,000 loads in one batch, and a goroutine each.
	many := make(map[int]int, 1000)
	for i := range 1000 {
		many[i] = i
	}
	burst := newLoader(t, batch.LoaderConfig[int, int]{MaxKeys: 2000, Fetch: func(context.Context, []int) (map[int]int, error) { return many, nil }})
	var wg sync.WaitGroup
	got := testing.AllocsPerRun(20, func() {
		for i := range 1000 {
			wg.Go(func() { _, _ = burst.Load(none, i) })
		}
		wg.Wait()
	})
	if got > 2500 {
		t.Errorf("a burst of 1,000: %v allocations, want at most 2.5 a load", got)
	}
}

type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

func TestAllocations_Endpoint(t *testing.T) {
	ok := []byte("ok")
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(ok) })
	h := newEndpoint(t, batch.Config{}).Handler(next)
	w := &discard{http.Header{}}
	other := httptest.NewRequest("GET", "/other", nil)
	if got := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, other) }); got > 0 {
		t.Errorf("another path: %v allocations", got)
	}
	body := new(strings.Reader)
	run := func(parts int) float64 {
		envelope := get(urls(parts, "/%d")...)
		r := httptest.NewRequest("POST", "/$batch", nil)
		for _, f := range []string{"Authorization", "Cookie", "User-Agent", "Accept", "Accept-Language", "X-Request-Id"} {
			r.Header.Set(f, "value")
		}
		r.Header.Set("Content-Type", "application/json")
		return testing.AllocsPerRun(200, func() {
			body.Reset(envelope)
			r.Body = http.NoBody
			r.Body = readCloser{body}
			h.ServeHTTP(w, r)
		})
	}
	two, twenty := run(2), run(20)
	if part := (twenty - two) / 18; part > 9 {
		t.Errorf("a part with six inherited fields: %v allocations, want at most 9", part)
	} else {
		t.Logf("a part: %v allocations; 20 parts: %v", part, twenty)
	}
	if twenty > 200 {
		t.Errorf("20 parts: %v allocations, want at most 200", twenty)
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
