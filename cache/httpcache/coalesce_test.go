package httpcache_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache/httpcache"
)

// 1,000 clients on a cold key: one call, and each has its first byte when the first has.
func TestL1_ColdKey(t *testing.T) {
	for _, tc := range []struct {
		name   string
		header time.Duration
		calls  int64
	}{{"header after 100 ms", 100 * time.Millisecond, 1}, {"header after 5 s", 5 * time.Second, 2}, {"header after 7 s", 7 * time.Second, 3}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
					time.Sleep(tc.header)
					w.Header().Set("Cache-Control", "max-age=60")
					_, _ = io.WriteString(w, "begin ")
					_ = http.NewResponseController(w).Flush()
					time.Sleep(time.Second)
					_, _ = io.WriteString(w, "end")
				})
				began := time.Now()
				var later atomic.Int64
				var wg sync.WaitGroup
				for range 1000 {
					wg.Go(func() {
						w := &timed{sink: sink2{h: http.Header{}}}
						s.ServeHTTP(w, request("GET", "http://example.com/a"))
						if w.body.String() != "begin end" {
							t.Errorf("body %q", w.body.String())
						}
						if w.first.Sub(began) != tc.header {
							later.Add(1) // those who asked themselves, after 3 s and 6 s
						}
					})
				}
				wg.Wait()
				s.want(tc.calls, "1,000 clients")
				if n := later.Load(); n != tc.calls-1 {
					t.Errorf("%d had their first byte later than the first", n)
				}
				s.get()
				s.want(tc.calls, "afterwards a hit")
			})
		})
	}
}

type sink2 struct{ h http.Header }

// timed notes when the first byte came.
type timed struct {
	sink  sink2
	first time.Time
	body  strings.Builder
}

func (w *timed) Header() http.Header { return w.sink.h }
func (w *timed) WriteHeader(int)     {}
func (w *timed) FlushError() error   { return nil }
func (w *timed) Write(p []byte) (int, error) {
	if w.first.IsZero() {
		w.first = time.Now()
	}
	return w.body.Write(p)
}

func TestL1_NegativeMeansNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, httpcache.Config{CoalesceWait: -1}, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			says("x", "Cache-Control: max-age=60")(w, r)
		})
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { s.get() })
		}
		wg.Wait()
		s.want(5, "no coalescing")
	})
}

// L3: where nothing could be shared nobody waits for 10 s.
func TestL3_Mark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		control := "no-store"
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", control)
			time.Sleep(time.Second)
		})
		two := func() time.Duration {
			began := time.Now()
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() { s.get() })
			}
			wg.Wait()
			return time.Since(began)
		}
		if took := two(); took != 2*time.Second {
			t.Errorf("the first pair took %v: one waits for the header of the other", took)
		}
		if took := two(); took != time.Second {
			t.Errorf("the second pair took %v: somebody waited", took)
		}
		if st := s.Stats(); st.Bypassed != 2 {
			t.Errorf("%+v", st)
		}
		time.Sleep(11 * time.Second)
		if took := two(); took != 2*time.Second {
			t.Errorf("after the mark has ended: %v", took)
		}
		control = "max-age=60"
		s.get() // a storable response removes the mark
		s.get() // so that the next is stored
		s.want(8, "then a hit")
		s.get()
		s.want(8, "then a hit")
	})
}

// L3: a mark is renewed while nothing better comes, and an outer layer's cookie is not the handler's.
func TestL3_MarksLastAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		control := "no-store"
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Cache-Control", control) })
		ask := func() {
			s.ServeHTTP(&recorderOf{h: http.Header{"Set-Cookie": {"visit=1"}}}, request("GET", "http://example.com/a"))
		}
		for i := range 5 { // at 0, 6, 12, 18, 24 s: the first leads
			ask()
			if n := s.Stats().Bypassed; n != uint64(i) {
				t.Errorf("after %d requests %d found a mark", i+1, n)
			}
			time.Sleep(6 * time.Second)
		}
		control = "max-age=600"
		ask() // takes the mark away
		ask() // is stored
		ask()
		s.want(7, "then a hit")
	})
}

