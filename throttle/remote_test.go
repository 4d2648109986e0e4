package throttle_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

// store is a Remote in rationals: the buckets that others share. What happens to a trip is for
// the test to say.
type store struct {
	mu      sync.Mutex
	buckets map[string]*level
	ops     []throttle.Op // of all trips, with their answers
	trips   int
	latency time.Duration // half of it on the way there
	fail    error
	hang    bool // until ctx ends
	late    bool // decides, and does not say so
}

type level struct {
	tokens *big.Rat
	at     time.Time
}

var errDead = errors.New("connection refused")

func (s *store) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *store) Take(ctx context.Context, ops []throttle.Op) error {
	s.mu.Lock()
	s.trips++
	latency, fail, hang, late := s.latency, s.fail, s.hang, s.late
	s.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if latency > 0 && !wait(ctx, latency/2) {
		return ctx.Err()
	}
	if fail != nil {
		return fail
	}
	s.decide(ops)
	if late {
		<-ctx.Done()
		return ctx.Err()
	}
	if latency > 0 && !wait(ctx, latency-latency/2) {
		return ctx.Err()
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func frac(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }

func floor(x *big.Rat) int64 {
	if x.Sign() <= 0 {
		return 0
	}
	return new(big.Int).Quo(x.Num(), x.Denom()).Int64()
}

func (s *store) decide(ops []throttle.Op) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.buckets == nil {
		s.buckets = map[string]*level{}
	}
	levels := make([]*level, len(ops))
	passes := true
	for i := range ops {
		op := &ops[i]
		name := fmt.Sprintf("%x %s", op.Key.Hash(nil), op.Policy)
		b := s.buckets[name]
		if b == nil {
			b = &level{tokens: frac(op.Burst), at: now}
			s.buckets[name] = b
		}
		levels[i] = b
		perNano := big.NewRat(op.Rate.N, int64(op.Rate.Per))
		b.tokens.Add(b.tokens, new(big.Rat).Mul(perNano, frac(int64(now.Sub(b.at)))))
		b.tokens.Add(b.tokens, frac(op.Back))
		b.at = now
		if b.tokens.Cmp(frac(op.Burst)) > 0 {
			b.tokens = frac(op.Burst)
		}
		if !op.Soft && !op.Force && op.Cost > 0 && b.tokens.Cmp(frac(op.Cost)) < 0 {
			passes = false
		}
	}
	for i := range ops {
		op, b := &ops[i], levels[i]
		due := func(n *big.Rat) time.Duration {
			missing := new(big.Rat).Sub(n, b.tokens)
			if missing.Sign() <= 0 {
				return 0
			}
			missing.Mul(missing, big.NewRat(int64(op.Rate.Per), op.Rate.N))
			q, r := new(big.Int).QuoRem(missing.Num(), missing.Denom(), new(big.Int))
			return time.Duration(q.Int64() + int64(r.Sign()))
		}
		switch room := b.tokens.Cmp(frac(op.Cost)) >= 0 || op.Cost == 0; {
		case op.Force:
			op.Granted = min(op.Cost, floor(new(big.Rat).Add(b.tokens, frac(op.Burst))))
		case room && passes:
			b.tokens.Sub(b.tokens, frac(op.Cost))
			ahead := min(op.Ahead, floor(b.tokens)/4)
			op.Granted = op.Cost + ahead
			b.tokens.Sub(b.tokens, frac(ahead))
		case !room:
			op.RetryAfter = due(frac(op.Cost))
		}
		if op.Force {
			b.tokens.Sub(b.tokens, frac(op.Granted))
		}
		op.Remaining = floor(b.tokens)
		op.ResetAfter = due(frac(op.Burst))
	}
	s.ops = append(s.ops, ops...)
}

func (s *store) last() throttle.Op {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ops[len(s.ops)-1]
}

func (s *store) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trips
}

