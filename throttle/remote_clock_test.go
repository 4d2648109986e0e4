package throttle

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// generous grants all, and counts its trips.
func generous(trips *int) Remote {
	return remoteFunc(func(ops []Op) {
		*trips++
		for i := range ops {
			ops[i].Granted, ops[i].Remaining = ops[i].Cost+ops[i].Ahead, ops[i].Burst-5000
		}
	})
}

// D2: a process that has been up for long holds leases as before, also while the word's time comes round.
func TestD2_YearsUp(t *testing.T) {
	round := time.Duration(1 << 56) // ns in which the 46 bits come round: 2.28 years
	for _, up := range []time.Duration{time.Hour, round/2 - time.Millisecond, round - 500*time.Microsecond, round, 3 * year, 20 * year} {
		trips, now := 0, int64(up)
		l := fakeLimiter(t, Config{Rate: Per(1_000_000, time.Hour), Remote: generous(&trips)}, &now)
		for range 1000 {
			now += 1000
			l.Take(t.Context(), KeyOf("k"), 1)
		}
		if trips != 10 { // 1 + 2 + 4 ... + 512
			t.Errorf("up for %v: %d trips for 1000 decisions, want 10", up, trips)
		}
		now += int64(time.Second)
		for _, quiet := range []time.Duration{time.Second, time.Hour, year, round/2 + time.Hour, round - time.Second, 2 * year, round + time.Hour} {
			before := trips
			if now += int64(quiet); !l.Take(t.Context(), KeyOf("k"), 1).Allowed || trips != before+1 {
				t.Errorf("up for %v, quiet for %v: %d trips", up, quiet, trips-before)
			}
		}
	}
}

// D3: and shields, for as long as they do.
func TestD3_YearsUp(t *testing.T) {
	round := time.Duration(1 << 56)
	for _, up := range []time.Duration{time.Hour, round - 100*time.Millisecond, round, 5 * year} {
		trips, now := 0, int64(up)
		l := fakeLimiter(t, Config{Rate: Per(1, time.Hour), Remote: remoteFunc(func(ops []Op) {
			trips++
			ops[0].RetryAfter, ops[0].ResetAfter = time.Hour, time.Hour
		})}, &now)
		for range 99 {
			if d := l.Take(t.Context(), KeyOf("k"), 1); d.Allowed || d.RetryAfter > time.Hour+5*time.Second || d.RetryAfter < time.Hour-time.Second {
				t.Errorf("up for %v: %+v", up, d)
			}
			now += int64(10 * time.Millisecond)
		}
		if trips != 1 {
			t.Errorf("up for %v: %d trips behind a shield", up, trips)
		}
		if now += int64(20 * time.Millisecond); l.Take(t.Context(), KeyOf("k"), 1).Allowed || trips != 2 {
			t.Errorf("up for %v: %d trips after a second", up, trips)
		}
	}
}

// D2: a caller who is not scheduled for a while, once it has read the clock, does not spend a lease that has
// come and gone meanwhile: by one policy and by two.
func TestD2_StaleReading(t *testing.T) {
	for name, more := range map[string][]Policy{"one": nil, "two": {{Name: "b", Rate: Per(1_000_000, time.Hour)}}} {
		trips, now, key := 0, int64(time.Hour), KeyOf("k")
		l := fakeLimiter(t, Config{Policies: append(more, Policy{Name: "a", Rate: Per(1_000_000, time.Hour)}), Remote: generous(&trips)}, &now)
		several := func() {
			for range 20 {
				l.Take(t.Context(), key, 1)
			}
		}
		several()
		stalls, held := true, uint64(0)
		l.clock.fake = func() int64 {
			before := now
			if stalls {
				stalls = false
				now += int64(50 * time.Millisecond)
				several()
				held = l.Stats().Remote["lease"]
				now += int64(10 * time.Second)
			}
			return before
		}
		if !l.Take(t.Context(), key, 1).Allowed || stalls || l.Stats().Remote["lease"] != held {
			t.Errorf("%s: paid 10 s after the lease has ended", name)
		}
	}
}

// D4: a probe that heeds no context does not keep the breaker open: others follow, and no more of them hang
// than trips may be under way.
func TestD4_HungProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := &flaky{release: release, dead: true}
		l, err := New(Config{Remote: r, Rate: Per(1000, time.Second), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		key := KeyOf("k")
		for range 10 {
			l.Take(t.Context(), key, 1)
		}
		for range 10_000 {
			time.Sleep(time.Second)
			l.Take(t.Context(), key, 1)
			synctest.Wait()
		}
		if n := l.breaker.trips.Load(); n != maxTrips || r.hung != maxTrips {
			t.Errorf("%d trips are under way, %d hang; want %d of them", n, r.hung, maxTrips)
		}
		close(release)
		synctest.Wait()
		if n := l.breaker.trips.Load(); n != 0 {
			t.Errorf("%d trips are under way that have ended", n)
		}
		for range 10 {
			time.Sleep(time.Second)
			l.Take(t.Context(), key, 1)
		}
		synctest.Wait()
		if !l.Stats().RemoteUp {
			t.Error("10 s after the store is back the breaker is open")
		}
	})
	synctest.Test(t, func(t *testing.T) { // the one that hangs is never heard of again
		r := &flaky{release: make(chan struct{}), dead: true}
		l, err := New(Config{Remote: r, Rate: Per(1000, time.Second), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			l.Take(t.Context(), KeyOf("k"), 1)
		}
		time.Sleep(time.Second)
		l.Take(t.Context(), KeyOf("k"), 1)
		synctest.Wait()
		r.dead = false
		for range 3 {
			time.Sleep(time.Second)
			l.Take(t.Context(), KeyOf("k"), 1)
			synctest.Wait()
		}
		if !l.Stats().RemoteUp || r.hung != 1 {
			t.Errorf("3 s after the store is back the breaker is open; %d probes hang", r.hung)
		}
		close(r.release)
	})
}

// flaky refuses decisions while it is dead, and does not answer probes.
type flaky struct {
	release chan struct{}
	dead    bool
	hung    int
}

func (f *flaky) Take(_ context.Context, ops []Op) error {
	switch {
	case f.dead && ops[0].Back > 0:
		if f.hung++; f.hung == maxTrips {
			f.dead = false // for those who come later
		}
		<-f.release
		return errors.New("too late")
	case f.dead:
		return errors.New("nobody there")
	}
	ops[0].Granted, ops[0].Remaining = ops[0].Cost, 1
	return nil
}
