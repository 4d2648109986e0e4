package redisthrottle

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/throttle"
)

// bucket is the naive twin: what it owes, in rational microseconds, that time pays off.
type bucket struct {
	owes *big.Rat
	at   int64 // us
}

func rat(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }

// per is the microseconds of a token, as near as package throttle keeps it.
func per(r throttle.Rate) *big.Rat {
	exact := new(big.Rat).SetFrac64(int64(r.Per), r.N)
	if exact.Denom().Int64() > maxUnit || new(big.Rat).SetFrac64(int64(r.N), int64(r.Per)).Num().Int64() > maxUnit {
		in := new(big.Rat).Mul(exact, rat(maxUnit))
		q, rest := new(big.Int).QuoRem(in.Num(), in.Denom(), new(big.Int))
		if rest.Sign() > 0 {
			q.Add(q, big.NewInt(1))
		}
		exact.SetFrac(q, big.NewInt(maxUnit))
	}
	return exact.Mul(exact, big.NewRat(1, 1000))
}

func (b *bucket) wait(now int64) {
	b.owes.Sub(b.owes, rat(now-b.at))
	if b.at = now; b.owes.Sign() < 0 {
		b.owes.SetInt64(0)
	}
}

func floor(x *big.Rat) int64 {
	if x.Sign() <= 0 {
		return 0
	}
	return new(big.Int).Quo(x.Num(), x.Denom()).Int64()
}

// nanos is x us, rounded up.
func nanos(x *big.Rat) time.Duration {
	x = new(big.Rat).Mul(x, rat(1000))
	q, rest := new(big.Int).QuoRem(x.Num(), x.Denom(), new(big.Int))
	return time.Duration(q.Int64() + int64(rest.Sign()))
}

// model decides ops as the script has to.
type model map[string]*bucket

func (m model) take(now int64, ops []throttle.Op) {
	times := func(op *throttle.Op, n int64) *big.Rat { return new(big.Rat).Mul(rat(n), per(op.Rate)) }
	passes := true
	for i := range ops {
		op := &ops[i]
		b := m[op.Policy]
		if b == nil {
			b = &bucket{owes: rat(0), at: now}
			m[op.Policy] = b
		}
		b.wait(now)
		b.owes.Sub(b.owes, times(op, op.Back))
		b.wait(now)
		after := new(big.Rat).Add(b.owes, times(op, op.Cost))
		if op.RetryAfter = 0; op.Cost > 0 && !op.Force && after.Cmp(times(op, op.Burst)) > 0 {
			op.RetryAfter = nanos(after.Sub(after, times(op, op.Burst)))
			passes = passes && op.Soft
		}
	}
	for i := range ops {
		op := &ops[i]
		b := m[op.Policy]
		left := func(of *big.Rat) int64 {
			return floor(new(big.Rat).Quo(new(big.Rat).Sub(of, b.owes), per(op.Rate)))
		}
		op.Granted = 0
		switch {
		case op.Force:
			op.Granted = min(op.Cost, left(times(op, 2*op.Burst)))
			b.owes.Add(b.owes, times(op, op.Granted))
		case passes && op.RetryAfter == 0 && op.Cost > 0:
			b.owes.Add(b.owes, times(op, op.Cost))
			ahead := min(op.Ahead, left(times(op, op.Burst))/4)
			b.owes.Add(b.owes, times(op, ahead))
			op.Granted = op.Cost + ahead
		}
		op.Remaining, op.ResetAfter = left(times(op, op.Burst)), nanos(b.owes)
	}
}

var modelRates = []struct {
	rate  throttle.Rate
	burst int64
}{
	{throttle.Per(1, time.Second), 1},
	{throttle.Per(3, time.Second), 3},
	{throttle.Per(3, time.Second), 10},
	{throttle.Per(7, time.Minute), 7},
	{throttle.Per(100, time.Minute), 100},
	{throttle.Per(5000, 24*time.Hour), 5000},
	{throttle.Per(499, time.Second), 20},
	{throttle.Per(512, 513), 5},
	{throttle.Per(511, 512*time.Millisecond+1), 900},
	{throttle.Per(999, time.Second), 999},
	{throttle.Per(1, 365*24*time.Hour), 30},
	{throttle.Per(1, 1), 1},
	{throttle.Per(1, 1), 1_000_000},
	{throttle.Per(1_000_000_000, time.Second), 1_000_000_000},
	{throttle.Per(999_999_937, time.Second), 999_999_937},
	{throttle.Per(7, 365*24*time.Hour), 200},
	{throttle.Per(1, time.Hour), 300_000},
	{throttle.Per(999_999_999_999_999, 999_999_999_999_999), 999_999_999_999_999},
}

