package httpcache_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/internal/rw"
	"github.com/hotpath-go/hotpath/internal/statstest"
)

// offerer is what an outer compress is to a cache.
type offerer struct {
	sink
	t       *testing.T
	offers  int
	encodes *int
	formed  bool
	offered *rw.Variants
}

func (o *offerer) Offer(v *rw.Variants) bool { o.offers++; o.offered = v; return true }

func (o *offerer) Write(p []byte) (int, error) {
	if o.offered != nil && o.offered.Is(p) {
		f, err := o.offered.Make(context.Background(), "x", "~x", func(dst []byte) ([]byte, error) {
			*o.encodes++
			return append(dst, "small"...), nil
		})
		o.formed = err == nil && string(f.Bytes) == "small"
	}
	return o.sink.Write(p)
}

// C1: one encoding for a hundred hits, charged to the cache and gone with the entry.
func TestC1_EncodeOnce(t *testing.T) {
	s := newSite(t, httpcache.Config{}, says(strings.Repeat("x", 1000), "Cache-Control: max-age=600", `Etag: "1"`))
	encodes := 0
	hit := func(method string) *offerer {
		o := &offerer{sink: sink{h: http.Header{}}, t: t, encodes: &encodes}
		s.ServeHTTP(o, request(method, "http://example.com/a"))
		return o
	}
	if o := hit("GET"); o.offers != 0 {
		t.Error("a miss was offered")
	}
	before := s.Stats().Bytes
	for range 100 {
		if o := hit("GET"); !o.formed {
			t.Fatal("no form")
		}
	}
	if o := hit("HEAD"); o.offers != 1 {
		t.Error("HEAD is not offered")
	}
	if encodes != 1 || s.Stats().Coded != 101 {
		t.Errorf("%d encodings, %d coded hits", encodes, s.Stats().Coded)
	}
	if grown := s.Stats().Bytes - before; grown < 128 || grown > 256 {
		t.Errorf("the form is charged %d bytes", grown)
	}
	// Of a body that was purged no form is kept.
	o := hit("GET")
	s.PurgeAll()
	f, err := o.offered.Make(context.Background(), "y", "~y", func(dst []byte) ([]byte, error) { return append(dst, 'y'), nil })
	if err != nil || f == nil || o.offered.Form("y") != nil || s.Stats().Bytes != 0 {
		t.Error("a form outlives its entry", s.Stats().Bytes)
	}
}

// listing notes the calls in their order.
type listing struct {
	offerer
	calls []string
	body  []byte
	head  http.Header // when it left
}

func (l *listing) Offer(v *rw.Variants) bool {
	l.calls, l.head = append(l.calls, "offer"), l.h.Clone()
	return l.offerer.Offer(v)
}
func (l *listing) WriteHeader(int) { l.calls = append(l.calls, "header") }
func (l *listing) Write(p []byte) (int, error) {
	l.calls, l.body = append(l.calls, "write"), p
	return len(p), nil
}

// C2: the header map is complete, then the offer, then the header, then one Write of the very
// slice that was offered.
func TestC2_OrderOfAHit(t *testing.T) {
	s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		for range 10 { // in pieces: the hit is one
			_, _ = w.Write([]byte(strings.Repeat("x", 1000)))
		}
	})
	s.get()
	l := &listing{offerer: offerer{sink: sink{h: http.Header{}}, t: t, encodes: new(int)}}
	s.ServeHTTP(l, request("GET", "http://example.com/a"))
	if got := strings.Join(l.calls, " "); got != "offer header write" {
		t.Error(got)
	}
	if l.offered == nil || !l.offered.Is(l.body) || len(l.body) != 10_000 {
		t.Error("what was written is not what was offered")
	}
	for _, name := range []string{"Age", "Cache-Status", "Content-Length", "Cache-Control", "Date"} {
		if l.head.Get(name) == "" {
			t.Error("at the offer there is no", name)
		}
	}
}

// C4: a form is charged to the entry, and refused if the entry is not stored any more, whoever
// took it out.
func TestC4_AFormNeverOutlivesItsEntry(t *testing.T) {
	for name, tc := range map[string]struct {
		out  func(s *site)
		kept bool
	}{
		"nobody":   {func(*site) {}, true},
		"purged":   {func(s *site) { _ = s.Purge("http://example.com/a") }, false},
		"by tag":   {func(s *site) { s.PurgeTags("t") }, false},
		"replaced": {func(s *site) { s.ask("POST", "http://example.com/a"); s.get() }, false},
		"evicted": {func(s *site) {
			for i := range 3000 {
				for range 3 {
					s.ask("GET", "http://example.com/"+strconv.Itoa(i))
				}
			}
		}, false},
	} {
		s := newSite(t, httpcache.Config{MaxBytes: 1 << 20, MaxEntry: 1 << 16}, says(strings.Repeat("x", 1000), "Cache-Control: max-age=600", "Cache-Tag: t"))
		s.get()
		l := &listing{offerer: offerer{sink: sink{h: http.Header{}}, t: t, encodes: new(int)}}
		s.ServeHTTP(l, request("GET", "http://example.com/a"))
		tc.out(s)
		before := s.Stats().Bytes
		if _, err := l.offered.Make(t.Context(), "y", "~y", func(dst []byte) ([]byte, error) { return append(dst, make([]byte, 500)...), nil }); err != nil {
			t.Error(err)
		}
		kept, grown := l.offered.Form("y") != nil, s.Stats().Bytes-before
		if kept != tc.kept || kept != (grown >= 500) || s.Stats().Bytes > 1<<20 {
			t.Errorf("%s: kept %t, charged %d; want %t", name, kept, grown, tc.kept)
		}
	}
}

