package throttle

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func mustNew(t testing.TB, cfg Config) *Limiter {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// key makes the fingerprint of a number without the hash, so that a million cost nothing.
func spread(i uint64) uint64 { return fingerprint((i + 1) * 0x9E3779B97F4A7C15) }

// B2: readings up to an hour out of order never admit more than the bound between the earliest
// and the latest of them, and the bucket is not stuck after them.
func TestB2_ReadingsOutOfOrder(t *testing.T) {
	for _, tc := range modelRates {
		if tc.burst > 10_000 {
			continue
		}
		rnd := rand.New(rand.NewPCG(1, uint64(tc.burst)))
		span := int64(10 * time.Hour)
		now := int64(time.Hour) + 1
		l := fakeLimiter(t, Config{Policies: []Policy{{Name: "p", Rate: tc.rate, Burst: tc.burst}}, Capacity: 64}, &now)
		law := &l.state.Load().policies[0].law
		start := now
		var admitted, taken int64
		first, last := now, now
		for step := int64(0); step < 20_000; step++ {
			base := start + span*step/20_000
			now = base - rnd.Int64N(int64(time.Hour))
			first, last = min(first, now), max(last, now)
			n := 1 + rnd.Int64N(min(tc.burst, 3))
			if d := l.Take(t.Context(), KeyOf("k"), n); d.Allowed {
				admitted += n
				taken++
			}
		}
		bound := law.burst + int64(float64(last-first)*float64(law.unit)/float64(law.token)) + 1
		if admitted > bound {
			t.Errorf("%v burst %d: %d admitted, at most %d are due", tc.rate, tc.burst, admitted, bound)
		}
		now = last + int64(law.duration(law.tau)) + 1
		if d := l.Take(t.Context(), KeyOf("k"), law.burst); !d.Allowed {
			t.Errorf("%v burst %d: stuck: %+v", tc.rate, tc.burst, d)
		}
	}
}

// B2: no token too many, whatever stands in line.
func TestB2_Concurrency(t *testing.T) {
	for _, goroutines := range []int{256, 1024} {
		for _, perSecond := range []int64{200, 200_000} {
			l := mustNew(t, Config{Rate: Per(perSecond, time.Second), Capacity: 64})
			key := KeyOf("k")
			var admitted atomic.Int64
			var wg sync.WaitGroup
			start := time.Now()
			for range goroutines {
				wg.Go(func() {
					for time.Since(start) < 300*time.Millisecond {
						if l.Take(context.Background(), key, 1).Allowed {
							admitted.Add(1)
						}
					}
				})
			}
			wg.Wait()
			d := time.Since(start)
			bound := perSecond + int64(d)*perSecond/int64(time.Second)
			if n := admitted.Load(); n > bound || n < min(perSecond, 1000) {
				t.Errorf("%d goroutines at %d/s: %d admitted in %v, want at most %d", goroutines, perSecond, n, d, bound)
			}
		}
	}
}

// B2, M1: many goroutines at once on a key that nobody has seen: one of Burst 1 is admitted.
func TestB2_FirstUse(t *testing.T) {
	l := mustNew(t, Config{Rate: Per(1, 24*time.Hour), Capacity: 1 << 16})
	for i := range 3000 {
		key := KeyOf("k", string(rune('a'+i%26)), time.Duration(i).String())
		var admitted atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if l.Take(context.Background(), key, 1).Allowed {
					admitted.Add(1)
				}
			})
		}
		wg.Wait()
		if n := admitted.Load(); n != 1 {
			t.Fatalf("key %d: %d admitted of 8, want 1", i, n)
		}
	}
}

// M1: hot keys keep their buckets while slots around them change owners all the time.
func TestM1_Recycling(t *testing.T) {
	const hot, burst = 8, 1000
	l := mustNew(t, Config{Policies: []Policy{{Name: "p", Rate: Per(1000, time.Second), Burst: burst}}, Capacity: 4096})
	p := l.state.Load().policies[0]
	var stop atomic.Bool
	var flood, load sync.WaitGroup
	var recycled atomic.Int64
	for g := range uint64(2) {
		flood.Go(func() {
			for i := g << 40; !stop.Load(); i++ { // each is idle again after 1 ms
				c := charge{p: p, fp: spread(1000 + i)}
				c.setCost(1)
				if judge([]charge{c}, &l.clock, 0) == passes {
					l.commit([]charge{c}, 1, 0)
					recycled.Add(1)
				}
				if i%512 == 0 {
					time.Sleep(2 * time.Millisecond) // below Capacity: nothing may be forgotten
				}
			}
		})
	}
	var admitted [hot]atomic.Int64
	start := time.Now()
	for range 4 {
		load.Go(func() {
			for recycled.Load() < 20_000 { // slots change their owners
				for h := range uint64(hot) {
					cs := []charge{{p: p, fp: spread(h)}}
					cs[0].setCost(1)
					if l.decide(cs, 1) == passes {
						admitted[h].Add(1)
					}
				}
			}
		})
	}
	load.Wait()
	d := time.Since(start)
	stop.Store(true)
	flood.Wait()
	s := l.Stats()
	for h := range admitted {
		if n, bound := admitted[h].Load(), burst+int64(d)*1000/int64(time.Second); n > bound {
			t.Errorf("hot key %d: %d admitted, at most %d are due; %d slots recycled", h, n, bound, recycled.Load())
		}
	}
	if s.Forgotten["p"] > 0 {
		t.Errorf("%d forgotten below Capacity", s.Forgotten["p"])
	}
}

