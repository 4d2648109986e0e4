package stacktest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/pool/bulkhead"
	"github.com/hotpath-go/hotpath/throttle"
)

func bounding(t *testing.T, cfg bulkhead.Config) (middleware, *bulkhead.Bulkhead) {
	t.Helper()
	b, err := bulkhead.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return middleware{name: "bulkhead", wrap: b.Handler}, b
}

// orders are the permutations of s.
func orders(s string) (all []string) {
	if len(s) < 2 {
		return []string{s}
	}
	for i := range s {
		for _, rest := range orders(s[:i] + s[i+1:]) {
			all = append(all, s[i:i+1]+rest)
		}
	}
	return all
}

// boundedStacks are bulkhead with httpcache, compress and throttle in every order of two and of
// three, the recommended order of all, and stacks with a second Bulkhead or a logger in the gaps.
func boundedStacks() (all []string) {
	all = []string{"b", "bb", "tchb", "bhct", "bhb", "lblhlcl", "lclbl"}
	for _, others := range []string{"h", "c", "t", "hc", "ht", "ct"} {
		all = append(all, orders("b"+others)...)
	}
	return all
}

// In every order a client gets what the bare handler sends, the handler runs once for what is
// cached, and no slot and no byte is left behind, kept responses or not.
func TestBoundedStacks(t *testing.T) {
	bare := httptest.NewServer(service())
	defer bare.Close()
	plain := &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}
	for i, letters := range boundedStacks() {
		for _, proto := range []string{"HTTP/1.1", "HTTP/2"} {
			t.Run(letters+"/"+proto, func(t *testing.T) {
				var calls atomic.Int64
				var bulkheads []*bulkhead.Bulkhead
				h := cacheable(&calls)
				for _, letter := range slices.Backward([]byte(letters)) {
					var m middleware
					switch letter {
					case 'b':
						var b *bulkhead.Bulkhead
						// A buffer, none, and one that /long is too large for.
						m, b = bounding(t, bulkhead.Config{Limit: 4, Buffer: []int64{0, -1, 50_000}[(i+len(bulkheads))%3]})
						bulkheads = append(bulkheads, b)
					case 'h':
						m, _ = caching(t)
					case 'c':
						m = ours(t)
					case 't':
						m = limiter(t)
					case 'l':
						m = foreign[0]
					}
					h = m.wrap(h)
				}
				srv := httptest.NewUnstartedServer(h)
				srv.EnableHTTP2 = proto == "HTTP/2"
				srv.StartTLS()
				defer srv.Close()
				client := srv.Client()
				client.Transport.(*http.Transport).DisableCompression = true
				for _, coding := range []string{"gzip", "identity"} {
					for _, path := range []string{"/doc", "/long", "/late", "/trailers", "/events", "/none"} {
						want := ask(t, plain, "GET", bare.URL+path)
						before := calls.Load()
						for _, which := range []string{"cold", "warm"} {
							got := ask(t, client, "GET", srv.URL+path, "Accept-Encoding: "+coding)
							if got.err != nil || got.status != want.status || got.body != want.body || got.header.Get("X-Own") != want.header.Get("X-Own") || got.sum != want.sum {
								t.Errorf("%s %s by %s: %d, %d bytes, %q, %v; bare %d, %d bytes", which, path, coding, got.status, len(got.body), got.sum, got.err, want.status, len(want.body))
							}
							coded := got.header.Get("Content-Encoding") == "gzip"
							if may := coding == "gzip" && strings.Contains(letters, "c"); coded && !may || !coded && may && path != "/none" && path != "/events" {
								t.Errorf("%s %s by %s: encoded: %t", which, path, coding, coded)
							}
						}
						if n := calls.Load() - before; strings.Contains(letters, "h") && path != "/trailers" && n > 1 {
							t.Errorf("%s by %s: the handler ran %d times", path, coding, n)
						}
					}
					tag := ask(t, client, "GET", srv.URL+"/doc", "Accept-Encoding: "+coding).header.Get("Etag")
					if a := ask(t, client, "GET", srv.URL+"/doc", "Accept-Encoding: "+coding, "If-None-Match: "+tag); a.status != 304 || a.header.Get("Etag") != tag {
						t.Errorf("%s: revalidation of %s: %d %s", coding, tag, a.status, a.header.Get("Etag"))
					}
					if a := ask(t, client, "HEAD", srv.URL+"/doc", "Accept-Encoding: "+coding); a.status != 200 || a.header.Get("Etag") != tag || a.body != "" {
						t.Errorf("%s: HEAD: %d %v", coding, a.status, a.header)
					}
					if a := ask(t, client, "PUT", srv.URL+"/doc", "Accept-Encoding: "+coding, "If-Match: "+tag); a.status != 200 {
						t.Errorf("%s: update of %s: %d", coding, tag, a.status)
					}
					if a := ask(t, client, "GET", srv.URL+"/abort", "Accept-Encoding: "+coding); a.err == nil {
						t.Errorf("%s: an abort looks whole: %d, %d bytes", coding, a.status, len(a.body))
					}
				}
				srv.Close() // when it returns, so have the handlers
				for _, b := range bulkheads {
					if s := b.Stats(); s.InFlight != 0 || s.BufferBytes != 0 || s.LongLived != 0 || s.Requests["served"] == 0 {
						t.Errorf("left: %d in flight, %d bytes, %d long-lived, %v", s.InFlight, s.BufferBytes, s.LongLived, s.Requests)
					}
				}
			})
		}
	}
}

