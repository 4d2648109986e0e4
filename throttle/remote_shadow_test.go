package throttle_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

// B5: of a trip that is refused only those count as violated that have no room.
func TestB5_WhoIsViolatedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustNew(t, throttle.Config{Remote: &store{}, Lease: -1, Policies: []throttle.Policy{
			{Name: "big", Rate: throttle.Per(100, time.Hour)}, {Name: "small", Rate: throttle.Per(3, time.Hour), Cost: func(*http.Request) int64 { return 2 }},
		}})
		h := l.Handler(nothing)
		serve(h, request())
		if w := serve(h, request()); w.Code != 429 || !strings.Contains(w.Body.String(), `["small"]`) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if denied := l.Stats().Denied; denied["big"] != 0 || denied["small"] != 1 {
			t.Errorf("%v", denied)
		}
	})
}

// B1: taking 0 is allowed behind a shield.
func TestB1_NothingBehindAShield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustNew(t, throttle.Config{Remote: &store{}, Rate: throttle.Per(2, time.Hour)})
		l.Take(t.Context(), throttle.KeyOf("k"), 2)
		if d := l.Take(t.Context(), throttle.KeyOf("k"), 1); d.Allowed || l.Stats().Remote["shield"] != 1 {
			t.Errorf("%+v", d)
		}
		if d := l.Take(t.Context(), throttle.KeyOf("k"), 0); !d.Allowed {
			t.Errorf("%+v", d)
		}
	})
}

// D5: while the Remote is down what it said a moment before is nothing to the share here.
func TestD5_NoShieldWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Rate: throttle.Per(2, time.Hour), Logger: quiet()})
		l.Take(t.Context(), throttle.KeyOf("k"), 2)
		open(t, l, s)
		if d := l.Take(t.Context(), throttle.KeyOf("k"), 1); !d.Allowed {
			t.Errorf("%+v", d)
		}
	})
}

// D5: leases are spent first also by a key that the share here knows from an outage before.
func TestD5_LeasesBeforeTheShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Lease: time.Second, Rate: throttle.Per(1000, time.Hour), Logger: quiet()})
		key := throttle.KeyOf("k")
		open(t, l, s)
		l.Take(t.Context(), key, 1)
		back(t, l, s)
		for range 1 + 2 + 4 + 1 { // 7 are held
			l.Take(t.Context(), key, 1)
		}
		open(t, l, s)
		before := l.Stats().Remote
		for range 8 {
			l.Take(t.Context(), key, 1)
		}
		if after := l.Stats().Remote; after["lease"] != before["lease"]+7 || after["fallback"] != before["fallback"]+1 {
			t.Errorf("%v, then %v", before, after)
		}
	})
}

// D2: a lease of a shadow that refuses is as large as before.
func TestD2_RefusalsShrinkNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, cost := &store{}, int64(1)
		l := mustNew(t, throttle.Config{Remote: s, Policies: []throttle.Policy{
			{Name: "a", Rate: throttle.Per(100_000, time.Hour), Cost: func(*http.Request) int64 { return 0 }},
			{Name: "dry", Rate: throttle.Per(1000, time.Hour), Shadow: true, Cost: func(*http.Request) int64 { return cost }},
		}})
		h := l.Handler(nothing)
		for range 1 + 2 + 4 + 1 {
			serve(h, request())
		}
		ahead := s.last().Ahead
		cost = 995
		serve(h, request())
		cost = 1
		if serve(h, request()); ahead != 7 || s.last().Ahead != ahead || l.Stats().ShadowDenied["dry"] != 1 {
			t.Errorf("%d asked ahead before a refusal and %d after, want 7; %v", ahead, s.last().Ahead, l.Stats().ShadowDenied)
		}
	})
}

// C1: a shadow that asked in vain has paid nothing, and gets nothing back.
func TestC1_ShadowsThatHaveNotPaid(t *testing.T) {
	for _, onDown := range []string{"open", "closed"} {
		synctest.Test(t, func(t *testing.T) {
			s := &store{}
			l := mustNew(t, throttle.Config{Remote: s, Lease: -1, OnDown: onDown, Logger: quiet(), Policies: []throttle.Policy{{Name: "dry", Rate: throttle.Per(10, time.Hour), Shadow: true}}})
			key := throttle.KeyAddr(addr("192.0.2.1"), 0)
			l.Take(t.Context(), key, 5)
			s.set(func() { s.fail = errDead })
			w := serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				s.set(func() { s.fail = nil })
				_ = l.Settle(w, "", 0)
			})), request())
			if held := s.held("dry", key); w.Code != 200 || held != 5 {
				t.Errorf("%s: %d, %d left of 10 after 5, want 5", onDown, w.Code, held)
			}
		})
	}
}

// B6: of two shadows the one that a lease has paid for is not charged here when the other's trip fails.
func TestB6_WhatAShadowsLeaseHasPaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, cost := &store{}, int64(0)
		l := mustNew(t, throttle.Config{Remote: s, Nodes: 100, Logger: quiet(), Policies: []throttle.Policy{
			{Name: "one", Rate: throttle.Per(1000, time.Hour), Shadow: true},
			{Name: "two", Rate: throttle.Per(1000, time.Hour), Shadow: true, Cost: func(*http.Request) int64 { return cost }},
		}})
		h := l.Handler(nothing)
		for range 1 + 2 + 4 + 1 { // 7 of "one" are held
			serve(h, request())
		}
		s.set(func() { s.fail = errDead })
		cost = 1
		for range 5 {
			serve(h, request())
		}
		time.Sleep(200 * time.Millisecond)
		cost = 0
		for i := range uint64(12) { // 10 are the share here
			if serve(h, request()); l.Stats().RemoteUp || l.Stats().ShadowDenied["one"] != max(i, 9)-9 {
				t.Errorf("request %d: up %v, counted %v", i, l.Stats().RemoteUp, l.Stats().ShadowDenied)
			}
		}
	})
}

// C4: what a lease has paid for a part that another throttle refuses is in it again, without a trip.
func TestC4_ReturnsIntoTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		shared := mustNew(t, throttle.Config{Remote: s, Lease: time.Second, Rate: throttle.Per(1000, time.Hour)})
		own := mustNew(t, throttle.Config{Rate: throttle.Per(4, time.Hour)})
		for range 1 + 2 + 4 + 1 { // 7 are held
			shared.Take(t.Context(), client, 1)
		}
		trips := s.count()
		w := serve(own.Handler(shared.Handler(batch(nothing))), envelope("a,b,c,d,e,f"))
		if w.Body.String() != "200 200 200 200 429 429" || s.count() != trips {
			t.Errorf("parts answered %s after %d trips", w.Body, s.count()-trips)
		}
		if held := shared.Peek(t.Context(), client, 1).Remaining; held != 3-1 {
			t.Errorf("%d left in a lease of 7 after 4, want 2 after Peek", held)
		}
	})
}
