package batch_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/batch"
	"github.com/hotpath-go/hotpath/cache"
)

// All that is wrong is said at once: field, value, rule.
func TestNewLoader_SaysWhatIsWrong(t *testing.T) {
	_, err := batch.NewLoader(batch.LoaderConfig[int, int]{MaxKeys: -3, MaxConcurrent: -1})
	want := "batch: Fetch is nil: must be set\nbatch: MaxKeys is -3: must be at least 1 (0 means 1000)\nbatch: MaxConcurrent is -1: must be at least 1 (0 means 16)"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// L1: a key is joined while its batch is open and while it flies; what is remembered returns while a
// batch is open.
func TestL1_KeysAreJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{})
		ctx := batch.WithScope(t.Context())
		wantLoad(t, ctx, l, 1)
		batch.Go(ctx, func(context.Context) error { time.Sleep(1500 * time.Microsecond); return nil })
		for i := range 3 {
			batch.Go(ctx, func(ctx context.Context) error {
				time.Sleep(time.Duration(i) * time.Millisecond) // the third comes while it flies
				wantLoad(t, ctx, l, 2)
				return nil
			})
		}
		time.Sleep(200 * time.Microsecond)
		start := time.Now()
		wantLoad(t, ctx, l, 1)
		if d := time.Since(start); d != 0 {
			t.Errorf("a remembered answer took %v", d)
		}
		_ = batch.Wait(ctx)
		if got := s.seen(); got != "[[1] [2]]" {
			t.Errorf("fetched %s", got)
		}
		if got := l.Stats().Loads; !maps.Equal(got, map[string]uint64{"remembered": 1, "joined": 2, "fetched": 2}) {
			t.Errorf("%v", got)
		}
	})
}

// L2: full batches leave while others of the scope run; without a scope batches are ripe at once.
func TestL2_FullBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{MaxKeys: 3})
		ctx, start := batch.WithScope(t.Context()), time.Now()
		batch.Go(ctx, func(context.Context) error { time.Sleep(time.Second); return nil })
		for i := range 3 {
			batch.Go(ctx, func(ctx context.Context) error { wantLoad(t, ctx, l, i); return nil })
		}
		time.Sleep(1006 * time.Microsecond)
		synctest.Wait()
		if s.count() != 1 || l.Stats().InFlight != 0 || l.Stats().Fetches["full"] != 1 {
			t.Errorf("after %v: %v", time.Since(start), l.Stats())
		}
		_ = batch.Wait(ctx)
	})
}

// L2: a lonely load waits for nothing, with a scope and without.
func TestL2_ALonelyLoadWaitsForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{})
		s.fetch = func(_ context.Context, keys []int) (map[int]int, error) {
			time.Sleep(time.Millisecond)
			return map[int]int{keys[0]: 10 * keys[0]}, nil
		}
		for _, ctx := range []context.Context{t.Context(), batch.WithScope(t.Context())} {
			start := time.Now()
			wantLoad(t, ctx, l, 1)
			if d := time.Since(start); d != time.Millisecond {
				t.Errorf("took %v, want 1ms", d)
			}
		}
		if got := l.Stats().Fetches; got["unscoped"] != 1 || got["quiet"] != 1 {
			t.Errorf("%v", got)
		}
	})
}

// L3: two fetches at a time for what is not full; what comes meanwhile makes one batch, which leaves
// when one of the two ends.
func TestL3_Gate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{})
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Microsecond)
				wantLoad(t, t.Context(), l, i)
			})
		}
		wg.Wait()
		if want := "[[0] [1] [2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19]]"; s.seen() != want || s.most != 2 {
			t.Errorf("fetched %s, %d at a time; want %s, 2", s.seen(), s.most, want)
		}
	})
}

// L3: full batches pass the gate, and obey MaxConcurrent.
func TestL3_MaxConcurrent(t *testing.T) {
	for concurrent, want := range map[int]time.Duration{1: 4 * 1010 * time.Microsecond, 3: 2 * 1010 * time.Microsecond, 16: 1010 * time.Microsecond} {
		synctest.Test(t, func(t *testing.T) {
			s, l := setup(t, batch.LoaderConfig[int, int]{MaxKeys: 5, MaxConcurrent: concurrent})
			keys := make([]int, 20)
			for i := range keys {
				keys[i] = i
			}
			start := time.Now()
			if _, err := l.LoadAll(t.Context(), keys); err != nil {
				t.Error(err)
			}
			if d := time.Since(start); d != want || s.most != min(concurrent, 4) {
				t.Errorf("MaxConcurrent %d: %v and %d at a time, want %v", concurrent, d, s.most, want)
			}
		})
	}
}

