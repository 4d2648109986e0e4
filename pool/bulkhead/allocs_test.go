//go:build !race

package bulkhead_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hotpath-go/hotpath/pool/bulkhead"
)

func TestAllocations(t *testing.T) {
	b := newBulkhead(t, bulkhead.Config{Buffer: -1})
	h := b.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	// The slot stands on the stack, but escapes to the writer of the other mode.
	if got := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) }); got > 1 {
		t.Errorf("in and out without Buffer: %v allocations", got)
	}
}
