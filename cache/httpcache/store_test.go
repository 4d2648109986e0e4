package httpcache_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/cache/httpcache"
)

// Each case: the response, the request, whether it is stored, and why not.
func TestS_WhatIsStored(t *testing.T) {
	last := "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"
	future := "Expires: " + time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for _, tc := range []struct {
		rule, name string
		cfg        httpcache.Config
		status     int
		response   []string
		request    []string
		reason     string // "": stored
	}{
		{"S2", "206", httpcache.Config{}, 206, []string{"Cache-Control: max-age=60"}, nil, "status"},
		{"S2", "416", httpcache.Config{}, 416, []string{"Cache-Control: max-age=60"}, nil, "status"},
		{"S3", "request no-store", httpcache.Config{}, 200, []string{"Cache-Control: max-age=60"}, []string{"Cache-Control: no-store"}, "request-no-store"},
		{"S4", "targeted field wins", httpcache.Config{}, 200, []string{"Cache-Control: no-store", "Cdn-Cache-Control: max-age=60"}, nil, ""},
		{"S4", "targeted no-store wins", httpcache.Config{}, 200, []string{"Cache-Control: max-age=60", "Cdn-Cache-Control: no-store"}, nil, "no-store"},
		{"S4", "targeted of wrong type is ignored", httpcache.Config{}, 200, []string{"Cache-Control: no-store", `Cdn-Cache-Control: max-age="60"`}, nil, "no-store"},
		{"S4", "targeted that does not parse", httpcache.Config{}, 200, []string{"Cache-Control: no-store", "Cdn-Cache-Control: max-age=60,,"}, nil, "no-store"},
		{"S5", "must-understand", httpcache.Config{}, 200, []string{"Cache-Control: must-understand, no-store, max-age=60"}, nil, ""},
		{"S5", "must-understand, unknown status", httpcache.Config{}, 299, []string{"Cache-Control: must-understand, max-age=60"}, nil, "not-understood"},
		{"S6", "no-store", httpcache.Config{}, 200, []string{"Cache-Control: max-age=60, NO-STORE"}, nil, "no-store"},
		{"S7", "private", httpcache.Config{}, 200, []string{"Cache-Control: private, max-age=60"}, nil, "private"},
		{"S7", "private with names", httpcache.Config{}, 200, []string{`Cache-Control: private="x-user", max-age=60`}, nil, ""},
		{"S8", "authorization", httpcache.Config{}, 200, []string{"Cache-Control: max-age=60"}, []string{"Authorization: a"}, "authorization"},
		{"S8", "authorization and public", httpcache.Config{}, 200, []string{"Cache-Control: public, max-age=60"}, []string{"Authorization: a"}, ""},
		{"S9", "vary star", httpcache.Config{}, 200, []string{"Cache-Control: max-age=60", "Vary: Accept, *"}, nil, "vary-star"},
		{"S10", "trailer", httpcache.Config{}, 200, []string{"Cache-Control: max-age=60", "Trailer: X"}, nil, "trailer"},
		{"S11", "too large", httpcache.Config{MaxEntry: 2}, 200, []string{"Cache-Control: max-age=60"}, nil, "too-large"},
		{"S11", "too large by its length", httpcache.Config{MaxEntry: 2}, 200, []string{"Cache-Control: max-age=60", "Content-Length: 4"}, nil, "too-large"},
		{"S12", "says nothing", httpcache.Config{}, 200, nil, nil, "no-permission"},
		{"S12", "validator alone", httpcache.Config{}, 200, []string{`Etag: "1"`}, nil, "no-permission"},
		{"S12", "Expires", httpcache.Config{}, 200, []string{future}, nil, ""},
		{"S12", "any final status with explicit freshness", httpcache.Config{}, 599, []string{"Cache-Control: max-age=60"}, nil, ""},
		{"S12", "heuristic", httpcache.Config{Heuristic: 0.1}, 200, []string{last}, nil, ""},
		{"S12", "heuristic off", httpcache.Config{}, 200, []string{last}, nil, "no-permission"},
		{"S12", "heuristic, other status", httpcache.Config{Heuristic: 0.1}, 201, []string{last}, nil, "no-permission"},
		{"S12", "heuristic, other status, public", httpcache.Config{Heuristic: 0.1}, 201, []string{last, "Cache-Control: public"}, nil, ""},
		{"S13", "expired without validator", httpcache.Config{}, 200, []string{"Cache-Control: max-age=0"}, nil, "expired"},
		{"S13", "no-cache without validator", httpcache.Config{}, 200, []string{"Cache-Control: no-cache, max-age=60"}, nil, "expired"},
		{"S13", "no-cache with validator", httpcache.Config{}, 200, []string{"Cache-Control: no-cache", `Etag: "1"`}, nil, ""},
		{"S14", "Set-Cookie", httpcache.Config{}, 200, []string{"Cache-Control: max-age=60", "Set-Cookie: a=b"}, nil, "set-cookie"},
		{"S14", "Set-Cookie, kept", httpcache.Config{KeepSetCookie: true}, 200, []string{"Cache-Control: max-age=60", "Set-Cookie: a=b"}, nil, ""},
		{"S17", "DefaultTTL", defaultTTL, 200, nil, nil, ""},
		{"S17", "DefaultTTL, error", defaultTTL, 500, nil, nil, "no-permission"},
		{"S17", "DefaultTTL, cookie", defaultTTL, 200, nil, []string{"Cookie: a=b"}, "request-cookie"},
	} {
		t.Run(tc.rule+"/"+tc.name, func(t *testing.T) {
			tc.cfg.Debug = true
			s := newSite(t, tc.cfg, func(w http.ResponseWriter, r *http.Request) {
				for _, f := range tc.response {
					name, value, _ := strings.Cut(f, ": ")
					w.Header().Add(name, value)
				}
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte("body"))
			})
			w := s.get(tc.request...)
			st := s.Stats()
			if stored := st.Stored == 1; stored != (tc.reason == "") || tc.reason != "" && st.NotStored[tc.reason] != 1 {
				t.Errorf("stored %d, not stored %v, want %q; %s", st.Stored, st.NotStored, tc.reason, w.Header()["Cache-Status"])
			}
			if why := httpcache.Explain(w.Header()); tc.reason != "" && tc.name != "too large" && !strings.HasPrefix(why, "not stored: ") {
				t.Errorf("Explain: %q", why)
			}
		})
	}
}