// L3: fetches that nobody waits for any more do not keep the gate shut, though they hang; they count
// for MaxConcurrent until they end.
func TestL3_DesertedFetches(t *testing.T) {
	for name, open := range map[string]func(context.Context) context.Context{
		"without": func(ctx context.Context) context.Context { return ctx },
		"scope":   batch.WithScope,
	} {
		synctest.Test(t, func(t *testing.T) {
			hang := make(chan struct{})
			l := newLoader(t, batch.LoaderConfig[int, int]{MaxConcurrent: 3, MaxWait: time.Hour, Fetch: func(_ context.Context, keys []int) (map[int]int, error) {
				if keys[0] < 3 {
					<-hang
				}
				return map[int]int{keys[0]: 10 * keys[0]}, nil
			}})
			ctx := open(t.Context())
			leave := make([]context.CancelFunc, 3)
			for k := range 2 {
				var some context.Context
				some, leave[k] = context.WithCancel(ctx)
				go func() { _, _ = l.Load(some, k) }()
				synctest.Wait()
			}
			begin, ended := time.Now(), make(chan struct{})
			go func() { wantLoad(t, ctx, l, 7); close(ended) }() // held
			synctest.Wait()
			if n := l.Stats().InFlight; n != 2 {
				t.Errorf("%s: %d in flight, want 2 and one behind the gate", name, n)
			}
			leave[0]()
			<-ended
			leave[1]()
			wantLoad(t, ctx, l, 8)
			var some context.Context
			some, leave[2] = context.WithCancel(ctx)
			go func() { _, _ = l.Load(some, 2) }()
			synctest.Wait()
			leave[2]()
			synctest.Wait()
			ended = make(chan struct{})
			go func() { wantLoad(t, ctx, l, 9); close(ended) }()
			synctest.Wait()
			select {
			case <-ended:
				t.Errorf("%s: four fetches at a time with MaxConcurrent 3", name)
			default:
			}
			if took := time.Since(begin); took != 0 {
				t.Errorf("%s: %v", name, took)
			}
			close(hang)
			<-ended
		})
	}
}

// L3: deserted fetches that have ended count for nothing any more.
func TestL3_TheGateClosesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		phases := []chan struct{}{make(chan struct{}), make(chan struct{})}
		var phase atomic.Int32
		l := newLoader(t, batch.LoaderConfig[int, int]{MaxWait: time.Hour, Fetch: func(context.Context, []int) (map[int]int, error) {
			<-phases[phase.Load()]
			return nil, nil
		}})
		ctx, leave := context.WithCancel(t.Context())
		for k := range 2 {
			go func() { _, _ = l.Load(ctx, k) }()
			synctest.Wait()
		}
		leave()
		synctest.Wait()
		close(phases[0])
		synctest.Wait()
		phase.Store(1)
		var wg sync.WaitGroup
		for k := range 3 {
			wg.Go(func() { _, _ = l.Load(t.Context(), k) })
			synctest.Wait()
		}
		if n := l.Stats().InFlight; n != 2 {
			t.Errorf("%d in flight, want 2 and one behind the gate", n)
		}
		close(phases[1])
		wg.Wait()
	})
}

// L3: a batch is held behind two slow fetches for MaxWait, 2 ms if that is negative, and no longer.
func TestL3_HeldForMaxWait(t *testing.T) {
	for wait, want := range map[time.Duration]time.Duration{0: 2 * time.Millisecond, 5 * time.Millisecond: 5 * time.Millisecond, -1: 2 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			var wg sync.WaitGroup
			slow := make(chan struct{})
			l := newLoader(t, batch.LoaderConfig[int, int]{MaxConcurrent: 4, MaxWait: wait, Fetch: func(_ context.Context, keys []int) (map[int]int, error) {
				if keys[0] < 4 {
					<-slow
				}
				return map[int]int{keys[0]: 10 * keys[0]}, nil
			}})
			for k := range 2 {
				wg.Go(func() { wantLoad(t, t.Context(), l, k) })
				synctest.Wait()
			}
			begin := time.Now()
			wantLoad(t, t.Context(), l, 7)
			if took := time.Since(begin); took != want {
				t.Errorf("MaxWait %v: held for %v, want %v", wait, took, want)
			}
			// With MaxConcurrent in flight it goes on waiting, and leaves with the first that ends.
			for k := 2; k < 4; k++ {
				wg.Go(func() { wantLoad(t, t.Context(), l, k) })
				time.Sleep(want)
				synctest.Wait()
			}
			go func() { time.Sleep(time.Second); close(slow) }()
			begin = time.Now()
			wantLoad(t, t.Context(), l, 8)
			if took := time.Since(begin); took != time.Second {
				t.Errorf("MaxWait %v: behind MaxConcurrent for %v", wait, took)
			}
			wg.Wait()
		})
	}
}

// L6: loads inside of a Fetch pass the gate and MaxConcurrent, and so does what they join.
func TestL6_LoadsInsideOfAFetch(t *testing.T) {
	for _, scoped := range []bool{false, true} {
		for _, how := range []string{"Load", "Go"} {
			t.Run(fmt.Sprint(scoped, how), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, l := setup(t, batch.LoaderConfig[int, int]{MaxConcurrent: 1})
					s.fetch = func(ctx context.Context, keys []int) (map[int]int, error) {
						m := map[int]int{}
						for _, k := range keys {
							if k > 1 {
								in := ctx
								if !scoped && how == "Go" {
									in = batch.WithScope(ctx)
								}
								load := func(ctx context.Context) error { wantLoad(t, ctx, l, k/2); return nil }
								if how == "Go" {
									batch.Go(in, load)
									if err := batch.Wait(in); err != nil {
										return nil, err
									}
								} else {
									_ = load(in)
								}
							}
							m[k] = 10 * k
						}
						return m, nil
					}
					ctx := t.Context()
					if scoped {
						ctx = batch.WithScope(ctx)
					}
					wantLoad(t, ctx, l, 64)
				})
			})
		}
	}
}

