package throttle

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// D2: who renews has two budgets to come back, then somebody else may: of a new key and of a known one.
func TestD2_RenewalHoldsForTwoBudgets(t *testing.T) {
	now, budget := int64(time.Hour), 30*time.Millisecond
	l := fakeLimiter(t, Config{Remote: deaf{}, Rate: Per(1, time.Second), Budget: budget, Capacity: 64}, &now)
	s := l.state.Load()
	for _, which := range []string{"new", "known"} {
		if l.renew(s, s.policies[0], 1).at == nil {
			t.Fatalf("a key that is %s is not renewed", which)
		}
		if now += int64(2*budget) - 2048; l.renew(s, s.policies[0], 1).at != nil {
			t.Errorf("%s: renewed by two within two budgets", which)
		}
		now += 2048
	}
}

// D3: a refund ends shields, and neither leases nor renewals.
func TestD3_RefundsEndNoLeases(t *testing.T) {
	now := int64(time.Hour)
	l := fakeLimiter(t, Config{Remote: deaf{}, Rate: Per(1, time.Second), Capacity: 64}, &now)
	s := l.state.Load()
	p := s.policies[0]
	r := l.renew(s, p, 1)
	p.unshield(1)
	if r.finish(leaseWord(now+int64(time.Second), 5, 3, leased)); !holds(p, 1, now, 5, false) {
		t.Error("a refund has ended a renewal")
	}
	if p.unshield(1); !holds(p, 1, now, 5, false) {
		t.Error("a refund has ended a lease")
	}
	l.shield(p, 2, &renewal{}, now, time.Second)
	if p.unshield(2); !holds(p, 2, now, 0, false) || l.renew(s, p, 2).at == nil {
		t.Error("a key that is shielded no more is not renewed")
	}
}

// W4: who asks again has paid from no lease before.
func TestW4_AskedAgain(t *testing.T) {
	now := int64(time.Hour)
	l := fakeLimiter(t, Config{Remote: deaf{}, Rate: Per(1, time.Second), Capacity: 64}, &now)
	p := l.state.Load().policies[0]
	c := charge{p: p, fp: 1, claim: &claim{p: p, cost: 1, by: byLease, held: now}}
	if c.begin(); c.claim.held != 0 || c.claim.by != byNobody || c.cost != 1 {
		t.Errorf("%+v", c.claim)
	}
}

// M1: nor do leases of years ago take a place.
func TestM1_OldLeasesAreGone(t *testing.T) {
	now := int64(time.Hour)
	l := fakeLimiter(t, Config{Remote: deaf{}, Rate: Per(1, time.Second), Capacity: 64}, &now)
	s := l.state.Load()
	p := s.policies[0]
	for fp := range uint64(10) {
		r := l.renew(s, p, fp+1)
		r.finish(leaseWord(now+int64(time.Second), 5, 3, leased))
	}
	for range 9 {
		if now += int64(year / 4); p.leases.live(uint64(now)*leaseUnit) != 0 {
			t.Errorf("after %v %d are left", time.Duration(now), p.leases.live(uint64(now)*leaseUnit))
		}
	}
}

// D4: a store that says of when to come back what no bucket can be is not believed.
func TestD4_SenselessTimes(t *testing.T) {
	l, err := New(Config{Rate: Per(7, time.Minute), Lease: -1, Remote: remoteFunc(func(ops []Op) {
		ops[0].RetryAfter, ops[0].ResetAfter = math.MaxInt64, math.MaxInt64
	})})
	if err != nil {
		t.Fatal(err)
	}
	if d := l.Take(t.Context(), KeyOf("k"), 1); d.Allowed || d.RetryAfter != 3*time.Minute || d.ResetAfter != 2*time.Minute {
		t.Errorf("%+v", d)
	}
}

// D4: a probe has a second, or Budget if that is more, and what takes longer than Budget is not back.
func TestD4_ProbesPatience(t *testing.T) {
	for budget, patience := range map[time.Duration]time.Duration{25 * time.Millisecond: time.Second, 3 * time.Second: 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var probes []time.Duration
			begin, takes, granted := time.Now(), time.Duration(0), int64(0)
			l, err := New(Config{Rate: Per(10, time.Hour), Budget: budget, Logger: slog.New(slog.DiscardHandler), Remote: patient(func(ctx context.Context, ops []Op) error {
				if ops[0].Back == 0 && takes == 0 {
					return errors.New("nobody there")
				}
				asked := time.Now()
				probes = append(probes, asked.Sub(begin))
				if takes > 0 {
					time.Sleep(takes)
					ops[0].Granted = granted
					return nil
				}
				<-ctx.Done()
				if got := time.Since(asked); got != patience {
					t.Errorf("Budget %v: a probe had %v, want %v", budget, got, patience)
				}
				return ctx.Err()
			})})
			if err != nil {
				t.Fatal(err)
			}
			for range 5 {
				l.Take(t.Context(), KeyOf("k"), 1)
			}
			for until := time.Now().Add(3*patience + time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
				l.Take(t.Context(), KeyOf("k"), 1)
				synctest.Wait()
			}
			for i, want := range []time.Duration{100 * time.Millisecond, patience + 300*time.Millisecond, 2*patience + 700*time.Millisecond} {
				if got := probes[i]; got < want || got > want+30*time.Millisecond {
					t.Errorf("Budget %v: probe %d after %v, want %v", budget, i, got, want)
				}
			}
			for _, tc := range []struct {
				takes   time.Duration
				granted int64
				up      bool
			}{{budget + 1, 1, false}, {1, 99, false}, {1, 1, true}} {
				takes, granted = tc.takes, tc.granted
				for range 1000 {
					l.Take(t.Context(), KeyOf("k"), 1)
					time.Sleep(10 * time.Millisecond)
					synctest.Wait()
				}
				if l.Stats().RemoteUp != tc.up {
					t.Errorf("Budget %v: up is %v after probes of %+v", budget, !tc.up, tc)
				}
			}
		})
	}
}

type patient func(ctx context.Context, ops []Op) error

func (f patient) Take(ctx context.Context, ops []Op) error { return f(ctx, ops) }
