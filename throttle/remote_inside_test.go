package throttle

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

type deaf struct{}

func (deaf) Take(context.Context, []Op) error { return errors.New("nobody there") }

func TestNew_RemoteSettings(t *testing.T) {
	for _, tc := range []struct {
		cfg  Config
		want string
	}{
		{Config{Budget: 1}, `throttle: Budget is 1ns without Remote: must be zero`},
		{Config{OnDown: "open"}, `throttle: OnDown is "open" without Remote: must be zero`},
		{Config{Nodes: 2}, `throttle: Nodes is 2 without Remote: must be zero`},
		{Config{Lease: -1}, `throttle: Lease is -1ns without Remote: must be zero`},
		{Config{Logger: slog.Default()}, `throttle: Logger is set without Remote: must be zero`},
		{Config{Remote: deaf{}, Budget: -1}, `throttle: Budget is -1ns: must be between 1ns and 10s (0 means 25ms)`},
		{Config{Remote: deaf{}, Budget: time.Minute}, `throttle: Budget is 1m0s: must be between`},
		{Config{Remote: deaf{}, OnDown: "Open"}, `throttle: OnDown is "Open": must be one of ["local" "open" "closed"] ("" means local)`},
		{Config{Remote: deaf{}, Nodes: -1}, `throttle: Nodes is -1: must be between 1 and 65536 (0 means 1)`},
		{Config{Remote: deaf{}, Nodes: 1 << 17}, `throttle: Nodes is 131072: must be between`},
		{Config{Remote: deaf{}, Nodes: 1000, Rate: Per(1, year)}, `throttle: Nodes is 1000: Policies[0] at 1/8760h0m0s shared by them must be full again within 36 years`},
		{Config{Remote: deaf{}, Lease: 2 * time.Second}, `throttle: Lease is 2s: must be at most 1s (0 means 100ms, negative means never)`},
	} {
		if _, err := New(tc.cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("error %v\nwant  %s", err, tc.want)
		}
	}
	l, err := New(Config{Remote: deaf{}})
	if err != nil {
		t.Fatal(err)
	}
	if c := l.state.Load().cfg; c.Budget != 25*time.Millisecond || c.OnDown != "local" || c.Nodes != 1 || c.Lease != 100*time.Millisecond {
		t.Errorf("defaults: %+v", c)
	}
}

// D3: what a shield says of when a token is due is at most a thousandth late, and never early.
func TestD3_ShieldWord(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 100_000 {
		after := time.Duration(rnd.Int64N(int64(time.Hour))) << rnd.IntN(21) >> rnd.IntN(42)
		until := rnd.Int64N(int64(9 * year))
		now := until - rnd.Int64N(int64(time.Second))
		v := shieldWord(until, after)
		exact := wordUntil(v, now) + int64(after)
		due := wordDue(v, now)
		if late := due - exact; late < 0 || late > int64(time.Millisecond)+int64(after)/1024 || wordKind(v) != shielded || until-wordUntil(v, now) >= 1024 || until < wordUntil(v, now) {
			t.Fatalf("a token due %v after %d: %d ns late", after, until, late)
		}
	}
}

// D2: the parts of a word do not touch each other, and a later one is greater.
func TestD2_LeaseWord(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		until, tokens, level, kind := rnd.Int64N(int64(9*year)), rnd.Int64N(tokenMask+1), rnd.IntN(maxLevel+1), leaseKind(rnd.IntN(3))
		v := leaseWord(until, tokens, level, kind)
		if wordTokens(v) != tokens || wordLevel(v) != level || wordKind(v) != kind || wordUntil(v, until) > until || wordUntil(v, until) <= until-1024 {
			t.Fatalf("%d %d %d %d: %x", until, tokens, level, kind, v)
		}
		if int64(leaseWord(until+1024, 0, 0, 0)-v) <= 0 {
			t.Fatalf("%x is not ordered by time", v)
		}
	}
}

// D2: a lease is spent once, whoever comes, and what lapses is not spent.
func TestD2_LeaseIsSpentOnce(t *testing.T) {
	l, err := New(Config{Remote: deaf{}, Rate: Per(1, time.Second), Capacity: 64})
	if err != nil {
		t.Fatal(err)
	}
	s := l.state.Load()
	p := s.policies[0]
	for fp := uint64(1); fp < 40; fp++ {
		now := l.clock.now()
		r := l.renew(s, p, fp)
		if r.at == nil || l.renew(s, p, fp).at != nil {
			t.Fatal("a key is not renewed by one")
		}
		r.finish(leaseWord(now+int64(time.Hour), 1000, 9, leased))
		paid := make([]int64, 8)
		var wg sync.WaitGroup
		for i := range paid {
			wg.Go(func() {
				for try := 0; ; try++ {
					_, until, ok := p.pay(fp, &l.clock, 3)
					if !ok {
						return
					}
					if try%5 != 0 || !p.payBack(fp, now, until, 3) {
						paid[i]++
					}
				}
			})
		}
		wg.Wait()
		sum := int64(0)
		for _, n := range paid {
			sum += n
		}
		if tokens, _ := p.holding(fp, now); sum*3+tokens != 1000 || tokens > 2 {
			t.Fatalf("%d times 3 were spent of 1000, and %d are left", sum, tokens)
		}
		late := clock{fake: func() int64 { return now + int64(time.Hour) }}
		if _, _, ok := p.pay(fp, &late, 1); ok {
			t.Fatal("a lease is spent after its time")
		}
	}
}

