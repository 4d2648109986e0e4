package throttle_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

// D2: a lease ends when Lease is over from when it was asked for, not from when it came.
func TestD2_LeaseCountsFromTheAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{latency: 20 * time.Millisecond}
		l := mustNew(t, throttle.Config{Remote: s, Rate: throttle.Per(100_000, time.Hour)})
		key := throttle.KeyOf("k")
		for range 1 + 2 + 4 + 1 { // the last asks 7 ahead
			l.Take(t.Context(), key, 1)
		}
		trips := s.count()
		time.Sleep(79 * time.Millisecond)
		if l.Take(t.Context(), key, 1); s.count() != trips {
			t.Errorf("99 ms after it was asked for a lease is no more")
		}
		time.Sleep(2 * time.Millisecond)
		if l.Take(t.Context(), key, 1); s.count() != trips+1 {
			t.Errorf("101 ms after it was asked for a lease still pays")
		}
	})
}

// D2: what is left of a lease goes back with the next trip, less what may have flowed in since.
func TestD2_TheRestGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Rate: throttle.Per(1000, time.Hour)})
		key := throttle.KeyOf("k")
		for range 1 + 2 + 4 + 1 + 3 { // 4 of 7 are left
			l.Take(t.Context(), key, 1)
		}
		time.Sleep(110 * time.Millisecond)
		l.Take(t.Context(), key, 1)
		if op := s.last(); op.Back != 3 { // 1 may have flowed in
			t.Errorf("%d go back of 4, want 3: %+v", op.Back, op)
		}
	})
}

// D2: near the limit no more is asked for than there was.
func TestD2_NearTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Rate: throttle.Per(1, time.Hour), Burst: 10_000})
		for l.Take(t.Context(), throttle.KeyOf("k"), 1).Allowed {
		}
		held := int64(1 << 20)
		for _, op := range s.ops {
			if op.Ahead > 4*held+1 {
				t.Fatalf("%d asked ahead after %d were granted", op.Ahead, held)
			}
			held = max(op.Granted-op.Cost, 0)
		}
	})
}

// D2: a settlement that a lease can pay makes no trip.
func TestD2_LeasePaysSettlement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Rate: throttle.Per(1000, time.Hour)})
		h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			trips := s.count()
			if _ = l.Settle(w, "", 3); s.count() != trips && trips >= 4 {
				t.Errorf("%d trips to settle", s.count()-trips)
			}
		}))
		key := throttle.KeyAddr(addr("192.0.2.1"), 0)
		for range 1 + 2 + 4 + 1 { // 7 are held
			l.Take(t.Context(), key, 1)
		}
		serve(h, request())
		if held := l.Peek(t.Context(), key, 1).Remaining; held != 7-3-1 {
			t.Errorf("%d left in a lease of 7, want 3 after Peek", held)
		}
	})
}

// D3: a shield too counts from the asking: it is over when the store has the next token, not a trip later.
func TestD3_ShieldCountsFromTheAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{latency: 20 * time.Millisecond}
		l := mustNew(t, throttle.Config{Remote: s, Rate: throttle.Per(2, time.Second), Burst: 1})
		key, begin := throttle.KeyOf("k"), time.Now()
		l.Take(t.Context(), key, 1) // there after 10 ms: the next one is due at 510
		time.Sleep(490*time.Millisecond - time.Since(begin))
		if d := l.Take(t.Context(), key, 1); d.Allowed || s.count() != 1 {
			t.Errorf("after 490 ms: %+v, %d trips", d, s.count())
		}
		time.Sleep(501*time.Millisecond - time.Since(begin))
		if d := l.Take(t.Context(), key, 1); !d.Allowed {
			t.Errorf("there when it is due: %+v", d)
		}
	})
}

// B6: with a Remote a shadow refuses nothing and is counted, by a trip, by its shield and down.
func TestB6_SharedShadow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Nodes: 4, Logger: quiet(), Policies: []throttle.Policy{
			{Name: "a", Rate: throttle.Per(1000, time.Hour)}, {Name: "dry", Rate: throttle.Per(4, time.Hour), Shadow: true},
		}})
		key, denied := throttle.KeyOf("k"), uint64(0)
		take := func(n int64, counts bool) {
			t.Helper()
			if counts {
				denied++
			}
			if d := l.Take(t.Context(), key, n); !d.Allowed || l.Stats().ShadowDenied["dry"] != denied {
				t.Errorf("%+v, %d counted, want %d", d, l.Stats().ShadowDenied["dry"], denied)
			}
		}
		take(3, false)
		take(2, true)
		take(1, false)
		for range 20 { // leases pay, and the shield knows
			take(1, true)
		}
		s.set(func() { s.fail = errDead })
		take(3, true) // more than the share of the shadow here
		key = throttle.KeyOf("new")
		take(3, true) // and with the enforced one asked in vain
	})
}

