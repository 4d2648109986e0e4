package bulkhead_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool/bulkhead"
)

// The same Bulkhead on both sides of a batch does not wait for itself: what is inside is exempt.
func TestB_InsideOfItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true})
		inner := b.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }))
		w := httptest.NewRecorder()
		b.Handler(inner).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != http.StatusTeapot {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if s := b.Stats(); s.Requests["served"] != 1 || s.Requests["exempt"] != 1 || s.InFlight != 0 {
			t.Errorf("%v, %d in flight", s.Requests, s.InFlight)
		}
	})
}

// A handler whose client has left ends when it likes: its time says nothing about the service.
func TestL_TimesOfThoseWhoLeftSayNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, buffer := range []int64{0, -1} { // the slot is given back early, or by the return
			b := newBulkhead(t, bulkhead.Config{Limit: 4, Buffer: buffer})
			for _, leaves := range []bool{false, true} {
				ctx, cancel := context.WithCancel(t.Context())
				get(b.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(time.Second)
					if leaves {
						cancel()
					}
				})), ctx)
				cancel()
			}
			if s := b.Stats(); s.ServiceSeconds.Count() != 1 {
				t.Errorf("buffer %d: %d times were taken, want that of the first", buffer, s.ServiceSeconds.Count())
			}
		}
	})
}
