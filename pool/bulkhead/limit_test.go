package bulkhead_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool/bulkhead"
)

// scripted lets n clients call for a while a service whose time depends on how many it serves, and
// varies by a quarter: clients in step would all begin and end at the same moments.
func scripted(t *testing.T, b *bulkhead.Bulkhead, n int, lasting time.Duration, took func(inFlight int64) time.Duration) {
	var wg sync.WaitGroup
	end := time.Now().Add(lasting)
	for i := range n {
		r := rand.New(rand.NewPCG(uint64(i), 0))
		wg.Go(func() {
			for time.Now().Before(end) {
				release, err := b.Acquire(t.Context(), bulkhead.Class{})
				if err != nil {
					time.Sleep(10 * time.Millisecond)
					continue
				}
				time.Sleep(time.Duration((0.75 + 0.5*r.Float64()) * float64(took(b.Stats().InFlight))))
				release()
			}
		})
	}
	wg.Wait()
}

func TestL1_TheLimitStartsLowAndGrowsWhereItBinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, bulkhead.Config{})
		if n := b.Stats().Limit; n != 4 {
			t.Errorf("it starts at %d", n)
		}
		flat := func(int64) time.Duration { return 10 * time.Millisecond }
		scripted(t, b, 4, 5*time.Second, flat)
		if n := b.Stats().Limit; n != 8 { // four bind a limit of 4, but not of 8
			t.Errorf("not binding, and it is %d", n)
		}
		scripted(t, b, 200, time.Second, flat)
		if s := b.Stats(); s.Limit != 512 || s.LimitChanges["grew"] != 7 {
			t.Errorf("limit %d, %v", s.Limit, s.LimitChanges)
		}
	})
}

func TestL2_TheLimitStaysNearWhatTheServiceBears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const servers = 20
		b := newBulkhead(t, bulkhead.Config{})
		scripted(t, b, 300, 30*time.Second, func(n int64) time.Duration {
			return 10 * time.Millisecond * time.Duration(max(n, servers)) / servers
		})
		if s := b.Stats(); s.Limit < servers*3/4 || s.Limit > 4*servers || s.LimitChanges["fell"] == 0 {
			t.Errorf("limit %d, %v", s.Limit, s.LimitChanges)
		}
	})
}

func TestL3_TheWayBackIsQuick(t *testing.T) {
	for each := 3 * time.Millisecond; each <= 7*time.Millisecond; each += 500 * time.Microsecond {
		synctest.Test(t, func(t *testing.T) {
			b := newBulkhead(t, bulkhead.Config{Limit: 16})
			flat := func(int64) time.Duration { return 10 * time.Millisecond }
			scripted(t, b, 64, 3*time.Second, flat)
			// From one moment to the next what runs at a time makes it slow.
			scripted(t, b, 64, 3*time.Second, func(n int64) time.Duration { return time.Duration(n) * each })
			low := b.Stats()
			scripted(t, b, 64, time.Second, flat)
			if s := b.Stats(); low.Limit > 12 || low.LimitChanges["absolved"] != 0 || s.Limit != 16 || s.LimitChanges["returned"] == 0 {
				t.Errorf("%v: it fell to %d and is %d, %v", each, low.Limit, s.Limit, s.LimitChanges)
			}
		})
	}
}

func TestL4_ASlowerServiceIsNotThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, bulkhead.Config{Limit: 16})
		flat := func(d time.Duration) func(int64) time.Duration { return func(int64) time.Duration { return d } }
		scripted(t, b, 64, 3*time.Second, flat(10*time.Millisecond))
		scripted(t, b, 64, 3*time.Second, flat(40*time.Millisecond))
		if s := b.Stats(); s.Limit != 16 || s.LimitChanges["absolved"] != 1 || s.LimitChanges["fell"] != 1 {
			t.Errorf("limit %d, %v", s.Limit, s.LimitChanges)
		}
		scripted(t, b, 64, 3*time.Second, flat(10*time.Millisecond))
		if s := b.Stats(); s.Limit != 16 || s.LimitChanges["fell"] != 1 {
			t.Errorf("fast again: limit %d, %v", s.Limit, s.LimitChanges)
		}
	})
}

// The clock is asked where the limit matters, and for one in sixteen elsewhere.
func TestL1_TheClockIsSampled(t *testing.T) {
	for _, c := range []struct {
		limit int
		want  uint64
	}{{1, 160}, {100, 10}} {
		b := newBulkhead(t, bulkhead.Config{Limit: c.limit, Fixed: true})
		for range 160 {
			acquire(t, b, bulkhead.Class{})()
		}
		if n := b.Stats().ServiceSeconds.Count(); n != c.want {
			t.Errorf("limit %d: %d times, want %d", c.limit, n, c.want)
		}
	}
}