// M1, M2: ten million keys that come once. Memory does not grow, and an exhausted consumer
// stays exhausted.
func TestM2_Flood(t *testing.T) {
	keys := uint64(floodKeys)
	if testing.Short() {
		keys /= 10
	}
	now := int64(1)
	l := fakeLimiter(t, Config{Rate: Per(100, 24*time.Hour), Burst: 100, Capacity: 10_000}, &now)
	p := l.state.Load().policies[0]
	abuser := KeyOf("abuser")
	if d := l.Take(t.Context(), abuser, 100); !d.Allowed {
		t.Fatal("a new key is not full")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cs := make([]charge, 1)
	for i := range keys {
		cs[0] = charge{p: p, fp: spread(i)}
		cs[0].setCost(1)
		if l.decide(cs, 1) != passes {
			t.Fatalf("key %d is refused", i)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<10 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	admitted := 0
	for range 100 {
		if l.Take(t.Context(), abuser, 1).Allowed {
			admitted++
		}
	}
	if s := l.Stats(); admitted > 0 || s.Forgotten["default"] < keys/2 {
		t.Errorf("%d of 100 admitted after the flood; %d forgotten", admitted, s.Forgotten["default"])
	}
	t.Logf("%d forgotten, live %v", l.Stats().Forgotten["default"], l.Stats().Keys)
}

// M2: up to Capacity no record is lost.
func TestM2_LossFreeUpToCapacity(t *testing.T) {
	for _, capacity := range []int{64, 1000, 131_072} {
		now := int64(1)
		l := fakeLimiter(t, Config{Rate: Per(1, time.Hour), Capacity: capacity}, &now)
		p := l.state.Load().policies[0]
		take := func(i uint64) ruling {
			cs := []charge{{p: p, fp: l.seeds.fingerprint(&Key{kind: textKey, text: string(rune(i))})}}
			cs[0].setCost(1)
			return l.decide(cs, 1)
		}
		// A few sets of a small table may be full before the rest: 3/4 of what is promised there.
		n := uint64(capacity)
		if capacity < 1000 {
			n = n * 3 / 4
		}
		for i := range n {
			if i < 0xD800 || i > 0xDFFF {
				take(i)
			}
		}
		forgotten := l.Stats().Forgotten["default"]
		if float64(forgotten) > float64(n)/100_000 {
			t.Errorf("capacity %d: %d of %d forgotten", capacity, forgotten, n)
		}
		if live := l.Stats().Keys["default"]; live < int64(n)*9/10 || live > int64(n)*11/10 {
			t.Errorf("capacity %d: %d keys are said to be live, want about %d", capacity, live, n)
		}
		if got, limit := len(p.table.sets)*setSize*slotSize, capacity*24+512; got > limit {
			t.Errorf("capacity %d: %d bytes, want at most %d", capacity, got, limit)
		}
	}
}

// M2: "refuse" keeps every record; new keys get 503 until the first slot of theirs is free.
func TestM2_Refuse(t *testing.T) {
	now := int64(1)
	l := fakeLimiter(t, Config{Rate: Per(1, time.Hour), Capacity: 64, OnFull: "refuse"}, &now)
	var refused []Decision
	var keys []Key
	for i := range 500 {
		key := KeyOf("k", string(rune(i+1)))
		now += int64(time.Second)
		if d := l.Take(t.Context(), key, 1); d.Allowed {
			keys = append(keys, key)
		} else {
			refused = append(refused, d)
		}
	}
	if n := len(keys); n < 64 || n > 96 {
		t.Errorf("%d keys found room, want 64 to 96", n)
	}
	for _, d := range refused {
		if d.Status != 503 || d.RetryAfter <= 0 || d.RetryAfter > time.Hour || d.Policy != "default" {
			t.Fatalf("refused with %+v", d)
		}
	}
	for i, key := range keys {
		if d := l.Take(t.Context(), key, 1); d.Allowed || d.Status != 429 {
			t.Errorf("key %d lost its record: %+v", i, d)
		}
	}
	last := KeyOf("k", string(rune(500)))
	d := l.Take(t.Context(), last, 1)
	if d.Allowed {
		t.Skip("the last key happened to find room")
	}
	if now += int64(d.RetryAfter) - 1; l.Take(t.Context(), last, 1).Allowed {
		t.Error("admitted 1 ns before there is room")
	}
	if now++; !l.Take(t.Context(), last, 1).Allowed {
		t.Error("refused when there is room")
	}
	if s := l.Stats(); s.Requests["full"] == 0 || s.Forgotten["default"] != 0 {
		t.Errorf("%d full, %d forgotten", s.Requests["full"], s.Forgotten["default"])
	}
}

// M1: the table is as large as it is promised, and a new key takes the place of an idle one.
func TestM1_IdleSlotsAreFree(t *testing.T) {
	now := int64(1)
	l := fakeLimiter(t, Config{Rate: Per(1, time.Second), Capacity: 64, OnFull: "refuse"}, &now)
	for i := range 100_000 {
		now += int64(time.Second) / 20 // 20 live at a time
		if d := l.Take(t.Context(), KeyOf("k", time.Duration(i).String()), 1); !d.Allowed {
			t.Fatalf("key %d: %+v", i, d)
		}
	}
}

// B5: two calls have both been found possible, and only one is: the other gives back what it took
// first, exactly.
func TestB5_Rollback(t *testing.T) {
	l := mustNew(t, Config{Policies: []Policy{
		{Name: "plenty", Rate: Per(1000, 24*time.Hour)}, {Name: "scarce", Rate: Per(1, 24*time.Hour)},
	}})
	pl, key := l.state.Load().everyone, KeyOf("k")
	var calls [2][]charge
	for i := range calls {
		calls[i] = make([]charge, 2)
		if l.assemble(pl, calls[i], &key, 1) != passes || judge(calls[i], &l.clock, 0) != passes {
			t.Fatal("a full bucket is found empty")
		}
	}
	if a, b := l.commit(calls[0], 2, 0), l.commit(calls[1], 2, 0); a != passes || b != over {
		t.Errorf("decided %d and %d, want one to pass", a, b)
	}
	p := pl.policies[0]
	_, v := p.table.find(l.seeds.fingerprint(&key))
	if left := p.law.left(p.law.ahead(v, l.clock.units(&p.law))); left != 999 {
		t.Errorf("%d left, want 999", left)
	}
}

// B5: a storm of such calls ends with exactly the tokens taken that were admitted.
func TestB5_RollbackStorm(t *testing.T) {
	for range 200 {
		l := mustNew(t, Config{Capacity: 64, Policies: []Policy{
			{Name: "plenty", Rate: Per(1000, 24*time.Hour)}, {Name: "scarce", Rate: Per(20, 24*time.Hour)},
		}})
		key := KeyOf("k")
		var admitted atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 10 {
					if l.Take(context.Background(), key, 1).Allowed {
						admitted.Add(1)
					}
				}
			})
		}
		wg.Wait()
		p := l.state.Load().policies[0]
		_, v := p.table.find(l.seeds.fingerprint(&key))
		if left := p.law.left(p.law.ahead(v, l.clock.units(&p.law))); admitted.Load() > 20 || left != 1000-admitted.Load() {
			t.Fatalf("%d admitted, %d of 1000 left", admitted.Load(), left)
		}
	}
}