// held tells the tokens in a bucket of the store.
func (s *store) held(policy string, key throttle.Key) int64 {
	ops := []throttle.Op{{Policy: policy, Key: key, Rate: throttle.Per(1, 36*365*24*time.Hour), Burst: 1 << 40}}
	s.decide(ops)
	return ops[0].Remaining
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// D1: a decision by three policies, shadow and all, is one trip; what it costs nothing is none.
func TestD1_OneTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Policies: []throttle.Policy{
			{Name: "a", Rate: throttle.Per(3, time.Second)}, {Name: "b", Rate: throttle.Per(10, time.Minute)}, {Name: "c", Rate: throttle.Per(1, time.Minute), Shadow: true},
		}})
		key := throttle.KeyOf("k")
		d := l.Take(t.Context(), key, 1)
		if !d.Allowed || d.Policy != "a" || d.Limit != 3 || d.Remaining != 2 || d.ResetAfter != 333_333_334 || s.count() != 1 || len(s.ops) != 3 {
			t.Errorf("%+v after %d trips of %d ops", d, s.count(), len(s.ops))
		}
		if d := l.Take(t.Context(), key, 0); !d.Allowed || s.count() != 1 {
			t.Errorf("taking 0: %+v, %d trips", d, s.count())
		}
		if d := l.Take(t.Context(), key, 4); d.Allowed || d.RetryAfter >= 0 || d.Status != 429 || s.count() != 1 {
			t.Errorf("more than a bucket holds: %+v, %d trips", d, s.count())
		}
		if d := l.Take(t.Context(), key, -1); d.Status != 500 || s.count() != 1 {
			t.Errorf("a negative cost: %+v, %d trips", d, s.count())
		}
		if d := l.Peek(t.Context(), key, 3); d.Allowed || d.RetryAfter != 333_333_334 || d.Policy != "a" || s.count() != 2 || s.held("a", key) != 2 {
			t.Errorf("Peek: %+v, %d trips, %d left", d, s.count(), s.held("a", key))
		}
		if d := l.Take(t.Context(), key, 2); !d.Allowed || d.Remaining != 0 || s.count() != 3 {
			t.Errorf("%+v after %d trips", d, s.count())
		}
		st := l.Stats()
		if st.ShadowDenied["c"] != 1 || st.Remote["store"] != 2 || st.Trips["ok"] != 3 || !st.RemoteUp || st.TripSeconds.Count() != 3 {
			t.Errorf("%+v", st)
		}
	})
}

// D2: a lease doubles while it is used up in time, halves when not, and is gone from a quiet key.
func TestD2_LeasesFollowTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Rate: throttle.Per(100_000, time.Minute)})
		key := throttle.KeyOf("k")
		var ahead []int64
		for range 60 {
			before := s.count()
			if d := l.Take(t.Context(), key, 1); !d.Allowed {
				t.Fatalf("%+v", d)
			}
			if s.count() > before {
				ahead = append(ahead, s.last().Ahead)
			}
			time.Sleep(time.Millisecond)
		}
		if got := fmt.Sprint(ahead); got != "[0 1 3 7 15 31]" {
			t.Errorf("asked ahead %s, want [0 1 3 7 15 31]", got)
		}
		// 33 of the last lease are left: 31 of 31 - 2... it expires, and half is asked for.
		held := int64(0)
		for d := l.Peek(t.Context(), key, 1); d.Allowed && s.count() == len(ahead); d = l.Peek(t.Context(), key, held+1) {
			held = d.Remaining + 1
			break
		}
		time.Sleep(110 * time.Millisecond)
		l.Take(t.Context(), key, 1)
		if op := s.last(); op.Ahead != 15 || op.Back > held || held == 0 {
			t.Errorf("after an unused lease of 31: %d ahead, %d of %d back", op.Ahead, op.Back, held)
		}
		time.Sleep(time.Minute)
		l.Take(t.Context(), key, 1)
		if op := s.last(); op.Ahead != 0 || op.Back != 0 {
			t.Errorf("a quiet key: %d ahead, %d back", op.Ahead, op.Back)
		}
		if st := l.Stats(); st.Remote["lease"] != 60-6 || st.Remote["store"] != 8 {
			t.Errorf("%v", st.Remote)
		}
	})
}

