package throttle_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/internal/statstest"
	"github.com/hotpath-go/hotpath/throttle"
)

// R1: debt is kept in tokens.
func TestR1_Reconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := throttle.KeyOf("k")
		config := func(n, other int64, capacity int) throttle.Config {
			return throttle.Config{Capacity: capacity, Policies: []throttle.Policy{
				{Name: "a", Rate: throttle.Per(n, time.Hour)},
				{Name: "b", Rate: throttle.Per(other, time.Hour)},
			}}
		}
		l := mustNew(t, config(10, 1000, 1000))
		view := l.For("")
		take := func(n int64) throttle.Decision { t.Helper(); return l.Take(t.Context(), key, n) }
		change := func(cfg throttle.Config) {
			t.Helper()
			if err := l.Reconfigure(cfg); err != nil {
				t.Fatal(err)
			}
		}
		take(8)
		change(config(20, 1000, 1000)) // an upgrade helps at once
		if d := l.Peek(t.Context(), key, 0); d.Limit != 20 || d.Remaining != 12 || view.Peek(t.Context(), key, 0).Limit != 20 {
			t.Errorf("after 10 -> 20: %+v", d)
		}
		change(config(5, 1000, 500)) // a downgrade leaves at most the new Burst of debt
		if d := l.Peek(t.Context(), key, 1); d.Allowed || d.RetryAfter != 12*time.Minute || d.ResetAfter != time.Hour {
			t.Errorf("after 20 -> 5: %+v", d)
		}
		time.Sleep(36 * time.Minute)
		change(config(5, 1000, 2000)) // the size alone
		if d := take(0); d.Remaining != 3 {
			t.Errorf("after a new Capacity: %+v", d)
		}
		before := l.Stats().Denied
		take(4)
		change(throttle.Config{Policies: []throttle.Policy{{Name: "b", Rate: throttle.Per(1000, time.Hour)}, {Name: "c", Rate: throttle.Per(2, time.Hour)}}})
		if d := take(1); !d.Allowed || d.Policy != "c" || d.Remaining != 1 {
			t.Errorf("a new policy is not full: %+v", d)
		}
		if s := l.Stats(); before["a"] != 0 || len(s.Denied) != 2 {
			t.Errorf("counted %v, then %v", before, s.Denied)
		}
		if got := l.Config().Policies; len(got) != 2 || got[0].Name != "b" {
			t.Errorf("Config is %+v", got)
		}
	})
}

// R1: a request under way settles with the new limit.
func TestR1_SettleAfterwards(t *testing.T) {
	l := mustNew(t, throttle.Config{Rate: throttle.Per(10, time.Hour)})
	serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := l.Reconfigure(throttle.Config{Rate: throttle.Per(20, time.Hour)}); err != nil {
			t.Error(err)
		}
		_ = l.Settle(w, "default", 5)
	})), request())
	if got := left(t, l, client); got != 15 {
		t.Errorf("%d left of 20, want 15", got)
	}
}

// R1: in a loop, under load: never more than the bounds together, and nothing is lost to others.
func TestR1_InALoop(t *testing.T) {
	l := mustNew(t, throttle.Config{Rate: throttle.Per(100, time.Hour), Capacity: 64})
	key := throttle.KeyOf("k")
	var admitted, stop atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for stop.Load() == 0 {
				if l.Take(t.Context(), key, 1).Allowed {
					admitted.Add(1)
				}
			}
		})
	}
	const changes = 300
	for i := range changes {
		if err := l.Reconfigure(throttle.Config{Rate: throttle.Per(100, time.Hour), Capacity: 64 + i%2}); err != nil {
			t.Error(err)
		}
	}
	for admitted.Load() < 100 { // on one processor the others come late
		time.Sleep(time.Millisecond)
	}
	stop.Store(1)
	wg.Wait()
	// In flight during a change means at most one call of each goroutine.
	if n := admitted.Load(); n < 100 || n > 100+4*changes {
		t.Errorf("%d admitted, want 100 and at most what was in flight", n)
	}
	if d := l.Take(t.Context(), key, 1); d.Allowed {
		t.Errorf("an exhausted consumer came back: %+v", d)
	}
}

func TestStats_CanBeExported(t *testing.T) {
	l := mustNew(t, throttle.Config{
		Policies: []throttle.Policy{
			{Name: "burst", Rate: throttle.Per(2, time.Hour), Key: throttle.KeyHeader("X-User")},
			{Name: "dry", Rate: throttle.Per(1, time.Hour), Shadow: true},
		},
		Exempt: func(r *http.Request) bool { return r.URL.Path == "/health" },
	})
	h := l.Handler(nothing)
	codes(h, 3, "X-User: a")
	codes(h, 1)
	r := request()
	r.URL.Path = "/health"
	serve(h, r)
	got := statstest.Check(t, l.Stats)
	for series, want := range map[string]float64{
		`hotpath_throttle_requests_total{outcome="allowed"}`:        2,
		`hotpath_throttle_requests_total{outcome="denied"}`:         1,
		`hotpath_throttle_requests_total{outcome="exempt"}`:         1,
		`hotpath_throttle_requests_total{outcome="unkeyed"}`:        1,
		`hotpath_throttle_requests_total{outcome="full"}`:           0,
		`hotpath_throttle_requests_total{outcome="invalid"}`:        0,
		`hotpath_throttle_denied_total{policy="burst"}`:             1,
		`hotpath_throttle_shadow_denied_total{policy="dry"}`:        1,
		`hotpath_throttle_forgotten_total{policy="burst"}`:          0,
		`hotpath_throttle_uncollected_tokens_total{policy="burst"}`: 0,
		`hotpath_throttle_keys_capacity{policy="burst"}`:            131_072,
		`hotpath_throttle_waiting`:                                  0,
		`hotpath_throttle_wait_seconds_count`:                       0,
	} {
		if v, there := got[series]; !there || v != want {
			t.Errorf("%s is %v (there: %t), want %v", series, v, there, want)
		}
	}
}
