package pool

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// However its elements end, a runner is one task, with one outcome.
func TestStats_ARunnerWhoseElementPanics(t *testing.T) {
	ends := map[string]int{"panic": 0, "Goexit": 1, "error": 2}
	for _, workers := range []int{1, 3} {
		for what, end := range ends {
			for _, kind := range []string{"map", "stream"} {
				synctest.Test(t, func(t *testing.T) {
					p := mustNew(t, Config{Workers: workers, Logger: slog.New(slog.DiscardHandler)})
					f := func(_ context.Context, v int) (int, error) {
						time.Sleep(time.Second)
						return v, ending(end)()
					}
					var err error
					if kind == "map" {
						_, err = Map(t.Context(), p, []int{0}, f)
					} else {
						for _, err = range Stream(t.Context(), p, upTo(1), f) {
						}
					}
					if err == nil {
						t.Error("no error")
					}
					synctest.Wait()
					s := p.Stats()
					want := map[string]uint64{"ok": 1}
					if what != "error" {
						want = map[string]uint64{"panicked": 1}
					}
					for _, outcome := range []string{"ok", "failed", "panicked", "cancelled", "dropped"} {
						if s.Tasks[outcome] != want[outcome] {
							t.Errorf("%s, %s, %d workers: %v, want %v", kind, what, workers, s.Tasks, want)
							break
						}
					}
					if err := p.Close(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

// Also if it goes on with others after that.
func TestStats_ARunnerThatOutlivesAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 1})
		for range Stream(t.Context(), p, upTo(2), func(_ context.Context, v int) (int, error) {
			time.Sleep(time.Second)
			return v, ending(2 * v)() // a panic, and an error
		}) {
		}
		synctest.Wait()
		if s := p.Stats(); s.Tasks["panicked"] != 1 || s.Tasks["ok"] != 0 {
			t.Error(s.Tasks)
		}
		_ = p.Close(t.Context())
	})
}

// ending returns how a task, or a call, ends.
func ending(kind int) func() error {
	return func() error {
		switch kind {
		case 0:
			panic("no")
		case 1:
			runtime.Goexit()
		case 2:
			return errors.ErrUnsupported
		}
		return nil
	}
}

// At every moment when nobody moves all that was accepted waits, runs, or has ended in one way.
func TestStats_AddUp(t *testing.T) {
	for seed := range uint64(16) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			p := mustNew(t, Config{Workers: 1 + int(seed%4), Logger: slog.New(slog.DiscardHandler)})
			check := func(when any) {
				t.Helper()
				p.mu.Lock()
				accepted := p.pushes + uint64(p.reserved) + p.dropped
				p.mu.Unlock()
				s := p.Stats()
				sum := uint64(s.Waiting) + uint64(s.Running)
				for _, n := range s.Tasks {
					sum += n
				}
				if sum != accepted {
					t.Fatalf("seed %d, %v: %d of %d: %+v", seed, when, sum, accepted, s)
				}
			}
			var users sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			for step := range 200 {
				d, end, n := time.Duration(r.IntN(20))*time.Millisecond, ending(r.IntN(8)), r.IntN(10)
				call := func(_ context.Context, v int) (int, error) {
					time.Sleep(d)
					if v == n/2 {
						return v, end()
					}
					return v, nil
				}
				switch r.IntN(12) {
				case 0, 1, 2, 3:
					_ = p.Go(t.Context(), func(context.Context) error { time.Sleep(d); return end() })
				case 4, 5:
					Submit(ctx, p, func(context.Context) (int, error) { time.Sleep(d); return 0, end() })
				case 6:
					cancel()
					ctx, cancel = context.WithCancel(t.Context())
				case 7:
					c := ctx
					users.Go(func() { _, _ = Map(c, p, []int{0, 1, 2, 3, 4}[:n/2], call) })
				case 8:
					c := ctx
					users.Go(func() {
						for range Stream(c, p, upTo(n), call) {
						}
					})
				case 9:
					_ = p.Go(t.Context(), func(ctx context.Context) error { _, err := Map(ctx, p, []int{0, 1, 2, 3, 4}[:n/2], call); return err })
				default:
					time.Sleep(d)
				}
				synctest.Wait()
				check(step)
			}
			c, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer stop()
			_ = p.Close(c)
			synctest.Wait()
			check("cut")
			cancel()
			users.Wait()
			_ = p.Close(t.Context())
			check("closed")
			if s := p.Stats(); s.Running+s.Waiting != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}
