package httpcache_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

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

// C1, C2, C4: one encoding for a hundred hits, charged to the cache and gone with the entry.
func TestC1_C2_C4_EncodeOnce(t *testing.T) {
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