// D2: at most 4,095 tokens, out of a quarter of what remains; near the limit none.
func TestD2_LeasesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Rate: throttle.Per(1, time.Hour), Burst: 100_000})
		key, taken := throttle.KeyOf("k"), int64(0)
		for l.Take(t.Context(), key, 1).Allowed {
			taken++
		}
		if taken != 100_000 {
			t.Errorf("%d admitted of a burst of 100000", taken)
		}
		most := int64(0)
		for _, op := range s.ops {
			most = max(most, op.Ahead)
			if got := op.Granted - op.Cost; got > 0 && got > (op.Remaining+got)/4 {
				t.Fatalf("%d ahead of %d", got, op.Remaining+got)
			}
		}
		if most != 4095 || s.count() > 200 {
			t.Errorf("%d ahead at most, want 4095; %d trips", most, s.count())
		}
	})
}

// D2: one caller renews; the others ask for their own cost meanwhile.
func TestD2_OneRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Rate: throttle.Per(100_000, time.Minute)})
		key := throttle.KeyOf("k")
		for range 1 + 2 + 4 {
			l.Take(t.Context(), key, 1)
		}
		s.set(func() { s.latency, s.ops = 10*time.Millisecond, nil })
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if d := l.Take(t.Context(), key, 1); !d.Allowed {
					t.Errorf("%+v", d)
				}
			})
		}
		wg.Wait()
		ahead := 0
		for _, op := range s.ops {
			if op.Ahead > 0 {
				ahead++
			}
		}
		if ahead != 1 || len(s.ops) != 20 {
			t.Errorf("%d of %d ops ask ahead, want 1 of 20", ahead, len(s.ops))
		}
	})
}

// D2: from a lease no RateLimit is sent, and Remaining is what it holds.
func TestD2_FieldsOfALease(t *testing.T) {
	for _, headers := range []string{"ietf", "legacy"} {
		synctest.Test(t, func(t *testing.T) {
			l := mustNew(t, throttle.Config{Remote: &store{}, Rate: throttle.Per(1000, time.Minute), Headers: headers})
			h := l.Handler(nothing)
			name := map[string]string{"ietf": "Ratelimit", "legacy": "X-Ratelimit-Remaining"}[headers]
			want := map[string][]string{"ietf": {`"default";r=999;t=1`, `"default";r=998;t=1`, ""}, "legacy": {"999", "998", ""}}[headers]
			for i := range 3 {
				w := serve(h, request())
				if got := w.Header().Get(name); w.Code != 200 || got != want[i] {
					t.Errorf("%d: %d, %s %q, want %q", i, w.Code, name, got, want[i])
				}
				if headers == "ietf" && w.Header().Get("Ratelimit-Policy") == "" {
					t.Errorf("%d: no RateLimit-Policy", i)
				}
			}
			key := throttle.KeyAddr(addr("192.0.2.1"), 0)
			if d := l.Take(t.Context(), key, 1); !d.Allowed || d.Remaining != 999-3 {
				t.Errorf("from the store: %+v", d)
			}
			if d := l.Take(t.Context(), key, 1); !d.Allowed || d.Remaining != 2 || d.ResetAfter != 0 || d.Policy != "default" || d.Limit != 1000 {
				t.Errorf("from a lease of 3: %+v", d)
			}
		})
	}
}

