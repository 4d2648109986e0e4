package bulkhead

import (
	"math"
	"time"
)

// The limit follows the service times: Netflix's Gradient2 with a minimum in place of its long
// average, a quick way back, and the rule that a fall which did not help was not our fault.
const (
	firstLimit  = 16 // so that base is learnt unloaded
	fullSamples = 100
	fullWindow  = 100 * time.Millisecond
	calmSamples = 20
	calmWindow  = 50 * time.Millisecond
	forgetting  = 1.0005 // of base, each window
	tolerance   = 1.5    // of the mean above base
	binding     = 0.75   // share of the limit that must be in use for it to matter
	probeDepth  = 0.7    // of where a fall began
	probeHelp   = 0.85   // of the fall's mean time: above, it did not help
	meanOver    = 64
)

// limiter is guarded by Bulkhead.mu.
type limiter struct {
	fixed      bool
	max, limit float64
	high       float64 // where the limit was before it fell
	back       bool    // on the way back to high
	mean       time.Duration

	base      float64 // the least mean of a window, in seconds
	sum       float64
	n, peak   int
	window    time.Time // began
	epoch     time.Time // samples count if they started after it
	fallFrom  float64   // 0: not falling
	fallMean  float64
	fallCount int

	grew, fell, returned, absolved uint64
}

func (l *limiter) init(cfg Config) {
	l.fixed, l.max = cfg.Fixed, float64(cfg.Limit)
	l.limit = l.max
	if !cfg.Fixed {
		l.limit = min(l.max, firstLimit)
	}
	l.high = l.limit
	l.window = time.Now()
	l.epoch = l.window
}

func (l *limiter) inForce() int { return max(1, int(l.limit)) }

// learn takes one service time.
func (l *limiter) learn(began, now time.Time, took time.Duration) {
	if l.mean == 0 {
		l.mean = took
	} else {
		l.mean += (took - l.mean) / meanOver
	}
	if l.fixed {
		return
	}
	if !began.Before(l.epoch) {
		l.sum += took.Seconds()
		l.n++
	}
	if l.n >= calmSamples && now.Sub(l.window) >= calmWindow {
		l.adapt(now)
	}
}

func (l *limiter) adapt(now time.Time) {
	mean := l.sum / float64(l.n)
	full := l.n >= fullSamples && now.Sub(l.window) >= fullWindow
	bound := float64(l.peak) >= l.limit*binding
	calm := l.base == 0 || mean <= tolerance*l.base
	below := l.limit < l.high-0.5
	if !full && !(calm && below) {
		return
	}
	l.sum, l.n, l.peak, l.window = 0, 0, 0, now
	if l.base == 0 || mean < l.base {
		l.base = mean
	} else {
		l.base *= forgetting
	}
	if calm {
		l.fallFrom = 0
		if below && bound {
			l.back = true
			l.limit = min(l.high, l.limit*1.5+0.5)
			l.epoch = now
			l.returned++
			return
		}
	} else if l.falling(mean) {
		return
	}
	if !bound {
		return
	}
	before := l.limit
	gradient := math.Max(0.5, math.Min(1, tolerance*l.base/mean))
	l.limit = 0.8*l.limit + 0.2*(l.limit*gradient+math.Sqrt(l.limit))
	l.limit = math.Max(1, math.Min(l.max, l.limit))
	l.high = math.Max(l.high, l.limit)
	switch {
	case l.limit > before:
		l.grew++
	case l.limit < before:
		l.fell++
	}
}

// falling keeps account of a fall. True: it did not help, so the service is what is slow now.
func (l *limiter) falling(mean float64) bool {
	if l.fallFrom == 0 {
		l.fallFrom, l.fallMean, l.fallCount = l.limit, 0, 0
		l.high = l.limit // if it was on the way back: this much is too much
		l.back = false
	}
	l.fallCount++
	l.fallMean += (mean - l.fallMean) / float64(l.fallCount)
	if l.limit > l.fallFrom*probeDepth {
		return false
	}
	if mean > l.fallMean*probeHelp {
		l.base, l.limit, l.fallFrom = mean, l.high, 0
		l.absolved++
		return true
	}
	l.fallFrom, l.fallMean, l.fallCount = l.limit, mean, 1
	return false
}