// B6: a shadow whose key or cost is an error counts as one that refuses, while the Remote is up and down.
func TestB6_SharedShadowsErrors(t *testing.T) {
	for name, dry := range map[string]throttle.Policy{
		"no key":        {Key: func(*http.Request) (throttle.Key, error) { return throttle.Key{}, errDead }},
		"negative cost": {Cost: func(*http.Request) int64 { return -1 }},
		"never":         {Cost: func(*http.Request) int64 { return 4 }},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &store{}
			dry.Name, dry.Rate, dry.Shadow = "dry", throttle.Per(3, time.Hour), true
			l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Logger: quiet(), Policies: []throttle.Policy{{Name: "a", Rate: throttle.Per(100, time.Hour)}, dry}})
			for i := range uint64(4) {
				if i == 2 {
					s.set(func() { s.fail = errDead })
				}
				if w := serve(l.Handler(nothing), request()); w.Code != 200 || l.Stats().ShadowDenied["dry"] != i+1 {
					t.Errorf("%s, %d: %d, counted %v", name, i, w.Code, l.Stats().ShadowDenied)
				}
			}
		})
	}
}

// B6: while only a shadow's trips fail its share here says what it would refuse, once each.
func TestB6_ShadowsShareHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, cost := &store{}, int64(0)
		l := mustNew(t, throttle.Config{Remote: s, Logger: quiet(), Policies: []throttle.Policy{
			{Name: "a", Rate: throttle.Per(100_000, time.Hour)},
			{Name: "dry", Rate: throttle.Per(3, time.Hour), Shadow: true, Cost: func(*http.Request) int64 { return cost }},
		}})
		h := l.Handler(nothing)
		for range 1 + 2 + 4 + 8 + 1 { // 15 of "a" are held, nothing of "dry"
			serve(h, request())
		}
		s.set(func() { s.fail = errDead })
		cost = 1
		before := l.Stats().ShadowDenied["dry"]
		for range 5 {
			if w := serve(h, request()); w.Code != 200 {
				t.Errorf("%d", w.Code)
			}
		}
		if got := l.Stats().ShadowDenied["dry"] - before; got != 2 {
			t.Errorf("%d of 5 counted as refused by a dry run of 3, want 2", got)
		}
	})
}

// D5: what a lease had paid is in it again if the trip for another policy fails.
func TestD5_FailedTripPutsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		cost := int64(0)
		l := mustNew(t, throttle.Config{Remote: s, OnDown: "closed", Logger: quiet(), Policies: []throttle.Policy{
			{Name: "a", Rate: throttle.Per(1000, time.Hour)},
			{Name: "b", Rate: throttle.Per(1000, time.Hour), Cost: func(*http.Request) int64 { return cost }},
		}})
		h := l.Handler(nothing)
		for range 1 + 2 + 4 { // 4 are asked for, 3 held and used
			serve(h, request())
		}
		serve(h, request()) // 7 are held
		s.set(func() { s.fail = errDead })
		cost = 1
		for range 4 {
			if w := serve(h, request()); w.Code != 503 {
				t.Errorf("%d", w.Code)
			}
		}
		cost = 0
		for i := range 7 {
			if w := serve(h, request()); w.Code != 200 {
				t.Errorf("%d of 7 held: %d", i, w.Code)
			}
		}
	})
}

// D5: Take goes by OnDown too, before the breaker opens and after.
func TestD5_Take(t *testing.T) {
	for onDown, status := range map[string]int{"closed": 503, "open": 0, "local": 429} {
		l := mustNew(t, throttle.Config{Remote: &store{fail: errDead}, OnDown: onDown, Rate: throttle.Per(1, time.Hour), Logger: quiet()})
		key := throttle.KeyOf("k")
		l.Take(t.Context(), key, 1)
		for i := range 10 {
			if d := l.Take(t.Context(), key, 1); d.Status != status {
				t.Errorf("%s, %d: %+v", onDown, i, d)
			}
		}
	}
}

// C1: of what could not be collected nothing goes back.
func TestC1_UncollectedStaysAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Rate: throttle.Per(10, time.Hour)})
		h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = l.Settle(w, "", 30) // 10 and 10 below zero
			_ = l.Settle(w, "", 15)
		}))
		serve(h, request())
		l.Refund(t.Context(), throttle.KeyAddr(addr("192.0.2.1"), 0), 6)
		if held := s.held("default", throttle.KeyAddr(addr("192.0.2.1"), 0)); held != 1 {
			t.Errorf("%d left of 10, settled to 15, refunded 6: want 1", held)
		}
	})
}

