package bulkhead_test

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/internal/rw"
	"github.com/hotpath-go/hotpath/pool/bulkhead"
)

// A crowd calls a Bulkhead and counts.
type crowd struct {
	t               *testing.T
	b               *bulkhead.Bulkhead
	wg              sync.WaitGroup
	served, refused atomic.Int64
}

// call takes a slot for so long, on a goroutine of its own.
func (c *crowd) call(d time.Duration) {
	c.wg.Go(func() {
		release, err := c.b.Acquire(context.Background(), bulkhead.Class{})
		if err != nil {
			c.refused.Add(1)
			return
		}
		time.Sleep(d)
		c.served.Add(1)
		release()
	})
}

// every calls n times.
func (c *crowd) every(gap time.Duration, n int, d time.Duration) {
	for range n {
		c.call(d)
		time.Sleep(gap)
	}
}

func (c *crowd) atMost(share float64) {
	c.t.Helper()
	if served, refused := c.served.Load(), c.refused.Load(); float64(refused) > share*float64(served) {
		s := c.b.Stats()
		c.t.Errorf("served %d, refused %d: %v; limit %d, %v", served, refused, s.Refused, s.Limit, s.LimitChanges)
	}
}

func inVirtualTime(t *testing.T, cfg bulkhead.Config, run func(c *crowd)) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{t: t, b: newBulkhead(t, cfg)}
		run(c)
		c.wg.Wait()
	})
}

// Slow uploads that take every slot there is at the start do not stop the service.
func TestL1_LongCallsDoNotPinTheLimit(t *testing.T) {
	for _, n := range []int{4, 40} {
		inVirtualTime(t, bulkhead.Config{}, func(c *crowd) {
			for range n {
				c.call(10 * time.Minute)
			}
			c.every(500*time.Millisecond, 600, 5*time.Millisecond)
			c.atMost(0)
		})
	}
}

// Nor do calls that are all longer than clients wait, or a burst after which nobody comes any more.
func TestL1_TheLimitGrowsWhileNothingReturns(t *testing.T) {
	inVirtualTime(t, bulkhead.Config{}, func(c *crowd) {
		c.every(50*time.Millisecond, 1200, 3*time.Second)
		c.atMost(0)
	})
	inVirtualTime(t, bulkhead.Config{}, func(c *crowd) {
		for range 60 {
			c.call(3 * time.Second)
		}
		c.wg.Wait()
		c.atMost(0)
	})
	inVirtualTime(t, bulkhead.Config{Limit: 4, Fixed: true}, func(c *crowd) {
		for range 60 {
			c.call(3 * time.Second)
		}
		c.wg.Wait()
		if n := c.served.Load(); n != 4 {
			t.Errorf("fixed at 4, and it served %d", n)
		}
	})
}

// Handlers whose clients give up tell nothing, but they do not hold the limit down.
func TestL1_TheLimitGrowsWithoutSamples(t *testing.T) {
	inVirtualTime(t, bulkhead.Config{}, func(c *crowd) {
		h := c.b.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(100 * time.Millisecond) }))
		for range 1000 { // ten at a time
			c.wg.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 90*time.Millisecond)
				defer cancel()
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx))
			})
			time.Sleep(10 * time.Millisecond)
		}
		c.wg.Wait()
		if s := c.b.Stats(); s.Requests["served"] < 980 {
			t.Errorf("limit %d, %v", s.Limit, s.Requests)
		}
	})
}