// L6: a batch behind MaxConcurrent that such a load joins goes at once.
func TestL6_WhatTheyJoinHurries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{MaxConcurrent: 1, MaxKeys: 2})
		s.fetch = func(ctx context.Context, keys []int) (map[int]int, error) {
			m := map[int]int{}
			for _, k := range keys {
				if k == 1 {
					time.Sleep(time.Second)
					for _, inner := range []int{3, 5} { // one in a full batch that waits, one behind the gate
						if v, err := l.Load(ctx, inner); v != 10*inner || err != nil {
							t.Error(v, err)
						}
					}
				}
				m[k] = 10 * k
			}
			return m, nil
		}
		var wg sync.WaitGroup
		for _, keys := range [][]int{{1, 2}, {3, 4}, {5}} {
			wg.Go(func() {
				if _, err := l.LoadAll(t.Context(), keys); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if got := s.seen(); got != "[[1 2] [3 4] [5]]" {
			t.Errorf("fetched %s", got)
		}
	})
}

// L6: a key that needs itself, also by way of another loader, is an error and not a hang.
func TestL6_AKeyThatNeedsItself(t *testing.T) {
	for _, scoped := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var a, b *batch.Loader[int, int]
			needs := func(other **batch.Loader[int, int]) func(context.Context, []int) (map[int]int, error) {
				return func(ctx context.Context, keys []int) (map[int]int, error) {
					v, err := (*other).Load(ctx, keys[0])
					return map[int]int{keys[0]: v}, err
				}
			}
			a = newLoader(t, batch.LoaderConfig[int, int]{Fetch: needs(&b)})
			b = newLoader(t, batch.LoaderConfig[int, int]{Fetch: needs(&a)})
			ctx := t.Context()
			if scoped {
				ctx = batch.WithScope(ctx)
			}
			if _, err := a.Load(ctx, 1); err == nil || !strings.Contains(err.Error(), "needs itself") {
				t.Errorf("%v", err)
			}
		})
	}
}

// L7: without a scope nothing is remembered, Prime and Forget do nothing, and Fetch sees no values.
func TestL7_WithoutAScope(t *testing.T) {
	s, l := setup(t, batch.LoaderConfig[int, int]{})
	s.fetch = func(ctx context.Context, keys []int) (map[int]int, error) {
		if ctx.Value(ctxKey{}) != nil {
			t.Error("Fetch sees one caller's value")
		}
		return s.answer(ctx, keys)
	}
	ctx := context.WithValue(t.Context(), ctxKey{}, "tenant")
	if l.Prime(ctx, 1, 99) {
		t.Error("Prime without a scope")
	}
	l.Forget(ctx)
	wantLoad(t, ctx, l, 1)
	wantLoad(t, ctx, l, 1)
	if s.count() != 2 {
		t.Errorf("%d fetches, want 2", s.count())
	}
}

// L7, L13: no answer is older than its question without a scope, nor in one with MaxMemo -1: a cache in
// front, which a write has made forget, would else be given the old value again, and keep it.
func TestL7_NoAnswerIsOlderThanItsQuestion(t *testing.T) {
	for name, memo := range map[string]int{"no scope": 0, "scope": -1} {
		synctest.Test(t, func(t *testing.T) {
			var version atomic.Int64
			l := newLoader(t, batch.LoaderConfig[int, int64]{MaxMemo: memo, Fetch: func(_ context.Context, keys []int) (map[int]int64, error) {
				v := version.Load()
				time.Sleep(time.Millisecond)
				return map[int]int64{1: v}, nil
			}})
			values, err := cache.New(cache.Config[int, int64]{Load: l.Load})
			if err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			if name == "scope" {
				ctx = batch.WithScope(ctx)
			}
			go func() { _, _ = values.Get(ctx, 1) }()
			time.Sleep(500 * time.Microsecond) // it is being fetched
			synctest.Wait()
			version.Add(1)
			values.Delete(1)
			for range 2 {
				if v, err := values.Get(ctx, 1); v != 1 || err != nil {
					t.Errorf("%s: %d, %v: the value from before the write", name, v, err)
				}
			}
		})
	}
}

