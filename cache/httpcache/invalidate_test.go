package httpcache_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/internal/rw"
)

func TestI1_UnsafeRequestsPurge(t *testing.T) {
	for _, tc := range []struct {
		method string
		status int
		header string
		purged bool
	}{
		{"POST", 200, "", true},
		{"PUT", 204, "", true},
		{"PATCH", 303, "", true},
		{"DELETE", 200, "", true},
		{"BREW", 200, "", true},
		{"POST", 400, "", false},
		{"POST", 500, "", false},
		{"OPTIONS", 200, "", false},
		{"POST elsewhere", 200, "", false},
		{"POST elsewhere", 201, "Location: /a", true},
		{"POST elsewhere", 201, "Location: http://EXAMPLE.com:80/a", true},
		{"POST elsewhere", 201, "Content-Location: a", true},
		{"POST elsewhere", 201, "Location: http://other.example/a", false},
	} {
		for _, vary := range []string{"", "X"} {
			s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == "GET" {
					says("x", "Cache-Control: max-age=60")(w, r)
					return
				}
				if name, value, ok := strings.Cut(tc.header, ": "); ok {
					w.Header().Set(name, value)
				}
				w.WriteHeader(tc.status)
			})
			_ = vary
			s.get()
			method, elsewhere, _ := strings.Cut(tc.method, " ")
			target := "http://example.com/a"
			if elsewhere != "" {
				target = "http://example.com/b"
			}
			s.ask(method, target)
			s.get()
			if purged := s.calls.Load() == 3; purged != tc.purged {
				t.Errorf("%+v: purged %v", tc, purged)
			}
		}
	}
}

// I1: it happens before the answer leaves: who has seen the answer never reads the old.
func TestI1_BeforeTheAnswer(t *testing.T) {
	version := "1"
	s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			version = r.URL.Query().Get("v")
			w.WriteHeader(204)
			return
		}
		says(version, "Cache-Control: max-age=60")(w, r)
	})
	for i := range 10_000 {
		v := string(rune('a' + i%26))
		w := httptest.NewRecorder()
		// The target URI is what is purged: the same for both.
		post := request("POST", "http://example.com/a?v="+v)
		get := request("GET", "http://example.com/a?v="+v)
		s.ServeHTTP(w, post)
		w = httptest.NewRecorder()
		s.ServeHTTP(w, get)
		if w.Body.String() != v {
			t.Fatalf("stale read %d: %q, want %q", i, w.Body, v)
		}
	}
}

func TestI2_Groups(t *testing.T) {
	header := ""
	s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			w.Header().Set("Cache-Group-Invalidation", header)
			return
		}
		says("x", "Cache-Control: max-age=60", `Cache-Groups: "one", "two"`, "Surrogate-Key: three four", "Cache-Tag: five,six")(w, r)
	})
	for _, tc := range []struct {
		group string
		calls int64
	}{{`"two"`, 2}, {`"x", "one"`, 2}, {`"three"`, 1}, {`two`, 1}} {
		s.get()
		before := s.calls.Load()
		header = tc.group
		s.ask("POST", "http://example.com/other")
		s.get()
		if n := s.calls.Load() - before; n != tc.calls {
			t.Errorf("%s: %d", tc.group, n)
		}
	}
	for _, tag := range []string{"one", "three", "four", "five", "six"} {
		s.get()
		before := s.calls.Load()
		s.PurgeTags(tag)
		s.get()
		if s.calls.Load() != before+1 {
			t.Errorf("PurgeTags(%s) purged nothing", tag)
		}
	}
}

func TestI3_Purge(t *testing.T) {
	s := newSite(t, httpcache.Config{}, says("x", "Cache-Control: max-age=60", "Vary: X"))
	s.get("X: 1")
	s.get("X: 2")
	if err := s.Purge("https://EXAMPLE.com/a"); err != nil {
		t.Error(err)
	}
	s.get("X: 1")
	s.get("X: 2")
	s.want(4, "every variant, https and http alike")
	err := s.Purge("/a", "ftp://x/", "http://example.com/a")
	if err == nil || !strings.Contains(err.Error(), `URL is "/a"`) || !strings.Contains(err.Error(), "ftp://x/") {
		t.Error(err)
	}
	s.get("X: 1")
	s.want(5, "the good one of them is purged")
	s.PurgeAll()
	s.get("X: 2")
	s.want(6, "PurgeAll")
}