// D2: if one policy refuses, what the leases of others have paid goes back.
func TestD2_RefusalPutsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		small := int64(0)
		l := mustNew(t, throttle.Config{Remote: s, Policies: []throttle.Policy{
			{Name: "big", Rate: throttle.Per(1000, time.Hour)},
			{Name: "small", Rate: throttle.Per(4, time.Hour), Cost: func(*http.Request) int64 { return small }},
		}})
		h := l.Handler(nothing)
		for range 4 { // leases of 0, 1 and 3, of which one is taken
			serve(h, request())
		}
		small = 3
		serve(h, request()) // 1 left
		before := l.Stats().Remote["lease"]
		small = 2
		for range 5 {
			if w := serve(h, request()); w.Code != 429 || !strings.Contains(w.Body.String(), `["small"]`) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		small = 0
		if w := serve(h, request()); w.Code != 200 || l.Stats().Remote["lease"] != before+1 {
			t.Errorf("%d, %v: the lease has lost what was refused", w.Code, l.Stats().Remote)
		}
	})
}

// D3: a key with nothing left is refused here until its next token is due, a second at most.
func TestD3_Shield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Rate: throttle.Per(2, time.Second)})
		key := throttle.KeyOf("k")
		l.Take(t.Context(), key, 1)
		l.Take(t.Context(), key, 1)
		trips := s.count()
		for range 50 {
			if d := l.Take(t.Context(), key, 1); d.Allowed || d.Status != 429 || d.RetryAfter > time.Until(start(s).Add(500*time.Millisecond)) || d.RetryAfter < time.Until(start(s).Add(500*time.Millisecond))-1024 {
				t.Fatalf("%+v", d)
			}
			time.Sleep(9 * time.Millisecond)
		}
		if d := l.Take(t.Context(), key, 2); d.Allowed || d.RetryAfter > 550*time.Millisecond+1024 || d.RetryAfter < 550*time.Millisecond-1024 {
			t.Errorf("two tokens: %+v", d)
		}
		if s.count() != trips || l.Stats().Remote["shield"] != 51 {
			t.Errorf("%d trips while nothing was left; %v", s.count()-trips, l.Stats().Remote)
		}
		time.Sleep(50 * time.Millisecond)
		if d := l.Take(t.Context(), key, 1); !d.Allowed || s.count() != trips+1 {
			t.Errorf("when due: %+v", d)
		}

		slow := mustNew(t, throttle.Config{Remote: s, Policies: []throttle.Policy{{Name: "slow", Rate: throttle.Per(1, time.Hour)}}})
		slow.Take(t.Context(), key, 1)
		trips = s.count()
		time.Sleep(time.Second - time.Millisecond)
		if d := slow.Take(t.Context(), key, 1); d.Allowed || s.count() != trips || d.RetryAfter < 3599*time.Second || d.RetryAfter > 3603*time.Second {
			t.Errorf("an hour before it is due: %+v, %d trips", d, s.count()-trips)
		}
		time.Sleep(2 * time.Millisecond)
		if d := slow.Take(t.Context(), key, 1); d.Allowed || s.count() != trips+1 || d.RetryAfter != time.Hour-time.Second-time.Millisecond {
			t.Errorf("after a second it is asked again: %+v, %d trips", d, s.count()-trips)
		}
		slow.Refund(t.Context(), key, 1)
		if d := slow.Take(t.Context(), key, 1); !d.Allowed {
			t.Errorf("after a refund: %+v", d)
		}
	})
}

// start is when the store's clock was last read: in this test, when its two tokens were taken.
func start(s *store) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.buckets {
		return b.at
	}
	return time.Time{}
}

