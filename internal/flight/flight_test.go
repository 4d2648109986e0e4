package flight_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/internal/flight"
	"github.com/hotpath-go/hotpath/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// value is a Store of one value for each key.
type value struct {
	mu sync.Mutex
	m  map[string]int
}

func (s *value) ops(load func(ctx context.Context) (int, error)) flight.Ops[string, int] {
	return flight.Ops[string, int]{
		Check: func(key string) (int, bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			v, ok := s.m[key]
			return v, ok
		},
		Load: func(ctx context.Context, _ string) (int, error) { return load(ctx) },
		Done: func(key string, v int, err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if err == nil {
				s.m[key] = v
			}
		},
	}
}

func newValue() *value { return &value{m: map[string]int{}} }

func TestShared_EndsWithItsLastReference(t *testing.T) {
	type key struct{}
	parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, 7))
	s := flight.Share(parent, 0)
	cancel()
	if s.Err() != nil || s.Value(key{}) != 7 {
		t.Fatalf("after its parent's end: %v, value %v", s.Err(), s.Value(key{}))
	}
	ctx, cancelOther := context.WithCancel(t.Context())
	leave1, ok1 := s.Join(ctx)
	leave2, ok2 := s.Join(context.Background())
	if !ok1 || !ok2 {
		t.Fatal("a live context cannot be joined")
	}
	leave2()
	leave2() // twice is once
	if s.Err() != nil {
		t.Fatal("ended with two references left")
	}
	own, ok := s.Join(context.Background())
	if !ok {
		t.Fatal("not alive")
	}
	leave1()
	own()
	cancelOther()
	if s.Err() != nil {
		t.Fatal("ended with the first reference left")
	}
}

func TestShared_JoinEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := flight.Share(context.Background(), time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		if _, ok := s.Join(ctx); !ok {
			t.Fatal("cannot join")
		}
		cancel()
		synctest.Wait()
		if s.Err() != nil {
			t.Fatal("the first reference is gone too")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if s.Err() != context.DeadlineExceeded {
			t.Fatalf("after its timeout: %v", s.Err())
		}
		if _, ok := s.Join(context.Background()); ok {
			t.Fatal("an ended context can be joined")
		}
	})
}

func TestDo_OneLoadForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := flight.NewGroup[string, int](), newValue()
		var loads, joins atomic.Int32
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				v, how, err := g.Do(t.Context(), "a", 0, s.ops(func(context.Context) (int, error) {
					loads.Add(1)
					time.Sleep(time.Second)
					return 7, nil
				}))
				if v != 7 || err != nil {
					t.Errorf("%d, %v", v, err)
				}
				if how == flight.Joined {
					joins.Add(1)
				}
			})
		}
		wg.Wait()
		if loads.Load() != 1 || joins.Load() != 15 || s.m["a"] != 7 {
			t.Errorf("%d loads, %d joined, stored %d", loads.Load(), joins.Load(), s.m["a"])
		}
	})
}

func TestDo_InlineOnlyIfNothingCanEndIt(t *testing.T) {
	g, s := flight.NewGroup[string, int](), newValue()
	here := goroutine()
	run := func(ctx context.Context, key string, timeout time.Duration) (inline bool) {
		_, _, err := g.Do(ctx, key, timeout, s.ops(func(context.Context) (int, error) {
			inline = goroutine() == here
			return 0, nil
		}))
		if err != nil {
			t.Error(err)
		}
		return inline
	}
	if !run(context.Background(), "a", 0) || run(t.Context(), "b", 0) || run(context.Background(), "c", time.Minute) {
		t.Error("inline if and only if ctx can never end and there is no timeout")
	}
}

func goroutine() string {
	buf := make([]byte, 32)
	return string(buf[:runtime.Stack(buf, false)][:18])
}

