package throttle_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

// open loses the store, and lets five callers find out.
func open(t *testing.T, l *throttle.Limiter, s *store) {
	t.Helper()
	s.set(func() { s.fail = errDead })
	for range 5 {
		l.Take(t.Context(), throttle.KeyOf("somebody"), 1)
	}
	if l.Stats().RemoteUp {
		t.Fatal("the breaker is closed after five failures")
	}
}

// back finds the store again.
func back(t *testing.T, l *throttle.Limiter, s *store) {
	t.Helper()
	s.set(func() { s.fail = nil })
	time.Sleep(time.Second)
	l.Take(t.Context(), throttle.KeyOf("somebody"), 1)
	synctest.Wait()
	if !l.Stats().RemoteUp {
		t.Fatal("the breaker is open though the store is back")
	}
}

// C1: what could not be sent, for the Remote is down, goes back with the next settlement; what was lost on
// the way does not, for it may have been there: sent again it would be given twice.
func TestC1_ReturnsThatWereNotSent(t *testing.T) {
	for _, tc := range []struct {
		name string
		lose func(t *testing.T, l *throttle.Limiter, s *store)
		find func(t *testing.T, l *throttle.Limiter, s *store)
		left int64
	}{
		{"not sent", open, back, 90},
		{"lost", func(_ *testing.T, _ *throttle.Limiter, s *store) { s.set(func() { s.fail = errDead }) }, func(_ *testing.T, _ *throttle.Limiter, s *store) { s.set(func() { s.fail = nil }) }, 50},
		{"unanswered", func(_ *testing.T, _ *throttle.Limiter, s *store) { s.set(func() { s.late = true }) }, func(_ *testing.T, _ *throttle.Limiter, s *store) { s.set(func() { s.late = false }) }, 90},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &store{}
				l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Rate: throttle.Per(100, 1000*time.Hour), Logger: quiet()})
				h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_ = l.Settle(w, "", 50)
					tc.lose(t, l, s)
					_ = l.Settle(w, "", 10)
					tc.find(t, l, s)
					for range 3 {
						_ = l.Settle(w, "", 10)
					}
				}))
				serve(h, request())
				if got := s.held("default", throttle.KeyAddr(addr("192.0.2.1"), 0)); got != tc.left {
					t.Errorf("settled to 50 and then to 10: %d left of 100, want %d", got, tc.left)
				}
			})
		})
	}
}

// C1: the same of a request that the share here was charged for first, and the Remote more.
func TestC1_ReturnsOfTheTwinsCharge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{fail: errDead}
		l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Rate: throttle.Per(100, 1000*time.Hour), Logger: quiet()})
		key := throttle.KeyAddr(addr("192.0.2.1"), 0)
		h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.set(func() { s.fail = nil })
			if !l.Charge(w, r, "", 50) {
				t.Error("no")
			}
			open(t, l, s)
			_ = l.Settle(w, "", 21) // 30 of the 50
			if here := l.Peek(t.Context(), key, 0).Remaining; here != 99 {
				t.Errorf("%d left here, want 99", here)
			}
			back(t, l, s)
			_ = l.Settle(w, "", 21)
		}))
		serve(h, request())
		if held := s.held("default", key); held != 80 {
			t.Errorf("%d left of 100 after 50 and 30 back, want 80", held)
		}
	})
}

// C1: what the Remote could not be told it takes is uncollected, until a later settlement collects it.
func TestC1_CollectedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Rate: throttle.Per(100, 1000*time.Hour), Logger: quiet()})
		h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			open(t, l, s)
			_ = l.Settle(w, "", 30)
			back(t, l, s)
			_ = l.Settle(w, "", 30)
			_ = l.Settle(w, "", 0)
		}))
		serve(h, request())
		if held := s.held("default", throttle.KeyAddr(addr("192.0.2.1"), 0)); held != 100 {
			t.Errorf("settled to 30 and to nothing: %d left of 100", held)
		}
		if n := l.Stats().Uncollected["default"]; n != 29 {
			t.Errorf("%d uncollected, want 29", n)
		}
	})
}

