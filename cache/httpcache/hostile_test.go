package httpcache_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache/httpcache"
)

func TestUsersApart_AuthorizationTakenOffInPlace(t *testing.T) {
	s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		u := r.Header.Get("Authorization")
		r.Header.Del("Authorization")
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprintf(w, "for %q", u)
	})
	s.get("Authorization: alice")
	if b := s.get().Body.String(); strings.Contains(b, "alice") {
		t.Errorf("anonymous got %s", b)
	}
}

func TestUsersApart_CookieTakenOffInPlace(t *testing.T) {
	s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		u := r.Header.Get("Cookie")
		r.Header.Del("Cookie")
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "Cookie")
		fmt.Fprintf(w, "for %q", u)
	})
	s.get("Cookie: alice")
	if b := s.get().Body.String(); strings.Contains(b, "alice") {
		t.Errorf("anonymous got %s", b)
	}
}

func TestUsersApart_APrivate304(t *testing.T) {
	var n atomic.Int64
	in, goOn := make(chan struct{}, 9), make(chan struct{})
	s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"1"`)
		if n.Add(1) == 1 {
			w.Header().Set("Cache-Control", "max-age=1")
			io.WriteString(w, "shared")
			return
		}
		in <- struct{}{}
		<-goOn
		w.Header().Set("Cache-Control", "private, max-age=5")
		w.Header().Set("X-User", r.Header.Get("Cookie"))
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(304)
		}
	})
	s.get()
	time.Sleep(1200 * time.Millisecond)
	var wg sync.WaitGroup
	var bob *httptest.ResponseRecorder
	wg.Add(2)
	go func() { defer wg.Done(); s.get("Cookie: alice") }()
	<-in
	go func() { defer wg.Done(); bob = s.get("Cookie: bob") }()
	time.Sleep(200 * time.Millisecond)
	close(goOn)
	wg.Wait()
	if u := bob.Result().Header.Get("X-User"); u != "bob" {
		t.Errorf("bob got X-User %q, calls %d", u, n.Load())
	}
}

func TestI4_WhoComesAfterAPurge(t *testing.T) {
	for _, headerFirst := range []bool{true, false} {
		var v atomic.Int64
		v.Store(1)
		in, goOn := make(chan struct{}, 9), make(chan struct{})
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				v.Store(2)
				w.WriteHeader(204)
				return
			}
			x := v.Load()
			w.Header().Set("Cache-Control", "max-age=60")
			if headerFirst {
				fmt.Fprintf(w, "v%d", x)
				http.NewResponseController(w).Flush()
			}
			if x == 1 {
				in <- struct{}{}
				<-goOn
			}
			if !headerFirst {
				fmt.Fprintf(w, "v%d", x)
			}
		})
		var wg sync.WaitGroup
		wg.Add(2)
		go func() { defer wg.Done(); s.get() }()
		<-in
		s.ask("POST", "http://example.com/a")
		var b string
		go func() { defer wg.Done(); b = s.get().Body.String() }()
		time.Sleep(200 * time.Millisecond)
		close(goOn)
		wg.Wait()
		if b != "v2" {
			t.Errorf("STALE after POST (headerFirst %v): GET begun afterwards got %q", headerFirst, b)
		}
	}
}

func TestS_WhatIsNoDirectivePermitsNothing(t *testing.T) {
	for _, cc := range []string{"private; max-age=600", "no-store; no-cache", "private;"} {
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", cc)
			w.Header().Set("Expires", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			io.WriteString(w, r.Header.Get("Cookie"))
		})
		s.get("Cookie: alice")
		if b := s.get("Cookie: bob").Body.String(); b != "bob" {
			t.Errorf("%q: bob got %q", cc, b)
		}
	}
}

func TestK_OpaqueTargetsPass(t *testing.T) {
	s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, r.RequestURI)
	})
	srv := httptest.NewServer(s)
	defer srv.Close()
	for _, u := range []string{"x:one", "x:two", "http://h"} {
		c, _ := net.Dial("tcp", srv.Listener.Addr().String())
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", u)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		c.Close()
		if string(b) != u {
			t.Errorf("CONFUSED %q got %q", u, b)
		}
	}
}

func TestI1_TheHandlerRewritesTheURL(t *testing.T) {
	s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/in" + r.URL.Path
		w.Header().Set("Cache-Control", "max-age=60")
	})
	s.get()
	s.ask("POST", "http://example.com/a")
	s.get()
	s.want(3, "POST did not invalidate")
}

// I4: who came before a purge gets what it waited for, and it is not stored.
func TestI4_WhoCameBeforeAPurge(t *testing.T) {
	for _, headerFirst := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			goOn := make(chan struct{})
			s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				if headerFirst {
					_ = http.NewResponseController(w).Flush()
				}
				<-goOn
				_, _ = io.WriteString(w, "v1")
			})
			bodies := make(chan string, 2)
			for range 2 {
				go func() { bodies <- s.get().Body.String() }()
				synctest.Wait()
			}
			if err := s.Purge("http://example.com/a"); err != nil {
				t.Fatal(err)
			}
			close(goOn)
			if a, b := <-bodies, <-bodies; a != "v1" || b != "v1" {
				t.Errorf("%q and %q", a, b)
			}
			s.want(1, "both came before")
			if n := s.Stats().NotStored["purged"]; n != 1 {
				t.Errorf("not stored for a purge: %d", n)
			}
			s.get()
			s.want(2, "it was not stored")
		})
	}
}

// S10: trailers that nobody announced.
func TestS10_TrailersAtTheEnd(t *testing.T) {
	s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = io.WriteString(w, "body")
		w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
	})
	s.get()
	s.get()
	s.get()
	s.want(3, "a response with trailers")
	if st := s.Stats(); st.NotStored["trailer"] != 1 || st.Bypassed != 2 {
		t.Errorf("not stored for trailers: %d; %d found the mark that it left", st.NotStored["trailer"], st.Bypassed)
	}
}

// K2: what Config.Key adds cannot look like a piece of the URL, nor the reverse: a tenant must not
// come to the page of another by asking for a longer path.
func TestK2_TheURLIsNotTheExtra(t *testing.T) {
	s := newSite(t, httpcache.Config{Key: func(r *http.Request) string { return r.Header.Get("Tenant") }}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = io.WriteString(w, r.URL.RequestURI()+" of "+r.Header.Get("Tenant"))
	})
	for _, tc := range []struct{ target, tenant string }{
		{"/a", "b"},
		{"/ab", ""},
		{"/a", "?b"},
		{"/a?b", ""},
		{"/a?", "b"},
		{"/", "ab"},
		{"/a%00%00%00%01", ""},
		{"/a", "b\x00\x00\x00\x01"},
		{"/ab%00%00%00%01", ""},
	} {
		w := s.ask("GET", "http://example.com"+tc.target, "Tenant: "+tc.tenant)
		if got := w.Body.String(); got != tc.target+" of "+tc.tenant {
			t.Errorf("%+v got %q", tc, got)
		}
	}
	s.want(9, "nine different pages")
}

// I1: another origin's URLs are not this one's to purge.
func TestI1_OtherOriginsStay(t *testing.T) {
	s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			w.Header().Set("Location", "http://other.example/a")
			w.Header().Set("Content-Location", "/b")
			w.WriteHeader(http.StatusCreated)
			return
		}
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = io.WriteString(w, r.Host)
	})
	for range 2 {
		s.ask("GET", "http://other.example/a")
		s.ask("GET", "http://example.com/b")
		s.ask("POST", "http://example.com/c")
	}
	// Both times POST and our own /b, and the other origin's once.
	s.want(2+2+1, "only what is of this origin goes")
}

// L2: what was not fresh on arrival is for whoever asked: nobody waits for another's.
func TestL2_PersonalResponsesAreAskedForSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inside, most atomic.Int64
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			if n := inside.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Second)
			inside.Add(-1)
			w.Header().Set("Cache-Control", "no-cache")
			w.Header().Set("Etag", `"1"`)
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			_, _ = io.WriteString(w, "body")
		})
		s.get()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if b := s.get().Body.String(); b != "body" {
					t.Errorf("%q", b)
				}
			})
		}
		wg.Wait()
		if n := most.Load(); n != 5 {
			t.Errorf("%d at a time, want 5", n)
		}
	})
}

// B4: once the beginning is gone nobody can join any more, and who asks gets a whole answer.
func TestB4_NobodyJoinsWithoutTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const piece = 1 << 10
		goOn := make(chan struct{})
		s := newSite(t, httpcache.Config{MaxEntry: 4 * piece}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			for i := range 16 {
				_, _ = w.Write(bytes.Repeat([]byte{byte('a' + i)}, piece))
				_ = http.NewResponseController(w).Flush()
				if i == 10 {
					<-goOn
				}
			}
		})
		var wg sync.WaitGroup
		ask := func() {
			wg.Go(func() {
				if b := s.get().Body.Bytes(); len(b) != 16*piece || b[0] != 'a' || b[len(b)-1] != 'p' {
					t.Errorf("%d bytes, from %q to %q", len(b), b[0], b[len(b)-1])
				}
			})
			synctest.Wait()
		}
		ask()
		ask() // the first is far beyond what is kept
		close(goOn)
		wg.Wait()
	})
}