func TestWrite_DetachesWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := flight.NewGroup[string, int](), newValue()
		detached := 0
		ops := s.ops(func(context.Context) (int, error) { time.Sleep(time.Second); return 1, nil })
		ops.Detached = func(string) { detached++ }
		done := make(chan int)
		go func() {
			v, _, _ := g.Do(t.Context(), "a", 0, ops)
			done <- v
		}()
		synctest.Wait()
		g.Write("a", func() { s.m["a"] = 2 })
		if v := <-done; v != 1 {
			t.Errorf("who waited before the write got %d, want the load's 1", v)
		}
		if v, _, _ := g.Do(t.Context(), "a", 0, ops); v != 2 || detached != 1 {
			t.Errorf("after the write %d, want 2; %d flights detached, want 1", v, detached)
		}
	})
}

func TestDo_ALoopIsAnErrorUntilTheLoadHasEnded(t *testing.T) {
	g, s := flight.NewGroup[string, int](), newValue()
	var kept context.Context
	_, _, err := g.Do(t.Context(), "a", 0, s.ops(func(ctx context.Context) (int, error) {
		kept = ctx
		v, _, err := g.Do(ctx, "b", 0, s.ops(func(ctx context.Context) (int, error) {
			v, _, err := g.Do(ctx, "a", 0, s.ops(nil))
			return v, err
		}))
		return v, err
	}))
	if err != flight.ErrLoop {
		t.Errorf("a needs b needs a: %v, want ErrLoop", err)
	}
	if v, _, err := g.Do(context.WithoutCancel(kept), "a", 0, s.ops(func(context.Context) (int, error) { return 3, nil })); v != 3 || err != nil {
		t.Errorf("work that outlives the load: %d, %v", v, err)
	}
}

func TestStart_RunsBehindAndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := flight.NewGroup[string, int](), newValue()
		slow := s.ops(func(context.Context) (int, error) { time.Sleep(time.Second); return 4, nil })
		if !g.Start(t.Context(), "a", time.Minute, slow) || g.Start(t.Context(), "a", time.Minute, slow) {
			t.Error("the first Start begins a flight, the second finds it")
		}
		if v, how, err := g.Do(t.Context(), "a", 0, slow); v != 4 || how != flight.Joined || err != nil {
			t.Errorf("%d, how %d, %v", v, how, err)
		}
		if g.Start(t.Context(), "a", time.Minute, slow) {
			t.Error("Start although Check finds the value")
		}
	})
}

func TestStart_APanicEndsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := flight.NewGroup[string, int](), newValue()
		g.Start(t.Context(), "a", time.Minute, s.ops(func(context.Context) (int, error) { time.Sleep(time.Second); panic("x") }))
		_, how, err := g.Do(t.Context(), "a", 0, s.ops(nil))
		if p := new(flight.PanicError); !errors.As(err, &p) || p.Value != "x" || how != flight.Joined {
			t.Errorf("joined %v, %v", how == flight.Joined, err)
		}
	})
}

func TestDo_NaNIsNeverUnderWay(t *testing.T) {
	g := flight.NewGroup[float64, int]()
	for i := range 3 {
		v, how, err := g.Do(t.Context(), math.NaN(), 0, flight.Ops[float64, int]{
			Load: func(context.Context, float64) (int, error) { return i, nil },
			Done: func(float64, int, error) { t.Error("NaN was stored") },
		})
		if v != i || how != flight.Flew || err != nil {
			t.Errorf("%d, how %d, %v", v, how, err)
		}
	}
}

func TestDoMany_OneLoadForAllThatNobodyLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := flight.NewGroup[string, int](), newValue()
		s.m["have"] = 1
		go g.Do(t.Context(), "other", 0, s.ops(func(context.Context) (int, error) { time.Sleep(time.Second); return 2, nil }))
		synctest.Wait()
		var asked [][]string
		keys := []string{"have", "xxx", "other", "bad", "yyyy"}
		many := flight.ManyOps[string, int]{
			Check: func(i int) (int, bool) { return s.ops(nil).Check(keys[i]) },
			Load: func(_ context.Context, keys []string) func(int) (int, error) {
				asked = append(asked, slices.Clone(keys))
				time.Sleep(time.Millisecond)
				return func(i int) (int, error) {
					key := keys[i]
					if key == "bad" {
						return 0, errors.New("bad")
					}
					return len(key), nil
				}
			},
			Done: func(key string, v int, err error) { s.ops(nil).Done(key, v, err) },
		}
		got := g.DoMany(t.Context(), keys, 0, many)
		if got[0].V != 1 || got[1].V != 3 || got[2].V != 2 || !got[2].Joined || got[3].Err == nil || got[4].V != 4 || got[4].Joined {
			t.Errorf("%+v", got)
		}
		if len(asked) != 1 || !slices.Equal(asked[0], []string{"xxx", "bad", "yyyy"}) {
			t.Errorf("loads: %v", asked)
		}
		if s.m["xxx"] != 3 || s.m["yyyy"] != 4 {
			t.Errorf("stored: %v", s.m)
		}
	})
}

