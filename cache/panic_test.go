package cache_test

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache"
)

// gather lets a leader and two followers wait for one load that ends by end, and returns what
// the leader recovered, whether it got anything at all, and the errors of all three.
func gather(t *testing.T, ctx context.Context, end func()) (recovered any, returned bool, errs [3]error, c *cache.Cache[string, int]) {
	loads := 0
	c = newCache(t, cache.Config[string, int]{Load: func(context.Context, string) (int, error) {
		if loads++; loads > 1 {
			return loads, nil
		}
		time.Sleep(time.Second)
		end()
		return 0, nil
	}})
	go func() {
		defer func() { recovered = recover() }()
		_, errs[0] = c.Get(ctx, "a")
		returned = true
	}()
	synctest.Wait()
	for i := 1; i < 3; i++ {
		go func() { _, errs[i] = c.Get(t.Context(), "a") }()
	}
	time.Sleep(2 * time.Second)
	synctest.Wait()
	return recovered, returned, errs, c
}

func boom() { panic("boom") }

// P1: inline and not: the leader panics, the others get the panic as an error.
func TestP1_TheCallerThatStartedTheLoadPanics(t *testing.T) {
	for _, tc := range []struct {
		name string
		ctx  context.Context
		end  func()
		want func(recovered any) bool
	}{
		{"inline: the original value", context.Background(), boom, func(p any) bool { return p == "boom" }},
		{"on a goroutine: with the loader's stack", nil, boom, func(p any) bool {
			e, ok := p.(*cache.PanicError)
			return ok && e.Value == "boom" && strings.Contains(string(e.Stack), "cache_test.boom")
		}},
		{"http.ErrAbortHandler inline", context.Background(), func() { panic(http.ErrAbortHandler) }, func(p any) bool { return p == http.ErrAbortHandler }},
		{"http.ErrAbortHandler on a goroutine", nil, func() { panic(http.ErrAbortHandler) }, func(p any) bool { return p == http.ErrAbortHandler }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := tc.ctx
				if ctx == nil {
					ctx = t.Context()
				}
				recovered, returned, errs, c := gather(t, ctx, tc.end)
				if returned || !tc.want(recovered) {
					t.Errorf("the leader returned: %v, recovered %v", returned, recovered)
				}
				for _, err := range errs[1:] {
					if p := new(cache.PanicError); !errors.As(err, &p) || !strings.Contains(string(p.Stack), "panic") {
						t.Errorf("a follower got %v, want a *PanicError with its stack", err)
					}
				}
				if s := c.Stats(); s.LoadPanics != 1 || s.Misses != 1 || s.Coalesced != 2 {
					t.Errorf("%+v", s)
				}
				mustGet(t, c, "a", 2) // P4
			})
		})
	}
}

func TestP1_PanicErrorUnwrapsAnError(t *testing.T) {
	if err := (&cache.PanicError{Value: errDown}); !errors.Is(err, errDown) {
		t.Errorf("%v is not the error that was panicked with", err)
	}
	if err := (&cache.PanicError{Value: "x"}); errors.Unwrap(err) != nil {
		t.Error("what is no error unwraps to one")
	}
}

func TestP2_Goexit(t *testing.T) {
	for name, inline := range map[string]bool{"inline": true, "on a goroutine": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if inline {
					ctx = context.Background()
				}
				recovered, returned, errs, c := gather(t, ctx, runtime.Goexit)
				if recovered != nil || returned == inline {
					t.Errorf("the leader recovered %v, returned %v", recovered, returned)
				}
				for i, err := range errs {
					if p := new(cache.PanicError); !errors.As(err, &p) && !(inline && i == 0) {
						t.Errorf("caller %d got %v, want a *PanicError", i, err)
					}
				}
				mustGet(t, c, "a", 2)
			})
		})
	}
}

func TestP3_APanicBehindIsLoggedAndTheOldValueStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logbook
		s := &source{}
		c := newCache(t, cache.Config[string, int]{Load: s.load, TTL: time.Second, StaleWhileRevalidate: time.Hour, Logger: log.logger()})
		mustGet(t, c, "a", 1)
		time.Sleep(time.Second)
		s.set(func(int) (int, error) { boom(); return 0, nil })
		mustGet(t, c, "a", 1)
		behind()
		mustGet(t, c, "a", 1)
		if got := log.String(); strings.Count(got, "boom") == 0 || !strings.Contains(got, "cache_test.boom") || c.Stats().LoadPanics != 1 {
			t.Errorf("logged %q, %d panics counted", got, c.Stats().LoadPanics)
		}
		s.set(nil)
		time.Sleep(time.Minute) // the back-off is over
		mustGet(t, c, "a", 1)
		behind()
		mustGet(t, c, "a", 3)
	})
}

func TestP4_TheKeyWorksAgainAtOnce(t *testing.T) {
	s := &source{say: func(n int) (int, error) {
		if n == 1 {
			panic("boom")
		}
		return n, nil
	}}
	c := newCache(t, cache.Config[string, int]{Load: s.load})
	func() {
		defer func() { _ = recover() }()
		_, _ = c.Get(context.Background(), "a")
	}()
	mustGet(t, c, "a", 2)
}
