package httpcache_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache/httpcache"
)

// A refresh asks with the rights of whoever caused it, and that is not forgotten: its answer is stored
// only if it may be shared.
func TestS8_ARefreshWithAuthorization(t *testing.T) {
	for _, validator := range []string{"", `"1"`} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
				if validator != "" {
					w.Header().Set("Etag", validator)
				}
				who := r.Header.Get("Authorization")
				if who == "" {
					w.Header().Set("Cache-Control", "public, max-age=1, stale-while-revalidate=60")
					_, _ = io.WriteString(w, "for all")
					return
				}
				w.Header().Set("Cache-Control", "max-age=60")
				if validator != "" {
					w.Header().Set("X-User", who)
					w.WriteHeader(http.StatusNotModified)
					return
				}
				fmt.Fprint(w, "for ", who)
			})
			s.get()
			time.Sleep(2 * time.Second)
			s.get("Authorization: alice")
			synctest.Wait()
			if w := s.get(); strings.Contains(w.Body.String(), "alice") || w.Header().Get("X-User") != "" {
				t.Errorf("anonymous got %q, %v", w.Body, w.Header())
			}
		})
	}
}

// What was asked for earlier does not take the place of what was asked for later, however late it comes.
func TestLateAnswers(t *testing.T) {
	for name, late := range map[string]http.HandlerFunc{
		"a 304": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"1"`)
			w.WriteHeader(http.StatusNotModified)
		},
		"a 200": func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "old") },
	} {
		synctest.Test(t, func(t *testing.T) {
			var n atomic.Int64
			s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				switch n.Add(1) {
				case 1:
					w.Header().Set("Cache-Control", "max-age=1")
					w.Header().Set("Etag", `"1"`)
					_, _ = io.WriteString(w, "old")
				case 2:
					time.Sleep(5 * time.Second)
					late(w, r)
				default:
					w.Header().Set("Etag", `"2"`)
					_, _ = io.WriteString(w, "new")
				}
			})
			s.get()
			time.Sleep(2 * time.Second)
			go s.get()
			time.Sleep(time.Second)
			if b := s.get().Body.String(); b != "new" { // a further load after 3 s
				t.Errorf("%s, the further load: %q", name, b)
			}
			time.Sleep(10 * time.Second)
			if b := s.get().Body.String(); b != "new" || s.Stats().NotStored["superseded"] != 1 {
				t.Errorf("after %s: %q, %v", name, b, s.Stats().NotStored)
			}
		})
	}
}

// V3, then the late 304: what a 404 has removed stays removed.
func TestLateAnswers_NothingComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			switch n.Add(1) {
			case 1:
				says("old", "Cache-Control: max-age=1", `Etag: "1"`)(w, r)
			case 2:
				time.Sleep(5 * time.Second)
				w.Header().Set("Cache-Control", "max-age=60")
				w.WriteHeader(http.StatusNotModified)
			default:
				w.WriteHeader(http.StatusNotFound)
			}
		})
		s.get()
		time.Sleep(2 * time.Second)
		go s.get()
		time.Sleep(time.Second)
		s.get() // a further load: 404
		time.Sleep(10 * time.Second)
		if w := s.get(); w.Code != 404 {
			t.Errorf("%d %q is back", w.Code, w.Body)
		}
	})
}

// F6: what a client asks for itself takes nothing from the others.
func TestF6_ClientsCannotEmptyTheCache(t *testing.T) {
	forever := func(*http.Request, int, http.Header) time.Duration { return time.Minute }
	for name, tc := range map[string]struct {
		cfg    httpcache.Config
		says   []string
		fields []string
	}{
		"no-store":                 {httpcache.Config{}, []string{"Cache-Control: public, max-age=60", `Etag: "1"`}, []string{"Cache-Control: no-cache, no-store"}},
		"Authorization":            {httpcache.Config{}, []string{"Cache-Control: public, max-age=60"}, []string{"Authorization: a", "Cache-Control: no-cache"}},
		"a cookie, and DefaultTTL": {httpcache.Config{DefaultTTL: forever}, nil, []string{"Cookie: a=b", "Cache-Control: no-cache"}},
	} {
		s := newSite(t, tc.cfg, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "" {
				says("x", tc.says...)(w, r)
			} else {
				says("own", "Cache-Control: max-age=60")(w, r)
			}
		})
		s.get()
		s.get(tc.fields...)
		s.get()
		s.want(2, name)
		if n := s.Stats().Bypassed; n != 0 {
			t.Errorf("%s: it left a mark", name)
		}
	}
}

// F6, of entries that a 304 confirms: it takes them from nobody either.
func TestF6_NeitherByA304(t *testing.T) {
	for _, fields := range [][]string{{"Cache-Control: no-cache, no-store"}, {"Authorization: a", "Cache-Control: no-cache"}} {
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"1"`)
			if r.Header.Get("If-None-Match") == "" {
				says("x", "Cache-Control: public, max-age=60")(w, r)
				return
			}
			w.Header().Set("Cache-Control", "max-age=60") // may not be shared with who has no Authorization
			w.WriteHeader(http.StatusNotModified)
		})
		s.get()
		if w := s.get(fields...); w.Code != 200 || w.Body.String() != "x" {
			t.Errorf("%q: %d %q", fields, w.Code, w.Body)
		}
		s.get()
		s.want(2, "the entry is still there after "+fields[0])
	}
}

// A cookie client on a cold key leaves no mark under DefaultTTL: or nothing would ever be stored.
func TestL3_ACookieLeavesNoMark(t *testing.T) {
	s := newSite(t, httpcache.Config{DefaultTTL: func(*http.Request, int, http.Header) time.Duration { return time.Minute }}, says("x"))
	s.get("Cookie: a=b")
	s.get()
	s.get("Cookie: a=b")
	s.want(2, "the second was stored, and serves the third")
}