// L8: what was deferred, however much of it, starts nothing; it goes along in its scope, and by itself
// when somebody waits for one of its keys.
func TestL8_FullOfDeferred(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, ctx := range map[string]context.Context{"unscoped": t.Context(), "scope": batch.WithScope(t.Context())} {
			s, l := setup(t, batch.LoaderConfig[int, int]{MaxKeys: 2})
			var all []func() (int, error)
			for k := range 7 {
				all = append(all, l.Defer(ctx, k))
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if s.count() != 0 {
				t.Errorf("%s: fetched %s, and nobody waits", name, s.seen())
			}
			if v, err := all[3](); v != 30 || err != nil {
				t.Errorf("%s: %d, %v", name, v, err)
			}
			synctest.Wait()
			want := 1
			if name == "scope" {
				want = 3 // what nobody waits for goes along, if it is full
			}
			time.Sleep(time.Minute)
			if s.count() != want || name == "unscoped" && s.seen() != "[[2 3]]" {
				t.Errorf("%s: fetched %s", name, s.seen())
			}
			for k, f := range all {
				if v, err := f(); v != 10*k || err != nil {
					t.Errorf("%s: key %d: %d, %v", name, k, v, err)
				}
			}
			if s.count() != 4 {
				t.Errorf("%s: fetched %s", name, s.seen())
			}
		}
	})
}

// L8: without a scope what was deferred and never asked for is garbage.
func TestL8_NeverAskedFor(t *testing.T) {
	s := &source{}
	l := newLoader(t, batch.LoaderConfig[int, [1024]byte]{MaxKeys: 10, Fetch: func(ctx context.Context, keys []int) (map[int][1024]byte, error) {
		_, err := s.Fetch(ctx, keys)
		return nil, err
	}})
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for k := range 20_000 {
		l.Defer(context.Background(), k)
	}
	if grown := heap() - before; grown > 5<<20 || s.count() > 0 {
		t.Errorf("%d bytes are kept, %d fetches", grown, s.count())
	}
	runtime.KeepAlive(l)
}

// L8, L10: what was deferred by somebody whose context has ended is given up, before departure and in
// flight.
func TestL8_DeferredAndGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, ctx := range map[string]context.Context{"unscoped": t.Context(), "scope": batch.WithScope(t.Context())} {
			s, l := setup(t, batch.LoaderConfig[int, int]{})
			why := errors.New("gone")
			some, leave := context.WithCancelCause(ctx)
			gone := l.Defer(some, 1)
			leave(why)
			synctest.Wait()
			wantLoad(t, ctx, l, 2)
			if got := s.seen(); got != "[[2]]" {
				t.Errorf("%s: fetched %s", name, got)
			}
			if _, err := gone(); err != why {
				t.Errorf("%s: %v", name, err)
			}
			if n := l.Stats().Keys["left"]; n != 1 {
				t.Errorf("%s: %d have left", name, n)
			}
			// In flight: the one who waited leaves first, then the one who did not.
			ended := make(chan struct{})
			s.fetch = func(ctx context.Context, _ []int) (map[int]int, error) {
				<-ctx.Done()
				close(ended)
				return nil, ctx.Err()
			}
			one, leaveOne := context.WithCancel(ctx)
			two, leaveTwo := context.WithCancel(ctx)
			l.Defer(one, 3)
			go func() { _, _ = l.Load(two, 4) }()
			synctest.Wait()
			leaveTwo()
			synctest.Wait()
			select {
			case <-ended:
				t.Errorf("%s: ended, and somebody may still ask", name)
			default:
			}
			leaveOne()
			<-ended
		}
	})
}

// L8: a key that nobody waits for starts nothing, and goes along.
func TestL8_Defer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{})
		other, k := setup(t, batch.LoaderConfig[int, int]{})
		for _, ctx := range []context.Context{t.Context(), batch.WithScope(t.Context())} {
			one, two := l.Defer(ctx, 1), l.Defer(ctx, 2)
			time.Sleep(time.Minute)
			if s.count() != 0 {
				t.Fatal("fetched, and nobody waits")
			}
			wantLoad(t, ctx, l, 3)
			for i, f := range []func() (int, error){one, two, one} {
				if v, err := f(); v != []int{10, 20, 10}[i] || err != nil {
					t.Error(v, err)
				}
			}
			if got := s.seen(); got != "[[1 2 3]]" {
				t.Errorf("fetched %s", got)
			}
			s.fetches = nil
		}
		// Two loaders at once: the wait for one lets the other go, too.
		ctx, start := batch.WithScope(t.Context()), time.Now()
		a, b := l.Defer(ctx, 1), k.Defer(ctx, 1)
		_, _ = a()
		_, _ = b()
		if d := time.Since(start); d != 1002*time.Microsecond || other.count() != 1 {
			t.Errorf("two loaders took %v", d)
		}
	})
}

// L8: a task that ends with deferred keys starts nothing.
func TestL8_EndedTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{})
		ctx := batch.WithScope(t.Context())
		batch.Go(ctx, func(ctx context.Context) error { l.Defer(ctx, 1); return nil })
		_ = batch.Wait(ctx)
		time.Sleep(time.Minute)
		if s.count() != 0 {
			t.Error("fetched, and nobody waits")
		}
	})
}