// C1: a settlement finds no record, for it has long been full again: down to -Burst all the same.
func TestC1_ForceWithoutRecord(t *testing.T) {
	l := mustNew(t, Config{Rate: Per(10, 24*time.Hour)})
	p := l.state.Load().policies[0]
	if got := p.force(spread(1), &l.clock, 1000); got != 20 {
		t.Errorf("%d taken, want 20", got)
	}
	if got := p.force(spread(1), &l.clock, 1); got != 0 {
		t.Errorf("%d taken below -Burst", got)
	}
}

// R1: what is taken while the records move is added in the second pass, once.
func TestR1_TakenMeanwhile(t *testing.T) {
	now := int64(1)
	l := fakeLimiter(t, Config{Rate: Per(10, time.Hour)}, &now)
	old := l.state.Load().policies[0]
	whole, err := Config{Rate: Per(20, time.Hour)}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	after := newState(whole, whole, l.state.Load())
	m := newMove(old, after.policies[0], &l.clock)
	take := func(key string, n int64) {
		if !l.Take(t.Context(), KeyOf(key), n).Allowed {
			t.Errorf("%s: refused", key)
		}
	}
	take("a", 3)
	take("back", 5)
	m.pass()
	take("a", 2)
	take("new", 4)
	l.Refund(t.Context(), KeyOf("back"), 2)
	m.pass()
	l.state.Store(after)
	for key, want := range map[string]int64{"a": 15, "new": 16, "back": 15} {
		if d := l.Peek(t.Context(), KeyOf(key), 0); d.Remaining != want {
			t.Errorf("%s: %d left of 20, want %d", key, d.Remaining, want)
		}
	}
}

// A3: a key is the prefix that netip would cut.
func TestA3_KeyIsThePrefix(t *testing.T) {
	for _, text := range []string{"255.254.253.252", "ffff:fffe:fffd:fffc:fffb:fffa:fff9:fff8"} {
		a := netip.MustParseAddr(text)
		for bits := 1; bits <= a.BitLen(); bits++ {
			want, _ := a.Prefix(bits)
			if k := KeyAddr(a, bits); k.addr != want.Addr().As16() && !a.Is4() || a.Is4() && [4]byte(k.addr[12:]) != want.Addr().As4() {
				t.Errorf("%v/%d: %v", a, bits, k.addr)
			}
		}
	}
}