// D2: who renews too late finds that somebody else has the slot, and leaves it.
func TestD2_LateRenewalLapses(t *testing.T) {
	l, err := New(Config{Remote: deaf{}, Rate: Per(1, time.Second), Capacity: 64})
	if err != nil {
		t.Fatal(err)
	}
	now := int64(1)
	l.clock.fake = func() int64 { return now }
	s := l.state.Load()
	p := s.policies[0]
	first := l.renew(s, p, 7)
	now += int64(time.Second)
	second := l.renew(s, p, 7)
	if second.at == nil {
		t.Fatal("a lost caller holds the renewal for ever")
	}
	first.finish(leaseWord(now+int64(time.Second), 100, 7, leased))
	if tokens, _ := p.holding(7, now); tokens != 0 {
		t.Errorf("%d tokens of a renewal that was given up", tokens)
	}
	second.finish(leaseWord(now+int64(time.Second), 5, 3, leased))
	if tokens, _ := p.holding(7, now); tokens != 5 {
		t.Errorf("%d tokens, want 5", tokens)
	}
}

// R1 with a Remote: leases stay if nothing of theirs has changed; debt moves between the buckets
// here, whoever keeps them.
func TestR1_Remote(t *testing.T) {
	now := int64(1)
	l := fakeLimiter(t, Config{Rate: Per(10, time.Hour)}, &now)
	key, ctx := KeyOf("k"), t.Context()
	l.Take(ctx, key, 4)
	shared := Config{Rate: Per(10, time.Hour), Remote: deaf{}, Logger: slog.New(slog.DiscardHandler)}
	if err := l.Reconfigure(shared); err != nil {
		t.Fatal(err)
	}
	if d := l.Take(ctx, key, 2); !d.Allowed || d.Remaining != 4 {
		t.Errorf("a Remote that is down from the start: %+v", d)
	}
	leases := l.state.Load().policies[0].leases
	for _, tc := range []struct {
		change func(c *Config)
		same   bool
	}{
		{func(c *Config) { c.Budget = time.Second }, true},
		{func(c *Config) { c.Nodes = 2 }, true},
		{func(c *Config) { c.Lease = time.Second }, false},
		{func(c *Config) { c.Burst = 11 }, false},
	} {
		cfg := shared
		if tc.change(&cfg); l.Reconfigure(cfg) != nil || (l.state.Load().policies[0].leases == leases) != tc.same {
			t.Errorf("%+v: the leases are the same: %v", cfg, !tc.same)
		}
		if err := l.Reconfigure(shared); err != nil {
			t.Fatal(err)
		}
		leases = l.state.Load().policies[0].leases
	}
	if err := l.Reconfigure(Config{Rate: Per(10, time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if d := l.Take(ctx, key, 1); !d.Allowed || d.Remaining > 4 || !l.Stats().RemoteUp {
		t.Errorf("without it again: %+v", d)
	}
}

// A Remote whose answers make no sense mints nothing.
func TestD4_SenselessAnswers(t *testing.T) {
	for _, bad := range []Op{{Granted: 99}, {Granted: -1}, {Granted: 1, Remaining: 11}, {Granted: 1, Remaining: -1}, {ResetAfter: -1}, {RetryAfter: -1}} {
		l, err := New(Config{Rate: Per(10, time.Hour), OnDown: "closed", Logger: slog.New(slog.DiscardHandler), Remote: remoteFunc(func(ops []Op) {
			for i := range ops {
				ops[i].Granted, ops[i].Remaining, ops[i].RetryAfter, ops[i].ResetAfter = bad.Granted, bad.Remaining, bad.RetryAfter, bad.ResetAfter
			}
		})})
		if err != nil {
			t.Fatal(err)
		}
		if d := l.Take(t.Context(), KeyOf("k"), 1); d.Status != 503 {
			t.Errorf("%+v: %+v", bad, d)
		}
	}
	// Refused, and it does not say until when.
	l, _ := New(Config{Rate: Per(10, time.Hour), Remote: remoteFunc(func([]Op) {})})
	if d := l.Take(t.Context(), KeyOf("k"), 1); d.Allowed || d.RetryAfter <= 0 || d.Status != 429 {
		t.Errorf("%+v", d)
	}
}

type remoteFunc func(ops []Op)

func (f remoteFunc) Take(_ context.Context, ops []Op) error { f(ops); return nil }

// A Remote that panics is its caller's, and takes no place of the 512 for good.
func TestD4_PanicsLeaveNoTrip(t *testing.T) {
	l, err := New(Config{Remote: remoteFunc(func([]Op) { panic("x") })})
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		l.Take(t.Context(), KeyOf("k"), 1)
	}()
	if n := l.breaker.trips.Load(); n != 0 {
		t.Errorf("%d trips are under way", n)
	}
}

// D2: what a lease gives back is less by what may have flowed in since it was asked for: from then
// until it ended, until now, and on the way there.
func TestD2_Unspent(t *testing.T) {
	l, err := New(Config{Remote: deaf{}, Rate: Per(100, time.Second), Lease: 100 * time.Millisecond, Budget: 30 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	s := l.state.Load()
	p := s.policies[0]
	until := int64(1<<20) * 1024
	for late, want := range map[time.Duration]int64{0: 50 - 14, 45 * time.Millisecond: 50 - 18, 370 * time.Millisecond: 0, time.Hour: 0, 50 * time.Hour: 0} {
		if got := p.unspent(leaseWord(until, 50, 6, leased), until+int64(late), s); got != want {
			t.Errorf("%v after its end: %d of 50, want %d", late, got, want)
		}
	}
}

// D3: a shield ends no lease that holds something, no renewal and no longer shield; and no renewal
// ends a shield.
func TestD3_ShieldBesideLeases(t *testing.T) {
	l, err := New(Config{Remote: deaf{}, Rate: Per(1, time.Second), Capacity: 64})
	if err != nil {
		t.Fatal(err)
	}
	now := int64(time.Hour)
	l.clock.fake = func() int64 { return now }
	s := l.state.Load()
	p := s.policies[0]
	r := l.renew(s, p, 1)
	l.shield(p, 1, &renewal{}, now, time.Second)
	if r.finish(leaseWord(now+int64(time.Millisecond), 5, 3, leased)); !holds(p, 1, now, 5, false) {
		t.Error("a shield has ended a renewal")
	}
	if l.shield(p, 1, &renewal{}, now, time.Second); !holds(p, 1, now, 5, false) {
		t.Error("a shield has ended a lease")
	}
	p.pay(1, &l.clock, 5)
	if l.shield(p, 1, &renewal{}, now, time.Second); !holds(p, 1, now, 0, true) {
		t.Error("no shield after an empty lease")
	}
	_, due := p.holding(1, now)
	if l.shield(p, 1, &renewal{}, now, time.Millisecond); !holds(p, 1, now+int64(time.Second)-4096, 0, true) {
		t.Error("a shield has been shortened")
	}
	if _, again := p.holding(1, now); again != due || l.renew(s, p, 1).at != nil {
		t.Error("a renewal has ended a shield")
	}
	if l.shield(p, 2, &renewal{}, now, time.Second); !holds(p, 2, now, 0, true) {
		t.Error("no shield of a new key")
	}
}

func holds(p *policy, fp uint64, now, tokens int64, shield bool) bool {
	n, due := p.holding(fp, now)
	return n == tokens && due > 0 == shield
}

// D2: what comes back to a lease is its own, and fits.
func TestD2_PayBack(t *testing.T) {
	l, err := New(Config{Remote: deaf{}, Rate: Per(1, time.Second), Capacity: 64})
	if err != nil {
		t.Fatal(err)
	}
	now := int64(time.Hour)
	l.clock.fake = func() int64 { return now }
	s := l.state.Load()
	p := s.policies[0]
	r := l.renew(s, p, 1)
	r.finish(leaseWord(now+int64(time.Second), 4095, 12, leased))
	_, until, _ := p.pay(1, &l.clock, 10)
	for _, tc := range []struct {
		now, until, n int64
		ok            bool
	}{{now, until + 1024, 1, false}, {now, until, 11, false}, {until, until, 1, false}, {now, until, 10, true}} {
		if p.payBack(1, tc.now, tc.until, tc.n) != tc.ok {
			t.Errorf("%+v", tc)
		}
	}
}

// No op owes or returns more than a bucket can.
func TestD1_OpsAreBounded(t *testing.T) {
	l, err := New(Config{Remote: deaf{}, Rate: Per(10, time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	p := l.state.Load().policies[0]
	if b, f := p.backOp(KeyOf("k"), 1<<60), p.forceOp(KeyOf("k"), 1<<60); b.Back != 20 || f.Cost != 20 || !f.Force || b.Cost != 0 {
		t.Errorf("%+v %+v", b, f)
	}
}

// W4: lines are gone when nobody stands in them, and who runs out of patience leaves.
func TestW4_LinesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := New(Config{Rate: Per(1, time.Second), Remote: remoteFunc(func(ops []Op) {
			for i := range ops { // others are always faster
				ops[i].RetryAfter, ops[i].ResetAfter = 400*time.Millisecond, time.Second
			}
		})})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Wait(ctx, KeyOf("k"), 1); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 800*time.Millisecond {
			t.Errorf("%v after %v, want 800ms", err, time.Since(begin))
		}
		if n := len(l.lines.byKey); n > 0 {
			t.Errorf("%d lines without anybody", n)
		}
	})
}
