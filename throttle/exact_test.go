package throttle_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

// Of callers who come at one moment as many pass as there are tokens: none more, and none fewer, though
// each has read the clock at another time. (A word that was written after one's own reading of the clock
// looks as if the bucket owed more, by nanoseconds that make the last token one too few.)
func TestTake_AtOneMomentExactlyTheBurst(t *testing.T) {
	const burst, callers = 4, 7
	slow := throttle.Per(1, 24*time.Hour)
	one := throttle.Config{Rate: slow, Burst: burst, Capacity: 64}
	three := throttle.Config{Capacity: 64, Policies: []throttle.Policy{
		{Name: "a", Rate: slow, Burst: burst}, {Name: "b", Rate: slow, Burst: burst}, {Name: "c", Rate: slow, Burst: 2 * burst},
	}}
	shadow := throttle.Config{Capacity: 64, Policies: []throttle.Policy{{Name: "a", Rate: slow, Burst: burst}, {Name: "b", Rate: slow, Burst: 1, Shadow: true}}}
	key := throttle.KeyOf("k")
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	take := func(l *throttle.Limiter) func() bool {
		return func() bool { return l.Take(t.Context(), key, 1).Allowed }
	}
	for name, tc := range map[string]struct {
		cfg  throttle.Config
		call func(l *throttle.Limiter) func() bool
	}{
		"a new key": {one, take},
		"a known key": {one, func(l *throttle.Limiter) func() bool {
			l.Take(t.Context(), key, 1)
			l.Refund(t.Context(), key, 1)
			return take(l)
		}},
		"three policies": {three, take},
		"a shadow":       {shadow, take},
		"a handler": {one, func(l *throttle.Limiter) func() bool {
			h := l.Handler(ok)
			return func() bool {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				return w.Code == http.StatusNoContent
			}
		}},
		"who would wait": {one, func(l *throttle.Limiter) func() bool {
			soon, cancel := context.WithTimeout(t.Context(), time.Minute) // who is due in a day need not wait for it
			t.Cleanup(cancel)
			return func() bool { return l.Wait(soon, key, 1) == nil }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for round := range rounds(1_000) {
				l, err := throttle.New(tc.cfg)
				if err != nil {
					t.Fatal(err)
				}
				call := tc.call(l)
				var passed atomic.Int64
				var wg sync.WaitGroup
				start := make(chan struct{})
				for range callers {
					wg.Go(func() {
						<-start
						if call() {
							passed.Add(1)
						}
					})
				}
				close(start)
				wg.Wait()
				if passed.Load() != burst {
					t.Fatalf("round %d: %d of a burst of %d passed", round, passed.Load(), burst)
				}
			}
		})
	}
}

func rounds(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}
