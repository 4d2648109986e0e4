package httpcache_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache/httpcache"
)

// S15: what outer layers set is theirs at each request anew: added to, replaced and removed as
// the handler did it.
func TestS15_TheDifferenceIsStored(t *testing.T) {
	s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Add("Link", "</own>")
		h.Set("X-Replaced", "own")
		h.Del("X-Removed")
		h.Add("Vary", "Accept")
		says("x", "Cache-Control: max-age=60")(w, nil)
	})
	for i, outer := range []string{"1", "2", "3"} {
		w := &recorderOf{h: http.Header{"Link": {"</" + outer + ">"}, "X-Replaced": {outer}, "X-Removed": {outer}, "X-Request-Id": {outer}, "Vary": {"Origin"}}}
		s.ServeHTTP(w, request("GET", "http://example.com/a"))
		h := w.h
		vary := strings.Split(strings.ReplaceAll(strings.Join(h["Vary"], ","), " ", ""), ",")
		slices.Sort(vary)
		if !slices.Equal(h["Link"], []string{"</" + outer + ">", "</own>"}) || !slices.Equal(h["X-Replaced"], []string{"own"}) || len(h["X-Removed"]) > 0 ||
			!slices.Equal(h["X-Request-Id"], []string{outer}) || !slices.Equal(vary, []string{"Accept", "Origin"}) {
			t.Errorf("answer %d: %v", i+1, h)
		}
	}
	s.want(1, "two hits")
}

// recorderOf is a ResponseWriter whose header outer layers have filled.
type recorderOf struct{ h http.Header }

func (w *recorderOf) Header() http.Header         { return w.h }
func (w *recorderOf) WriteHeader(int)             {}
func (w *recorderOf) Write(p []byte) (int, error) { return len(p), nil }

// changing is a site whose 304s bring fields.
func changing(t *testing.T, first []string, brings ...string) *site {
	return newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") == "" {
			says("body", append([]string{"Cache-Control: max-age=10", `Etag: "1"`, "Content-Type: text/plain"}, first...)...)(w, r)
			return
		}
		for _, f := range brings {
			name, value, _ := strings.Cut(f, ": ")
			w.Header().Add(name, value)
		}
		w.WriteHeader(http.StatusNotModified)
	})
}

// V2: a 304 updates what is stored, but for what describes bytes that it does not have.
func TestV2_WhatA304Updates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := changing(t, []string{"X-A: 1", "X-B: 1"}, "X-B: 2", "X-C: 2", "Content-Length: 99", "Content-Encoding: br", "Content-Range: bytes 0-1/2",
			"Connection: X-Hop", "X-Hop: 2", "Cache-Control: max-age=20")
		s.get()
		time.Sleep(10 * time.Second)
		for _, which := range []string{"the validation", "a hit"} {
			h := s.get().Header()
			got := []string{h.Get("X-A"), h.Get("X-B"), h.Get("X-C"), h.Get("Content-Length"), h.Get("Content-Encoding"), h.Get("Content-Range"), h.Get("X-Hop"), h.Get("Content-Type")}
			if want := []string{"1", "2", "2", "4", "", "", "", "text/plain"}; !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", which, got, want)
			}
		}
		s.want(2, "a load and a validation")
	})
}

// V2: a 304 whose tag is another variant's refreshes that one.
func TestV2_A304OfAnotherVariant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Vary", "X-Kind")
			h.Set("Cache-Control", "max-age=10")
			if r.Header.Get("If-None-Match") != "" {
				h.Set("Etag", `"b"`)
				h.Set("X-Fresh", "yes")
				w.WriteHeader(http.StatusNotModified)
				return
			}
			kind := r.Header.Get("X-Kind")
			h.Set("Etag", `"`+kind+`"`)
			_, _ = w.Write([]byte("of " + kind))
		})
		s.get("X-Kind: a")
		s.get("X-Kind: b")
		time.Sleep(10 * time.Second)
		if w := s.get("X-Kind: a"); w.Body.String() != "of b" || w.Header().Get("Etag") != `"b"` {
			t.Errorf("%q %v: the origin has chosen b for this request", w.Body, w.Header())
		}
		s.want(3, "one validation")
		if w := s.get("X-Kind: b"); w.Body.String() != "of b" || w.Header().Get("X-Fresh") != "yes" {
			t.Errorf("%q %v", w.Body, w.Header())
		}
		s.want(3, "b is fresh by it")
	})
}

// A 304 with another Vary says that responses are told apart by something else: what is stored can
// be shown to who asked, and to nobody after him.
func TestV2_A304ChangesVary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := changing(t, nil, "Vary: Cookie", "Cache-Control: max-age=60")
		s.get("Cookie: u=alice")
		time.Sleep(10 * time.Second)
		if w := s.get("Cookie: u=alice"); w.Body.String() != "body" || w.Code != 200 {
			t.Error(w.Code, w.Body)
		}
		s.get("Cookie: u=bob")
		s.want(3, "bob's is a load of his own")
		if st := s.Stats(); st.NotStored["vary-changed"] != 1 {
			t.Errorf("%v", st.NotStored)
		}
	})
}

// L5 for a 304: a cookie of it is for whoever asked.
func TestL5_ACookieOfA304(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := changing(t, nil, "Set-Cookie: session=new", "X-RateLimit-Left: 3", "Cache-Control: max-age=60")
		s.get()
		time.Sleep(10 * time.Second)
		if h := s.get().Header(); h.Get("Set-Cookie") != "session=new" || h.Get("X-Ratelimit-Left") != "3" {
			t.Error("lost for its requester:", h)
		}
		if h := s.get().Header(); h.Get("Set-Cookie") != "" || h.Get("X-Ratelimit-Left") != "" {
			t.Error("replayed:", h)
		}
		s.want(2, "then a hit")
	})
}

// V6: an answer that speaks of this request leaves the entry: the next validation finds it.
func TestV6_WhatSpeaksOfThisRequest(t *testing.T) {
	for _, status := range []int{401, 403, 407, 408, 421, 425, 429, 500, 502, 599} {
		synctest.Test(t, func(t *testing.T) {
			answer := 200
			s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=10")
				w.Header().Set("Etag", `"1"`)
				if answer == 200 && r.Header.Get("If-None-Match") == `"1"` {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				w.WriteHeader(answer)
				_, _ = w.Write([]byte(http.StatusText(answer)))
			})
			s.get()
			time.Sleep(10 * time.Second)
			answer = status
			if w := s.get(); w.Code != status {
				t.Errorf("%d was answered as %d", status, w.Code)
			}
			answer = 200
			if w := s.get(); w.Code != 200 || w.Body.String() != "OK" || s.Stats().Revalidated != 1 {
				t.Errorf("after %d: %d %q, %d validations", status, w.Code, w.Body, s.Stats().Revalidated)
			}
		})
	}
}