// L9: the values of the scope, no caller's cancellation, the latest deadline.
func TestL9_TheContextOfAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type later struct{}
		start := time.Now()
		s, l := setup(t, batch.LoaderConfig[int, int]{})
		var deadline time.Duration
		s.fetch = func(ctx context.Context, keys []int) (map[int]int, error) {
			if ctx.Value(ctxKey{}) != "tenant" || ctx.Value(later{}) != nil {
				t.Error("not the values of the scope")
			}
			if at, ok := ctx.Deadline(); ok {
				deadline = at.Sub(start)
			} else {
				deadline = -1
			}
			<-ctx.Done()
			return nil, fmt.Errorf("%w after %v", ctx.Err(), time.Since(start))
		}
		scope := batch.WithScope(context.WithValue(t.Context(), ctxKey{}, "tenant"))
		for i := range 3 {
			batch.Go(context.WithValue(scope, later{}, 1), func(ctx context.Context) error {
				ctx, cancel := context.WithTimeout(ctx, time.Duration(1+i)*time.Second)
				defer cancel()
				_, err := l.Load(ctx, 1)
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Duration(1+i)*time.Second {
					t.Errorf("%d: %v after %v", i, err, time.Since(start))
				}
				return nil
			})
		}
		_ = batch.Wait(scope)
		synctest.Wait()
		if deadline != 3*time.Second {
			t.Errorf("deadline %v, want the latest, 3s", deadline)
		}
	})
}

// L9: who joins in flight extends the deadline; a caller without one takes it away.
func TestL9_ExtendedInFlight(t *testing.T) {
	for name, second := range map[string]time.Duration{"later": 5 * time.Second, "earlier": time.Millisecond, "none": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, scope := time.Now(), batch.WithScope(t.Context())
				s, l := setup(t, batch.LoaderConfig[int, int]{})
				ended := make(chan time.Duration, 1)
				s.fetch = func(ctx context.Context, keys []int) (map[int]int, error) {
					derived, stop := context.WithCancel(ctx) // ends with it, without a goroutine of its own
					defer stop()
					select {
					case <-derived.Done():
						ended <- time.Since(start)
						return nil, context.Cause(derived)
					case <-time.After(time.Minute):
						ended <- time.Minute
						return map[int]int{1: 10}, nil
					}
				}
				var wg sync.WaitGroup
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(scope, 2*time.Second)
					defer cancel()
					_, _ = l.Load(ctx, 1)
				})
				synctest.Wait()
				time.Sleep(time.Second)
				ctx, cancel := scope, context.CancelFunc(func() {})
				if second > 0 {
					ctx, cancel = context.WithTimeout(ctx, second)
				}
				_, err := l.Load(ctx, 1)
				cancel()
				wg.Wait()
				want := map[string]time.Duration{"later": 6 * time.Second, "earlier": 2 * time.Second, "none": time.Minute}[name]
				if got := <-ended; got != want || (err == nil) != (name == "none") {
					t.Errorf("the fetch ended after %v, %v; want %v", got, err, want)
				}
			})
		})
	}
}

// L10: whoever leaves gets the cause at once, and nobody else is harmed: first, middle, last.
func TestL10_Cancellation(t *testing.T) {
	for leaver := range 3 {
		synctest.Test(t, func(t *testing.T) {
			s, l := setup(t, batch.LoaderConfig[int, int]{})
			why, start, scope := errors.New("why"), time.Now(), batch.WithScope(t.Context())
			var wg sync.WaitGroup
			for i := range 3 {
				ctx := scope
				if i == leaver {
					c, cancel := context.WithCancelCause(ctx)
					ctx = c
					time.AfterFunc(100*time.Microsecond, func() { cancel(why) })
				}
				wg.Go(func() {
					v, err := l.Load(ctx, 1)
					if i == leaver {
						if err != why || time.Since(start) != 100*time.Microsecond {
							t.Errorf("%d: %v, %v after %v", i, v, err, time.Since(start))
						}
					} else if v != 10 || err != nil {
						t.Errorf("%d: %v, %v", i, v, err)
					}
				})
				synctest.Wait()
			}
			wg.Wait()
			if s.count() != 1 {
				t.Errorf("%d fetches", s.count())
			}
		})
	}
}

// L10: a dead context fetches nothing; keys that all have left before departure are not fetched.
func TestL10_LeftBeforeDeparture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{})
		dead, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.Load(dead, 1); err != context.Canceled {
			t.Error(err)
		}
		if _, err := l.LoadAll(dead, []int{1, 2}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if _, err := l.Defer(dead, 1)(); err != context.Canceled {
			t.Error(err)
		}
		ctx := batch.WithScope(t.Context())
		batch.Go(ctx, func(context.Context) error { time.Sleep(time.Second); return nil })
		for key := range 3 {
			batch.Go(ctx, func(ctx context.Context) error {
				if key < 2 {
					c, cancel := context.WithTimeout(ctx, time.Millisecond)
					defer cancel()
					ctx = c
				}
				if _, err := l.Load(ctx, key); (err != nil) != (key < 2) {
					t.Error(key, err)
				}
				return nil
			})
		}
		_ = batch.Wait(ctx)
		if got := s.seen(); got != "[[2]]" || l.Stats().Keys["left"] != 2 {
			t.Errorf("fetched %s, want only what is still wanted; %v", got, l.Stats().Keys)
		}
	})
}

