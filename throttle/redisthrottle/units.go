package redisthrottle

import (
	"math/bits"
	"strconv"
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

// A token is how long it takes to flow in: part / n microseconds, in whole numbers. It is exact
// if N is at most 512 once reduced against Per in ns, as in package throttle; else it is rounded
// up by at most 1/512 ns.
type token struct {
	part, n uint64 // n < 2^20: the script relies on it
}

const maxUnit = 512

func newToken(r throttle.Rate) token {
	n, p := uint64(r.N), uint64(r.Per)
	g := gcd(n, p)
	if n, p = n/g, p/g; n > maxUnit {
		hi, lo := bits.Mul64(p, maxUnit)
		q, rest := bits.Div64(hi%n, lo, n) // hi < n: a token takes less than 2^64/512 ns
		if rest > 0 {
			q++
		}
		n, p = maxUnit, q
	}
	n *= 1000 // from ns to us
	g = gcd(n, p)
	return token{part: p / g, n: n / g}
}

func gcd(a, b uint64) uint64 {
	for b > 0 {
		a, b = b, a%b
	}
	return a
}

// A span is a time as whole microseconds and n-ths of one.
type span struct{ us, fr uint64 }

// of is how long k tokens take.
func (t token) of(k int64) span {
	hi, lo := bits.Mul64(uint64(k), t.part)
	us, fr := bits.Div64(hi%t.n, lo, t.n) // at most 72 years: hi < n
	return span{us, fr}
}

// whole is how many whole tokens flow in within s.
func (t token) whole(s span) int64 {
	hi, lo := bits.Mul64(s.us, t.n)
	lo, carry := bits.Add64(lo, s.fr, 0)
	q, _ := bits.Div64((hi+carry)%t.part, lo, t.part)
	return int64(q)
}

// duration is s, rounded up.
func (t token) duration(s span) time.Duration {
	return time.Duration(s.us*1000 + (s.fr*1000+t.n-1)/t.n)
}

// left is how many whole tokens a bucket of burst holds that owes s.
func (t token) left(burst int64, s span) int64 {
	full := t.of(burst)
	if s.us > full.us || s.us == full.us && s.fr > full.fr {
		return 0
	}
	us, fr := full.us-s.us, full.fr
	if fr < s.fr {
		us, fr = us-1, fr+t.n
	}
	return t.whole(span{us, fr - s.fr})
}

// appendArgs adds the twelve numbers of an op.
func (t token) appendArgs(args []string, op *throttle.Op) []string {
	add := func(n uint64) { args = append(args, strconv.FormatUint(n, 10)) }
	for _, s := range [...]span{t.of(op.Back), t.of(op.Cost), t.of(op.Burst), t.of(1)} {
		add(s.us)
		add(s.fr)
	}
	add(t.n)
	add(uint64(op.Cost))
	add(uint64(op.Ahead))
	switch {
	case op.Force:
		return append(args, "2")
	case op.Soft:
		return append(args, "1")
	}
	return append(args, "0")
}

// answers are the numbers that come back for an op.
const answers = 5

// read puts an answer into op.
func (t token) read(op *throttle.Op, a []int64) {
	owes := span{uint64(a[1]), uint64(a[2])}
	op.Granted = a[0]
	op.Remaining = t.left(op.Burst, owes)
	op.ResetAfter = t.duration(owes)
	op.RetryAfter = t.duration(span{uint64(a[3]), uint64(a[4])})
}
