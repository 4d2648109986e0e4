package throttle

import (
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// bucket is the naive twin: a level of rational tokens that time fills.
type bucket struct {
	burst, perNano *big.Rat // tokens; tokens in a nanosecond
	level          *big.Rat
	at             int64 // ns
}

func rat(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }

// newBucket fills at the rate of a law, which is the policy's where that can be said exactly.
func newBucket(l *law) *bucket {
	return &bucket{burst: rat(l.burst), level: rat(l.burst), perNano: new(big.Rat).SetFrac(new(big.Int).SetUint64(l.unit), new(big.Int).SetUint64(l.token))}
}

func (b *bucket) fill(now int64) {
	b.level.Add(b.level, new(big.Rat).Mul(rat(now-b.at), b.perNano))
	b.at = now
	if b.level.Cmp(b.burst) > 0 {
		b.level.Set(b.burst)
	}
}

// due is in how many nanoseconds, rounded up, the level is n.
func (b *bucket) due(n *big.Rat) int64 {
	missing := new(big.Rat).Sub(n, b.level)
	if missing.Sign() <= 0 {
		return 0
	}
	missing.Quo(missing, b.perNano)
	q, r := new(big.Int).QuoRem(missing.Num(), missing.Denom(), new(big.Int))
	if r.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return q.Int64()
}

func (b *bucket) whole() int64 {
	if b.level.Sign() <= 0 {
		return 0
	}
	return new(big.Int).Quo(b.level.Num(), b.level.Denom()).Int64()
}

func (b *bucket) want(n int64) Decision {
	d := Decision{Policy: "p", Limit: b.burst.Num().Int64()}
	after := new(big.Rat).Set(b.level)
	if n == 0 || after.Cmp(rat(n)) >= 0 {
		d.Allowed = true
		after.Sub(after, rat(n))
	} else {
		d.Status = 429
		if d.RetryAfter = time.Duration(b.due(rat(n))); rat(n).Cmp(b.burst) > 0 {
			d.RetryAfter = -1
		}
	}
	was := b.level
	b.level = after
	d.Remaining, d.ResetAfter = b.whole(), time.Duration(b.due(b.burst))
	b.level = was
	return d
}

func same(a, b Decision) bool {
	return a.Allowed == b.Allowed && a.Status == b.Status && a.Policy == b.Policy && a.Limit == b.Limit &&
		a.Remaining == b.Remaining && a.RetryAfter == b.RetryAfter && a.ResetAfter == b.ResetAfter
}

func fakeLimiter(t testing.TB, cfg Config, now *int64) *Limiter {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.clock.fake = func() int64 { return *now }
	return l
}

const year = 365 * 24 * time.Hour

var modelRates = []struct {
	rate  Rate
	burst int64
}{
	{Per(1, time.Second), 1},
	{Per(3, time.Second), 3},
	{Per(3, time.Second), 10},
	{Per(7, time.Minute), 7},
	{Per(100, time.Minute), 100},
	{Per(5000, 24*time.Hour), 5000},
	{Per(499, time.Second), 20},
	{Per(512, 513), 5},
	{Per(999, time.Second), 999},
	{Per(1, year), 1},
	{Per(1, year), 30},
	{Per(1000, year), 7},
	{Per(1, 1), 1},
	{Per(1, 1), 1_000_000},
	{Per(1_000_000_000, time.Second), 1_000_000_000},
	{Per(999_999_937, time.Second), 999_999_937},
	{Per(7, year), 200},
	{Per(1, time.Hour), 300_000},
	{Per(999_999_999_999_999, 999_999_999_999_999), 999_999_999_999_999},
}

// B3, B4: the word is the rational bucket, at every nanosecond around what is due.
func TestB3_B4_WordIsTheRationalBucket(t *testing.T) {
	for _, tc := range modelRates {
		t.Run(fmt.Sprint(tc.rate, " burst ", tc.burst), func(t *testing.T) {
			for seed := range uint64(modelSeeds) {
				modelRun(t, tc.rate, tc.burst, rand.New(rand.NewPCG(seed, 1)))
			}
		})
	}
}

func modelRun(t *testing.T, rate Rate, burst int64, rnd *rand.Rand) {
	now := int64(1)
	l := fakeLimiter(t, Config{Policies: []Policy{{Name: "p", Rate: rate, Burst: burst}}, Capacity: 64}, &now)
	p := l.state.Load().policies[0]
	m := newBucket(&p.law)
	key := KeyOf("k")
	fp := l.seeds.fingerprint(&key)
	ctx := context.Background()
	debt := int64(0) // how far settles and waits have gone below zero, roughly
	for step := range 1500 {
		token := int64(p.law.token / p.law.unit)
		switch rnd.IntN(8) {
		case 0:
			now += rnd.Int64N(2*token + 2)
		case 1:
			now += rnd.Int64N(int64(p.law.tau/p.law.unit) + 2)
		case 2:
			now++
		}
		m.fill(now)
		n := rnd.Int64N(min(burst, 3)+1) + rnd.Int64N(2)*rnd.Int64N(burst+2)
		what := ""
		switch op := rnd.IntN(12); op {
		case 0:
			what = "Refund"
			l.Refund(ctx, key, n)
			if m.level.Add(m.level, rat(n)); m.level.Cmp(m.burst) > 0 {
				m.level.Set(m.burst)
			}
		case 1:
			what = "force"
			n += rnd.Int64N(burst + 1)
			got := p.force(fp, &l.clock, n)
			lowest := new(big.Rat).Add(m.level, m.burst) // down to -Burst
			room := new(big.Int).Quo(lowest.Num(), lowest.Denom()).Int64()
			if want := max(min(n, room), 0); got != want {
				t.Fatalf("step %d: force(%d) took %d, want %d", step, n, got, want)
			}
			m.level.Sub(m.level, rat(got))
			debt++
		case 2:
			what = "reserve"
			if n = min(n, burst); n > 0 {
				patience := time.Duration(rnd.Int64N(int64(maxNap)))
				due := m.due(rat(n))
				if rnd.IntN(2) == 0 && due <= int64(maxNap) {
					patience = time.Duration(max(due-1+rnd.Int64N(3), 0)) // -1, 0, +1 ns
				}
				cs := []charge{{p: p, fp: fp}}
				cs[0].setCost(n)
				rule := judge(cs, &clock{fake: func() int64 { return now }}, patience)
				if (rule == passes) != (due <= int64(patience)) {
					t.Fatalf("step %d: a wait of %d within %d: %d, due in %d", step, n, patience, rule, due)
				}
				if rule == passes {
					if rule = l.commit(cs, 1, patience); rule != passes || longest(cs) != time.Duration(due) {
						t.Fatalf("step %d: reserved with %d, due in %v, want %v", step, rule, longest(cs), due)
					}
					if rnd.IntN(3) == 0 {
						giveBack(cs, &l.clock)
					} else {
						m.level.Sub(m.level, rat(n))
					}
				}
			}
		default:
			due := m.due(rat(min(n, burst)))
			if due > 0 && rnd.IntN(2) == 0 {
				now += max(due-1+rnd.Int64N(3), 0) // -1, 0, +1 ns
				m.fill(now)
			}
			want := m.want(n)
			if got := l.Peek(ctx, key, n); !same(got, want) {
				t.Fatalf("step %d at %d: Peek(%d) = %+v, want %+v", step, now, n, got, want)
			}
			if got := l.Take(ctx, key, n); !same(got, want) {
				t.Fatalf("step %d at %d: Take(%d) = %+v, want %+v", step, now, n, got, want)
			}
			if want.Allowed {
				m.level.Sub(m.level, rat(n))
			}
		}
		if want := m.want(1); !same(l.Peek(ctx, key, 1), want) {
			t.Fatalf("step %d at %d: after %s %d: Peek(1) = %+v, want %+v", step, now, what, n, l.Peek(ctx, key, 1), want)
		}
	}
}

// B4: exact where the rate can be said in 512ths; else a token takes longer, by at most 1/512 ns.
func TestB4_ExactOrTooStrictByALittle(t *testing.T) {
	for _, tc := range modelRates {
		l := newLaw(tc.rate, tc.burst)
		exact := new(big.Rat).SetFrac64(int64(tc.rate.Per), tc.rate.N) // ns a token
		kept := new(big.Rat).SetFrac(new(big.Int).SetUint64(l.token), new(big.Int).SetUint64(l.unit))
		more := new(big.Rat).Sub(kept, exact)
		n := uint64(tc.rate.N) / gcd(uint64(tc.rate.N), uint64(tc.rate.Per))
		switch {
		case more.Sign() < 0:
			t.Errorf("%v: a token in %v ns, faster than %v", tc.rate, kept, exact)
		case n <= maxUnit && more.Sign() != 0 && float64(tc.burst)*float64(tc.rate.Per)/float64(tc.rate.N)*float64(n) < maxTau:
			t.Errorf("%v: a token in %v ns, want exactly %v", tc.rate, kept, exact)
		case l.unit == maxUnit && more.Cmp(big.NewRat(1, maxUnit)) >= 0, more.Cmp(big.NewRat(1, int64(l.unit))) >= 0:
			t.Errorf("%v: a token takes %v ns longer than %v", tc.rate, more, exact)
		}
	}
	// "2 in 10^9 too strict at 999/s"
	l := newLaw(Per(999, time.Second), 999)
	kept := float64(l.token) / float64(l.unit) / (1e9 / 999)
	if kept < 1 || kept > 1+2.1e-9 {
		t.Errorf("999/s is %v of itself", kept)
	}
}

// B3: 400 tokens, each at its due nanosecond: no drift, and never 1 ns early.
func TestB3_NoDrift(t *testing.T) {
	for _, rate := range []Rate{Per(7, time.Minute), Per(3, time.Second), Per(5000, 24*time.Hour), Per(1, time.Hour)} {
		now := int64(1)
		l := fakeLimiter(t, Config{Rate: rate, Burst: 2, Capacity: 64}, &now)
		key := KeyOf("k")
		l.Take(t.Context(), key, 2) // a bucket that gets full meanwhile would lose a fraction
		for k := range int64(400) {
			due := new(big.Int).Mul(big.NewInt(k+1), big.NewInt(int64(rate.Per)))
			due.Add(due, big.NewInt(rate.N-1)).Quo(due, big.NewInt(rate.N))
			now = due.Int64()
			if d := l.Take(t.Context(), key, 1); d.Allowed || d.RetryAfter != 1 {
				t.Fatalf("%v: token %d, 1 ns early: %+v", rate, k, d)
			}
			if now++; !l.Take(t.Context(), key, 1).Allowed {
				t.Fatalf("%v: token %d is refused when due", rate, k)
			}
		}
	}
}

// B8, M1: a bucket untouched for a year is full, and so is one whose word wraps in between.
func TestB8_IdleForAYear(t *testing.T) {
	for _, tc := range modelRates {
		if !fits(tc.rate, tc.burst) || newLaw(tc.rate, tc.burst).tau > maxTau/8 {
			continue
		}
		now := int64(1)
		l := fakeLimiter(t, Config{Rate: tc.rate, Burst: tc.burst, Capacity: 64}, &now)
		key := KeyOf("k")
		for range 4 {
			if d := l.Take(t.Context(), key, tc.burst); !d.Allowed {
				t.Fatalf("%v burst %d at %v: %+v", tc.rate, tc.burst, time.Duration(now), d)
			}
			now += int64(max(year, time.Duration(l.state.Load().policies[0].law.tau/l.state.Load().policies[0].law.unit)+1))
		}
	}
}