// D3: who is refused while a refund is on its way leaves no shield that outlives it.
func TestD3_RefundsEndShields(t *testing.T) {
	key := throttle.KeyAddr(addr("192.0.2.1"), 0)
	refused := func(t *testing.T, l *throttle.Limiter) {
		go l.Take(t.Context(), key, 1) // is decided after 5 ms, and shields after 10
		time.Sleep(time.Millisecond)
	}
	for name, give := range map[string]func(t *testing.T, l *throttle.Limiter){ // is there after 6 ms
		"Refund": func(t *testing.T, l *throttle.Limiter) {
			l.Take(t.Context(), key, 1)
			time.Sleep(2 * time.Second)
			refused(t, l)
			l.Refund(t.Context(), key, 2)
		},
		"Settle": func(t *testing.T, l *throttle.Limiter) {
			serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				time.Sleep(2 * time.Second)
				refused(t, l)
				_ = l.Settle(w, "", 0)
			})), request())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &store{latency: 10 * time.Millisecond}
				l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Rate: throttle.Per(2, time.Hour), Logger: quiet()})
				l.Take(t.Context(), key, 1)
				give(t, l)
				synctest.Wait()
				if d := l.Take(t.Context(), key, 1); !d.Allowed {
					t.Errorf("given back here, and refused: %+v", d)
				}
			})
		})
	}
}

// D3: what a caller has taken who leaves the line ends the shield that others have met.
func TestD3_LeavingEndsShields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{latency: 10 * time.Millisecond}
		l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Rate: throttle.Per(2, time.Hour), Logger: quiet()})
		key := throttle.KeyOf("k")
		gone, leave := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, leave)
		go func() { _ = l.Wait(gone, key, 2) }()
		time.Sleep(9 * time.Millisecond)
		go l.Take(t.Context(), key, 1) // is refused after 14 ms, as the other's are on their way back
		time.Sleep(30 * time.Millisecond)
		if d := l.Take(t.Context(), key, 2); !d.Allowed {
			t.Errorf("given back here, and refused: %+v", d)
		}
	})
}

// D3: Peek behind a shield makes no trip, whatever other policies there are.
func TestD3_PeekBehindAShield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Policies: []throttle.Policy{{Name: "big", Rate: throttle.Per(100, time.Hour)}, {Name: "small", Rate: throttle.Per(2, time.Hour)}}})
		l.Take(t.Context(), throttle.KeyOf("k"), 2)
		if d := l.Peek(t.Context(), throttle.KeyOf("k"), 1); d.Allowed || d.Policy != "small" || s.count() != 1 {
			t.Errorf("%+v, %d trips", d, s.count())
		}
	})
}

// D3: a settlement that takes more ends no shield.
func TestD3_SettlingMoreKeepsTheShield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Rate: throttle.Per(4, time.Hour), Logger: quiet()})
		key := throttle.KeyAddr(addr("192.0.2.1"), 0)
		serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			l.Take(t.Context(), key, 3)
			_ = l.Settle(w, "", 3)
			trips := s.count()
			if d := l.Take(t.Context(), key, 1); d.Allowed || s.count() != trips {
				t.Errorf("%+v after %d trips", d, s.count()-trips)
			}
		})), request())
	})
}

// R1: what was paid to a policy that is no more goes back to its bucket all the same.
func TestR1_SettleOfARemovedPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		cfg := throttle.Config{Remote: s, Lease: -1, Logger: quiet(), Policies: []throttle.Policy{{Name: "a", Rate: throttle.Per(10, time.Hour)}}}
		l := mustNew(t, cfg)
		key := throttle.KeyAddr(addr("192.0.2.1"), 0)
		serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = l.Settle(w, "", 5)
			cfg.Policies = []throttle.Policy{{Name: "b", Rate: throttle.Per(10, time.Hour)}}
			if err := l.Reconfigure(cfg); err != nil {
				t.Fatal(err)
			}
			_ = l.Settle(w, "", 2)
		})), request())
		if held := s.held("a", key); held != 8 {
			t.Errorf("%d left of 10, settled to 2", held)
		}
	})
}

