package httpcache_test

import (
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache/httpcache"
)

func quiet(cfg httpcache.Config) httpcache.Config {
	cfg.Logger = slog.New(slog.DiscardHandler)
	return cfg
}

// T1: the window of stale-while-revalidate ends exactly; one refresh behind.
func TestT1_StaleWhileRevalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, quiet(httpcache.Config{}), func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			says("x", "Cache-Control: max-age=11, stale-while-revalidate=5")(w, r)
		})
		s.get() // its age is 1 s when it comes
		time.Sleep(10 * time.Second)
		for range 5 {
			began := time.Now()
			if w := s.get(); time.Since(began) != 0 || w.Header().Get("Cache-Status") != "hotpath; hit; ttl=0; detail=stale-while-revalidate" {
				t.Error(time.Since(began), w.Header().Get("Cache-Status"))
			}
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.want(2, "one refresh")
		if st := s.Stats(); st.Refreshes != 1 || st.Stale != 5 {
			t.Errorf("%+v", st)
		}
		time.Sleep(14 * time.Second) // 10 fresh and 5 stale since it came, a second ago
		began := time.Now()
		s.get()
		if time.Since(began) != time.Second {
			t.Error("served past the window")
		}
	})
}

func TestT2_StaleIfError(t *testing.T) {
	for _, tc := range []struct {
		name, control string
		cfg           httpcache.Config
		after         time.Duration
		f             http.HandlerFunc
		served        bool
	}{
		{"503", "max-age=1, stale-if-error=5", httpcache.Config{}, 6*time.Second - 1, status(503), true},
		{"503, window over", "max-age=1, stale-if-error=5", httpcache.Config{}, 6 * time.Second, status(503), false},
		{"503 by Config", "max-age=1", httpcache.Config{StaleIfError: 5 * time.Second}, 5 * time.Second, status(503), true},
		{"panic", "max-age=1, stale-if-error=5", httpcache.Config{}, 2 * time.Second, func(http.ResponseWriter, *http.Request) { panic("x") }, true},
		{"abort", "max-age=1, stale-if-error=5", httpcache.Config{}, 2 * time.Second, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
		{"501", "max-age=1, stale-if-error=5", httpcache.Config{}, 2 * time.Second, status(501), false},
		{"T6: 429 by Config", "max-age=1", httpcache.Config{StaleIfError: 5 * time.Second}, 2 * time.Second, status(429), true},
		{"T6: 429 by the response", "max-age=1, stale-if-error=5", httpcache.Config{}, 2 * time.Second, status(429), false},
		{"T3: must-revalidate", "max-age=1, stale-if-error=5, must-revalidate", httpcache.Config{}, 2 * time.Second, status(503), false},
		{"T3: proxy-revalidate", "max-age=1, stale-if-error=5, proxy-revalidate", httpcache.Config{}, 2 * time.Second, status(503), false},
		{"T3: s-maxage", "s-maxage=1, stale-if-error=5", httpcache.Config{}, 2 * time.Second, status(503), false},
	} {
		for _, tag := range []string{"", `"1"`} {
			t.Run(tc.name+tag, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := says("good", "Cache-Control: "+tc.control)
					if tag != "" {
						f = says("good", "Cache-Control: "+tc.control, "Etag: "+tag)
					}
					s := newSite(t, quiet(tc.cfg), func(w http.ResponseWriter, r *http.Request) { f(w, r) })
					s.get()
					f = tc.f
					time.Sleep(tc.after)
					w := s.get()
					if served := w.Code == 200 && w.Body.String() == "good"; served != tc.served {
						t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
					}
					if st := s.Stats(); tc.served && st.Stale != 1 || st.InFlight != 0 {
						t.Errorf("%+v", st)
					}
				})
			})
		}
	}
}

func status(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Error(w, "sorry", n) }
}

// T5, T6: after a failure the handler is left alone for 1 s, 2, 4 ... 30 s.
func TestT5_T6_BackOff(t *testing.T) {
	for _, control := range []string{"max-age=1, stale-if-error=1000", "max-age=1, stale-while-revalidate=1000"} {
		synctest.Test(t, func(t *testing.T) {
			f := says("good", "Cache-Control: "+control)
			s := newSite(t, quiet(httpcache.Config{}), func(w http.ResponseWriter, r *http.Request) { f(w, r) })
			s.get()
			f = status(503)
			time.Sleep(time.Second)
			for range 1270 { // 127 s
				if w := s.get(); w.Body.String() != "good" {
					t.Fatal(w.Code)
				}
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
			}
			s.want(1+9, control) // at 0, 1, 3, 7, 15, 31, then every 30
		})
	}
}

// T4: a refresh has no body, range or conditions of its client, the stored validators, and a
// panic in it is nobody's.
func TestT4_Refresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen http.Header
		s := newSite(t, quiet(httpcache.Config{}), func(w http.ResponseWriter, r *http.Request) {
			if seen = r.Header; r.Header.Get("If-None-Match") != "" {
				panic("behind")
			}
			says("good", "Cache-Control: max-age=1, stale-while-revalidate=100", `Etag: "1"`)(w, r)
		})
		s.get()
		time.Sleep(2 * time.Second)
		if w := s.get("Range: bytes=0-1", `If-None-Match: "2"`, "X-Else: 1"); w.Code != 206 || w.Body.String() != "go" {
			t.Error(w.Code, w.Body)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if seen.Get("Range") != "" || seen.Get("If-None-Match") != `"1"` || seen.Get("X-Else") != "1" {
			t.Error(seen)
		}
		if st := s.Stats(); st.RefreshErrors != 1 || st.InFlight != 0 {
			t.Errorf("%+v", st)
		}
	})
}