// Two calls that share keys in opposite orders do not wait for each other.
func TestDoMany_CannotDeadlock(t *testing.T) {
	for range 200 {
		g, s := flight.NewGroup[string, int](), newValue()
		many := flight.ManyOps[string, int]{
			Load: func(context.Context, []string) func(int) (int, error) {
				return func(int) (int, error) { return 1, nil }
			},
			Done: func(key string, v int, err error) { s.ops(nil).Done(key, v, err) },
		}
		var wg sync.WaitGroup
		for _, keys := range [][]string{{"a", "b", "c"}, {"c", "b", "a"}, {"b", "c", "a"}} {
			for _, ctx := range []context.Context{context.Background(), t.Context()} {
				wg.Go(func() {
					many := many
					many.Check = func(i int) (int, bool) { return s.ops(nil).Check(keys[i]) }
					for i, r := range g.DoMany(ctx, keys, 0, many) {
						if r.V != 1 || r.Err != nil {
							t.Errorf("%s: %+v", keys[i], r)
						}
					}
				})
			}
		}
		wg.Wait()
	}
}

func TestDoMany_AbnormalEnds(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("x") }, "Goexit": runtime.Goexit} {
		synctest.Test(t, func(t *testing.T) {
			g, s := flight.NewGroup[string, int](), newValue()
			many := flight.ManyOps[string, int]{
				Check: func(int) (int, bool) { return 0, false },
				Load:  func(context.Context, []string) func(int) (int, error) { time.Sleep(time.Second); end(); return nil },
				Done:  func(string, int, error) {},
			}
			var wg sync.WaitGroup
			wg.Go(func() { // inline: it is the caller's
				defer func() {
					if p := recover(); name == "panic" && p != "x" {
						t.Errorf("%s inline: recovered %v", name, p)
					}
				}()
				g.DoMany(context.Background(), []string{"a", "b"}, 0, many)
				t.Errorf("%s inline: DoMany returned", name)
			})
			synctest.Wait()
			for _, r := range g.DoMany(t.Context(), []string{"b", "c"}, 0, many) {
				if p := new(flight.PanicError); !errors.As(r.Err, &p) {
					t.Errorf("%s: %+v, want a PanicError", name, r)
				}
			}
			wg.Wait()
			if v, _, err := g.Do(t.Context(), "a", 0, s.ops(func(context.Context) (int, error) { return 5, nil })); v != 5 || err != nil {
				t.Errorf("%s: the key does not work again: %d, %v", name, v, err)
			}
		})
	}
}

type task struct{ blocked, done int }

func (t *task) Blocked() func() {
	t.blocked++
	return func() { t.done++ }
}

func TestBlocked_OnlyWhileWaitingForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s := flight.NewGroup[string, int](), newValue()
		leader, follower := &task{}, &task{}
		slow := s.ops(func(context.Context) (int, error) { time.Sleep(time.Second); return 1, nil })
		go g.Do(context.WithValue(t.Context(), flight.TaskKey{}, leader), "a", 0, slow)
		synctest.Wait()
		g.Do(context.WithValue(t.Context(), flight.TaskKey{}, follower), "a", 0, slow)
		synctest.Wait()
		if *leader != (task{}) || *follower != (task{1, 1}) {
			t.Errorf("leader %+v, follower %+v, want none and one of each", *leader, *follower)
		}
	})
}