func TestL4_WhoNeitherLeadsNorWaits(t *testing.T) {
	for _, fields := range [][]string{{"Authorization: a"}, {"Range: bytes=0-1"}, {"Cache-Control: no-store"}, {`If-None-Match: "x"`}} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Second)
				says("x", "Cache-Control: max-age=60")(w, r)
			})
			began := time.Now()
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() { s.get(fields...) })
			}
			wg.Wait()
			if time.Since(began) != time.Second {
				t.Errorf("%v: took %v", fields, time.Since(began))
			}
			s.want(3, fields[0])
		})
	}
}

// L6, L7 and everything that can go wrong with a leader: the next request is whole, nobody
// hangs, no goroutine is left (TestMain).
func TestL7_Failures(t *testing.T) {
	half := strings.Repeat("x", 36_000)
	for name, f := range map[string]http.HandlerFunc{
		"panic before the header": func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(10 * time.Millisecond)
			panic(http.ErrAbortHandler)
		},
		"panic with 0 bytes sent": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(10 * time.Millisecond)
			panic(http.ErrAbortHandler)
		},
		"panic with 100 bytes": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, half[:100])
			_ = http.NewResponseController(w).Flush()
			time.Sleep(10 * time.Millisecond)
			panic(http.ErrAbortHandler)
		},
		"panic with 36 kB": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, half)
			time.Sleep(10 * time.Millisecond)
			panic(http.ErrAbortHandler)
		},
		"short body": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "50000")
			_, _ = io.WriteString(w, half)
			time.Sleep(10 * time.Millisecond)
		},
		"hijack": func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(10 * time.Millisecond)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var broken atomic.Bool
			broken.Store(true)
			s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				if broken.Load() {
					f(w, r)
					return
				}
				_, _ = io.WriteString(w, "whole")
			})
			srv := httptest.NewServer(s)
			defer srv.Close()
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // or it would try again
			get := func() (string, error) {
				res, err := client.Get(srv.URL)
				if err != nil {
					return "", err
				}
				defer res.Body.Close()
				b, err := io.ReadAll(res.Body)
				return string(b), err
			}
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() {
					if b, err := get(); err == nil {
						t.Errorf("what was cut looks whole: %d bytes", len(b))
					}
				})
			}
			wg.Wait()
			broken.Store(false)
			for range 2 {
				if b, err := get(); b != "whole" || err != nil {
					t.Errorf("the next request: %q, %v", b, err)
				}
			}
			for range 500 { // who has hijacked its connection has an end that no client sees
				if s.Stats().InFlight == 0 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if st := s.Stats(); st.Stored != 1 || st.InFlight != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestL7_Goexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			if first {
				first = false
				runtime.Goexit()
			}
			says("whole", "Cache-Control: max-age=60")(w, r)
		})
		var wg sync.WaitGroup
		wg.Go(func() { s.get() })
		synctest.Wait()
		wg.Go(func() {
			if w := s.get(); w.Body.String() != "whole" {
				t.Errorf("the follower got %q", w.Body)
			}
		})
		wg.Wait()
	})
}

// L6: the leader's client leaves; the others get everything, and it is stored. If all leave the
// handler's context ends.
func TestL6_ClientsLeave(t *testing.T) {
	for _, all := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ended := false
			s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				_, _ = io.WriteString(w, "begin ")
				select {
				case <-r.Context().Done():
					ended = true
				case <-time.After(10 * time.Second):
				}
				_, _ = io.WriteString(w, "end")
			})
			ctx, leave := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			ask := func(ctx context.Context) *httptest.ResponseRecorder {
				w := httptest.NewRecorder()
				defer func() { _ = recover() }()
				s.ServeHTTP(w, request("GET", "http://example.com/a").WithContext(ctx))
				return w
			}
			wg.Go(func() { ask(ctx) })
			synctest.Wait()
			ctx2, leave2 := context.WithCancel(t.Context())
			wg.Go(func() {
				if w := ask(ctx2); !all && w.Body.String() != "begin end" {
					t.Errorf("the follower got %q", w.Body)
				}
			})
			synctest.Wait()
			leave()
			time.Sleep(time.Second)
			synctest.Wait()
			if ended {
				t.Error("the handler was ended while somebody waits")
			}
			if all {
				leave2()
				synctest.Wait()
				if !ended {
					t.Error("nobody waits, and the handler goes on")
				}
			}
			wg.Wait()
			leave2()
			if stored := s.Stats().Stored == 1; stored == all {
				t.Errorf("all left %v: stored %v", all, stored)
			}
			s.want(1, "one call")
		})
	}
}

