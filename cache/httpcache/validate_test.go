package httpcache_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// V1, V2: stored validators ask, a 304 renews the stored header, the client's own condition is
// judged afterwards.
func TestV1_Revalidation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen http.Header
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			if seen = r.Header; r.Header.Get("If-None-Match") == `"1"` {
				w.Header().Set("Etag", `"1"`)
				w.Header().Set("X-New", "2")
				w.Header().Set("Content-Length", "0")
				w.Header().Set("Cache-Control", "max-age=20")
				w.WriteHeader(304)
				return
			}
			says("body", "Cache-Control: max-age=10", `Etag: "1"`, "X-New: 1", "X-Old: 1", "Last-Modified: Sat, 01 Jan 2000 00:00:00 GMT")(w, r)
		})
		s.get()
		time.Sleep(10 * time.Second)
		w := s.get(`If-None-Match: "other"`)
		if w.Code != 200 || w.Body.String() != "body" || w.Header().Get("X-New") != "2" || w.Header().Get("X-Old") != "1" || w.Header().Get("Content-Length") != "4" {
			t.Error(w.Code, w.Body, w.Header())
		}
		if seen.Get("If-None-Match") != `"1"` || seen.Get("If-Modified-Since") == "" {
			t.Error(seen)
		}
		time.Sleep(20*time.Second - 1)
		s.get()
		s.want(2, "fresh again, by the new word")
		time.Sleep(time.Nanosecond)
		if w := s.get(`If-None-Match: "1"`); w.Code != 304 || w.Body.Len() != 0 {
			t.Error(w.Code, w.Body)
		}
		s.want(3, "stale again")
		if st := s.Stats(); st.Revalidated != 2 || st.Misses != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestV3_OtherAnswersToAValidation(t *testing.T) {
	for status, removed := range map[int]bool{404: true, 410: true, 301: true, 401: false, 403: false, 407: false, 408: false, 421: false, 425: false, 429: false, 500: false, 503: false} {
		synctest.Test(t, func(t *testing.T) {
			answer := 200
			s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
				if answer == 304 && r.Header.Get("If-None-Match") == "" {
					answer = 200
				}
				w.Header().Set("Etag", `"1"`)
				if answer == 200 {
					w.Header().Set("Cache-Control", "max-age=1")
				}
				w.WriteHeader(answer)
			})
			s.get()
			time.Sleep(time.Second)
			answer = status
			if w := s.get(); w.Code != status {
				t.Errorf("%d became %d", status, w.Code)
			}
			answer = 304
			s.get()
			if got := s.Stats().Revalidated == 0; got != removed {
				t.Errorf("%d: removed %v, want %v", status, got, removed)
			}
		})
	}
}

func TestV4_ClientConditions(t *testing.T) {
	s := newSite(t, httpcache.Config{}, says("body", "Cache-Control: max-age=1000", `Etag: "1"`, "Last-Modified: Sat, 01 Jan 2000 00:00:00 GMT", "Content-Type: a/b", "Content-Location: /a", "Vary: Accept"))
	s.get()
	for _, tc := range []struct {
		fields []string
		status int
	}{
		{[]string{`If-None-Match: "1"`}, 304},
		{[]string{`If-None-Match: W/"1"`}, 304},
		{[]string{`If-None-Match: "0"`, `If-None-Match: "x,y", "1"`}, 304},
		{[]string{"If-None-Match: *"}, 304},
		{[]string{`If-None-Match: "0"`, "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT"}, 200},
		{[]string{"If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT"}, 304},
		{[]string{"If-Modified-Since: Saturday, 01-Jan-00 00:00:01 GMT"}, 304},
		{[]string{"If-Modified-Since: Fri Dec 31 23:59:59 1999"}, 200},
		{[]string{"If-Modified-Since: now"}, 200},
	} {
		w := s.get(tc.fields...)
		if w.Code != tc.status {
			t.Errorf("%q: %d", tc.fields, w.Code)
		}
		if h := w.Header(); w.Code == 304 && (h.Get("Etag") == "" || h.Get("Date") == "" || h.Get("Vary") == "" || h.Get("Age") == "" || h.Get("Content-Location") == "" || h.Get("Content-Type") != "" || h.Get("Content-Length") != "" || w.Body.Len() > 0) {
			t.Errorf("%q: %v", tc.fields, h)
		}
	}
	s.want(1, "all from the store")
	s.get(`If-Match: "0"`)
	s.get("If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT")
	s.want(3, "the handler's conditions")
}

