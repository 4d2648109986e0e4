package throttle_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

type remoteFunc func(ctx context.Context, ops []throttle.Op) error

func (f remoteFunc) Take(ctx context.Context, ops []throttle.Op) error { return f(ctx, ops) }

// D4: a caller who leaves is not let in by OnDown while the store is well.
func TestD4_GoneCallerIsNoOutage(t *testing.T) {
	for _, onDown := range []string{"open", "local"} {
		synctest.Test(t, func(t *testing.T) {
			s := &store{latency: 2 * time.Millisecond}
			l := mustNew(t, throttle.Config{Remote: s, Lease: -1, OnDown: onDown, Rate: throttle.Per(10, time.Hour), Logger: quiet()})
			key := throttle.KeyOf("k")
			admitted := 0
			for range 100 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				if l.Take(ctx, key, 1).Allowed {
					admitted++
				}
				cancel()
			}
			for range 100 {
				if l.Take(t.Context(), key, 1).Allowed {
					admitted++
				}
			}
			if admitted > 10 {
				t.Errorf("%s: %d admitted, burst 10, store never down (up=%v)", onDown, admitted, l.Stats().RemoteUp)
			}
		})
	}
}

// D4: nor is one who has left before.
func TestD4_EndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{latency: time.Millisecond}
		l := mustNew(t, throttle.Config{Remote: s, Lease: -1, OnDown: "open", Rate: throttle.Per(1, time.Hour), Logger: quiet()})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		n := 0
		for range 10 {
			if l.Take(ctx, throttle.KeyOf("k"), 1).Allowed {
				n++
			}
		}
		if n > 1 {
			t.Errorf("%d admitted with an ended context, burst 1", n)
		}
	})
}

// D4: callers with deadlines below Budget open the breaker like others.
func TestD4_ShortDeadlinesOpenToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{hang: true}
		l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Rate: throttle.Per(1000, time.Second), Logger: quiet()})
		begin := time.Now()
		for range 1000 {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			l.Take(ctx, throttle.KeyOf("k"), 1)
			cancel()
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("1000 decisions waited %v for a hung store, up=%v", took, l.Stats().RemoteUp)
		}
	})
}

// D4: trips that fail after the breaker has closed again, and began before, open nothing.
func TestD4_LateFailuresOpenNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{hang: true}
		l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Budget: 2 * time.Second, Rate: throttle.Per(1_000_000, time.Hour), Logger: quiet()})
		key := throttle.KeyOf("k")
		for range 5 {
			go l.Take(t.Context(), key, 1)
		}
		time.Sleep(1900 * time.Millisecond)
		for range 400 { // under way when the breaker opens
			go l.Take(t.Context(), key, 1)
		}
		time.Sleep(150 * time.Millisecond)
		s.set(func() { s.hang = false })
		opens := 0
		was := l.Stats().RemoteUp
		for range 600 {
			time.Sleep(10 * time.Millisecond)
			l.Take(t.Context(), key, 1)
			synctest.Wait()
			now := l.Stats().RemoteUp
			if was && !now {
				opens++
			}
			was = now
		}
		if opens > 0 {
			t.Errorf("opened %d times again though the store is well", opens)
		}
	})
}

// D4: a store that answers what does not write is one outage, not one a second.
func TestD4_ReadOnlyStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := remoteFunc(func(ctx context.Context, ops []throttle.Op) error {
			for i := range ops {
				if ops[i].Cost > 0 {
					return errDead
				}
				ops[i].Remaining = ops[i].Burst
			}
			return nil
		})
		var log bytes.Buffer
		l := mustNew(t, throttle.Config{Remote: r, Rate: throttle.Per(100, time.Second), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for range 1000 {
			l.Take(t.Context(), throttle.KeyOf("k"), 1)
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
		}
		if n := strings.Count(log.String(), "\n"); n > 4 {
			t.Errorf("%d log lines in 10 s of one outage", n)
		}
	})
}

// B6: a shadow policy refuses nothing, also when the Remote is down.
func TestB6_ShadowWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{fail: errDead}
		l := mustNew(t, throttle.Config{Remote: s, OnDown: "closed", Policies: []throttle.Policy{{Name: "dry", Rate: throttle.Per(10, time.Second), Shadow: true}}, Logger: quiet()})
		if d := l.Take(t.Context(), throttle.KeyOf("k"), 1); !d.Allowed {
			t.Errorf("a dry run refuses: %+v", d)
		}
	})
}

// B6: nor if only its own trip fails.
func TestB6_ShadowsTripFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, fails := &store{}, 0
		r := remoteFunc(func(ctx context.Context, ops []throttle.Op) error {
			if fails < 4 && len(ops) == 1 && ops[0].Soft { // the fifth would open the breaker
				fails++
				return errDead
			}
			return s.Take(ctx, ops)
		})
		l := mustNew(t, throttle.Config{Remote: r, OnDown: "closed", Policies: []throttle.Policy{{Name: "a", Rate: throttle.Per(1000, time.Hour)}, {Name: "dry", Rate: throttle.Per(2, time.Hour), Burst: 5, Shadow: true}}, Logger: quiet()})
		for i := range 40 {
			if d := l.Take(t.Context(), throttle.KeyOf("k"), 1); !d.Allowed {
				t.Fatalf("%d: a dry run refuses: %+v", i, d)
			}
		}
		if fails != 4 {
			t.Errorf("%d trips of the shadow alone", fails)
		}
	})
}