// D4: nobody waits longer than Budget; after five failures nobody waits; probes ask, and find out.
func TestD4_Breaker(t *testing.T) {
	for name, fails := range map[string]func(s *store){
		"dead":  func(s *store) { s.fail = errDead },
		"hung":  func(s *store) { s.hang = true },
		"slow":  func(s *store) { s.latency = 30 * time.Millisecond },
		"mute":  func(s *store) { s.late = true },
		"tells": func(s *store) { s.fail = context.DeadlineExceeded },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &store{}
				s.set(func() { fails(s) })
				var log bytes.Buffer
				l := mustNew(t, throttle.Config{Remote: s, Rate: throttle.Per(100, time.Hour), Logger: slog.New(slog.NewTextHandler(&log, nil))})
				key := throttle.KeyOf("k")
				begin := time.Now()
				for range 5 {
					before := time.Now()
					if d := l.Take(t.Context(), key, 1); !d.Allowed || time.Since(before) > 25*time.Millisecond {
						t.Errorf("%+v after %v", d, time.Since(before))
					}
				}
				opened := time.Now()
				if l.Stats().RemoteUp || s.count() != 5 || strings.Count(log.String(), "Remote lost") != 1 {
					t.Errorf("after five failures in %v: %+v\n%s", time.Since(begin), l.Stats(), log.String())
				}
				var probes []time.Duration
				for s.count() < 14 {
					before, trips := time.Now(), s.count()
					l.Take(t.Context(), throttle.KeyOf(time.Now().String()), 1)
					synctest.Wait()
					if time.Since(before) > 0 {
						t.Fatalf("somebody waits %v for a store that is lost", time.Since(before))
					}
					if s.count() > trips {
						probes = append(probes, time.Since(opened).Round(100*time.Millisecond))
					}
					time.Sleep(50 * time.Millisecond)
				}
				if probes[0] != 100*time.Millisecond {
					t.Errorf("the first probe after %v, want 100ms", probes[0])
				}
				for i := 1; i < len(probes); i++ {
					pause, want := probes[i]-probes[i-1], min(200*time.Millisecond<<(i-1), 5*time.Second)
					if pause < want-100*time.Millisecond || pause > want+150*time.Millisecond+time.Second { // a probe has a second
						t.Errorf("probe %d after %v, want about %v", i, pause, want)
					}
				}
				s.set(func() { s.fail, s.hang, s.late, s.latency = nil, false, false, 0 })
				time.Sleep(7 * time.Second)
				l.Take(t.Context(), key, 1)
				synctest.Wait()
				trips := s.count()
				if d := l.Take(t.Context(), key, 1); !d.Allowed || s.count() != trips+1 || !l.Stats().RemoteUp || strings.Count(log.String(), "back") != 1 {
					t.Errorf("back: %+v, %d trips, %s", d, s.count()-trips, log.String())
				}
				s.set(func() { s.fail = errDead })
				for range 4 {
					l.Take(t.Context(), throttle.KeyOf(time.Now().String()), 1)
				}
				if !l.Stats().RemoteUp {
					t.Error("four failures open the breaker that was closed")
				}
			})
		})
	}
}

// D4: four failures, or five that are not in a row, open nothing.
func TestD4_WhatOpensNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Rate: throttle.Per(1000, time.Second), Logger: quiet()})
		key := throttle.KeyOf("k")
		for range 3 {
			s.set(func() { s.fail = errDead })
			for range 4 {
				l.Take(t.Context(), key, 1)
			}
			s.set(func() { s.fail = nil })
			l.Take(t.Context(), key, 1)
		}
		if !l.Stats().RemoteUp {
			t.Error("the breaker is open")
		}
	})
}

// D4: of 3,000 callers 512 are under way; the others do not wait.
func TestD4_AtMost512Trips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{hang: true}
		l := mustNew(t, throttle.Config{Remote: s, Rate: throttle.Per(10_000, time.Second), Logger: quiet()})
		begin := time.Now()
		var wg sync.WaitGroup
		for range 3000 {
			wg.Go(func() {
				if d := l.Take(t.Context(), throttle.KeyOf("k"), 1); !d.Allowed || time.Since(begin) > 25*time.Millisecond {
					t.Errorf("%+v after %v", d, time.Since(begin))
				}
			})
		}
		synctest.Wait()
		if st := l.Stats(); s.count() != 512 || st.Remote["busy"] != 3000-512 {
			t.Errorf("%d trips, %v", s.count(), st.Remote)
		}
		wg.Wait()
		if st := l.Stats(); st.Remote["fallback"] != 512 || st.Requests["allowed"] != 3000 {
			t.Errorf("%v", st.Remote)
		}
	})
}