// The kept response of a cache is handed on with its forms: an outer compress sends the stored
// one, through a Bulkhead in between.
func TestBoundedStacks_EncodeOnce(t *testing.T) {
	m, c := caching(t)
	bounds, b := bounding(t, bulkhead.Config{})
	var calls atomic.Int64
	small, err := compress.New(compress.Config{Codings: []compress.Coding{compress.Gzip(0)}})
	if err != nil {
		t.Fatal(err)
	}
	h := small.Handler(bounds.wrap(m.wrap(cacheable(&calls))))
	for range 5 {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/doc", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		h.ServeHTTP(w, r)
		if w.Header().Get("Content-Encoding") != "gzip" {
			t.Error(w.Header())
		}
	}
	if st := c.Stats(); st.Coded != 4 || calls.Load() != 1 || b.Stats().Requests["served"] != 5 {
		t.Errorf("%+v, %d calls", st, calls.Load())
	}
	if st := small.Stats(); st.Stored != 3 { // the first is streamed, the second hit makes the form
		t.Errorf("%d answered from the kept form", st.Stored)
	}
}

// changing answers with the number of its call, and takes as long as it is told.
type changing struct {
	calls atomic.Int64
	takes atomic.Int64
	field string
}

func (c *changing) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	n := c.calls.Add(1)
	time.Sleep(time.Duration(c.takes.Load()))
	w.Header().Set("Cache-Control", c.field)
	fmt.Fprint(w, n)
}

func fetch(ctx context.Context, h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", path, nil))
	return w
}

// An overloaded service with a cache in front stays up: a refusal is answered by what is stale
// if that may be, is never stored, and never stands for the others who wait.
func TestBoundedStacks_StaleInsteadOfARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := caching(t)
		bounds, b := bounding(t, bulkhead.Config{Limit: 1, Fixed: true, Queue: -1})
		docs := &changing{field: "max-age=10, stale-if-error=600"}
		h := m.wrap(bounds.wrap(docs))
		if w := fetch(t.Context(), h, "/doc"); w.Body.String() != "1" {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		time.Sleep(time.Minute)
		release, err := b.Acquire(t.Context(), bulkhead.Class{})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if w := fetch(t.Context(), h, "/doc"); w.Code != 200 || w.Body.String() != "1" {
				t.Errorf("stale: %d %s", w.Code, w.Body)
			}
			if w := fetch(t.Context(), h, "/other"); w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("nothing stale: %d %v", w.Code, w.Header())
			}
		}
		release()
		if w := fetch(t.Context(), h, "/other"); w.Code != 200 || w.Body.String() != "2" {
			t.Errorf("afterwards: %d %s", w.Code, w.Body)
		}
		if st := c.Stats(); st.Stored != 2 {
			t.Errorf("%d stored", st.Stored)
		}
	})
}

// A refresh that no client waits for never displaces a request.
func TestBoundedStacks_ARefreshWaitsForRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := caching(t)
		bounds, b := bounding(t, bulkhead.Config{Limit: 1, Fixed: true, Floor: -1})
		docs := &changing{field: "max-age=10, stale-while-revalidate=600"}
		h := m.wrap(bounds.wrap(docs))
		fetch(t.Context(), h, "/doc")
		time.Sleep(time.Minute)
		release, err := b.Acquire(t.Context(), bulkhead.Class{})
		if err != nil {
			t.Fatal(err)
		}
		if w := fetch(t.Context(), h, "/doc"); w.Body.String() != "1" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		synctest.Wait()
		if n := b.Stats().Waiting; n["low"] != 1 || n["normal"] != 0 {
			t.Errorf("the refresh waits as %v", n)
		}
		var order sync.WaitGroup
		docs.takes.Store(int64(10 * time.Millisecond))
		order.Go(func() {
			if w := fetch(t.Context(), h, "/client"); w.Body.String() != "2" {
				t.Errorf("who came later, but is a client: %d %s", w.Code, w.Body)
			}
		})
		synctest.Wait()
		release()
		order.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		if w := fetch(t.Context(), h, "/doc"); w.Body.String() != "3" {
			t.Errorf("refreshed: %d %s", w.Code, w.Body)
		}
	})
}

// A throttle stops the abuser before he takes a slot, and a refusal of a Bulkhead outside costs no
// token.
func TestBoundedStacks_ThrottleStacked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := throttle.New(throttle.Config{Rate: throttle.Per(1, time.Hour), Burst: 2})
		if err != nil {
			t.Fatal(err)
		}
		bounds, b := bounding(t, bulkhead.Config{Limit: 1, Fixed: true, Queue: -1})
		docs := &changing{field: "no-store"}
		outside, inside := l.Handler(bounds.wrap(docs)), bounds.wrap(l.Handler(docs))
		release, err := b.Acquire(t.Context(), bulkhead.Class{})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if w := fetch(t.Context(), inside, "/"); w.Code != 503 || w.Header().Get("RateLimit") != "" {
				t.Errorf("%d %v", w.Code, w.Header())
			}
		}
		release()
		for i, want := range []int{200, 200, 429, 429} {
			if w := fetch(t.Context(), outside, "/"); w.Code != want {
				t.Errorf("request %d: %d", i, w.Code)
			}
		}
		if s := b.Stats(); s.Requests["refused"] != 5 || s.Started["normal"] != 3 || s.InFlight != 0 {
			t.Errorf("%v, %v", s.Requests, s.Started)
		}
	})
}
