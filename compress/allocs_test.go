//go:build !race

package compress_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/compress"
)

// sink is an inner writer that allocates nothing and can flush.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header               { return s.header }
func (s *sink) WriteHeader(int)                   {}
func (s *sink) Write(p []byte) (int, error)       { return len(p), nil }
func (s *sink) WriteString(p string) (int, error) { return len(p), nil }
func (s *sink) FlushError() error                 { return nil }

// perRequest counts the allocations of a request whose handler has none of its own.
func perRequest(t *testing.T, cfg compress.Config, h http.Handler, method string, fields ...string) float64 {
	t.Helper()
	c := mustNew(t, cfg).Handler(h)
	out, r := &sink{http.Header{}}, request(method, fields...)
	return testing.AllocsPerRun(200, func() {
		clear(out.header)
		c.ServeHTTP(out, r)
	})
}

// quiet is a handler that allocates nothing.
func quiet(fields string, status int, pieces ...[]byte) http.Handler {
	header := http.Header{}
	for f := range strings.SplitSeq(fields, "\n") {
		if name, value, ok := strings.Cut(f, ": "); ok {
			header[name] = []string{value}
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for name, lines := range header {
			h[name] = lines
		}
		if status != 0 {
			w.WriteHeader(status)
		}
		for _, p := range pieces {
			_, _ = w.Write(p)
		}
	})
}

// One allocation a response: its writer.
func TestAllocs_Response(t *testing.T) {
	js := "Content-Type: application/json"
	toy := newToy(text(36_000), nil)
	toyFields := http.Header{"Content-Type": {"application/json"}, "Content-Length": {"36000"}, "Etag": {`"v1"`}}
	hit := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for name, lines := range toyFields {
			h[name] = lines
		}
		offer(w, toy.v)
		_, _ = w.Write(toy.v.Body())
	})
	for _, tc := range []struct {
		name   string
		h      http.Handler
		accept string
		want   float64
	}{
		{"zstd", quiet(js, 0, text(10_000)), "zstd", 1},
		{"br", quiet(js, 0, text(10_000)), "br", 1},
		{"gzip", quiet(js, 0, text(10_000)), "gzip", 1},
		{"zstd with its length", quiet(js+"\nContent-Length: 10000", 200, text(10_000)), "zstd", 1},
		{"in pieces", quiet(js, 200, text(5000), text(5000), text(20_000)), "gzip", 1},
		{"zstd, streamed: the library's frame header is one", quiet(js, 0, text(100_000)), "zstd", 2},
		{"br, streamed", quiet(js, 0, text(100_000)), "br", 1},
		{"gzip, streamed", quiet(js, 0, text(100_000)), "gzip", 1},
		{"a strong tag costs one", quiet(js+"\nEtag: \"v1\"", 0, text(10_000)), "gzip", 2},
		{"skipped: client", quiet(js, 0, text(10_000)), "identity", 1},
		{"skipped: type", quiet("Content-Type: image/png", 0, text(10_000)), "gzip", 1},
		{"skipped: small", quiet(js, 0, text(20)), "gzip", 1},
		{"skipped: coded", quiet(js+"\nContent-Encoding: br", 0, text(10_000)), "gzip", 1},
		{"skipped: status", quiet("", 204), "gzip", 1},
		{"skipped: no-transform", quiet(js+"\nCache-Control: no-transform", 0, text(10_000)), "gzip", 1},
		{"skipped: larger", quiet(js, 0, []byte(noise(10_000))), "gzip", 1},
		{"a sniffed type", quiet("", 0, text(10_000)), "gzip", 1},
		{"a hit of a cache", hit, "zstd, br, gzip", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := perRequest(t, compress.Config{}, tc.h, "GET", "Accept-Encoding: "+tc.accept); got != tc.want {
				t.Errorf("%v allocations, want %v", got, tc.want)
			}
		})
	}
	off := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		compress.Off(w)
		_, _ = w.Write(nil)
	})
	if got := perRequest(t, compress.Config{}, off, "GET", "Accept-Encoding: gzip"); got != 1 {
		t.Errorf("off: %v allocations", got)
	}
}