var defaultTTL = httpcache.Config{DefaultTTL: func(*http.Request, int, http.Header) time.Duration { return time.Minute }}

// S14, S15: what outer layers set is theirs, hop-by-hop and personal fields are nobody's.
func TestS14_StoredHeader(t *testing.T) {
	s := newSite(t, httpcache.Config{}, says("x", "Cache-Control: public, max-age=60, private=\"X-User\"", "Connection: X-Hop", "X-Hop: 1", "Keep-Alive: 1",
		"Ratelimit: 1", "X-Ratelimit-Left: 1", "X-User: alice", "Set-Cookie: a=b", "X-Own: 1", "Vary: Accept"))
	n := 0
	outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		w.Header().Set("X-Request-Id", string(rune('0'+n)))
		w.Header().Set("Vary", "Origin")
		s.ServeHTTP(w, r)
	})
	o := &site{t: t, Cache: s.Cache, Handler: outer}
	a, b := o.get(), o.get()
	s.want(1, "hit")
	if a.Header().Get("X-User") != "alice" || a.Header().Get("Set-Cookie") == "" {
		t.Error("L5: the leader gets all", a.Header())
	}
	for _, name := range []string{"X-Hop", "Keep-Alive", "Connection", "Ratelimit", "X-Ratelimit-Left", "X-User", "Set-Cookie"} {
		if b.Header().Get(name) != "" {
			t.Errorf("%s was stored", name)
		}
	}
	if b.Header().Get("X-Own") != "1" || b.Header().Get("X-Request-Id") != "2" || b.Header().Get("Vary") == "" {
		t.Error(b.Header())
	}
}

func TestS16_InformationalResponsesAreNotStored(t *testing.T) {
	s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		says("x", "Cache-Control: max-age=60")(w, r)
	})
	srv := httptest.NewServer(s)
	defer srv.Close()
	for range 2 {
		res, err := srv.Client().Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 || res.Header.Get("Link") != "" {
			t.Error(res.StatusCode, res.Header)
		}
	}
	s.want(1, "hit")
}

// S1: nothing truncated is stored.
func TestS1_IncompleteIsNotStored(t *testing.T) {
	for name, f := range map[string]http.HandlerFunc{
		"panic": func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("half")); panic("x") },
		"abort": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("half"))
			panic(http.ErrAbortHandler)
		},
		"early abort": func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
		"short": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = w.Write([]byte("half"))
		},
	} {
		for _, fields := range [][]string{nil, {"Range: bytes=0-"}} { // shared and alone
			s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				f(w, r)
			})
			for range 2 {
				func() {
					defer func() { _ = recover() }()
					s.get(fields...)
				}()
			}
			s.want(2, name)
			if st := s.Stats(); st.Stored != 0 || st.InFlight != 0 || st.NotStored["incomplete"] == 0 {
				t.Errorf("%s: %+v", name, st)
			}
		}
	}
}
