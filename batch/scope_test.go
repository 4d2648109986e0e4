package batch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/batch"
	"github.com/hotpath-go/hotpath/internal/flight"
)

// levels runs n tasks that each load one key at a time, `deep` times, and returns how long that took.
func levels(t *testing.T, ctx context.Context, l *batch.Loader[int, int], n, deep int, before func(task int)) time.Duration {
	t.Helper()
	start := time.Now()
	for i := range n {
		batch.Go(ctx, func(ctx context.Context) error {
			before(i)
			for level := range deep {
				wantLoad(t, ctx, l, 1000*level+i)
			}
			return nil
		})
	}
	if err := batch.Wait(ctx); err != nil {
		t.Error(err)
	}
	return time.Since(start)
}

// S2, L2, L5: three levels of 50 loads are three fetches, in every run, and take what the source takes.
func TestL5_LevelsAreFetches(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			s, l := setup(t, batch.LoaderConfig[int, int]{})
			took := levels(t, batch.WithScope(t.Context()), l, 50, 3, func(int) {})
			if s.count() != 3 || took != 3300*time.Microsecond {
				t.Fatalf("%d fetches in %v, want 3 in 3.3ms", s.count(), took)
			}
		})
	}
}

// L4: staggered starts still are three fetches, at the floor: the last start and three times the source.
func TestL4_StaggeredLevels(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			starts, last := make([]time.Duration, 50), time.Duration(0)
			for i := range starts {
				starts[i] = time.Duration(rnd.IntN(500)) * time.Microsecond
				last = max(last, starts[i])
			}
			s, l := setup(t, batch.LoaderConfig[int, int]{})
			took := levels(t, batch.WithScope(t.Context()), l, 50, 3, func(i int) { time.Sleep(starts[i]) })
			if floor := last + 3300*time.Microsecond; s.count() != 3 || took != floor {
				t.Fatalf("seed %d: %d fetches in %v, want 3 in %v", seed, s.count(), took, floor)
			}
		})
	}
}

// L4: a task that is busy for long delays the others by MaxWait a level at most.
func TestL4_BusyTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := setup(t, batch.LoaderConfig[int, int]{})
		ctx := batch.WithScope(t.Context())
		batch.Go(ctx, func(context.Context) error { time.Sleep(300 * time.Millisecond); return nil })
		start, took := time.Now(), make([]time.Duration, 19)
		for i := range 19 {
			batch.Go(ctx, func(ctx context.Context) error {
				for level := range 3 {
					wantLoad(t, ctx, l, 1000*level+i)
				}
				took[i] = time.Since(start)
				return nil
			})
		}
		_ = batch.Wait(ctx)
		for _, d := range took {
			if want := 3 * (1038*time.Microsecond + 2*time.Millisecond); d != want {
				t.Errorf("took %v, want %v", d, want)
			}
		}
		if got := l.Stats().Fetches["waited"]; got != 3 {
			t.Errorf("%d fetches waited", got)
		}
	})
}

// L4: a negative MaxWait waits for nobody.
func TestL4_NoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := setup(t, batch.LoaderConfig[int, int]{MaxWait: -1})
		ctx := batch.WithScope(t.Context())
		batch.Go(ctx, func(context.Context) error { time.Sleep(time.Hour); return nil })
		batch.Go(ctx, func(ctx context.Context) error {
			start := time.Now()
			wantLoad(t, ctx, l, 1)
			if d := time.Since(start); d != time.Millisecond+2*time.Microsecond {
				t.Errorf("took %v", d)
			}
			return nil
		})
		_ = batch.Wait(ctx)
	})
}

// S1: nothing crosses scopes, and what a scope remembers ends with it.
func TestS1_ScopesAreApart(t *testing.T) {
	s, l := setup(t, batch.LoaderConfig[int, int]{})
	a, b := batch.WithScope(t.Context()), batch.WithScope(t.Context())
	for range 3 {
		wantLoad(t, a, l, 1)
		wantLoad(t, b, l, 1)
	}
	if got := s.seen(); got != "[[1] [1]]" {
		t.Errorf("fetched %s, want 1 for each scope", got)
	}
}