// L10: when the last caller leaves a running fetch its context ends, and the next caller fetches anew.
func TestL10_LastCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{})
		for _, ctx := range []context.Context{t.Context(), batch.WithScope(t.Context())} {
			s.fetches = nil
			cancelled := false
			s.fetch = func(ctx context.Context, keys []int) (map[int]int, error) {
				<-ctx.Done()
				cancelled = true
				time.Sleep(time.Second) // it takes its time
				return map[int]int{1: 666}, nil
			}
			c, cancel := context.WithCancel(ctx) // without a deadline, which would end the fetch, too
			time.AfterFunc(time.Millisecond, cancel)
			_, err := l.Load(c, 1)
			synctest.Wait()
			if err == nil || !cancelled {
				t.Errorf("%v, cancelled: %t", err, cancelled)
			}
			s.fetch = nil
			wantLoad(t, ctx, l, 1)
			time.Sleep(time.Minute)
			wantLoad(t, ctx, l, 1)
		}
	})
}

// L11: errors reach every waiter as they are and are not remembered; what does not exist is.
func TestL11_Results(t *testing.T) {
	down := errors.New("down")
	s, l := setup(t, batch.LoaderConfig[int, int]{})
	ctx := batch.WithScope(t.Context())
	s.fetch = func(context.Context, []int) (map[int]int, error) { return nil, fmt.Errorf("query: %w", down) }
	if _, err := l.Load(ctx, 1); !errors.Is(err, down) {
		t.Error(err)
	}
	s.fetch = func(_ context.Context, keys []int) (map[int]int, error) {
		return map[int]int{1: 10, 77: 1, 78: 1}, fmt.Errorf("some: %w", batch.Errors[int]{2: down})
	}
	v, err := l.LoadAll(ctx, []int{1, 2, 3, 1})
	var failed batch.Errors[int]
	if !slices.Equal(v, []int{10, 0, 0, 10}) || !errors.As(err, &failed) || len(failed) != 2 || failed[2] != down || failed[3] != batch.ErrNotFound {
		t.Errorf("%v, %v", v, err)
	}
	if got := l.Stats().Keys["unasked"]; got != 2 {
		t.Errorf("%d keys that nobody asked for, want 2", got)
	}
	s.fetch = func(context.Context, []int) (map[int]int, error) { return nil, nil }
	for key, want := range map[int]error{2: batch.ErrNotFound, 3: batch.ErrNotFound, 4: batch.ErrNotFound} {
		if _, err := l.Load(ctx, key); err != want {
			t.Errorf("%d: %v", key, err)
		}
	}
	s.fetch = nil
	before := s.count()
	wantLoad(t, ctx, l, 1)
	if _, err := l.Load(ctx, 3); err != batch.ErrNotFound || s.count() != before {
		t.Errorf("not remembered: %v, %d fetches more", err, s.count()-before)
	}
}

// L11: errors fail single keys only if they are those of this fetch and of nothing else: else what
// failed further in would look as if it were not there.
func TestL11_ErrorsOfOthers(t *testing.T) {
	down, bad := errors.New("database is down"), errors.New("bad key")
	inner := newLoader(t, batch.LoaderConfig[int, int]{Fetch: func(context.Context, []int) (map[int]int, error) { return nil, down }})
	for name, c := range map[string]struct {
		fetch func(ctx context.Context) error
		want  [3]error // of keys 1, 2, 3; key 1 is in the map
	}{
		"of an inner loader": {func(ctx context.Context) error {
			_, err := inner.LoadAll(ctx, []int{100})
			return fmt.Errorf("teams: %w", err)
		}, [3]error{down, down, down}},
		"of one that shares a key": {func(ctx context.Context) error {
			_, err := inner.LoadAll(ctx, []int{2, 100})
			return err
		}, [3]error{down, down, down}},
		"joined": {func(context.Context) error { return errors.Join(batch.Errors[int]{2: bad}, down) }, [3]error{down, down, down}},
		"wrapped twice": {func(context.Context) error {
			return fmt.Errorf("a: %w", fmt.Errorf("b: %w", batch.Errors[int]{2: bad}))
		}, [3]error{nil, bad, batch.ErrNotFound}},
		"alone": {func(context.Context) error { return batch.Errors[int]{2: bad} }, [3]error{nil, bad, batch.ErrNotFound}},
		"nil":   {func(context.Context) error { return batch.Errors[int](nil) }, [3]error{nil, batch.ErrNotFound, batch.ErrNotFound}},
		"empty": {func(context.Context) error { return batch.Errors[int]{} }, [3]error{nil, batch.ErrNotFound, batch.ErrNotFound}},
	} {
		l := newLoader(t, batch.LoaderConfig[int, int]{Fetch: func(ctx context.Context, keys []int) (map[int]int, error) {
			return map[int]int{1: 10}, c.fetch(ctx)
		}})
		ctx := batch.WithScope(t.Context())
		_, _ = l.LoadAll(ctx, []int{1, 2, 3})
		for i, want := range c.want { // what is remembered, or fetched anew with all
			_, err := l.LoadAll(ctx, []int{1, 2, 3})
			if some, _ := err.(batch.Errors[int]); !errors.Is(some[i+1], want) {
				t.Errorf("%s: key %d: %v, want %v", name, i+1, some[i+1], want)
			}
		}
	}
}