// slowWriter takes nothing until it is let.
type slowWriter struct {
	timed
	gate chan struct{}
}

func (w *slowWriter) Write(p []byte) (int, error) {
	<-w.gate
	return w.timed.Write(p)
}

// B3: a leader's client that takes nothing does not slow the others.
func TestB3_SlowLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			for range 10 {
				time.Sleep(time.Second)
				_, _ = io.WriteString(w, "0123456789")
			}
		})
		leader := &slowWriter{timed: timed{sink: sink2{h: http.Header{}}}, gate: make(chan struct{})}
		var wg sync.WaitGroup
		wg.Go(func() { s.ServeHTTP(leader, request("GET", "http://example.com/a")) })
		synctest.Wait()
		began := time.Now()
		if w := s.get(); w.Body.Len() != 100 || time.Since(began) != 10*time.Second {
			t.Errorf("%d bytes after %v", w.Body.Len(), time.Since(began))
		}
		close(leader.gate)
		wg.Wait()
		if leader.body.Len() != 100 {
			t.Errorf("the leader got %d bytes", leader.body.Len())
		}
		s.want(1, "one call")
	})
}

// B2: who comes while the body grows gets it from its beginning.
func TestB2_LateFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			for range 5 {
				_, _ = io.WriteString(w, "x")
				time.Sleep(time.Second)
			}
		})
		var wg sync.WaitGroup
		wg.Go(func() { s.get() })
		time.Sleep(2500 * time.Millisecond)
		if w := s.get(); w.Body.String() != "xxxxx" || !strings.Contains(w.Header().Get("Cache-Status"), "collapsed") {
			t.Errorf("%q %s", w.Body, w.Header().Get("Cache-Status"))
		}
		wg.Wait()
		s.want(1, "one call")
	})
}

// B4: past MaxEntry who is attached stays, nobody new comes, and memory is bounded.
func TestB4_PastMaxEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		piece := strings.Repeat("x", 1<<10)
		s := newSite(t, httpcache.Config{MaxEntry: 8 << 10}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			for range 64 {
				time.Sleep(time.Second)
				_, _ = io.WriteString(w, piece)
			}
		})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if w := s.get(); w.Body.Len() != 64<<10 {
					t.Errorf("%d bytes", w.Body.Len())
				}
			})
		}
		time.Sleep(20 * time.Second)
		s.want(1, "who came together")
		wg.Go(func() { s.get() })
		time.Sleep(time.Second)
		s.want(2, "who came too late")
		wg.Wait()
		if st := s.Stats(); st.Stored != 0 || st.NotStored["too-large"] != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// B4: a reader that takes nothing for 10 s is cut, and the others go on.
func TestB4_StuckReaderIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		piece := strings.Repeat("x", 1<<10)
		s := newSite(t, httpcache.Config{MaxEntry: 4 << 10}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			time.Sleep(time.Second)
			for range 64 {
				_, _ = io.WriteString(w, piece)
			}
		})
		stuck := &slowWriter{timed: timed{sink: sink2{h: http.Header{}}}, gate: make(chan struct{})}
		var wg sync.WaitGroup
		wg.Go(func() {
			if w := s.get(); w.Body.Len() != 64<<10 {
				t.Errorf("%d bytes", w.Body.Len())
			}
		})
		synctest.Wait()
		wg.Go(func() {
			defer func() {
				if recover() != http.ErrAbortHandler {
					t.Error("the stuck reader was not cut")
				}
			}()
			s.ServeHTTP(stuck, request("GET", "http://example.com/a"))
		})
		time.Sleep(15 * time.Second)
		close(stuck.gate)
		wg.Wait()
	})
}