// S1: a scope is garbage when its contexts are: neither the loader nor a goroutine keeps it.
func TestS1_ADroppedScopeIsGarbage(t *testing.T) {
	_, l := setup(t, batch.LoaderConfig[int, int]{})
	gone := make(chan struct{})
	func() {
		type big struct{ _ [1 << 10]byte }
		v := new(big)
		runtime.AddCleanup(v, func(c chan struct{}) { close(c) }, gone)
		ctx := batch.WithScope(context.WithValue(t.Context(), ctxKey{}, v))
		wantLoad(t, ctx, l, 1)
	}()
	for range 100 {
		runtime.GC()
		select {
		case <-gone:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("the scope is still reachable")
}

type ctxKey struct{}

// S2: a wait for the work of others counts as waiting: flights, queues.
func TestS2_BlockedTasksWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{})
		ctx, start := batch.WithScope(t.Context()), time.Now()
		for range 20 {
			batch.Go(ctx, func(ctx context.Context) error {
				done := flight.Blocked(ctx)
				time.Sleep(time.Second)
				done()
				done() // once is enough, twice does no harm
				return nil
			})
		}
		batch.Go(ctx, func(ctx context.Context) error {
			wantLoad(t, ctx, l, 1)
			if d := time.Since(start); d != 1002*time.Microsecond {
				t.Errorf("took %v: it waited for the blocked tasks", d)
			}
			return nil
		})
		_ = batch.Wait(ctx)
		if s.count() != 1 {
			t.Errorf("%d fetches", s.count())
		}
	})
}

// S2: one key that 20 tasks want from a flight, whose load loads it here, is one fetch at once.
func TestS2_OneFlightOfManyTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{})
		g := flight.NewGroup[int, int]()
		ctx, start := batch.WithScope(t.Context()), time.Now()
		for range 20 {
			batch.Go(ctx, func(ctx context.Context) error {
				v, _, err := g.Do(ctx, 7, 0, flight.Ops[int, int]{Load: l.Load, Done: func(int, int, error) {}})
				if v != 70 || err != nil {
					t.Error(v, err)
				}
				return err
			})
		}
		_ = batch.Wait(ctx)
		if took := time.Since(start); s.count() != 1 || took != 1002*time.Microsecond {
			t.Errorf("%d fetches in %v, want 1 in 1.002ms", s.count(), took)
		}
	})
}

// S2: who waits in an inner scope waits in the outer one too; who runs in it runs there.
func TestS2_InnerScopes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{})
		inner, k := setup(t, batch.LoaderConfig[int, int]{})
		inner.delay = 500 * time.Microsecond
		outer, start := batch.WithScope(t.Context()), time.Now()
		batch.Go(outer, func(ctx context.Context) error {
			wantLoad(t, ctx, l, 1)
			return nil
		})
		batch.Go(outer, func(ctx context.Context) error {
			in := batch.WithScope(ctx)
			batch.Go(in, func(ctx context.Context) error {
				time.Sleep(100 * time.Microsecond)
				wantLoad(t, ctx, k, 2)
				return nil
			})
			return batch.Wait(in)
		})
		_ = batch.Wait(outer)
		// At 100 us all wait: the outer batch leaves then.
		if took := time.Since(start); s.count() != 1 || took != 1102*time.Microsecond {
			t.Errorf("%d fetches in %v, want 1 in 1.102ms", s.count(), took)
		}
	})
}

