//go:build !race

package bulkhead_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/pool/bulkhead"
)

// Two kinds of calls, of which the rare one takes a thousand times as long, are no overload.
func TestL2_TwoKindsOfCallsAreNoOverload(t *testing.T) {
	for _, k := range []struct {
		limit      int
		calls      float64 // at a time
		fast, slow time.Duration
		share      float64 // of slow ones
		n          int
	}{
		{64, 40, time.Millisecond, 400 * time.Millisecond, 0.05, 40_000},
		{0, 200, 2 * time.Millisecond, 400 * time.Millisecond, 0.05, 100_000},
		{0, 100, 2 * time.Millisecond, 3 * time.Second, 0.02, 40_000},
		{0, 30, 5 * time.Millisecond, 50 * time.Millisecond, 0.2, 40_000},
	} {
		for seed := range uint64(2) {
			inVirtualTime(t, bulkhead.Config{Limit: k.limit}, func(c *crowd) {
				r := rand.New(rand.NewPCG(seed, 0))
				gap := (float64(k.fast)*(1-k.share) + float64(k.slow)*k.share) / k.calls
				for i := range k.n {
					if i == k.n/2 { // at the start it may doubt, and what it learnt then was too little
						c.served.Store(0)
						c.refused.Store(0)
					}
					d := k.fast
					if r.Float64() < k.share {
						d = k.slow
					}
					c.call(d)
					time.Sleep(time.Duration(r.ExpFloat64() * gap))
				}
				c.atMost(0.03)
			})
		}
	}
}
