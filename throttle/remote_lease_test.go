package throttle_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

// B2: tokens that come back after a long trip are not put into a later lease.
func TestB2_PutBackLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		r := remoteFunc(func(ctx context.Context, ops []throttle.Op) error {
			if len(ops) == 1 && ops[0].Policy == "b" {
				time.Sleep(5 * time.Second)
				ops[0].Granted, ops[0].Remaining, ops[0].RetryAfter = 0, 1, time.Millisecond
				return nil
			}
			return s.Take(ctx, ops)
		})
		l := mustNew(t, throttle.Config{Remote: r, Budget: 10 * time.Second, Logger: quiet(), Tier: func(*http.Request) string { return "" }, Policies: []throttle.Policy{
			{Name: "a", Rate: throttle.Per(1000, time.Second), Burst: 4000}, {Name: "b", Rate: throttle.Per(1000, time.Second), Burst: 4000, Tier: "x"},
		}})
		key := throttle.KeyOf("k")
		for range 600 {
			l.Take(t.Context(), key, 1)
		}
		n := l.Peek(t.Context(), key, 1).Remaining
		if l.Stats().Remote["lease"] == 0 || n < 200 || n > 4000 {
			t.Fatal(n)
		}
		var wg sync.WaitGroup
		wg.Go(func() { l.For("x").Take(t.Context(), key, n) })
		synctest.Wait()
		time.Sleep(4999 * time.Millisecond)
		begin := time.Now()
		got := int64(0)
		take := func() bool {
			if l.Take(t.Context(), key, 1).Allowed {
				got++
				return true
			}
			return false
		}
		for range 20 {
			take()
		}
		wg.Wait()
		for take() {
		}
		most := 4000 + int64((time.Since(begin)+100*time.Millisecond)/time.Millisecond)
		if got > most {
			t.Errorf("%d admitted in %v, bound with Lease %d", got, time.Since(begin), most)
		}
	})
}

// C1: with a Remote as without, what is settled back fills no bucket above Burst.
func TestC1_NotAboveBurst(t *testing.T) {
	for _, s := range []*store{nil, {}} {
		synctest.Test(t, func(t *testing.T) {
			cfg := throttle.Config{Rate: throttle.Per(100, time.Second), Burst: 100}
			if s != nil {
				cfg.Remote, cfg.Logger = s, quiet()
			}
			l := mustNew(t, cfg)
			gate := make(chan struct{})
			h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-gate
				_ = l.Settle(w, "", 0)
			}))
			var wg sync.WaitGroup
			for range 1000 {
				wg.Go(func() { serve(h, request()) })
				time.Sleep(12 * time.Millisecond)
			}
			close(gate)
			wg.Wait()
			got, key := 0, throttle.KeyAddr(addr("192.0.2.1"), 0)
			for l.Take(t.Context(), key, 1).Allowed {
				got++
			}
			if got > 110 {
				t.Errorf("remote %v: %d at once, Burst 100", s != nil, got)
			}
		})
	}
}

// C1: what was paid here while the Remote was down goes back here.
func TestC1_TwinPaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Rate: throttle.Per(100, time.Hour), Logger: quiet()})
		key := throttle.KeyAddr(addr("192.0.2.1"), 0)
		l.Take(t.Context(), key, 90)                                                   // 10 left
		h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // 9 left
			s.set(func() { s.fail = errDead })
			if !l.Charge(w, r, "", 50) {
				t.Error("no")
			}
			s.set(func() { s.fail = nil })
			_ = l.Settle(w, "", 1)
		}))
		serve(h, request())
		if got := s.held("default", key); got != 9 {
			t.Errorf("%d in the store, want 9", got)
		}
	})
}

// C1: settlements that overtake each other end with the last.
func TestC1_SettleTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{latency: 4 * time.Millisecond}
		l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Rate: throttle.Per(100, 1000*time.Hour), Logger: quiet()})
		key := throttle.KeyAddr(addr("192.0.2.1"), 0)
		h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var wg sync.WaitGroup
			wg.Go(func() { _ = l.Settle(w, "", 50) })
			wg.Go(func() { time.Sleep(time.Millisecond); _ = l.Settle(w, "", 10) })
			wg.Wait()
			_ = l.Settle(w, "", 7)
		}))
		serve(h, request())
		if got := s.held("default", key); got != 93 {
			t.Errorf("settled to 7: %d left of 100", got)
		}
	})
}

