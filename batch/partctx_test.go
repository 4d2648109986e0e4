package batch_test

import (
	"context"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/batch"
)

// A part's context ends with its answer, as that of a request does when its handler returns, and not
// before: also without PartTimeout.
func TestR6_ContextEndsWithPart(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"no timeout": 0, "a timeout": time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			var asked, unasked, derived context.Context
			var after atomic.Bool
			h := newEndpoint(t, batch.Config{PartTimeout: timeout}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/asked":
					asked = r.Context()
					var stop context.CancelFunc
					derived, stop = context.WithCancel(asked)
					t.Cleanup(stop)
					context.AfterFunc(asked, func() { after.Store(true) })
				case "/unasked":
					unasked = r.Context()
				case "/last": // the others are answered
					time.Sleep(time.Second)
					for _, ctx := range []context.Context{asked, unasked, derived} {
						if ctx.Err() != context.Canceled || context.Cause(ctx) != context.Canceled {
							t.Errorf("%s: the context of an answered part: %v, %v", name, ctx.Err(), context.Cause(ctx))
						}
						select {
						case <-ctx.Done():
						default:
							t.Errorf("%s: it is not done", name)
						}
					}
				}
				if err := r.Context().Err(); err != nil {
					t.Errorf("%s: %s has ended while it runs: %v", name, r.URL.Path, err)
				}
			}))
			got := answers(t, post(h, "/$batch", `{"requests":[{"id":"1","method":"GET","url":"/asked"},{"id":"2","method":"GET","url":"/unasked"},{"id":"3","method":"GET","url":"/last","dependsOn":["1","2"]}]}`))
			if len(got) != 3 || got[2].Status != 200 {
				t.Errorf("%s: %v", name, got)
			}
			synctest.Wait()
			if !after.Load() {
				t.Errorf("%s: AfterFunc was not called", name)
			}
		})
	}
}

// The deadline of a caller who has left shortens no fetch for the others.
func TestL9_DeadlineOfTheDeparted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{})
		s.delay = 2 * time.Second
		var fetched time.Duration
		start := time.Now()
		s.fetch = func(ctx context.Context, keys []int) (map[int]int, error) {
			if at, has := ctx.Deadline(); has {
				fetched = at.Sub(start)
			}
			return s.answer(ctx, keys)
		}
		scope := batch.WithScope(t.Context())
		first, cancel := context.WithTimeout(scope, time.Second)
		defer cancel()
		last, stop := context.WithTimeout(scope, time.Minute)
		defer stop()
		left := l.Defer(first, 1)
		wait := l.Defer(last, 2)
		join := l.Defer(last, 1) // the key of the one who leaves
		cancel()
		synctest.Wait()
		if v, err := wait(); v != 20 || err != nil {
			t.Errorf("%v, %v", v, err)
		}
		if v, err := join(); v != 10 || err != nil {
			t.Errorf("%v, %v", v, err)
		}
		if _, err := left(); err != context.Canceled {
			t.Errorf("the one who left: %v", err)
		}
		if fetched != time.Minute {
			t.Errorf("the fetch had until %v, want 1m", fetched)
		}
	})
}

// Contexts derived from a part's cost no goroutine each, as those of a request do not.
func TestR6_DerivedContextsAreCheap(t *testing.T) {
	const derived = 1000
	h := newEndpoint(t, batch.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before := runtime.NumGoroutine()
		for range derived {
			_, stop := context.WithCancel(r.Context())
			defer stop()
		}
		if n := runtime.NumGoroutine() - before; n > derived/2 {
			t.Errorf("%d contexts have started %d goroutines", derived, n)
		}
	}))
	post(h, "/$batch", one(`"method":"GET","url":"/"`))
}
