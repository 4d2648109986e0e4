//go:build !race

package rw_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/internal/rw"
)

// A wrapper costs its writer and nothing else; walking costs nothing.
func TestAllocs(t *testing.T) {
	inner := &bare{header: http.Header{"X-A": {"1"}, "X-B": {"2"}}}
	r := httptest.NewRequest("GET", "/", nil)
	body := []byte(text)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.Write(body)
	})
	copied := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.(io.ReaderFrom).ReadFrom(r.Body) })
	src := strings.NewReader(text)
	upload := httptest.NewRequest("POST", "/", nil)
	upload.Body = io.NopCloser(src)

	_, inside, part := nest(nil)
	v := rw.NewVariants(body, nil)
	flushed := new(observer)
	flushed.Wrap(httptest.NewRecorder(), nil)

	for _, tc := range []struct {
		name string
		want float64
		f    func()
	}{
		{"observer", 1, func() {
			inner.body.Reset()
			o := new(observer)
			o.Wrap(inner, nil)
			o.Serve(o, handler, r)
		}},
		{"a header held until the return: the snapshot is pooled", 1, func() {
			f := new(forgetful)
			f.Wrap(inner, f)
			f.Serve(f, handler, r)
		}},
		{"ReadFrom under a Layer: the piece is pooled", 1, func() {
			src.Reset(text)
			f := new(forgetful)
			f.Wrap(inner, f)
			f.Serve(f, copied, upload)
		}},
		{"Walk", 0, func() {
			for range rw.Walk(inside) {
			}
		}},
		{"WalkOut", 0, func() {
			for range rw.WalkOut(inside) {
			}
		}},
		{"Offer", 0, func() { rw.Offer(inside, v) }},
		{"Charge", 0, func() { rw.Charge(inside, part) }},
		{"RestoreTags", 0, func() { rw.RestoreTags(inside, nil) }},
		{"Form", 0, func() { v.Form("gzip") }},
		{"Flush", 0, func() { flushed.Flush() }},
		{"Buffer", 0, func() { rw.GetBuffer(100).Put() }},
		{"Whole of an unmasked request", 0, func() { rw.Whole(r) }},
	} {
		if got := testing.AllocsPerRun(200, tc.f); got != tc.want {
			t.Errorf("%s: %v allocations, want %v", tc.name, got, tc.want)
		}
	}
}

func BenchmarkWriter(b *testing.B) {
	inner := &bare{header: http.Header{"X-A": {"1"}, "X-B": {"2"}, "Content-Type": {"text/plain"}}}
	r := httptest.NewRequest("GET", "/", nil)
	body := []byte(text)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.Write(body)
	})
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			inner.body.Reset()
			handler.ServeHTTP(inner, r)
		}
	})
	b.Run("observer", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			inner.body.Reset()
			o := new(observer)
			o.Wrap(inner, nil)
			o.Serve(o, handler, r)
		}
	})
	b.Run("header held", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			f := new(forgetful)
			f.Wrap(inner, f)
			f.Serve(f, handler, r)
		}
	})
}