// A probe ends in time, also where long calls hold more slots than it allows.
func TestL4_AProbeIsBoundedInTime(t *testing.T) {
	inVirtualTime(t, bulkhead.Config{Limit: 64}, func(c *crowd) {
		for range 30 {
			for range 64 {
				c.call(10 * time.Millisecond)
			}
			time.Sleep(100 * time.Millisecond)
		}
		for range 50 {
			c.call(10 * time.Minute)
		}
		c.every(5*time.Millisecond, 60_000, 10*time.Millisecond)
		c.atMost(0.01)
		if n := c.b.Stats().Limit; n != 64 {
			t.Errorf("limit %d", n)
		}
	})
	// Slower from one moment to the next, and then nothing: what was doubted is back.
	inVirtualTime(t, bulkhead.Config{Limit: 64}, func(c *crowd) {
		for range 30 {
			for range 64 {
				c.call(10 * time.Millisecond)
			}
			time.Sleep(100 * time.Millisecond)
		}
		for i := 0; c.b.Stats().LimitChanges["fell"] == 0 && i < 10_000; i++ {
			c.call(100 * time.Millisecond)
			time.Sleep(time.Millisecond)
		}
		if s := c.b.Stats(); s.Limit != 32 {
			t.Fatalf("no probe: limit %d, %v", s.Limit, s.LimitChanges)
		}
		for range 200 {
			c.call(time.Hour)
		}
		time.Sleep(5 * time.Second)
		if s := c.b.Stats(); s.Limit != 64 || s.LimitChanges["absolved"] != 1 {
			t.Errorf("limit %d, %v", s.Limit, s.LimitChanges)
		}
	})
}

// Calls that take no measurable time, by a coarse clock, are no reason to stop.
func TestL2_TimesOfZero(t *testing.T) {
	inVirtualTime(t, bulkhead.Config{Limit: 64}, func(c *crowd) {
		for range 1000 {
			var releases []func()
			for range c.b.Stats().Limit {
				releases = append(releases, acquire(t, c.b, bulkhead.Class{}))
			}
			for _, release := range releases {
				release()
			}
			time.Sleep(time.Millisecond)
		}
		if n := c.b.Stats().Limit; n != 64 {
			t.Errorf("limit %d, %v", n, c.b.Stats().LimitChanges)
		}
		c.every(time.Millisecond, 10_000, time.Millisecond)
		c.atMost(0)
	})
}

// One slow upload is no slow service: S, by which requests are refused, stays what it is.
func TestQ6_OneLongCallDoesNotEndTheQueue(t *testing.T) {
	inVirtualTime(t, bulkhead.Config{Limit: 8, Fixed: true}, func(c *crowd) {
		c.call(2 * time.Minute)
		time.Sleep(119 * time.Second)
		c.every(10*time.Millisecond, 200, 10*time.Millisecond)
		for range 20 { // 14 at once need 20 ms
			for range 14 {
				c.call(10 * time.Millisecond)
			}
			time.Sleep(200 * time.Millisecond)
		}
		c.atMost(0)
	})
}

func TestQ2_PatienceWithoutEnd(t *testing.T) {
	inVirtualTime(t, bulkhead.Config{Limit: 1, Fixed: true, Patience: math.MaxInt64}, func(c *crowd) {
		c.every(2*time.Second, 1, time.Second) // so that a service time is known
		c.every(time.Millisecond, 100, time.Second)
		c.wg.Wait()
		c.atMost(0)
	})
}

// What is no client's request is less important than any, and idle at least.
func TestQ4_BackgroundOfTheLowestPriority(t *testing.T) {
	for priority, want := range map[int]string{math.MinInt: "idle", -2: "idle", 0: "low", 1: "normal", math.MaxInt: "normal"} {
		b := newBulkhead(t, bulkhead.Config{})
		release, err := b.Acquire(rw.Background(t.Context()), bulkhead.Class{Priority: priority})
		if err != nil {
			t.Fatal(err)
		}
		release()
		if s := b.Stats().Started; s[want] != 1 {
			t.Errorf("%d: %v, want %s", priority, s, want)
		}
	}
}

// curious is a context that looks at the Bulkhead whenever it is asked.
type curious struct {
	context.Context
	b *bulkhead.Bulkhead
}

func (c curious) Deadline() (time.Time, bool) { c.b.Stats(); return c.Context.Deadline() }
func (c curious) Value(k any) any             { c.b.Stats(); return c.Context.Value(k) }
func (c curious) Err() error                  { c.b.Stats(); return c.Context.Err() }

func TestB1_NoMethodOfAContextUnderTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true})
		release := acquire(t, b, bulkhead.Class{})
		time.AfterFunc(10*time.Millisecond, release)
		again, err := b.Acquire(curious{t.Context(), b}, bulkhead.Class{})
		if err != nil {
			t.Fatal(err)
		}
		again()
	})
}