// D3: of a Remote that decides keys apart, who gave its token back is not shielded.
func TestD3_NoShieldOfWhoGaveBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := true
		r := remoteFunc(func(ctx context.Context, ops []throttle.Op) error {
			for i := range ops {
				op := &ops[i]
				switch {
				case !full:
					op.Granted, op.Remaining = op.Cost, 0
				case op.Policy == "tenant": // took the last one, and gave it back
					op.Granted, op.Remaining, op.ResetAfter = 0, 0, time.Hour
				default:
					op.Granted, op.Remaining, op.RetryAfter, op.ResetAfter = 0, 0, time.Millisecond, time.Hour
				}
			}
			return nil
		})
		l := mustNew(t, throttle.Config{Remote: r, Lease: -1, Policies: []throttle.Policy{{Name: "tenant", Rate: throttle.Per(10, time.Hour)}, {Name: "net", Rate: throttle.Per(1000, time.Second)}}, Logger: quiet()})
		key := throttle.KeyOf("k")
		if l.Take(t.Context(), key, 1).Allowed {
			t.Fatal()
		}
		time.Sleep(2 * time.Millisecond)
		full = false
		if d := l.Take(t.Context(), key, 1); !d.Allowed {
			t.Errorf("shielded though its token went back: %+v", d)
		}
	})
}

// W4: a deadline that ends during the trip is an error, whatever OnDown says.
func TestW4_DeadlineInTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{hang: true}
		l := mustNew(t, throttle.Config{Remote: s, OnDown: "local", Rate: throttle.Per(1, time.Second), Logger: quiet()})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := l.Wait(ctx, throttle.KeyOf("k"), 1); err == nil {
			t.Errorf("Wait returns nil after its ctx ended: %v", ctx.Err())
		}
	})
}

// W4: of a hundred waiters on one key one asks.
func TestW4_OneAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{latency: time.Millisecond}
		l := mustNew(t, throttle.Config{Remote: s, Rate: throttle.Per(10, time.Second), Burst: 1, Logger: quiet()})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if err := l.Wait(t.Context(), throttle.KeyOf("k"), 1); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if s.count() > 1000 {
			t.Errorf("%d trips for 100 waiters", s.count())
		}
	})
}

// D5: what costs more than the share here is a 503, of Take and Peek.
func TestD5_CostAboveShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{fail: errDead}
		l := mustNew(t, throttle.Config{Remote: s, Nodes: 4, MaxWait: time.Second, Rate: throttle.Per(8, time.Second), Logger: quiet()})
		d := l.Take(t.Context(), throttle.KeyOf("k"), 3)
		if d.Allowed || d.Status != 503 {
			t.Errorf("%+v", d)
		}
		if d := l.Peek(t.Context(), throttle.KeyOf("k"), 3); d.Status != 503 {
			t.Errorf("%+v", d)
		}
		if err := l.Wait(t.Context(), throttle.KeyOf("k"), 3); err == nil {
			t.Error("Wait passes")
		}
	})
}

// D4: the failures before an outage are not counted after it.
func TestD4_FreshAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{fail: errDead}
		l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Rate: throttle.Per(1000, time.Second), Logger: quiet()})
		key := throttle.KeyOf("k")
		for range 5 {
			l.Take(t.Context(), key, 1)
		}
		s.set(func() { s.fail = nil })
		time.Sleep(200 * time.Millisecond)
		l.Take(t.Context(), key, 1) // starts a probe
		synctest.Wait()
		s.set(func() { s.fail = errDead })
		for range 4 {
			l.Take(t.Context(), key, 1)
		}
		if !l.Stats().RemoteUp || s.count() != 5+1+4 {
			t.Errorf("open after four failures, or %d trips, want 10", s.count())
		}
	})
}

// D5: what is held is spent before the share here, also once the breaker is open.
func TestD5_LeasesAreSpentFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Lease: time.Second, Rate: throttle.Per(1000, time.Hour), Logger: quiet()})
		key := throttle.KeyOf("k")
		for range 1 + 2 + 4 + 1 { // 7 are held
			l.Take(t.Context(), key, 1)
		}
		s.set(func() { s.fail = errDead })
		for range 5 {
			l.Take(t.Context(), throttle.KeyOf("other"), 1)
		}
		before := l.Stats().Remote["lease"]
		for range 8 {
			l.Take(t.Context(), key, 1)
		}
		if st := l.Stats(); st.RemoteUp || st.Remote["lease"] != before+7 || st.Remote["fallback"] != 5+1 {
			t.Errorf("%v, up %v", st.Remote, st.RemoteUp)
		}
	})
}