// D5: what happens while the Remote is down.
func TestD5_OnDown(t *testing.T) {
	for _, tc := range []struct {
		onDown string
		nodes  int
		want   string // of 6 requests of cost 1, then one of cost 6
		fields string
	}{
		{"local", 1, "[200 200 200 200 200 200 200]", `"default";r=11;t=6`},
		{"local", 2, "[200 200 200 200 200 200 429]", `"default";r=5;t=12`},
		{"local", 3, "[200 200 200 200 429 429 503]", `"default";r=3;t=18`},
		{"local", 100, "[200 429 429 429 429 429 503]", `"default";r=0;t=600`},
		{"open", 1, "[200 200 200 200 200 200 200]", ""},
		{"closed", 1, "[503 503 503 503 503 503 503]", ""},
	} {
		t.Run(fmt.Sprint(tc.onDown, tc.nodes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cost := int64(1)
				l := mustNew(t, throttle.Config{
					Remote: &store{fail: errDead}, OnDown: tc.onDown, Nodes: tc.nodes, Rate: throttle.Per(10, time.Minute), Burst: 12,
					Cost: func(*http.Request) int64 { return cost }, Logger: quiet(),
				})
				h := l.Handler(nothing)
				var got []int
				for i := range 7 {
					if i == 6 {
						cost = 6
					}
					w := serve(h, request())
					got = append(got, w.Code)
					if i == 0 && w.Header().Get("Ratelimit") != tc.fields {
						t.Errorf("fields %q, want %q", w.Header()["Ratelimit"], tc.fields)
					}
					if w.Code == 503 && (w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "temporary-reduced-capacity")) {
						t.Errorf("%v %s", w.Header(), w.Body)
					}
				}
				if fmt.Sprint(got) != tc.want {
					t.Errorf("%v, want %s", got, tc.want)
				}
				st := l.Stats()
				sum := uint64(0)
				for _, n := range st.Requests {
					sum += n
				}
				if st.Remote["fallback"] != 7 || sum != 7 || (tc.onDown == "closed") != (st.Requests["down"] == 7) {
					t.Errorf("%v %v", st.Remote, st.Requests)
				}
				d := l.Peek(t.Context(), throttle.KeyOf("new"), 13)
				if d.Allowed || d.RetryAfter >= 0 {
					t.Errorf("never: %+v", d)
				}
			})
		})
	}
}

// D5: an outage admits at most Burst/Nodes more per node, and leases that are held are spent first.
func TestD5_OutageAdmitsOneShareMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Nodes: 4, Rate: throttle.Per(400, time.Hour), Logger: quiet()})
		key, n := throttle.KeyOf("k"), 0
		for range 100 {
			if l.Take(t.Context(), key, 1).Allowed {
				n++
			}
		}
		left := s.held("default", key) // and what is held ahead
		s.set(func() { s.fail = errDead })
		for range 1000 {
			if l.Take(t.Context(), key, 1).Allowed {
				n++
			}
		}
		if want := 400 - int(left) + 100; n != want {
			t.Errorf("%d admitted, want %d: what was taken of the store, and a share", n, want)
		}
	})
}

