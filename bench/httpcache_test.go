package bench

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzhttp"

	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/compress"
)

// nowhere takes responses and costs nothing.
type nowhere struct{ h http.Header }

func (w *nowhere) Header() http.Header         { return w.h }
func (w *nowhere) WriteHeader(int)             {}
func (w *nowhere) Write(p []byte) (int, error) { return len(p), nil }

func product(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `{"id":%d,"name":"item %d","price":%d},`, i, i*7919%1000, i*31%977)
	}
	return b.Bytes()[:n]
}

// static is a handler that writes constants.
func static(body []byte) http.Handler {
	length := []string{strconv.Itoa(len(body))}
	kind, control, tag := []string{"application/json"}, []string{"public, max-age=3600"}, []string{`"v1"`}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Content-Type"], h["Content-Length"], h["Cache-Control"], h["Etag"] = kind, length, control, tag
		_, _ = w.Write(body)
	})
}

// lookup is the least that a correct hit can do: keyed read of a locked map, a look at the
// conditions, header slices by reference, Age, one Write.
func lookup(body []byte) http.Handler {
	type entry struct {
		header map[string][]string
		body   []byte
		at     time.Time
	}
	var mu sync.RWMutex
	m := map[string]*entry{"example.com/a": {map[string][]string{
		"Content-Type": {"application/json"}, "Content-Length": {strconv.Itoa(len(body))}, "Cache-Control": {"public, max-age=3600"},
		"Etag": {`"v1"`}, "Date": {time.Now().UTC().Format(http.TimeFormat)},
	}, body, time.Now()}}
	ages := []string{"0"}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var scratch [128]byte
		key := append(append(scratch[:0], r.Host...), r.URL.Path...)
		mu.RLock()
		e := m[string(key)]
		mu.RUnlock()
		in := r.Header
		if e == nil || time.Since(e.at) > time.Hour || in["If-None-Match"] != nil || in["If-Modified-Since"] != nil || in["Range"] != nil ||
			in["Cache-Control"] != nil || in["Pragma"] != nil || in["Authorization"] != nil {
			return
		}
		h := w.Header()
		for name, lines := range e.header {
			h[name] = lines
		}
		h["Age"] = ages
		_, _ = w.Write(e.body)
	})
}

func httpcacheOver(b testing.TB, h http.Handler) (http.Handler, *httpcache.Cache) {
	c, err := httpcache.New(httpcache.Config{})
	if err != nil {
		b.Fatal(err)
	}
	return c.Handler(h), c
}

func BenchmarkHTTPCacheHit(b *testing.B) {
	for _, size := range []int{1 << 10, 100 << 10} {
		body := product(size)
		cached, _ := httpcacheOver(b, static(body))
		for _, tc := range []struct {
			name string
			h    http.Handler
		}{{"lookup", lookup(body)}, {"static", static(body)}, {"httpcache", cached}} {
			b.Run(fmt.Sprintf("%dKiB/%s", size>>10, tc.name), func(b *testing.B) {
				w, r := &nowhere{http.Header{}}, httptest.NewRequest("GET", "/a", nil)
				tc.h.ServeHTTP(w, r)
				b.ReportAllocs()
				for b.Loop() {
					clear(w.h)
					tc.h.ServeHTTP(w, r)
				}
			})
		}
	}
}

func BenchmarkHTTPCacheCodedHit(b *testing.B) {
	body := product(36 << 10)
	inner, _ := httpcacheOver(b, static(body))
	c, err := compress.New(compress.Config{Codings: []compress.Coding{compress.Gzip(0)}})
	if err != nil {
		b.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		h    http.Handler
	}{{"gzhttp", gzhttp.GzipHandler(static(body))}, {"identity", inner}, {"hotpath", c.Handler(inner)}} {
		b.Run(tc.name, func(b *testing.B) {
			w, r := &nowhere{http.Header{}}, httptest.NewRequest("GET", "/a", nil)
			r.Header.Set("Accept-Encoding", "gzip")
			for range 3 {
				clear(w.h)
				tc.h.ServeHTTP(w, r)
			}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				tc.h.ServeHTTP(w, r)
			}
		})
	}
}

func BenchmarkHTTPCacheUncacheable(b *testing.B) {
	no := []string{"no-store"}
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header()["Cache-Control"] = no })
	marked, _ := httpcacheOver(b, bare)
	for _, tc := range []struct {
		name string
		h    http.Handler
	}{{"bare", bare}, {"httpcache", marked}} {
		b.Run(tc.name, func(b *testing.B) {
			w, r := &nowhere{http.Header{}}, httptest.NewRequest("GET", "/a", nil)
			tc.h.ServeHTTP(w, r)
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				tc.h.ServeHTTP(w, r)
			}
		})
	}
}

func BenchmarkHTTPCacheLoopback(b *testing.B) {
	for _, size := range []int{1 << 10, 100 << 10} {
		body := product(size)
		cached, _ := httpcacheOver(b, static(body))
		for _, tc := range []struct {
			name string
			h    http.Handler
		}{{"static", static(body)}, {"httpcache", cached}} {
			b.Run(fmt.Sprintf("%dKiB/%s", size>>10, tc.name), func(b *testing.B) {
				srv := httptest.NewServer(tc.h)
				defer srv.Close()
				for b.Loop() {
					res, err := srv.Client().Get(srv.URL + "/a")
					if err != nil {
						b.Fatal(err)
					}
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
			})
		}
	}
}

func BenchmarkHTTPCachePurgeTags(b *testing.B) {
	h, c := httpcacheOver(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		httpcache.Public(w, time.Hour, r.URL.RawQuery)
	}))
	w := &nowhere{http.Header{}}
	for i := range 50_000 {
		clear(w.h)
		h.ServeHTTP(w, httptest.NewRequest("GET", "/a?"+strconv.Itoa(i), nil))
	}
	b.ReportMetric(float64(c.Stats().Entries), "entries")
	i := 0
	for b.Loop() {
		c.PurgeTags(strconv.Itoa(i))
		i++
	}
}