// C1: paid here, and then more to the Remote: settled in steps each gets back its own, and once.
func TestC1_SettledInSteps(t *testing.T) {
	for _, gone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := &store{}
			l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Rate: throttle.Per(100, 1000*time.Hour), Logger: quiet()})
			key := throttle.KeyAddr(addr("192.0.2.1"), 0)
			l.Take(t.Context(), key, 5)
			s.set(func() { s.fail = errDead })
			h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s.set(func() { s.fail = nil })
				if !l.Charge(w, r, "", 50) {
					t.Error("no")
				}
				if gone {
					if err := l.Reconfigure(throttle.Config{Rate: throttle.Per(100, 1000*time.Hour)}); err != nil {
						t.Error(err)
					}
				}
				_ = l.Settle(w, "", 20)
				_ = l.Settle(w, "", 0)
			}))
			serve(h, request())
			want := int64(95)
			if gone { // nobody is left to tell the Remote
				want = 45
				if d := l.Peek(t.Context(), key, 0); d.Remaining != 100 {
					t.Errorf("%d left here, want 100", d.Remaining)
				}
			}
			if held := s.held("default", key); held != want {
				t.Errorf("gone %v: %d left of 100, want %d", gone, held, want)
			}
		})
	}
}

// C1: and the other way about: paid to the Remote, and then more here.
func TestC1_SettledInStepsHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		l := mustNew(t, throttle.Config{Remote: s, Lease: -1, Rate: throttle.Per(100, 1000*time.Hour), Logger: quiet()})
		key := throttle.KeyAddr(addr("192.0.2.1"), 0)
		l.Take(t.Context(), key, 5)
		serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.set(func() { s.fail = errDead })
			if !l.Charge(w, r, "", 50) {
				t.Error("no")
			}
			s.set(func() { s.fail = nil })
			_ = l.Settle(w, "", 20)
			_ = l.Settle(w, "", 0)
		})), request())
		if held := s.held("default", key); held != 95 {
			t.Errorf("%d left of 100 after 5, want 95", held)
		}
	})
}

// C1: a settlement for one policy is none for another, with a Remote and without.
func TestC1_SettleOne(t *testing.T) {
	for _, remote := range []throttle.Remote{nil, &store{}} {
		synctest.Test(t, func(t *testing.T) {
			cfg := throttle.Config{Policies: []throttle.Policy{{Name: "a", Rate: throttle.Per(10, time.Hour)}, {Name: "b", Rate: throttle.Per(9, time.Hour)}}}
			if remote != nil {
				cfg.Remote, cfg.Lease = remote, -1
			}
			l := mustNew(t, cfg)
			serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = l.Settle(w, "a", 3) })), request())
			if d := l.Peek(t.Context(), throttle.KeyAddr(addr("192.0.2.1"), 0), 8); d.Policy != "a" || d.RetryAfter != 6*time.Minute {
				t.Errorf("settled to 3 of 10, and 1 of 9: %+v", d)
			}
		})
	}
}

// C1: what is beyond the bucket counts as uncollected once, however often it is settled.
func TestC1_UncollectedOnce(t *testing.T) {
	for _, remote := range []throttle.Remote{nil, &store{}} {
		synctest.Test(t, func(t *testing.T) {
			cfg := throttle.Config{Rate: throttle.Per(10, time.Hour)}
			if remote != nil {
				cfg.Remote, cfg.Lease = remote, -1
			}
			l := mustNew(t, cfg)
			serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for _, tc := range []struct {
					cost int64
					want uint64 // beyond 20
				}{{30, 10}, {25, 10}, {30, 10}, {0, 10}, {40, 20}} {
					if err := l.Settle(w, "", tc.cost); err != nil || l.Stats().Uncollected["default"] != tc.want {
						t.Errorf("settled to %d: %v, %d uncollected, want %d", tc.cost, err, l.Stats().Uncollected["default"], tc.want)
					}
				}
			})), request())
		})
	}
}