// D2: who is refused does not enlarge the lease.
func TestD2_RefusalsGrowNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Rate: throttle.Per(1000, time.Hour), Logger: quiet()})
		key := throttle.KeyOf("k")
		l.Take(t.Context(), key, 999)
		for range 12 {
			if l.Take(t.Context(), key, 500).Allowed {
				t.Fatal()
			}
			time.Sleep(time.Millisecond)
		}
		if got := s.last().Ahead; got > 0 {
			t.Errorf("after 12 refusals %d are asked ahead", got)
		}
	})
}

// D2: Peek says what Take would say, with what a lease holds.
func TestD2_PeekCountsTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Rate: throttle.Per(100, time.Hour), Logger: quiet()})
		key := throttle.KeyOf("k")
		for range 5 {
			l.Take(t.Context(), key, 1)
		}
		if d := l.Peek(t.Context(), key, 50); d.Remaining != 45 || d.ResetAfter != 55*36*time.Second {
			t.Errorf("Peek(50) after 5 of 100: %+v", d)
		}
		for n := int64(80); n <= 100; n++ {
			p := l.Peek(t.Context(), key, n)
			if !p.Allowed {
				if d := l.Take(t.Context(), key, n); d.Allowed {
					t.Errorf("Peek(%d) says %+v, Take allows", n, p)
				}
				return
			}
		}
		t.Error("Peek says that there are 100 where 5 were taken")
	})
}

// D2: after a trip that has failed the next caller renews, and asks for as much.
func TestD2_FailedRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Rate: throttle.Per(1000, time.Hour), Logger: quiet()})
		key := throttle.KeyOf("k")
		for range 1 + 2 + 4 { // the next asks 7 ahead
			l.Take(t.Context(), key, 1)
		}
		s.set(func() { s.fail = errDead })
		l.Take(t.Context(), key, 1)
		s.set(func() { s.fail = nil })
		if l.Take(t.Context(), key, 1); s.last().Ahead != 7 {
			t.Errorf("%d asked ahead after a failure, want 7", s.last().Ahead)
		}
	})
}

// D2: a shadow policy that is empty does not make a trip of each decision.
func TestD2_ShadowTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Policies: []throttle.Policy{{Name: "a", Rate: throttle.Per(1_000_000, time.Hour)}, {Name: "dry", Rate: throttle.Per(10, time.Hour), Shadow: true}}, Logger: quiet()})
		for range 1000 {
			l.Take(t.Context(), throttle.KeyOf("k"), 1)
			time.Sleep(time.Millisecond)
		}
		if s.count() > 100 {
			t.Errorf("%d trips of 1000", s.count())
		}
	})
}

// R1: leases and shields of one Remote are nothing to another.
func TestR1_AnotherRemote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := &store{}, &store{}
		cfg := throttle.Config{Remote: one, Rate: throttle.Per(100, time.Hour), Logger: quiet()}
		l := mustNew(t, cfg)
		key := throttle.KeyOf("k")
		other := mustNew(t, throttle.Config{Remote: two, Lease: -1, Rate: throttle.Per(100, time.Hour), Logger: quiet()})
		other.Take(t.Context(), key, 100)
		for range 12 {
			l.Take(t.Context(), key, 1)
		}
		cfg.Remote = two
		if err := l.Reconfigure(cfg); err != nil {
			t.Fatal(err)
		}
		got := 0
		for l.Take(t.Context(), key, 1).Allowed {
			got++
		}
		if got > 0 {
			t.Errorf("%d admitted of a bucket that is empty in the new Remote", got)
		}
		one, two = &store{}, &store{}
		cfg.Remote = one
		l = mustNew(t, cfg)
		l.Take(t.Context(), key, 100)
		l.Take(t.Context(), key, 1)
		cfg.Remote = two
		_ = l.Reconfigure(cfg)
		if d := l.Take(t.Context(), key, 1); !d.Allowed {
			t.Errorf("shield of the old Remote refuses in the new: %+v", d)
		}
	})
}