// C4: what was refused is not charged later.
func TestC4_ARefusedFormIsNotCharged(t *testing.T) {
	s := newSite(t, httpcache.Config{MaxBytes: 100 << 10, MaxEntry: 64 << 10}, says(strings.Repeat("x", 60_000), "Cache-Control: max-age=600"))
	s.get()
	l := &listing{offerer: offerer{sink: sink{h: http.Header{}}, t: t, encodes: new(int)}}
	s.ServeHTTP(l, request("GET", "http://example.com/a"))
	before := s.Stats().Bytes
	for _, tc := range []struct {
		coding string
		size   int
		kept   bool
	}{{"big", 50_000, false}, {"small", 500, true}} {
		_, _ = l.offered.Make(t.Context(), tc.coding, "~"+tc.coding, func(dst []byte) ([]byte, error) { return append(dst, make([]byte, tc.size)...), nil })
		if kept := l.offered.Form(tc.coding) != nil; kept != tc.kept {
			t.Errorf("%s: kept %t", tc.coding, kept)
		}
	}
	s.get()
	s.want(1, "the entry stays when its form does not fit")
	if grown := s.Stats().Bytes - before; grown < 500 || grown > 1000 {
		t.Errorf("a form of 500 bytes is charged %d", grown)
	}
}

// C6: an outer compress has put the tags right before we see a request: what it sends outwards as
// "1~x" it restores in conditions, so that they are compared with what is stored.
func TestC6_TagsAreAnOuterLayers(t *testing.T) {
	s := newSite(t, httpcache.Config{}, says("body", "Cache-Control: max-age=600", `Etag: "1"`))
	outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		for i, tag := range r.Header["If-None-Match"] {
			r.Header["If-None-Match"][i] = strings.Replace(tag, `~x"`, `"`, 1)
		}
		s.ServeHTTP(w, r)
		if tag := w.Header().Get("Etag"); tag != "" {
			w.Header().Set("Etag", strings.TrimSuffix(tag, `"`)+`~x"`)
		}
	})
	o := &site{t: t, Cache: s.Cache, Handler: outer}
	for range 2 {
		if w := o.get(); w.Header().Get("Etag") != `"1~x"` {
			t.Error(w.Header())
		}
	}
	if w := o.get(`If-None-Match: "1~x"`); w.Code != 304 || w.Header().Get("Etag") != `"1~x"` {
		t.Error(w.Code, w.Header())
	}
	if w := s.get(); w.Header().Get("Etag") != `"1"` {
		t.Error("an outer layer's edit came into the store:", w.Header())
	}
	s.want(1, "hits")
}

// C7: what is stored is the whole, however an outer partial masks the request: one entry for all
// masks, and the handler sees none.
func TestC7_AnOuterMask(t *testing.T) {
	s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if rw.Masked(r.Context()) != nil || strings.Contains(r.URL.RawQuery+r.RequestURI+r.FormValue("fields"), "fields") {
			t.Error("the handler was asked for a part:", r.URL)
		}
		says("whole of "+r.URL.RawQuery, "Cache-Control: max-age=600")(w, r)
	})
	for _, mask := range []string{"name", "price", ""} {
		r := request("GET", "http://example.com/a?id=1&fields="+mask)
		r = r.WithContext(context.WithValue(r.Context(), rw.ProjectionKey{}, &rw.Projection{Query: "id=1"}))
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Body.String() != "whole of id=1" {
			t.Errorf("%q: %q", mask, w.Body)
		}
	}
	s.ask("GET", "http://example.com/a?id=1")
	s.want(1, "one entry")
}

// C8: a refusal of an inner throttle is not stored, and is in nobody else's place.
func TestC8_AnInnerRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := true
		s := newSite(t, httpcache.Config{DefaultTTL: func(*http.Request, int, http.Header) time.Duration { return time.Hour }}, func(w http.ResponseWriter, r *http.Request) {
			if refuse {
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			says("x", "Cache-Control: max-age=600")(w, r)
		})
		if w := s.get(); w.Code != 429 {
			t.Error(w.Code)
		}
		refuse = false
		for range 2 {
			if w := s.get(); w.Code != 200 || w.Header().Get("Retry-After") != "" {
				t.Error(w.Code, w.Header())
			}
		}
		s.want(2, "the refusal left no mark either: the third is a hit")
	})
}