// C1, with a Remote: what is settled goes to the store, and what it cannot be told is uncollected.
func TestD5_Settle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Rate: throttle.Per(10, time.Hour), Logger: quiet()})
		key := throttle.KeyAddr(addr("192.0.2.1"), 0)
		var costs []int64
		var more []int64
		h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, n := range more {
				if !l.Charge(w, r, "", n) {
					return
				}
			}
			for _, c := range costs {
				if err := l.Settle(w, "", c); err != nil {
					t.Error(err)
				}
			}
		}))
		costs = []int64{5, 3}
		if w := serve(h, request()); w.Header().Get("Ratelimit") != `"default";r=7;t=360` || s.held("default", key) != 7 {
			t.Errorf("settled to 3: %q, %d left", w.Header()["Ratelimit"], s.held("default", key))
		}
		costs, more = nil, []int64{2, 9}
		if w := serve(h, request()); w.Code != 429 || s.held("default", key) != 4 {
			t.Errorf("charged 1, 2 and in vain 9: %d, %d left", w.Code, s.held("default", key))
		}
		costs, more = []int64{30}, nil
		serve(h, request()) // 4 left, 14 above -Burst
		if got := l.Stats().Uncollected["default"]; got != 16 {
			t.Errorf("%d uncollected, want 16", got)
		}
		l.Refund(t.Context(), key, 14) // 4 left
		if got := s.held("default", key); got != 4 {
			t.Errorf("%d left after a refund, want 4", got)
		}
		h = l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.set(func() { s.fail = errDead })
			_ = l.Settle(w, "", 4)
		}))
		if serve(h, request()); l.Stats().Uncollected["default"] != 16+3 {
			t.Errorf("%d uncollected, want 19", l.Stats().Uncollected["default"])
		}
		// Paid here, settled here.
		h = l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _ = l.Settle(w, "", 4) }))
		if w := serve(h, request()); w.Header().Get("Ratelimit") != `"default";r=6;t=360` {
			t.Errorf("of the twin: %q", w.Header()["Ratelimit"])
		}
	})
}

// W4: Wait asks again when its tokens are due, and is exact.
func TestW4_WaitAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Rate: throttle.Per(1, time.Second), MaxWait: 4 * time.Second, MaxWaiting: 4})
		key := throttle.KeyAddr(addr("192.0.2.1"), 0)
		begin := time.Now()
		var mu sync.Mutex
		passed := map[time.Duration]int{}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				if i%2 == 0 {
					if err := l.Wait(t.Context(), key, 1); err != nil {
						t.Error(err)
					}
				} else if w := serve(l.Handler(nothing), request()); w.Code != 200 {
					t.Error(w.Code)
				}
				mu.Lock()
				defer mu.Unlock()
				passed[time.Since(begin).Round(time.Millisecond)]++
			})
		}
		wg.Wait()
		for i := range 4 {
			if passed[time.Duration(i)*time.Second] != 1 {
				t.Errorf("passed at %v, want one a second", passed)
			}
		}
		if st := l.Stats(); st.Waiting != 0 || st.Requests["allowed"] != 4 || st.Requests["denied"] != 0 {
			t.Errorf("%+v", st)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		before := time.Now()
		if err := l.Wait(ctx, key, 1); !errors.Is(err, context.DeadlineExceeded) || time.Since(before) > 0 {
			t.Errorf("due after the deadline: %v after %v", err, time.Since(before))
		}
		if err := l.Wait(t.Context(), key, 2); err == nil || time.Since(before) > 0 {
			t.Errorf("more than a bucket holds: %v", err)
		}
		ctx, leave := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, leave)
		if err := l.Wait(ctx, key, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
		closed := mustNew(t, throttle.Config{Remote: &store{fail: errDead}, OnDown: "closed", Logger: quiet()})
		if err := closed.Wait(t.Context(), key, 1); err == nil {
			t.Error("closed: Wait passes")
		}
	})
}

// C4: the parts of a batch pay with a Remote as without, and get back what another throttle denied.
func TestD1_PartsOfABatch(t *testing.T) {
	for _, lease := range []time.Duration{-1, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := &store{}
			shared := mustNew(t, throttle.Config{Remote: s, Lease: lease, Rate: throttle.Per(100, time.Hour)})
			own := mustNew(t, throttle.Config{Rate: throttle.Per(4, time.Hour)})
			w := serve(shared.Handler(own.Handler(batch(nothing))), envelope("a,b,c,d,e,f"))
			if w.Body.String() != "200 200 200 200 429 429" {
				t.Errorf("parts answered %s", w.Body)
			}
			if lease < 0 && s.held("default", client) != 96 {
				t.Errorf("%d tokens left, want 96", s.held("default", client))
			}
			if d := shared.Peek(t.Context(), client, 1); !d.Allowed {
				t.Errorf("%+v", d)
			}
		})
	}
}