// The built-in gzip's history and event are copied together by the library, which is one.
func TestAllocs_Event(t *testing.T) {
	event := []byte("data: {\"price\":123,\"volume\":4567,\"symbol\":\"HP\"}\n\n")
	for coding, most := range map[string]float64{"gzip": 1, "zstd": 0, "br": 1} {
		c := mustNew(t, compress.Config{})
		c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = []string{"text/event-stream"}
			rc := http.NewResponseController(w)
			got := testing.AllocsPerRun(500, func() {
				_, _ = w.Write(event)
				_ = rc.Flush()
			})
			if got > most {
				t.Errorf("%s: %v allocations an event, want at most %v", coding, got, most)
			}
		})).ServeHTTP(&sink{http.Header{}}, request("GET", "Accept-Encoding: "+coding))
	}
}

// A plain request body costs nothing, a coded one its copy of the request and no decoder.
func TestAllocs_Decompressor(t *testing.T) {
	d, _ := compress.NewDecompressor(compress.DecompressorConfig{})
	buf := make([]byte, 32<<10)
	h := d.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := r.Body.Read(buf); err != nil {
				return
			}
		}
	}))
	out := &sink{http.Header{}}
	plain := request("POST")
	if got := testing.AllocsPerRun(200, func() { h.ServeHTTP(out, plain) }); got != 0 {
		t.Errorf("a plain body: %v allocations", got)
	}
	for coding, most := range map[string]float64{"gzip": 8, "zstd": 8, "br": 40} {
		wire := coded(t, coding, text(100_000))
		src := &rewound{p: wire}
		r := httptest.NewRequest("POST", "/", src)
		r.Header["Content-Encoding"] = []string{coding}
		if got := testing.AllocsPerRun(50, func() { src.at = 0; h.ServeHTTP(out, r) }); got > most {
			t.Errorf("%s: %v allocations, want at most %v", coding, got, most)
		}
	}
}

// A handler that reads one JSON value and not the end of the body finds a pooled decoder too.
func TestAllocs_DecompressorOfUnreadBodies(t *testing.T) {
	d, _ := compress.NewDecompressor(compress.DecompressorConfig{})
	buf := make([]byte, 100)
	h := d.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.ReadFull(r.Body, buf) }))
	for coding, most := range map[string]float64{"gzip": 8, "zstd": 8, "br": 40} {
		src := &rewound{p: coded(t, coding, text(100_000))}
		r := httptest.NewRequest("POST", "/", src)
		r.Header["Content-Encoding"] = []string{coding}
		if got := testing.AllocsPerRun(50, func() { src.at = 0; h.ServeHTTP(&sink{http.Header{}}, r) }); got > most {
			t.Errorf("%s: %v allocations, want at most %v", coding, got, most)
		}
	}
}

type rewound struct {
	p  []byte
	at int
}

func (r *rewound) Read(p []byte) (int, error) {
	n := copy(p, r.p[r.at:])
	if r.at += n; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// What 1,000 open event streams hold besides what they would hold without compression.
func TestAllocs_IdleStreams(t *testing.T) {
	idle := func(accept string) int64 {
		const n = 1000
		c := mustNew(t, compress.Config{})
		release, waiting, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
		h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = []string{"text/event-stream"}
			for _, e := range events()[:40] {
				_, _ = w.Write(e)
				_ = http.NewResponseController(w).Flush()
			}
			waiting <- struct{}{}
			<-release
		}))
		before := inUse()
		for range n {
			r := request("GET", "Accept-Encoding: "+accept)
			go func() {
				h.ServeHTTP(&sink{http.Header{}}, r)
				ended <- struct{}{}
			}()
			<-waiting
		}
		held := inUse() - before
		close(release)
		for range n {
			<-ended
		}
		return held / n
	}
	plain := idle("identity")
	coded := idle("gzip")
	if coded-plain > 16<<10 {
		t.Errorf("an idle stream holds %d bytes, %d of them for being compressed: want at most 16 KiB", coded, coded-plain)
	}
	t.Logf("an idle stream holds %d bytes, %d of them for being compressed", coded, coded-plain)
}

func inUse() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
