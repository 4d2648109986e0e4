package bulkhead

import (
	"math"
	"time"
)

// The limit follows the service times: Netflix's Gradient2 with a minimum in place of its long
// average, a quick way up, and the rule that a fall which did not help was not our fault.
const (
	firstLimit    = 4 // so that base is learnt unloaded; it doubles from there
	fewSamples    = 8
	sureSamples   = 40
	fullSamples   = 100
	fullWindow    = 100 * time.Millisecond
	calmSamples   = 20
	calmWindow    = 50 * time.Millisecond
	smoothing     = 4           // full windows, of what base is the least of: the least of single ones is their noise
	forgetting    = 1.0005      // of base, each full window
	tolerance     = 1.5         // of the mean above base
	binding       = 0.75        // share of the limit that must be in use for it to matter
	wayUp         = 1.5         // a calm window
	probeDepth    = 0.5         // of the limit that is in doubt
	probeServices = 4           // mean times, in which a probe comes down
	judgeFor      = time.Second // at most, and some services
	sure          = 2           // standard errors
	longEnough    = time.Second // for a window, whatever runs
	stalled       = 8           // mean times in which nothing returns
	judgeSure     = 1.5         // the same, of a difference
	meanOver      = 64
)

// limiter is guarded by Bulkhead.mu.
type limiter struct {
	fixed      bool
	max, limit float64
	high       float64 // as far as the quick way up goes: where the limit was before it fell
	mean       time.Duration
	outlier    time.Duration // a time beyond counts for less: one slow upload is no slow service

	base, long float64 // seconds: the least mean; the mean of some windows
	window     window
	seen       float64 // samples in base while rising
	risen      bool
	falling    bool
	slow       bool // the last window was: one more, that does not hold its onset, and we doubt
	probe      probe

	grew, fell, returned, absolved uint64
}

// A window measures the mean service time by Little's law: the time that handlers spent in it,
// by how many ended in it. The mean of those that ended would be late by a service in saying
// that all have become slow, and of those that began and ended in it the short ones are too many.
type window struct {
	began   time.Time
	last    time.Time // that a handler ended
	n, peak int
	sum     float64       // seconds, of the handlers that ended, whole
	squares float64       // of them
	spent   time.Duration // of handlers that ended, and of those that run, since the window began
	running int           // handlers that are timed
	starts  time.Duration // the sum of their starts, since zero
	zero    time.Time
}

func (w *window) start(now time.Time) {
	w.running++
	w.starts += now.Sub(w.zero)
}

// end counts a handler that began then. sample: its time says something.
func (w *window) end(began, now time.Time, sample bool) {
	w.running--
	w.starts -= began.Sub(w.zero)
	if sample {
		w.n++
		w.last = now
		w.spent += now.Sub(began)
		took := now.Sub(began).Seconds()
		w.sum += took
		w.squares += took * took
	} else {
		w.spent += max(0, w.began.Sub(began)) // what next took off for it
	}
}

// ages is how long all that run have run.
func (w *window) ages(now time.Time) time.Duration {
	return time.Duration(w.running)*now.Sub(w.zero) - w.starts
}

func (w *window) mean(now time.Time) float64 {
	return max(1e-9, (w.spent+w.ages(now)).Seconds()/float64(w.n)) // a coarse clock says 0
}

// noise is the standard error of the mean, as a share of it. Times that differ a hundredfold need
// many samples to say anything: two fast calls more, or one slow one, are no change of the service.
func (w *window) noise() float64 {
	if w.sum == 0 {
		return 0
	}
	n := float64(w.n)
	return math.Sqrt(max(0, w.squares/n-(w.sum/n)*(w.sum/n))/n) / (w.sum / n)
}

// shows reports whether the window is so long that what runs would show in it: in the first
// milliseconds of a mix only its fast calls return.
func (w *window) shows(now time.Time) bool {
	lasted := now.Sub(w.began)
	return lasted >= longEnough || w.running == 0 || lasted >= 2*w.ages(now)/time.Duration(w.running)
}

func (w *window) next(now time.Time) {
	w.began, w.n, w.peak, w.spent = now, 0, 0, -w.ages(now)
	w.sum, w.squares, w.last = 0, 0, now
}

func (w *window) lasted(n int, d time.Duration, now time.Time) bool {
	return w.n >= n && now.Sub(w.began) >= d
}

// A probe finds out whether what runs at a time is what makes it slow: the limit is halved for a
// while. If we are the cause the mean time falls nearly as far; if the service is, it stays.
type probe struct {
	from, mean float64 // the limit in doubt and the mean time there; 0: no probe is under way
	guilty     float64 // mean time by limit when it was us
	noise      float64 // of mean
	judged     float64 // the limit when it was us the last time
	until      time.Time
	down       bool // what runs has come down to the limit
}

func (l *limiter) doubt(mean float64, now time.Time) {
	l.probe.from, l.probe.mean, l.probe.down = l.limit, mean, false
	l.probe.noise = l.window.noise()
	l.probe.until = now.Add(l.probe.patience())
	l.limit = max(1, l.limit*probeDepth)
	l.fell++
	l.window.next(now)
}

// patience is how long a step of a probe may last: some service times, but a tenth of a second.
func (p *probe) patience() time.Duration {
	return fullWindow + time.Duration(min(probeServices*p.mean, 10)*float64(time.Second))
}