// atTime is the store with the script, but for where it reads the clock and lets keys expire.
func atTime(t testing.TB, s *Store) *Store {
	t.Helper()
	text := strings.Replace(script, "redis.call('TIME')", "{ARGV[#ARGV - 1], ARGV[#ARGV]}", 1)
	text = strings.Replace(text, ",\n        'PX', string.format('%.0f', math.ceil((op.us + op.rest + 1) / 1000))", "", 1)
	if strings.Contains(text, "TIME") || strings.Contains(text, "'PX'") {
		t.Fatal("the script is no more what this test knows")
	}
	other := *s
	other.take = rueidis.NewLuaScript(text)
	return &other
}

// decide is Take at a time of the test's own.
func (s *Store) decide(t testing.TB, now int64, ops []throttle.Op) {
	t.Helper()
	var keys, args []string
	for i := range ops {
		keys = append(keys, s.key(&ops[i]))
		args = newToken(ops[i].Rate).appendArgs(args, &ops[i])
	}
	args = append(args, strconv.FormatInt(now/1e6, 10), strconv.FormatInt(now%1e6, 10))
	all, err := s.take.Exec(background, s.client, keys, args).AsIntSlice()
	if err != nil {
		t.Fatal(err)
	}
	for i := range ops {
		newToken(ops[i].Rate).read(&ops[i], all[answers*i:])
	}
}

// run makes random ops of one to three policies, and asks both.
func run(t testing.TB, s *Store, key throttle.Key, rnd *rand.Rand, steps int) {
	t.Helper()
	m := model{}
	now := time.Now().UnixMicro()
	policies := make([]int, 1+rnd.IntN(3))
	for i := range policies {
		policies[i] = rnd.IntN(len(modelRates))
	}
	for step := range steps {
		var ops []throttle.Op
		for i, k := range policies {
			r := modelRates[k]
			op := throttle.Op{Policy: fmt.Sprint(i), Key: key, Rate: r.rate, Burst: r.burst}
			amount := func() int64 { return min(rnd.Int64N(3)+rnd.Int64N(2)*rnd.Int64N(r.burst+1), r.burst) }
			if rnd.IntN(4) == 0 {
				op.Back = amount()
			}
			if op.Cost = amount(); rnd.IntN(2) == 0 {
				op.Ahead = rnd.Int64N(4096)
			}
			op.Soft, op.Force = rnd.IntN(4) == 0, false
			if rnd.IntN(8) == 0 {
				op.Soft, op.Force, op.Cost, op.Ahead = false, true, 2*amount(), 0
			}
			ops = append(ops, op)
		}
		switch rnd.IntN(4) {
		case 0:
			now += rnd.Int64N(1000)
		case 1:
			now += rnd.Int64N(int64(modelRates[policies[0]].rate.Per)/1000 + 2)
		case 2: // around what is due
			probe := append([]throttle.Op(nil), ops...)
			for i := range probe {
				probe[i].Back, probe[i].Soft, probe[i].Force = 0, true, false
			}
			copied := model{}
			for name, b := range m {
				copied[name] = &bucket{new(big.Rat).Set(b.owes), b.at}
			}
			if copied.take(now, probe); probe[0].RetryAfter > 0 {
				now += max(int64(probe[0].RetryAfter)/1000-1+rnd.Int64N(3), 0)
			}
		}
		if now > 5e15 { // the year 2128: times are below 2^53 for 130 years more
			return
		}
		want := append([]throttle.Op(nil), ops...)
		m.take(now, want)
		s.decide(t, now, ops)
		for i := range ops {
			if ops[i] != want[i] {
				t.Fatalf("step %d, op %d: %+v, want %+v", step, i, ops[i], want[i])
			}
		}
	}
}

// D6, B4: the script is the rational bucket, at every microsecond around what is due.
func TestD6_ScriptIsTheRationalBucket(t *testing.T) {
	s := atTime(t, newStore(t, startServer(t).addr))
	for seed := range uint64(40) {
		run(t, s, throttle.KeyOf(fmt.Sprint(seed)), rand.New(rand.NewPCG(seed, 1)), 120)
	}
}

func FuzzScript(f *testing.F) {
	s := atTime(f, newStore(f, startServer(f).addr))
	for seed := range uint64(4) {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		run(t, s, throttle.KeyOf(fmt.Sprint(a, b, time.Now().UnixNano())), rand.New(rand.NewPCG(a, b)), 40)
	})
}
