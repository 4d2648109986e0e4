package cache

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/hotpath-go/hotpath/internal/stat"
)

// A climber finds the size of the window by which most is hit (hill climbing, as in Caffeine): it
// changes the size a little, looks whether that was good over ten times as many lookups as there
// are entries, and goes on or turns back.
type climber struct {
	share atomic.Uint64 // of the window, as Float64bits
	mask  uint64        // hashes that are counted have none of these bits

	counts stat.Striped[lookups]
	misses atomic.Uint64 // all, so that somebody asks now and then

	mu        sync.Mutex
	seen      uint64 // lookups by the last step
	seenHits  uint64
	lastRatio float64
	step      float64
}

type lookups struct{ hits, misses atomic.Uint64 }

const (
	firstWindow = 0.01
	leastWindow = 0.001
	mostWindow  = 0.8
	firstStep   = 0.0625
	stepDecay   = 0.98
	restart     = 0.05 // a change of the hit ratio that means another workload
	sample      = 10   // lookups for each entry
	askEvery    = 64   // misses

	// Above so many entries one key in sixteen tells enough, and counting costs nothing.
	sampledAbove, sampledMask = 16_384, 15 << 40
)

func (c *climber) begin(expected int64) {
	c.share.Store(math.Float64bits(firstWindow))
	c.step = firstStep
	if expected > sampledAbove {
		c.mask = sampledMask
	}
}

func (c *climber) window() float64 { return math.Float64frombits(c.share.Load()) }

func (c *climber) hit(hash uint64) {
	if hash&c.mask == 0 {
		c.counts.Here().hits.Add(1)
	}
}

func (c *climber) miss(hash uint64) {
	if hash&c.mask == 0 {
		c.counts.Here().misses.Add(1)
	}
}

// due reports whether it is time to look.
func (c *climber) due() bool { return c.misses.Add(1)%askEvery == 0 }

// climb changes the window if enough was seen with the present one.
func (c *climber) climb(items int64) {
	if !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	var hits, misses uint64
	for n := range c.counts.Each() {
		hits += n.hits.Load()
		misses += n.misses.Load()
	}
	enough := uint64(sample * items)
	if c.mask != 0 {
		enough /= 16
	}
	n := hits + misses - c.seen
	if n < max(enough, 1) {
		return
	}
	ratio := float64(hits-c.seenHits) / float64(n)
	change := ratio - c.lastRatio
	first := c.seen == 0
	c.seen, c.seenHits, c.lastRatio = hits+misses, hits, ratio
	if first {
		return // there is nothing to compare with: this is how it is without a change
	}

	step := c.step
	if change < 0 {
		step = -step
	}
	c.share.Store(math.Float64bits(min(max(c.window()+step, leastWindow), mostWindow)))
	c.step = step * stepDecay
	if math.Abs(change) >= restart {
		c.step = math.Copysign(firstStep, step)
	}
}
