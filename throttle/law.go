package throttle

import (
	"math/bits"
	"time"
)

// A law is a rate and a burst in the arithmetic of one word. A bucket is its theoretical arrival
// time (GCRA): the moment at which it will be full again, in units of 1/unit ns since the
// limiter was made. What it owes is how far that lies ahead of now.
type law struct {
	unit  uint64 // units in a nanosecond
	token uint64 // units in which one token flows in
	burst int64
	tau   uint64 // units in which burst flows in

	// idle is more than any record can be ahead: what is beyond lies in the past. Debts go down
	// to -Burst (2 tau) or, of waiters, an hour beyond Burst, and two goroutines may have read
	// the clock an hour apart. Smaller excesses must not be cut: with readings out of order
	// that would mint tokens.
	idle uint64

	inverse uint64 // 2^64 / token, rounded down
}

const (
	// maxUnit is how finely time is cut: rates of up to so many tokens in their shortest form
	// are exact. Time wraps after 2^64 units, 417 days at 512: a record that was not touched for a
	// year may look as if it owed something, which errs to refusal.
	maxUnit = 512
	maxTau  = 1 << 60 // in units; 36 years at one to the nanosecond
	maxNap  = time.Hour
)

// newLaw returns the law of a rate and burst that withDefaults has found possible.
func newLaw(r Rate, burst int64) law {
	n, p := uint64(r.N), uint64(r.Per)
	if g := gcd(n, p); g > 1 {
		n, p = n/g, p/g
	}
	l := law{unit: n, token: p, burst: burst}
	if over, tau := bits.Mul64(uint64(burst), p); n > maxUnit || over > 0 || tau > maxTau {
		// Rounded up by at most one unit: too strict by that, never too lax.
		for l.unit = maxUnit; ; l.unit /= 2 {
			hi, lo := bits.Mul64(p, l.unit)
			if hi < n {
				token, rest := bits.Div64(hi, lo, n)
				if rest > 0 {
					token++
				}
				l.token = token
				if over, tau := bits.Mul64(uint64(burst), token); over == 0 && tau <= maxTau || l.unit == 1 {
					break
				}
			}
		}
	}
	l.tau = uint64(burst) * l.token
	l.idle = 2*l.tau + l.span(3*maxNap)
	l.inverse = ^uint64(0) / l.token
	return l
}

func gcd(a, b uint64) uint64 {
	for b > 0 {
		a, b = b, a%b
	}
	return a
}

// fits reports whether a bucket of burst tokens at r is full within 36 years.
func fits(r Rate, burst int64) bool {
	hi, lo := bits.Mul64(uint64(burst), uint64(r.Per))
	if hi >= uint64(r.N) {
		return false
	}
	whole, rest := bits.Div64(hi, lo, uint64(r.N))
	return whole < maxTau || whole == maxTau && rest == 0
}

// span is d in units.
func (l *law) span(d time.Duration) uint64 { return uint64(d) * l.unit }

// ahead is what a bucket owes at now, in units; 0: it is full.
func (l *law) ahead(word, now uint64) uint64 {
	a := word - now
	if a > l.idle {
		return 0
	}
	return a
}

// debt is cost in units; false: more than a bucket holds.
func (l *law) debt(cost int64) (uint64, bool) {
	return uint64(cost) * l.token, cost <= l.burst
}

// whole is how many whole tokens are in x units. A division takes longer than finding the
// bucket; the product with the inverse is at most two too small, for x is below 2^62.
func (l *law) whole(x uint64) int64 {
	q, _ := bits.Mul64(x, l.inverse)
	for x -= q * l.token; x >= l.token; x -= l.token {
		q++
	}
	return int64(q)
}

// left is how many whole tokens a bucket holds that owes ahead.
func (l *law) left(ahead uint64) int64 {
	if ahead >= l.tau {
		return 0
	}
	return l.whole(l.tau - ahead)
}

// next is how long it takes, in units, until left grows; 0: the bucket is full.
func (l *law) next(ahead uint64, left int64) uint64 {
	then := uint64(max(l.burst-left-1, 0)) * l.token // what it owes when there is one more
	return ahead - min(then, ahead)
}

// duration is x units as a time, rounded up.
func (l *law) duration(x uint64) time.Duration {
	if l.unit > 1 {
		x = (x + l.unit - 1) / l.unit
	}
	return time.Duration(x)
}
