package pool

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// settledSum is what Stats says became of all that was accepted.
func settledSum(s Stats) uint64 {
	n := uint64(s.Waiting) + uint64(s.Running)
	for _, k := range s.Tasks {
		n += k
	}
	return n
}

// However its elements end, a runner is one task, with one outcome.
func TestStats_ARunnerWhoseElementPanics(t *testing.T) {
	ends := map[string]func(){"panic": func() { panic("no") }, "Goexit": runtime.Goexit, "error": nil}
	for _, workers := range []int{1, 3} {
		for what, end := range ends {
			for _, kind := range []string{"map", "stream"} {
				synctest.Test(t, func(t *testing.T) {
					p := mustNew(t, Config{Workers: workers, Logger: slog.New(slog.DiscardHandler)})
					f := func(_ context.Context, v int) (int, error) {
						time.Sleep(time.Second)
						if end != nil && v == 0 {
							end()
						}
						return v, errors.ErrUnsupported
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
					if end != nil {
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

// At every moment when nobody moves all that was accepted waits, runs, or has ended in one way.
func TestStats_AddUp(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			p := mustNew(t, Config{Workers: 1 + int(seed%4), Queue: 100, Logger: slog.New(slog.DiscardHandler)})
			accepted := uint64(0)
			nap := func() { time.Sleep(time.Duration(r.IntN(5)) * time.Millisecond) }
			var cancels []context.CancelFunc
			end := func() error {
				switch r.IntN(6) {
				case 0:
					panic(seed)
				case 1:
					runtime.Goexit()
				case 2:
					return errors.ErrUnsupported
				}
				return nil
			}
			for range 300 {
				d := time.Duration(r.IntN(20)) * time.Millisecond
				switch r.IntN(6) {
				case 0, 1, 2:
					if p.TryGo(t.Context(), func(context.Context) error { time.Sleep(d); return end() }) == nil {
						accepted++
					}
				case 3:
					ctx, cancel := context.WithCancel(t.Context())
					cancels = append(cancels, cancel)
					p.mu.Lock()
					room := p.room()
					p.mu.Unlock()
					if room {
						Submit(ctx, p, func(context.Context) (int, error) { time.Sleep(d); return 0, end() })
						accepted++
					}
				case 4:
					if len(cancels) > 0 {
						cancels[r.IntN(len(cancels))]()
					}
				case 5:
					nap()
				}
				synctest.Wait()
				if s := p.Stats(); settledSum(s) != accepted {
					t.Fatalf("seed %d: %d of %d: %+v", seed, settledSum(s), accepted, s)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			_ = p.Close(ctx)
			synctest.Wait()
			if s := p.Stats(); settledSum(s) != accepted {
				t.Errorf("seed %d: %d of %d after Close: %+v", seed, settledSum(s), accepted, s)
			}
			for _, cancel := range cancels {
				cancel()
			}
			_ = p.Close(t.Context())
			if s := p.Stats(); settledSum(s) != accepted || s.Running+s.Waiting != 0 {
				t.Errorf("seed %d: %d of %d at the end: %+v", seed, settledSum(s), accepted, s)
			}
		})
	}
}