// L11: a cache in front of a Loader remembers what does not exist.
func TestL11_BehindACache(t *testing.T) {
	s, l := setup(t, batch.LoaderConfig[int, int]{})
	s.fetch = func(context.Context, []int) (map[int]int, error) { return nil, nil }
	c, err := cache.New(cache.Config[int, int]{Load: l.Load, NegativeTTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := c.Get(t.Context(), 1); !errors.Is(err, cache.ErrNotFound) {
			t.Error(err)
		}
	}
	if s.count() != 1 {
		t.Errorf("%d fetches, want 1", s.count())
	}
}

// L12: whatever Fetch does, everybody is answered, and its slot comes back.
func TestL12_Panics(t *testing.T) {
	boom := errors.New("boom")
	for name, f := range map[string]func(){
		"value":  func() { panic("boom") },
		"error":  func() { panic(boom) },
		"nil":    func() { panic(nil) }, //nolint:govet // what a user's code may do
		"goexit": runtime.Goexit,
	} {
		for _, scoped := range []bool{false, true} {
			t.Run(fmt.Sprint(name, scoped), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, l := setup(t, batch.LoaderConfig[int, int]{MaxConcurrent: 1, MaxKeys: 2})
					s.fetch = func(context.Context, []int) (map[int]int, error) { f(); return nil, nil }
					ctx := t.Context()
					if scoped {
						ctx = batch.WithScope(ctx)
					}
					// Three batches, one after the other: what waits for the end of a fetch gets its turn.
					_, err := l.LoadAll(ctx, []int{1, 2, 3, 4, 5})
					var failed batch.Errors[int]
					if !errors.As(err, &failed) || len(failed) != 5 {
						t.Fatalf("%v", err)
					}
					var p *batch.PanicError
					if errors.As(failed[5], &p) != (name != "goexit") || name == "error" && !errors.Is(err, boom) {
						t.Errorf("%v", failed[5])
					}
					if p != nil && (!strings.Contains(string(p.Stack), "TestL12") || !strings.Contains(p.Error(), "panicked")) {
						t.Errorf("%v\n%s", p, p.Stack)
					}
					s.fetch = nil
					wantLoad(t, ctx, l, 1)
					if got := l.Stats(); got.InFlight != 0 || (got.Keys["panicked"] == 5) != (name != "goexit") {
						t.Errorf("%v", got.Keys)
					}
				})
			})
		}
	}
}

// L13: Forget wins over what is in flight, Prime never overwrites, a full memo keeps what it has.
func TestL13_ForgetAndPrime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := setup(t, batch.LoaderConfig[int, int]{MaxMemo: 2})
		ctx := batch.WithScope(t.Context())
		var version atomic.Int64
		s.fetch = func(_ context.Context, keys []int) (map[int]int, error) {
			m, v := map[int]int{}, int(version.Load())
			time.Sleep(time.Millisecond)
			for _, k := range keys {
				m[k] = v
			}
			return m, nil
		}
		batch.Go(ctx, func(ctx context.Context) error {
			if v, _ := l.Load(ctx, 1); v != 0 {
				t.Errorf("who waited gets %d, want the value that was in flight", v)
			}
			return nil
		})
		batch.Go(ctx, func(context.Context) error { time.Sleep(2500 * time.Microsecond); return nil })
		time.Sleep(2100 * time.Microsecond) // it flies since MaxWait
		synctest.Wait()
		if l.Prime(ctx, 1, 99) {
			t.Error("Prime of a key in flight")
		}
		version.Store(1)
		l.Forget(ctx, 1)
		if v, _ := l.Load(ctx, 1); v != 1 {
			t.Errorf("who comes later gets %d, want what is there now", v)
		}
		_ = batch.Wait(ctx)
		version.Store(2)
		if v, _ := l.Load(ctx, 1); v != 1 {
			t.Errorf("%d, want what is remembered", v)
		}
		if l.Prime(ctx, 1, 99) || !l.Prime(ctx, 2, 22) || l.Prime(ctx, 3, 33) {
			t.Error("Prime overwrites, does nothing, or exceeds MaxMemo")
		}
		if v, _ := l.Load(ctx, 2); v != 22 {
			t.Errorf("%d, want what was primed", v)
		}
		for range 2 {
			before := s.count()
			if _, _ = l.Load(ctx, 4); s.count() != before+1 {
				t.Error("remembered more than MaxMemo")
			}
		}
		l.Forget(ctx)
		if v, _ := l.Load(ctx, 2); v != 2 || !l.Prime(ctx, 5, 5) {
			t.Errorf("%d, want a fetch after Forget of all, and room again", v)
		}
	})
}

// L13: a negative MaxMemo remembers nothing.
func TestL13_NoMemo(t *testing.T) {
	s, l := setup(t, batch.LoaderConfig[int, int]{MaxMemo: -1})
	ctx := batch.WithScope(t.Context())
	wantLoad(t, ctx, l, 1)
	wantLoad(t, ctx, l, 1)
	if s.count() != 2 || l.Prime(ctx, 2, 2) {
		t.Errorf("%d fetches", s.count())
	}
}