// C4: a throttle on a Remote gives back what another then refuses, whichever stands outside.
func TestC4_SharedReturn(t *testing.T) {
	for _, lease := range []time.Duration{-1, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := &store{}
			shared := mustNew(t, throttle.Config{Remote: s, Lease: lease, Rate: throttle.Per(100, time.Hour)})
			own := mustNew(t, throttle.Config{Rate: throttle.Per(4, time.Hour)})
			w := serve(own.Handler(shared.Handler(batch(nothing))), envelope("a,b,c,d,e,f"))
			if w.Body.String() != "200 200 200 200 429 429" {
				t.Errorf("parts answered %s", w.Body)
			}
			left := s.held("default", client)
			if d := shared.Peek(t.Context(), client, 1); lease > 0 && d.Allowed {
				left = 0
				for shared.Take(t.Context(), client, 1).Allowed {
					left++
				}
			}
			if left != 96 {
				t.Errorf("lease %v: %d tokens left, want 96", lease, left)
			}
		})
	}
}

// W4: who leaves while it is being decided gets an error, and its tokens go back.
func TestW4_LeavingGivesBack(t *testing.T) {
	for _, lease := range []time.Duration{-1, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := &store{latency: 20 * time.Millisecond}
			l := mustNew(t, throttle.Config{Remote: s, Lease: lease, Rate: throttle.Per(10, time.Hour)})
			ctx, leave := context.WithCancel(t.Context())
			time.AfterFunc(10*time.Millisecond, leave)
			if err := l.Wait(ctx, throttle.KeyOf("k"), 4); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			if held := s.held("default", throttle.KeyOf("k")); held != 10 {
				t.Errorf("lease %v: %d left, want 10", lease, held)
			}
			down := mustNew(t, throttle.Config{Remote: &store{hang: true}, Rate: throttle.Per(10, time.Hour), Logger: quiet()})
			ctx, leave = context.WithCancel(t.Context())
			time.AfterFunc(10*time.Millisecond, leave)
			if err := down.Wait(ctx, throttle.KeyOf("k"), 4); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			if d := down.Take(t.Context(), throttle.KeyOf("k"), 10); !d.Allowed {
				t.Errorf("paid here, and not given back: %+v", d)
			}
		})
	}
}

// W4: who is due after those before it, and after its deadline, does not wait.
func TestW4_DueBehindOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustNew(t, throttle.Config{Remote: &store{}, Rate: throttle.Per(1, time.Second)})
		key := throttle.KeyOf("k")
		l.Take(t.Context(), key, 1)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := l.Wait(t.Context(), key, 1); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if err := l.Wait(ctx, key, 1); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 0 {
			t.Errorf("due in 2 s, with 1.5 s: %v after %v", err, time.Since(begin))
		}
		wg.Wait()
		if l.Stats().Waiting != 0 {
			t.Errorf("%d are waiting", l.Stats().Waiting)
		}
	})
}

// C1: paid here while the Remote was down, charged more when it was back: each gets back its own.
func TestC1_RemotePaidMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{fail: errDead}
		l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Rate: throttle.Per(100, time.Hour), Logger: quiet()})
		h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.set(func() { s.fail = nil })
			if !l.Charge(w, r, "", 50) {
				t.Error("no")
			}
			_ = l.Settle(w, "", 20)
		}))
		serve(h, request())
		key := throttle.KeyAddr(addr("192.0.2.1"), 0)
		if held := s.held("default", key); held != 81 {
			t.Errorf("%d left of 100 after 50 and 31 back, want 81", held)
		}
	})
}

// D5: what the Remote was told of a refund is not refunded here too.
func TestD5_RefundOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{fail: errDead}
		l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Rate: throttle.Per(10, time.Hour), Logger: quiet()})
		key := throttle.KeyOf("k")
		l.Take(t.Context(), key, 10)
		s.set(func() { s.fail = nil })
		l.Refund(t.Context(), key, 10)
		s.set(func() { s.fail = errDead })
		if d := l.Take(t.Context(), key, 1); d.Allowed {
			t.Errorf("the share here came back: %+v", d)
		}
		l.Refund(t.Context(), key, 10)
		if d := l.Take(t.Context(), key, 1); !d.Allowed {
			t.Errorf("nobody was told of a refund: %+v", d)
		}
	})
}
