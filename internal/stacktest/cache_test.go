package stacktest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/throttle"
)

func caching(t *testing.T) (middleware, *httpcache.Cache) {
	t.Helper()
	c, err := httpcache.New(httpcache.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return middleware{name: "httpcache", wrap: c.Handler}, c
}

// cacheable is service with a word about caching on everything.
func cacheable(calls *atomic.Int64) http.Handler {
	next := service()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		w.Header().Set("Cache-Control", "max-age=600")
		next.ServeHTTP(w, r)
	})
}

// permutations of two and three layers, httpcache among them.
func cachingStacks(t *testing.T) (all [][]middleware) {
	for _, names := range []string{"h", "hc", "ch", "ht", "th", "hct", "htc", "cht", "cth", "thc", "tch", "chc", "hh", "lhlcl"} {
		all = append(all, stackOf(t, names))
	}
	return all
}

// In every order a client gets, cold, warm and revalidating, what the bare handler sends, and
// the handler runs once.
func TestCachingStacks(t *testing.T) {
	bare := httptest.NewServer(service())
	defer bare.Close()
	plain := &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}
	for _, stack := range cachingStacks(t) {
		var calls atomic.Int64
		h, names := cacheable(&calls), []string{}
		coded := false
		for i := len(stack) - 1; i >= 0; i-- {
			h = stack[i].wrap(h)
			names = append([]string{stack[i].name}, names...)
			coded = coded || stack[i].name == "compress"
		}
		for _, proto := range []string{"HTTP/1.1", "HTTP/2"} {
			t.Run(strings.Join(names, ">")+"/"+proto, func(t *testing.T) {
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
						for _, which := range []string{"cold", "warm", "warm"} {
							got := ask(t, client, "GET", srv.URL+path, "Accept-Encoding: "+coding)
							if got.err != nil || got.status != want.status || got.body != want.body || got.header.Get("X-Own") != want.header.Get("X-Own") || got.sum != want.sum {
								t.Errorf("%s %s by %s: %d, %d bytes, %q, %v; bare %d, %d bytes", which, path, coding, got.status, len(got.body), got.sum, got.err, want.status, len(want.body))
							}
							// A stored stream of 50 bytes is not worth a coding.
							if coded && coding == "gzip" && path != "/none" && (path != "/events" || which == "cold") && got.header.Get("Content-Encoding") != "gzip" {
								t.Errorf("%s %s: not encoded", which, path)
							}
							if coding == "identity" && got.header.Get("Content-Encoding") != "" {
								t.Errorf("%s %s: a coding that was not named", which, path)
							}
						}
						if n := calls.Load() - before; path != "/trailers" && n > 1 {
							t.Errorf("%s by %s: the handler ran %d times", path, coding, n)
						}
					}
					get := ask(t, client, "GET", srv.URL+"/doc", "Accept-Encoding: "+coding)
					tag := get.header.Get("Etag")
					if a := ask(t, client, "GET", srv.URL+"/doc", "Accept-Encoding: "+coding, "If-None-Match: "+tag); strings.Count(strings.Join(names, ""), "compress") < 2 && (a.status != 304 || a.header.Get("Etag") != tag) {
						t.Errorf("%s: revalidation of %s: %d %s", coding, tag, a.status, a.header.Get("Etag"))
					}
					if a := ask(t, client, "HEAD", srv.URL+"/doc", "Accept-Encoding: "+coding); a.header.Get("Etag") != tag || a.body != "" || a.status != 200 {
						t.Errorf("%s: HEAD: %d %v", coding, a.status, a.header)
					}
					if a := ask(t, client, "PUT", srv.URL+"/doc", "Accept-Encoding: "+coding, "If-Match: "+tag); a.status != 200 && strings.Count(strings.Join(names, ""), "compress") < 2 {
						t.Errorf("%s: update of %s: %d", coding, tag, a.status)
					}
					if a := ask(t, client, "GET", srv.URL+"/abort", "Accept-Encoding: "+coding); a.err == nil {
						t.Errorf("%s: an abort looks whole: %d, %d bytes", coding, a.status, len(a.body))
					}
				}
			})
		}
	}
}

// Encode once: the second hit and all others leave in the form that the first has made.
func TestCachingStacks_EncodeOnce(t *testing.T) {
	m, c := caching(t)
	var calls atomic.Int64
	h := ours(t).wrap(m.wrap(cacheable(&calls)))
	for range 5 {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/doc", nil)
		r.Header.Set("Accept-Encoding", "gzip")
		h.ServeHTTP(w, r)
		if w.Header().Get("Content-Encoding") != "gzip" || w.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) && calls.Load() > 1 {
			t.Error(w.Header())
		}
		if bytes.Equal(w.Body.Bytes(), text(20_000)) {
			t.Error("not encoded")
		}
	}
	if st := c.Stats(); st.Coded != 4 || calls.Load() != 1 {
		t.Errorf("%+v", st)
	}
}

// A refusal of an inner throttle is one request's own: never stored, never in the place of
// what all share.
func TestC8_RefusalsAreNotStored(t *testing.T) {
	l, err := throttle.New(throttle.Config{Rate: throttle.Per(1, time.Hour), Burst: 1})
	if err != nil {
		t.Fatal(err)
	}
	m, c := caching(t)
	var calls atomic.Int64
	h := m.wrap(l.Handler(cacheable(&calls)))
	for i, want := range []int{200, 429, 429} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", fmt.Sprintf("/doc?%d", i), nil))
		if w.Code != want {
			t.Errorf("request %d: %d", i, w.Code)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/doc?0", nil))
	for name := range w.Header() {
		if strings.HasPrefix(name, "Ratelimit") {
			t.Errorf("%s was stored", name)
		}
	}
	if st := c.Stats(); w.Code != 200 || st.Stored != 1 || st.Hits != 1 {
		t.Errorf("%d %+v", w.Code, st)
	}
}