// L14: LoadAll splits at MaxKeys, keeps order and repeats; empty input fetches nothing.
func TestL14_LoadAll(t *testing.T) {
	s, l := setup(t, batch.LoaderConfig[int, int]{MaxKeys: 3, MaxConcurrent: 1})
	for _, ctx := range []context.Context{t.Context(), batch.WithScope(t.Context())} {
		s.fetches = nil
		v, err := l.LoadAll(ctx, []int{5, 4, 3, 4, 2, 1, 5, 6, 7})
		if err != nil || !slices.Equal(v, []int{50, 40, 30, 40, 20, 10, 50, 60, 70}) {
			t.Errorf("%v, %v", v, err)
		}
		if got := s.seen(); got != "[[3 4 5] [1 2 6] [7]]" {
			t.Errorf("fetched %s", got)
		}
		if v, err := l.LoadAll(ctx, nil); v != nil || err != nil || s.count() != 3 {
			t.Error("empty input", v, err)
		}
	}
}

// L14: keys that no map can hold are their caller's error, and nobody else's.
func TestL14_StrangeKeys(t *testing.T) {
	l := newLoader(t, batch.LoaderConfig[any, int]{Fetch: func(_ context.Context, keys []any) (map[any]int, error) {
		m := map[any]int{}
		for _, k := range keys {
			m[k] = 1
		}
		return m, nil
	}})
	type pair struct{ a, b any }
	for _, ctx := range []context.Context{t.Context(), batch.WithScope(t.Context())} {
		for _, key := range []any{math.NaN(), []int{1}, pair{1, []int{}}, [1]any{map[int]int{}}, pair{math.NaN(), 1}} {
			if _, err := l.Load(ctx, key); err == nil || !strings.HasPrefix(err.Error(), "batch: the key") {
				t.Errorf("%v: %v", key, err)
			}
			if _, err := l.Defer(ctx, key)(); err == nil {
				t.Errorf("%v: no error", key)
			}
			if l.Prime(ctx, key, 1) {
				t.Errorf("%v: primed", key)
			}
			l.Forget(ctx, key)
			v, err := l.LoadAll(ctx, []any{1, key, 2})
			if err == nil || !slices.Equal(v, []int{1, 0, 1}) {
				t.Errorf("%v: %v, %v", key, v, err)
			}
		}
		if v, err := l.Load(ctx, pair{1, "x"}); v != 1 || err != nil {
			t.Error(v, err)
		}
	}
}

// The text of an Errors does not depend on the order of its map.
func TestErrors_Text(t *testing.T) {
	e := batch.Errors[int]{}
	for i := range 7 {
		e[i] = fmt.Errorf("no %d", i)
	}
	for range 20 {
		if got := e.Error(); got != "batch: 7 keys failed: 0: no 0; 1: no 1; 2: no 2; 3: no 3; 4: no 4; and 2 more" {
			t.Fatal(got)
		}
		if len(e.Unwrap()) != 7 || e.Unwrap()[6].Error() != "no 6" {
			t.Fatal(e.Unwrap())
		}
	}
}

// Fetch may sort its keys and keep them: nobody gets another's value.
func TestL11_KeysBelongToFetch(t *testing.T) {
	s, l := setup(t, batch.LoaderConfig[int, int]{})
	s.fetch = func(_ context.Context, keys []int) (map[int]int, error) {
		m := map[int]int{}
		for _, k := range keys {
			m[k] = 10 * k
		}
		clear(keys)
		return m, nil
	}
	v, err := l.LoadAll(t.Context(), []int{3, 1, 2})
	if err != nil || !slices.Equal(v, []int{30, 10, 20}) {
		t.Error(v, err)
	}
}

// A Loader made outside of a synctest bubble works in several: nothing that waits is pooled.
func TestL2_LoaderInTwoBubbles(t *testing.T) {
	_, l := setup(t, batch.LoaderConfig[int, int]{})
	wantLoad(t, t.Context(), l, 1)
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			levels(t, batch.WithScope(t.Context()), l, 10, 2, func(int) {})
			wantLoad(t, t.Context(), l, 1)
		})
	}
}

// Without a scope nothing stays: a million distinct keys leave the heap where it was.
func TestL7_AMillionKeysLeaveNothing(t *testing.T) {
	l := newLoader(t, batch.LoaderConfig[int, int]{Fetch: func(_ context.Context, keys []int) (map[int]int, error) {
		m := make(map[int]int, len(keys))
		for _, k := range keys {
			m[k] = k
		}
		return m, nil
	}})
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	keys := make([]int, 50_000)
	before := heap()
	for range 20 {
		for i := range keys {
			keys[i] += len(keys)
		}
		if _, err := l.LoadAll(t.Context(), keys); err != nil {
			t.Fatal(err)
		}
	}
	if after := heap(); after > before+512<<10 {
		t.Errorf("the heap has grown by %d KiB", (after-before)>>10)
	}
	runtime.KeepAlive(l)
}
