package stacktest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/batch"
	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/internal/rw"
	"github.com/hotpath-go/hotpath/metrics"
	"github.com/hotpath-go/hotpath/partial"
	"github.com/hotpath-go/hotpath/pool"
	"github.com/hotpath-go/hotpath/pool/bulkhead"
	"github.com/hotpath-go/hotpath/throttle"
)

// A stack is written as letters, the outermost layer first: "tcbphu" is the order that we recommend.
// Small ones are layers of ours, each an instance of its own.
//
//	b batch     h httpcache  o the pool    t throttle
//	c compress  m metrics    p partial     u the bulkhead
//
// Large ones are foreign.
//
//	L a logger, with Unwrap           N one without Unwrap: it hides what is around it
//	O an observer on our own core     T http.TimeoutHandler: it hides, and buffers
//	C one like chi's, that tees       R a recoverer: what panicked ends as if it had returned
//	A one that takes every coding but gzip from requests, as caches of others do
const ours = "bchmoptu"

// A layer is one member of a stack, and what a check needs to know of it.
type layer struct {
	letter byte
	wrap   func(http.Handler) http.Handler
	// busy is what it still holds of requests, "" if nothing. nil: it holds nothing.
	busy func() string

	compress *compress.Compressor
	cache    *httpcache.Cache
	metrics  *metrics.HTTP
	pool     *pool.Pool
	throttle *throttle.Limiter
	bulkhead *bulkhead.Bulkhead
}

// sizes are of the layers that refuse.
type sizes struct {
	burst int64 // tokens, of which none comes back while a test runs
	slots int   // that are taken before anybody waits; nobody waits if it is 1
}

var roomy, tight = sizes{burst: 200_000, slots: 64}, sizes{burst: 4, slots: 1}

// layerOf makes the layer of a letter; variant chooses between configurations that a client cannot tell
// apart.
func layerOf(t *testing.T, letter byte, size sizes, variant int) layer {
	t.Helper()
	l := layer{letter: letter}
	var err error
	switch letter {
	case 'b':
		var e *batch.Endpoint
		e, err = batch.New(batch.Config{})
		l.wrap, l.busy = e.Handler, func() string { return counted("parts", e.Stats().Running) }
	case 'c':
		l.compress, err = compress.New(compress.Config{MinSize: []int64{-1, 0}[variant%2]})
		l.wrap, l.busy = l.compress.Handler, func() string {
			s := l.compress.Stats()
			return counted("encoders", s.Encoders) + counted("event streams", s.Streams)
		}
	case 'h':
		l.cache, err = httpcache.New(httpcache.Config{})
		l.wrap, l.busy = l.cache.Handler, func() string { return counted("loads", l.cache.Stats().InFlight) }
	case 'm':
		l.metrics, err = metrics.New(metrics.Config{})
		l.wrap, l.busy = l.metrics.Handler, func() string { return counted("measured requests", l.metrics.Stats().InFlight) }
	case 'o':
		l.pool, err = pool.New(pool.Config{})
		t.Cleanup(func() {
			if err := l.pool.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		l.wrap, l.busy = l.pool.Handler, func() string { return counted("tasks", l.pool.Stats().Running) }
	case 'p':
		var f *partial.Filter
		f, err = partial.New(partial.Config{Buffer: []int64{0, 2000}[variant%2]})
		l.wrap = f.Handler
	case 't':
		l.throttle, err = throttle.New(throttle.Config{Rate: throttle.Per(1, time.Hour), Burst: size.burst})
		l.wrap, l.busy = l.throttle.Handler, func() string { return counted("who wait", l.throttle.Stats().Waiting) }
	case 'u':
		cfg := bulkhead.Config{Limit: size.slots, Buffer: []int64{0, -1, 50_000}[variant%3]}
		if cfg.Limit == 1 {
			cfg.Fixed, cfg.Queue = true, -1
		}
		l.bulkhead, err = bulkhead.New(cfg)
		l.wrap, l.busy = l.bulkhead.Handler, func() string {
			s := l.bulkhead.Stats()
			return counted("slots", s.InFlight) + counted("kept bytes", s.BufferBytes) + counted("long-lived", s.LongLived)
		}
	default:
		l.wrap = foreign[letter]
	}
	if err != nil || l.wrap == nil {
		t.Fatalf("layer %c: %v", letter, err)
	}
	return l
}

func counted(what string, n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d %s; ", n, what)
}

// foreign are layers that nobody made with ours in mind.
var foreign = map[byte]func(http.Handler) http.Handler{
	'L': around(func(w http.ResponseWriter) http.ResponseWriter { return &logger{ResponseWriter: w} }),
	'N': around(func(w http.ResponseWriter) http.ResponseWriter { return struct{ http.ResponseWriter }{w} }),
	'C': around(func(w http.ResponseWriter) http.ResponseWriter { return &teeing{logger: logger{ResponseWriter: w}} }),
	'O': func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			o := new(struct{ rw.Writer })
			o.Wrap(w, nil)
			o.Serve(o, next, r)
		})
	},
	'R': func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if p := recover(); p == http.ErrAbortHandler {
					panic(p)
				} else if p != nil {
					w.WriteHeader(http.StatusInternalServerError) // ignored if the answer has begun
				}
			}()
			next.ServeHTTP(&logger{ResponseWriter: w}, r)
		})
	},
	'A': func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && acceptable("gzip", r.Header["Accept-Encoding"]) {
				r.Header.Set("Accept-Encoding", "gzip")
			} else {
				r.Header.Del("Accept-Encoding")
			}
			next.ServeHTTP(w, r)
		})
	},
	'T': func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Minute, "late") },
}

func around(wrap func(http.ResponseWriter) http.ResponseWriter) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(wrap(w), r) })
	}
}

// logger is a foreign layer as most are: a struct around the writer, with Unwrap.
type logger struct {
	http.ResponseWriter
	status int
}

func (l *logger) WriteHeader(s int)           { l.status = s; l.ResponseWriter.WriteHeader(s) }
func (l *logger) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// teeing has every method that handlers have ever asserted, and looks at what is written.
type teeing struct {
	logger
	bytes int64
}

func (w *teeing) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

func (w *teeing) ReadFrom(src io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, src)
	w.bytes += n
	return n, err
}

func (w *teeing) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

func (w *teeing) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// build puts the layers that letters name around h.
func build(t *testing.T, letters string, size sizes, h http.Handler) (http.Handler, []layer) {
	t.Helper()
	var layers []layer
	for i, letter := range slices.Backward([]byte(letters)) {
		l := layerOf(t, letter, size, i+len(letters))
		h = l.wrap(h)
		layers = append([]layer{l}, layers...)
	}
	return h, layers
}
