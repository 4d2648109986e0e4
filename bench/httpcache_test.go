package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/stampede"
	cachestore "github.com/goware/cachestore2"
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
	c, err := httpcache.New(httpcache.Config{MaxBytes: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	return c.Handler(h), c
}

func stampeded(h http.Handler) http.Handler {
	return stampede.Handler(slog.New(slog.DiscardHandler), &mapBackend{all: map[string]any{}}, time.Hour)(h)
}

// mapBackend is the least that stampede can keep things in: what it uses of a Backend, on a locked map.
type mapBackend struct {
	cachestore.Backend
	mu  sync.RWMutex
	all map[string]any
}

func (m *mapBackend) Name() string                     { return "map" }
func (m *mapBackend) Options() cachestore.StoreOptions { return cachestore.StoreOptions{} }

func (m *mapBackend) Get(_ context.Context, key string) (any, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	v, ok := m.all[key]
	return v, ok, nil
}

func (m *mapBackend) SetEx(_ context.Context, key string, value any, _ time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all[key] = value
	return nil
}

func (m *mapBackend) Set(ctx context.Context, key string, value any) error {
	return m.SetEx(ctx, key, value, 0)
}

func BenchmarkHTTPCacheHit(b *testing.B) {
	for _, size := range []int{1 << 10, 100 << 10} {
		body := product(size)
		cached, _ := httpcacheOver(b, static(body))
		for _, tc := range []struct {
			name string
			h    http.Handler
		}{{"lookup", lookup(body)}, {"static", static(body)}, {"httpcache", cached}, {"stampede", stampeded(static(body))}} {
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

// BenchmarkHTTPCacheLoopback asks by turns, a hundred requests each, so that both have the same
// machine: requests/s is the ratio of the medians.
func BenchmarkHTTPCacheLoopback(b *testing.B) {
	for _, size := range []int{1 << 10, 100 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			body := product(size)
			cached, _ := httpcacheOver(b, static(body))
			var servers [2]*httptest.Server
			for i, h := range []http.Handler{static(body), cached} {
				servers[i] = httptest.NewServer(h)
				defer servers[i].Close()
			}
			hundred := func(srv *httptest.Server) time.Duration {
				began := time.Now()
				for range 100 {
					res, err := srv.Client().Get(srv.URL + "/a")
					if err != nil {
						b.Fatal(err)
					}
					_, _ = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				return time.Since(began)
			}
			var took [2][]time.Duration
			for b.Loop() {
				for i, srv := range servers {
					took[i] = append(took[i], hundred(srv))
				}
			}
			median := func(all []time.Duration) float64 {
				slices.Sort(all)
				return float64(all[len(all)/2])
			}
			b.ReportMetric(median(took[0])/median(took[1]), "of-static")
		})
	}
}

func BenchmarkHTTPCachePurgeTags(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c, err := httpcache.New(httpcache.Config{MaxBytes: 4 << 30})
			if err != nil {
				b.Fatal(err)
			}
			h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				httpcache.Public(w, time.Hour, "all", r.URL.RawQuery)
			}))
			w, r := &nowhere{http.Header{}}, httptest.NewRequest("GET", "/a", nil)
			for i := range n {
				clear(w.h)
				r.URL.RawQuery = strconv.Itoa(i)
				h.ServeHTTP(w, r)
			}
			if c.Stats().Entries != int64(n) {
				b.Fatal(c.Stats().Entries)
			}
			for b.Loop() {
				c.PurgeTags("all")
			}
		})
	}
}

// BenchmarkHTTPCacheHeap compares what the Cache says it holds with what the heap grew by: 100,000
// entries of 1 KiB.
func BenchmarkHTTPCacheHeap(b *testing.B) {
	const n = 100_000
	body := product(1 << 10)
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for b.Loop() {
		before := heap()
		h, c := httpcacheOver(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			httpcache.Public(w, time.Hour)
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Etag", `"`+r.URL.RawQuery+`"`)
			_, _ = w.Write(body)
		}))
		_ = c
		w, r := &nowhere{http.Header{}}, httptest.NewRequest("GET", "/a", nil)
		for i := range n {
			clear(w.h)
			r.URL.RawQuery = strconv.Itoa(i)
			h.ServeHTTP(w, r)
		}
		grown, says := heap()-before, float64(c.Stats().Bytes)
		b.ReportMetric(grown/float64(c.Stats().Entries), "heap-B/entry")
		b.ReportMetric(says/grown, "said/heap")
		runtime.KeepAlive(h)
	}
}