func TestC3_WhatIsNotOffered(t *testing.T) {
	for _, tc := range [][]string{{"Content-Encoding: gzip"}, {"Cache-Control: no-transform"}} {
		s := newSite(t, httpcache.Config{}, says("x", append([]string{"Cache-Control: max-age=600", `Etag: "1"`}, tc...)...))
		for range 2 {
			o := &offerer{sink: sink{h: http.Header{}}, t: t, encodes: new(int)}
			s.ServeHTTP(o, request("GET", "http://example.com/a"))
			if o.offers != 0 {
				t.Errorf("%q was offered", tc)
			}
		}
	}
	s := newSite(t, httpcache.Config{}, says("xyz", "Cache-Control: max-age=600", `Etag: "1"`))
	s.get()
	for _, fields := range []string{"Range: bytes=0-1", `If-None-Match: "1"`} {
		o := &offerer{sink: sink{h: http.Header{}}, t: t, encodes: new(int)}
		s.ServeHTTP(o, request("GET", "http://example.com/a", fields))
		if o.offers != 0 {
			t.Errorf("%s was offered", fields)
		}
	}
}

// C5: an inner compress says by what coding it answers: one variant per coding, but only if
// that is true of the response at hand, and it came alone.
func TestC5_VariantsByCoding(t *testing.T) {
	choose := func(h http.Header) string {
		if strings.Contains(h.Get("Accept-Encoding"), "gzip") {
			return "gzip"
		}
		return ""
	}
	for _, tc := range []struct {
		name  string
		calls int64
		f     func(w http.ResponseWriter, r *http.Request)
	}{
		{"one", 2, func(w http.ResponseWriter, r *http.Request) { rw.VaryBy(w, "Accept-Encoding", choose) }},
		{"two", 4, func(w http.ResponseWriter, r *http.Request) {
			rw.VaryBy(w, "Accept-Encoding", choose)
			rw.VaryBy(w, "Accept-Encoding", choose)
		}},
		{"a wrong one", 4, func(w http.ResponseWriter, r *http.Request) {
			rw.VaryBy(w, "Accept-Encoding", func(http.Header) string { return "zstd" })
		}},
	} {
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			tc.f(w, r)
			if coding := choose(r.Header); coding != "" {
				w.Header().Set("Content-Encoding", coding)
			}
			says("of "+choose(r.Header), "Cache-Control: max-age=600", "Vary: Accept-Encoding")(w, r)
		})
		for range 2 {
			for _, accept := range []string{"gzip", "gzip, br", "br, gzip;q=0.5", "br"} {
				if w := s.get("Accept-Encoding: " + accept); w.Body.String() != "of "+choose(http.Header{"Accept-Encoding": {accept}}) {
					t.Errorf("%s: %s got %q", tc.name, accept, w.Body)
				}
			}
		}
		s.want(tc.calls, tc.name)
	}
}

func TestD1_CacheStatus(t *testing.T) {
	s := newSite(t, httpcache.Config{Name: "edge", Debug: true}, says("x", "Cache-Control: max-age=60", "Vary: X", "Cache-Status: inner; hit"))
	for _, tc := range []struct {
		method string
		fields []string
		want   string
	}{
		{"GET", []string{"X: 1"}, "edge; fwd=uri-miss; stored"},
		{"GET", []string{"X: 2"}, "edge; fwd=vary-miss; stored"},
		{"GET", []string{"X: 2"}, "edge; hit; ttl="},
		{"POST", nil, "edge; fwd=method"},
		{"GET", []string{"Upgrade: x"}, "edge; fwd=bypass"},
	} {
		lines := s.ask(tc.method, "http://example.com/a", tc.fields...).Header()["Cache-Status"]
		if len(lines) != 2 || lines[0] != "inner; hit" || !strings.HasPrefix(lines[1], tc.want) {
			t.Errorf("%s %q: %q, want %q", tc.method, tc.fields, lines, tc.want)
		}
	}
}

func TestStats_CanBeExported(t *testing.T) {
	s := newSite(t, httpcache.Config{}, says("x", "Cache-Control: max-age=60"))
	s.get()
	s.get()
	s.ask("POST", "http://example.com/a")
	got := statstest.Check(t, s.Stats)
	for series, want := range map[string]float64{
		`hotpath_httpcache_requests_total{outcome="hit"}`:      1,
		`hotpath_httpcache_requests_total{outcome="miss"}`:     1,
		`hotpath_httpcache_requests_total{outcome="bypass"}`:   1,
		`hotpath_httpcache_stored_total`:                       1,
		`hotpath_httpcache_not_stored_total{reason="private"}`: 0,
		`hotpath_httpcache_invalidations_total`:                1,
		`hotpath_httpcache_loads_in_flight`:                    0,
		`hotpath_httpcache_handler_bytes_saved_total`:          1,
	} {
		if v, there := got[series]; !there || v != want {
			t.Errorf("%s is %v (there: %t), want %v", series, v, there, want)
		}
	}
}