func TestV5_ConditionOnAColdKey(t *testing.T) {
	s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-None-Match") != `"1"` {
			t.Error("the condition did not arrive")
		}
		w.Header().Set("Cache-Control", "max-age=60")
		w.WriteHeader(304)
	})
	for range 2 {
		if w := s.get(`If-None-Match: "1"`); w.Code != 304 {
			t.Error(w.Code)
		}
	}
	s.want(2, "a 304 of the handler is not stored")
}

// R: net/http's ServeContent is the twin.
func TestR_Ranges(t *testing.T) {
	body := strings.Repeat("0123456789", 10)
	fields := []string{"Cache-Control: max-age=1000", `Etag: "1"`, "Content-Type: text/plain", "Last-Modified: Sat, 01 Jan 2000 00:00:00 GMT"}
	s := newSite(t, httpcache.Config{}, says(body, fields...))
	twin := &site{t: t, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"1"`)
		w.Header().Set("Content-Type", "text/plain")
		http.ServeContent(w, r, "", time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), bytes.NewReader([]byte(body)))
	})}
	s.get()
	for _, f := range [][]string{
		{"Range: bytes=0-9"},
		{"Range: bytes=90-"},
		{"Range: bytes=-5"},
		{"Range: bytes=-500"},
		{"Range: bytes=99-200"},
		{"Range: bytes=100-"},
		{"Range: bytes=0-0,5-9"},
		{"Range: bytes=0-9", `If-Range: "1"`},
		{"Range: bytes=0-9", `If-Range: "2"`},
		{"Range: bytes=0-9", `If-Range: W/"1"`},
		{"Range: bytes=0-9", "If-Range: Sat, 01 Jan 2000 00:00:00 GMT"},
		{"Range: bytes=0-9", "If-Range: Sat, 01 Jan 2000 00:00:01 GMT"},
		{"Range: bytes=0-9", `If-None-Match: "1"`},
		{"Range: bytes=0-9", `If-None-Match: "2"`},
	} {
		got, want := s.get(f...), twin.get(f...)
		multi := strings.HasPrefix(got.Header().Get("Content-Type"), "multipart/byteranges")
		if got.Code != want.Code || got.Header().Get("Content-Range") != want.Header().Get("Content-Range") || !multi && got.Body.String() != want.Body.String() {
			t.Errorf("%q: %d %s %q; ServeContent %d %s %q", f, got.Code, got.Header().Get("Content-Range"), got.Body, want.Code, want.Header().Get("Content-Range"), want.Body)
		}
	}
	// More than is sane: the whole.
	for _, spec := range []string{"items=0-9", "bytes=5-1", "bytes=" + strings.Repeat("0-0,", 16) + "0-0", "bytes=0-,0-,0-"} {
		if w := s.get("Range: " + spec); w.Code != 200 || w.Body.Len() != 100 {
			t.Errorf("%s: %d", spec, w.Code)
		}
	}
	if w := s.ask("HEAD", "http://example.com/a", "Range: bytes=0-9"); w.Code != 200 {
		t.Error("HEAD with a range", w.Code)
	}
	s.want(1, "all from the store")
	if s.Stats().Answered206 == 0 {
		t.Error("not counted")
	}
}

func TestW_Vary(t *testing.T) {
	for _, tc := range []struct {
		rule, vary string
		a, b       []string
		same       bool
	}{
		{"W1", "X", []string{"X: 1"}, []string{"X: 2"}, false},
		{"W1", "X", []string{"X: 1"}, nil, false},
		{"W1", "X", []string{"X: "}, nil, false},
		{"W1", "X", nil, nil, true},
		{"W1", "X", []string{"X: a,b"}, []string{"X: a", "X: b"}, true},
		{"W1", "X", []string{"X: a ,  b"}, []string{"X: a,b"}, true},
		{"W1", "X, Y", []string{"X: 1", "Y: 2"}, []string{"X: 2", "Y: 1"}, false},
		{"W1", "x", []string{"X: 1", "Z: 1"}, []string{"X: 1", "Z: 2"}, true},
		{"W3", "Accept-Encoding", []string{"Accept-Encoding: gzip, br"}, []string{"Accept-Encoding: BR,gzip"}, true},
		{"W3", "Accept-Encoding", []string{"Accept-Encoding: gzip;q=0.5, br"}, []string{"Accept-Encoding: br,gzip;q=0.4"}, true},
		{"W3", "Accept-Encoding", []string{"Accept-Encoding: gzip;q=0.5, br"}, []string{"Accept-Encoding: gzip, br;q=0.5"}, false},
		{"W3", "Accept-Encoding", []string{"Accept-Encoding: gzip;q=0"}, []string{"Accept-Encoding: gzip"}, false},
		{"W3", "Accept-Language", []string{"Accept-Language: EN, de;q=0.5"}, []string{"Accept-Language: de;q=0.5,en"}, true},
		{"W3", "Accept-Language", []string{"Accept-Language: en, de"}, []string{"Accept-Language: de, en"}, false},
	} {
		s := newSite(t, httpcache.Config{}, says("x", "Cache-Control: max-age=60", "Vary: "+tc.vary))
		s.get(tc.a...)
		s.get(tc.b...)
		if same := s.calls.Load() == 1; same != tc.same {
			t.Errorf("%s: Vary: %s: %q and %q: shared %v", tc.rule, tc.vary, tc.a, tc.b, same)
		}
		s.get(tc.a...)
		s.get(tc.b...)
		if n := s.calls.Load(); n > 2 {
			t.Errorf("%s: variants do not live side by side", tc.rule)
		}
	}
}

func TestW2_MaxVariants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, httpcache.Config{MaxVariants: 2}, says("x", "Cache-Control: max-age=600", "Vary: X"))
		for _, x := range []string{"1", "2", "1", "3"} { // 2 was used longest ago
			s.get("X: " + x)
			time.Sleep(2 * time.Second)
		}
		s.want(3, "three variants")
		s.get("X: 1")
		s.get("X: 3")
		s.want(3, "those that stay")
		s.get("X: 2")
		s.want(4, "the one that left")
	})
}

// Layers outside name their series by the route, which only the mux inside knows: also of what it is
// not asked for.
func TestThePatternComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tc := range map[string]struct {
			control string
			calls   int64
			masked  bool
		}{
			"loads and validations": {"no-cache", 4, false}, "a load, those who wait, and hits": {"max-age=60", 1, false}, "under a mask": {"max-age=60", 1, true}, "marks": {"no-store", 4, false},
		} {
			mux := http.NewServeMux()
			mux.HandleFunc("GET /a", func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Second)
				w.Header().Set("Cache-Control", tc.control)
				w.Header().Set("Etag", `"1"`)
				if r.Header.Get("If-None-Match") != "" {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				w.WriteHeader(http.StatusOK)
				_ = http.NewResponseController(w).Flush() // those who wait follow from here
				time.Sleep(time.Second)
			})
			// A layer inside that copies the request brings the route back when its handler has returned.
			s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
				inner := r.WithContext(r.Context())
				defer rw.CopyBack(r, inner)
				mux.ServeHTTP(w, inner)
			})
			ask := func() {
				r := request("GET", "http://example.com/a")
				if tc.masked {
					r = r.WithContext(context.WithValue(r.Context(), rw.ProjectionKey{}, &rw.Projection{Query: ""}))
				}
				s.ServeHTTP(httptest.NewRecorder(), r)
				if r.Pattern != "GET /a" {
					t.Errorf("%s: Pattern is %q", name, r.Pattern)
				}
			}
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(ask)
			}
			wg.Wait()
			ask()
			ask()
			s.want(tc.calls, name)
		}
	})
}