// judge ends a probe as soon as the difference is beyond the noise. In doubt it is not us: too
// high a limit costs less than one that is too low for no reason.
func (l *limiter) judge(inFlight int, now time.Time) {
	p := &l.probe
	over := now.After(p.until)
	if !p.down {
		switch {
		case inFlight <= l.inForce():
			p.down = true
			p.until = now.Add(judgeFor + p.patience())
			l.window.next(now)
		case over: // some run so long that it says nothing about the others
			l.absolve(p.mean, now)
		}
		return
	}
	if (l.window.n < sureSamples || !l.window.shows(now)) && !over {
		return
	}
	if l.window.n < fewSamples {
		l.absolve(p.mean, now)
		return
	}
	mean := l.window.mean(now)
	noise := judgeSure * math.Hypot(p.noise, l.window.noise())
	better := math.Log(p.mean/mean) - math.Log(p.from/l.limit)/2 // above 0: by more than half of what it may
	switch {
	case better > noise:
		p.guilty = p.mean / p.from
		l.high, l.risen, l.falling = p.from, true, true
		l.limit = max(l.limit, min(p.from, p.from*tolerance*l.base/p.mean))
		p.judged = l.limit
		p.from = 0
		l.window.next(now)
	case better < -noise/2 || over:
		l.absolve(mean, now)
	}
}

// absolve takes a fall back: the service has become slower by itself.
func (l *limiter) absolve(mean float64, now time.Time) {
	l.base, l.long, l.seen = mean, mean, float64(l.window.n)
	l.limit = l.probe.from
	l.absolved++
	l.probe.from = 0
	l.window.next(now)
}

// overdue is for what samples cannot tell, as there are none; true: the limit has grown. A probe
// ends in time. And where every slot is taken, somebody wants one, and nothing has returned for a
// while, those that run are long and not a load: the limit grows, or some slow uploads would stop
// the service.
func (l *limiter) overdue(now time.Time, inFlight int) bool {
	before := l.limit
	switch {
	case l.fixed:
	case l.probe.from > 0:
		if now.After(l.probe.until) {
			l.judge(inFlight, now)
		}
	case inFlight >= l.inForce() && l.limit < l.max && now.Sub(l.window.last) >= max(fullWindow, stalled*l.mean):
		l.limit = min(l.max, 2*l.limit)
		l.high = max(l.high, l.limit)
		l.grew++
		l.window.next(now)
	}
	return l.limit > before
}

// rising is the way up from the first limit: doubled as soon as each slot has been used once, as
// long as that makes nothing slow.
func (l *limiter) rising(now time.Time) {
	n, mean := float64(l.window.n), l.window.mean(now)
	switch {
	case n < max(fewSamples, l.limit) || !l.window.shows(now):
		return
	case l.seen == 0 || mean <= tolerance*l.base || n >= fullSamples && !l.slower(mean):
		l.seen += n
		l.base += (mean - l.base) * n / l.seen
		l.long = l.base
		if float64(l.window.peak) >= l.limit*binding {
			l.limit = min(l.max, 2*l.limit)
			l.risen = l.limit == l.max
			l.grew++
		}
		l.window.next(now)
	case n >= sureSamples && l.slower(mean):
		l.doubt(mean, now)
	}
}

// slower reports whether mean is above base beyond tolerance and noise.
func (l *limiter) slower(mean float64) bool {
	return mean*(1-sure*l.window.noise()) > tolerance*l.base
}

func (l *limiter) init(cfg Config) {
	l.fixed, l.max = cfg.Fixed, float64(cfg.Limit)
	l.limit, l.high, l.outlier = l.max, l.max, min(cfg.Patience, time.Hour)
	if !cfg.Fixed {
		l.limit = min(l.max, firstLimit)
	}
	l.window.zero = time.Now()
	l.window.next(l.window.zero)
}

func (l *limiter) inForce() int { return max(1, int(l.limit+0.5)) }

// learn takes one service time.
func (l *limiter) learn(took time.Duration, now time.Time, inFlight int) {
	if l.mean == 0 {
		l.mean = took
	} else {
		l.mean += (min(took, l.outlier+8*l.mean) - l.mean) / meanOver
	}
	switch {
	case l.fixed:
	case l.probe.from > 0:
		l.judge(inFlight, now)
	case !l.risen:
		l.rising(now)
	case l.window.lasted(calmSamples, calmWindow, now) && l.window.shows(now):
		l.adapt(now)
	}
}

func (l *limiter) adapt(now time.Time) {
	mean := l.window.mean(now)
	full := l.window.lasted(fullSamples, fullWindow, now)
	bound := float64(l.window.peak) >= l.limit*binding
	calm := !l.slower(mean)
	below := l.limit < l.high-0.5
	if !full && !(calm && below && bound) && !(l.slow && l.window.n >= sureSamples) {
		return
	}
	l.window.next(now)
	if full {
		l.long += (mean - l.long) / smoothing
		if l.probe.guilty == 0 || !bound { // or the limit would creep up as long as the load lasts
			l.base *= forgetting
		}
		l.base = min(l.base, l.long)
	}
	switch {
	case !bound:
		return
	case calm && below:
		l.falling, l.slow = false, false
		l.limit = min(l.high, l.limit*wayUp+0.5)
		l.returned++
		return
	case !calm && (mean > tolerance*l.probe.guilty*l.limit || l.limit < l.probe.judged/2): // so far down, and it did not help
		if l.slow {
			l.doubt(mean, now)
		}
		l.slow = !l.slow
		return
	}
	l.slow = false
	if !calm && !l.falling {
		l.high = l.limit // if it was on the way back: this much is too much
	}
	l.falling = !calm
	before := l.limit
	gradient := math.Max(0.5, math.Min(1, tolerance*l.base/mean))
	l.limit = 0.8*l.limit + 0.2*(l.limit*gradient+math.Sqrt(l.limit))
	l.limit = math.Max(1, math.Min(l.max, l.limit))
	l.high = max(l.high, l.limit)
	switch {
	case l.limit > before:
		l.grew++
	case l.limit < before:
		l.fell++
	}
}
