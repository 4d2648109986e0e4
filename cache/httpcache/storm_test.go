package httpcache_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/cache/ristrettostore"
)

// A storm over real connections: users with Authorization, with cookies and without, who wait, hang up, read
// slowly, ask for ranges and reload, while pages are purged and handlers fail. Whatever happens, nobody gets
// what was made for another, nothing that is cut looks whole, and at the end nothing is left.
func TestStorm(t *testing.T) {
	small, err := ristrettostore.New[httpcache.Key, *httpcache.Object](ristrettostore.Config{MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = small.Close(context.Background()) }()
	for name, cfg := range map[string]httpcache.Config{
		"built-in, small": {MaxBytes: 256 << 10, MaxEntry: 64 << 10, StaleIfError: time.Minute, CoalesceWait: 30 * time.Millisecond},
		"ristretto":       {Store: small, MaxEntry: 64 << 10, CoalesceWait: 30 * time.Millisecond, KeepSetCookie: true},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/HTTP2 %t", name, http2), func(t *testing.T) { storm(t, cfg, http2) })
		}
	}
}

func storm(t *testing.T, cfg httpcache.Config, http2 bool) {
	var version atomic.Int64
	s := newSite(t, cfg, func(w http.ResponseWriter, r *http.Request) {
		h, page := w.Header(), r.URL.Path
		user := r.Header.Get("Authorization") + r.Header.Get("Cookie")
		text := "page " + page
		switch {
		case strings.Contains(page, "own"): // by who asks, and says so
			text += " of " + user
			h.Set("Cache-Control", []string{"private, max-age=60", "no-store", "max-age=0", "no-cache"}[rand.IntN(4)])
		case strings.Contains(page, "vary"):
			text += " of " + user
			h.Set("Vary", "Authorization, Cookie")
			h.Set("Cache-Control", "public, max-age=60")
		default:
			h.Set("Cache-Control", "public, max-age="+[]string{"0", "1", "60"}[rand.IntN(3)])
			h.Set("Etag", fmt.Sprintf(`"%d"`, version.Load()))
			h.Set("Cache-Tag", "all")
			if r.Header.Get("If-None-Match") == h.Get("Etag") && rand.IntN(2) == 0 {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		if rand.IntN(4) == 0 {
			time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond) // a slow header
		}
		switch rand.IntN(12) {
		case 0:
			panic(http.ErrAbortHandler)
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, text+" end")
			return
		}
		_, _ = io.WriteString(w, text+" ")
		if rand.IntN(3) == 0 {
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond) // a slow body
		}
		_, _ = io.WriteString(w, strings.Repeat("x", rand.IntN(3)*30_000))
		if rand.IntN(12) == 0 {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, " end")
	})
	srv := httptest.NewUnstartedServer(s)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.EnableHTTP2 = http2
	srv.StartTLS()
	client := srv.Client()
	const clients, each = 40, 25
	var whole atomic.Int64
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for range each {
				page := []string{"a", "b", "own-1", "own-2", "vary-1"}[rand.IntN(5)]
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				if rand.IntN(6) == 0 {
					time.AfterFunc(time.Duration(rand.IntN(30))*time.Millisecond, cancel) // it hangs up
				}
				r, _ := http.NewRequestWithContext(ctx, "GET", srv.URL+"/"+page, nil)
				user := ""
				switch i % 3 {
				case 1:
					user = fmt.Sprint("auth-", i)
					r.Header.Set("Authorization", user)
				case 2:
					user = fmt.Sprint("c=", i)
					r.Header.Set("Cookie", user)
				}
				switch rand.IntN(8) {
				case 0:
					r.Header.Set("Cache-Control", "no-cache")
				case 1:
					r.Header.Set("Cache-Control", "no-store")
				case 2:
					r.Header.Set("If-None-Match", `"0"`)
				}
				res, err := client.Do(r)
				if err == nil {
					if rand.IntN(10) == 0 {
						time.Sleep(20 * time.Millisecond) // it reads late
					}
					var b []byte
					if b, err = io.ReadAll(res.Body); err == nil {
						body, mine := string(b), "page /"+page
						if strings.HasPrefix(page, "own") || strings.HasPrefix(page, "vary") {
							mine += " of " + user
						}
						switch res.StatusCode {
						case 200, 503:
							whole.Add(1)
							if strings.HasPrefix(body, `{`) { // our own refusal
								break
							}
							if !strings.HasPrefix(body, mine+" ") || !strings.HasSuffix(body, " end") {
								t.Errorf("%q of %q got %d, %.80q ... %d bytes", page, user, res.StatusCode, body, len(body))
							}
						case 304:
							if r.Header.Get("If-None-Match") == "" || body != "" {
								t.Errorf("%q: a 304 for nothing that was asked: %q", page, body)
							}
						default:
							t.Errorf("%q: %d", page, res.StatusCode)
						}
					}
					res.Body.Close()
				}
				cancel()
				switch rand.IntN(30) {
				case 0:
					version.Add(1)
					s.PurgeTags("all")
				case 1:
					_ = s.Purge(srv.URL + "/" + page)
				case 2:
					s.ExpireTags("all")
				case 3:
					s.PurgeAll()
				}
			}
		})
	}
	wg.Wait()
	client.CloseIdleConnections()
	srv.Close()
	if n := whole.Load(); n < clients*each/3 {
		t.Errorf("only %d of %d answers came", n, clients*each)
	}
	for range 500 {
		if s.Stats().InFlight == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	st := s.Stats()
	if sum := st.Hits + st.Stale + st.Revalidated + st.Misses + st.Coalesced + st.Bypassed; st.InFlight != 0 || sum == 0 {
		t.Errorf("%d in flight, %d outcomes", st.InFlight, sum)
	}
	if st.Bytes > 1<<20 {
		t.Errorf("%d bytes", st.Bytes)
	}
}