// S3: goroutines that somebody else started share the task of their context: nothing hangs and the
// count stays right.
func TestS3_BareGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{})
		ctx := batch.WithScope(t.Context())
		for level := range 3 {
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() { wantLoad(t, ctx, l, 100*level+i) })
			}
			wg.Wait()
		}
		if n := s.count(); n < 3 || n > 60 { // they may leave earlier than ideal
			t.Errorf("%d fetches", n)
		}
		// The scope still knows who runs: one busy task holds a batch for MaxWait.
		batch.Go(ctx, func(context.Context) error { time.Sleep(time.Second); return nil })
		start := time.Now()
		wantLoad(t, ctx, l, 999)
		if took := time.Since(start); took != 3002*time.Microsecond {
			t.Errorf("took %v, want MaxWait and the source", took)
		}
		_ = batch.Wait(ctx)
	})
}

// S4: Goexit in a task ends it, after its own tasks.
func TestS4_Goexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, start := batch.WithScope(t.Context()), time.Now()
		batch.Go(ctx, func(ctx context.Context) error {
			batch.Go(ctx, func(context.Context) error { time.Sleep(time.Second); return nil })
			runtime.Goexit()
			return nil
		})
		if err := batch.Wait(ctx); err == nil {
			t.Error("a task that did not finish is no success")
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("Wait took %v, want 1s: a task ends after its own tasks", took)
		}
	})
}

// S4: Scoped hands Pattern and MultipartForm back, also on panic.
func TestS4_ScopedCopiesBack(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /a/{x}", func(_ http.ResponseWriter, r *http.Request) {
		if err := batch.Wait(r.Context()); err != nil { // there is a scope, or this panics
			t.Error(err)
		}
		if r.PathValue("x") == "panic" {
			panic(http.ErrAbortHandler)
		}
	})
	for _, path := range []string{"/a/1", "/a/panic"} {
		r := httptest.NewRequest("GET", path, nil)
		func() {
			defer func() { _ = recover() }()
			batch.Scoped(mux).ServeHTTP(httptest.NewRecorder(), r)
		}()
		if r.Pattern != "GET /a/{x}" {
			t.Errorf("%s: Pattern is %q", path, r.Pattern)
		}
	}
}

// Wait returns the error of the first task in start order, not in time; and a second Wait none.
func TestS2_WaitReturnsTheFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := batch.WithScope(t.Context())
		for i := range 10 {
			batch.Go(ctx, func(context.Context) error {
				time.Sleep(time.Duration(10-i) * time.Second)
				if i < 3 {
					return nil
				}
				return fmt.Errorf("task %d", i)
			})
		}
		if err := batch.Wait(ctx); err == nil || err.Error() != "task 3" {
			t.Errorf("%v, want task 3", err)
		}
		if err := batch.Wait(ctx); err != nil {
			t.Errorf("waited for already: %v", err)
		}
		bad := errors.New("bad")
		batch.Go(ctx, func(context.Context) error { return bad })
		synctest.Wait()
		if err := batch.Wait(ctx); err != bad {
			t.Errorf("a task that has ended before Wait: %v", err)
		}
	})
}

// S2: a task in which many goroutines wait for its tasks runs again when they have ended.
func TestS2_ManyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{})
		ctx := batch.WithScope(t.Context())
		hold := make(chan struct{})
		batch.Go(ctx, func(context.Context) error { <-hold; return nil })
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { _ = batch.Wait(ctx) })
		}
		synctest.Wait()
		close(hold)
		wg.Wait()
		batch.Go(ctx, func(ctx context.Context) error { wantLoad(t, ctx, l, 1); return nil })
		time.Sleep(time.Millisecond)
		synctest.Wait()
		wantLoad(t, ctx, l, 2)
		if err := batch.Wait(ctx); err != nil || s.seen() != "[[1 2]]" {
			t.Errorf("fetched %s, %v: the task was busy for a millisecond", s.seen(), err)
		}
	})
}

// Go and Wait panic without a scope: a batch that silently is none would never be noticed.
func TestS2_NoScope(t *testing.T) {
	for name, f := range map[string]func(){
		"Go":   func() { batch.Go(t.Context(), func(context.Context) error { return nil }) },
		"Wait": func() { _ = batch.Wait(t.Context()) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s does not panic", name)
				}
			}()
			f()
		}()
	}
}