// I4: who came before a purge gets his answer; it is not stored.
func TestI4_PurgeDuringALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(2 * time.Second)
			says("x", "Cache-Control: max-age=60", "Cache-Tag: t")(w, r)
		})
		for _, purge := range []func(){func() { _ = s.Purge("http://example.com/a") }, func() { s.PurgeTags("t") }, s.PurgeAll} {
			before := s.calls.Load()
			var wg sync.WaitGroup
			wg.Go(func() { s.get() })
			time.Sleep(time.Second)
			purge()
			wg.Wait()
			s.get()
			if n := s.calls.Load() - before; n != 2 {
				t.Errorf("%d calls, want 2", n)
			}
			s.PurgeAll()
		}
	})
}

func TestI5_ExpiredMayBeServedPurgedNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := says("good", "Cache-Control: max-age=60, stale-if-error=60", "Cache-Tag: t", `Etag: "1"`)
		s := newSite(t, quiet(httpcache.Config{}), func(w http.ResponseWriter, r *http.Request) { f(w, r) })
		s.get()
		f = status(503)
		s.ExpireTags("t")
		time.Sleep(time.Second)
		if w := s.get(); w.Body.String() != "good" {
			t.Error("expired", w.Code)
		}
		s.want(2, "it was asked")
		s.PurgeTags("t")
		if w := s.get(); w.Code != 503 {
			t.Error("purged", w.Code)
		}
	})
}

func TestPurgeHandler(t *testing.T) {
	s := newSite(t, httpcache.Config{}, says("x", "Cache-Control: max-age=60", "Cache-Tag: t"))
	h := s.PurgeHandler()
	post := func(form url.Values) int {
		r := httptest.NewRequest("POST", "/purge", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for i, form := range []url.Values{{"url": {"http://example.com/a"}}, {"tag": {"t"}}, {"tag": {"t"}, "soft": {"1"}}} {
		s.get()
		if code := post(form); code != 204 {
			t.Errorf("%v: %d", form, code)
		}
		s.get()
		s.want(int64(i+2), form.Encode())
	}
	if post(url.Values{"url": {"a"}}) != 400 || post(url.Values{}) != 400 {
		t.Error("bad forms are taken")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/purge", nil))
	if w.Code != 405 || w.Header().Get("Allow") != "POST" {
		t.Error(w.Code)
	}
}

// I1: an update whose answer is masked changed the document that all masks are cut from.
func TestI1_AMaskedUpdate(t *testing.T) {
	c, err := httpcache.New(httpcache.Config{})
	if err != nil {
		t.Fatal(err)
	}
	version := 0
	h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			version++
		}
		w.Header().Set("Cache-Control", "max-age=600")
		fmt.Fprint(w, version)
	}))
	get := func() string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/note?id=1", nil))
		return w.Body.String()
	}
	get()
	put := httptest.NewRequest("PUT", "/note?id=1&fields=version", nil)
	put = put.WithContext(context.WithValue(put.Context(), rw.ProjectionKey{}, &rw.Projection{Query: "id=1"}))
	h.ServeHTTP(httptest.NewRecorder(), put)
	if got := get(); got != "1" {
		t.Errorf("after a masked update: version %s", got)
	}
}

// I1: who answers within the handler of a request, whatever became of that one here, is heard: a batch says so of its parts,
// and a layer outside of it may have made a POST of a GET.
func TestI1_WritesWithinARequest(t *testing.T) {
	for name, fields := range map[string][]string{
		"GET load": nil, "GET marked": nil, "HEAD load": nil, "POST": nil,
		"GET bypass": {"Accept: text/event-stream"}, "GET alone": {"Cache-Control: no-store"},
	} {
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/batch" {
				rw.Wrote(w, request("PUT", "http://example.com/a"), http.StatusNoContent, http.Header{})
				return
			}
			says("x", "Cache-Control: max-age=60")(w, r)
		})
		method, kind, _ := strings.Cut(name, " ")
		if kind == "marked" {
			s.ask(method, "http://example.com/batch")
		}
		s.get()
		before := s.calls.Load()
		s.ask(method, "http://example.com/batch", fields...)
		s.get()
		if n := s.calls.Load() - before; n != 2 {
			t.Errorf("%s: the handlers ran %d times, want 2: what was written is served as it was", name, n)
		}
	}
}
