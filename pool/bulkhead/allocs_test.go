//go:build !race

package bulkhead_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hotpath-go/hotpath/pool/bulkhead"
)

func TestAllocs(t *testing.T) {
	open := newBulkhead(t, bulkhead.Config{Buffer: -1})
	keeping := newBulkhead(t, bulkhead.Config{})
	full := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true, Queue: -1, Buffer: -1})
	defer acquire(t, full, bulkhead.Class{})()
	body := make([]byte, 100)
	says := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	silent := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	free, kept, spoken, refused := open.Handler(silent), keeping.Handler(silent), keeping.Handler(says), full.Handler(silent)
	w, r := &nowhere{http.Header{}}, httptest.NewRequest("GET", "/", nil)
	ctx := context.Background()
	for _, c := range []struct {
		name string
		want float64
		run  func()
	}{
		{"in and out, nothing is kept: the writer, that sees a Flush", 1, func() { free.ServeHTTP(w, r) }},
		{"in and out, no body: the writer, and the field Content-Length", 2, func() { clear(w.h); kept.ServeHTTP(w, r) }},
		{"in and out, a body: also its copy, and a number of three digits", 4, func() { clear(w.h); spoken.ServeHTTP(w, r) }},
		{"refused: the error, and the lines of the fields", 2, func() { clear(w.h); refused.ServeHTTP(w, r) }},
		{"Acquire and release: the slot and the function", 2, func() {
			if release, err := open.Acquire(ctx, bulkhead.Class{}); err == nil {
				release()
			}
		}},
	} {
		if got := testing.AllocsPerRun(1000, c.run); got != c.want {
			t.Errorf("%s: %v allocations, want %v", c.name, got, c.want)
		}
	}
}

// nowhere is a ResponseWriter that costs nothing.
type nowhere struct{ h http.Header }

func (n *nowhere) Header() http.Header         { return n.h }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}
