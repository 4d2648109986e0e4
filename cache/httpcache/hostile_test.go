package httpcache_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
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