// V3: a 416 or 206 answers a client's Range, a 304 its condition: nothing about what is stored.
func TestV3_AnswersToTheClientsOwnFields(t *testing.T) {
	for field, status := range map[string]int{"Range: bytes=99-": 416, "Range: bytes=0-0": 206, `If-None-Match: "x"`: 304} {
		synctest.Test(t, func(t *testing.T) {
			down := false
			s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=1, stale-if-error=60")
				switch {
				case down:
					w.WriteHeader(503)
				case r.Header.Get("Range") != "" || r.Header.Get("If-None-Match") != "":
					w.WriteHeader(status)
				default:
					_, _ = io.WriteString(w, "x")
				}
			})
			s.get()
			time.Sleep(2 * time.Second)
			if w := s.get(field); w.Code != status {
				t.Errorf("%s: %d", field, w.Code)
			}
			down = true
			if w := s.get(); w.Code != 200 {
				t.Errorf("%d: %s took the entry away", w.Code, field)
			}
		})
	}
}

// L3: a body that turns out too large leaves a mark too, which a header that looks storable does not
// take away.
func TestL3_TooLargeInTheEnd(t *testing.T) {
	s := newSite(t, httpcache.Config{MaxEntry: 1000}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		for range 3 {
			_, _ = w.Write(make([]byte, 600))
		}
	})
	for range 4 {
		s.get()
	}
	if st := s.Stats(); st.Bypassed != 3 || st.NotStored["too-large"] != 1 {
		t.Errorf("%d found a mark, want 3; %v", st.Bypassed, st.NotStored)
	}
}

// L3: a mark is not renewed by requests that would not have waited, nor taken away by an answer that
// speaks of one request.
func TestL3_WhatAMarkHearsOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status, control := 200, "no-store"
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", control)
			w.WriteHeader(status)
		})
		s.get() // at 0 s: a mark
		time.Sleep(time.Second)
		status, control = 503, "public, max-age=60"
		s.get()
		if s.get(); s.Stats().Bypassed != 2 {
			t.Error("an error took the mark away")
		}
		status, control = 200, "no-store"
		time.Sleep(7 * time.Second)
		s.get(`If-None-Match: "x"`)
		s.get("Authorization: a")
		time.Sleep(3 * time.Second) // at 11 s
		if s.get(); s.Stats().Bypassed != 4 {
			t.Errorf("%d found a mark, want 4: one was renewed by a request that never waits", s.Stats().Bypassed)
		}
	})
}

// V2: a 304 for another variant is what the origin has chosen for whoever asked; those who wait ask for
// themselves.
func TestV2_AnotherVariantIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Vary", "X-Kind")
			h.Set("Cache-Control", "max-age=10")
			if r.Header.Get("If-None-Match") != "" {
				time.Sleep(time.Second)
				h.Set("Etag", `"b"`)
				w.WriteHeader(http.StatusNotModified)
				return
			}
			h.Set("Etag", `"`+r.Header.Get("X-Kind")+`"`)
			_, _ = io.WriteString(w, "of "+r.Header.Get("X-Kind"))
		})
		s.get("X-Kind: a")
		s.get("X-Kind: b")
		time.Sleep(10 * time.Second)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { s.get("X-Kind: a") })
		}
		wg.Wait()
		if n := s.calls.Load(); n != 5 {
			t.Errorf("the handler ran %d times, want 5: two loads, and one validation for each", n)
		}
	})
}

// L6: who follows a further load keeps that one alive, whoever asked for it.
func TestL6_FollowersOfAFurtherLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		asks := make(chan string, 1)
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) == 1 {
				<-r.Context().Done() // stuck
				return
			}
			asks <- r.Header.Get("X-Who")
			w.Header().Set("Cache-Control", "max-age=60")
			_, _ = io.WriteString(w, "begin ")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(2 * time.Second)
			if r.Context().Err() != nil {
				panic(http.ErrAbortHandler)
			}
			_, _ = io.WriteString(w, "end")
		})
		leave, got := map[string]context.CancelFunc{}, map[string]chan string{}
		for _, who := range []string{"a", "b", "c"} {
			ctx, cancel := context.WithCancel(t.Context())
			leave[who], got[who] = cancel, make(chan string, 1)
			go func() {
				w := &timed{sink: sink2{h: http.Header{}}}
				defer func() { _ = recover(); got[who] <- w.body.String() }()
				s.ServeHTTP(w, request("GET", "http://example.com/a", "X-Who: "+who).WithContext(ctx))
			}()
			synctest.Wait()
		}
		leads := <-asks // after 3 s, b or c
		synctest.Wait()
		leave[leads]()
		for _, who := range []string{"b", "c"} {
			if body := <-got[who]; who != leads && body != "begin end" {
				t.Errorf("%s followed the load of %s, who left: %q", who, leads, body)
			}
		}
		leave["a"]()
	})
}

// T6: the back-off serves what may be served stale, and not a nanosecond longer.
func TestT6_EndsWithTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := false
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			if down {
				w.WriteHeader(503)
				return
			}
			says("x", "Cache-Control: max-age=1, stale-if-error=2", `Etag: "1"`)(w, r)
		})
		s.get()
		down = true
		time.Sleep(3*time.Second - 2)
		s.get() // asks, fails, and is served: the next is asked for in a second
		time.Sleep(time.Nanosecond)
		if w := s.get(); w.Code != 200 {
			t.Error("a nanosecond before the end:", w.Code)
		}
		s.want(2, "the origin is left alone")
		time.Sleep(time.Nanosecond)
		if w := s.get(); w.Code != 503 {
			t.Error("at the end:", w.Code)
		}
	})
}
