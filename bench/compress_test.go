package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/CAFxX/httpcompression"
	"github.com/andybalholm/brotli"
	gingzip "github.com/gin-contrib/gzip"
	"github.com/gin-gonic/gin"
	chimw "github.com/go-chi/chi/v5/middleware"
	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/labstack/echo/v5"
	echomw "github.com/labstack/echo/v5/middleware"

	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// jsonList is a list as an API sends it.
func jsonList(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `{"id":%d,"sku":"A-%05d","name":"Item number %d","price":%d.%02d,"stock":%d,"tags":["t%d","t%d"]},`,
			i, i*7919%100_000, i, i%90, i*31%100, i*131%1000, i%7, i%11)
	}
	return b.Bytes()[:n]
}

// wire is a discard that counts.
type wire struct {
	discard
	n int
}

func (w *wire) Write(p []byte) (int, error) { w.n += len(p); return len(p), nil }

func jsonHandler(body []byte) http.Handler {
	contentType := []string{"application/json"}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = contentType
		_, _ = w.Write(body)
	})
}

func asks(coding string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Encoding", coding)
	return r
}

// through measures one response of h, and reports its bytes on the wire.
func through(b *testing.B, h http.Handler, coding string) {
	b.Helper()
	b.ReportAllocs()
	w, r := &wire{discard: discard{http.Header{}}}, asks(coding)
	h.ServeHTTP(w, r)
	first := w.n
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
	b.ReportMetric(float64(first), "wire-B")
}

func hotpath(b *testing.B, cfg compress.Config, h http.Handler) http.Handler {
	b.Helper()
	c, err := compress.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	return c.Handler(h)
}

func gz(b *testing.B, h http.Handler) http.Handler {
	b.Helper()
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(512), gzhttp.EnableZstd(true))
	if err != nil {
		b.Fatal(err)
	}
	return wrap(h)
}

type encoder interface {
	io.WriteCloser
	Reset(io.Writer)
}

// raw is the encoder of a coding by itself, with the level and window that hotpath gives it.
func raw(b *testing.B, coding string) encoder {
	b.Helper()
	switch coding {
	case "zstd":
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(128<<10), zstd.WithEncoderCRC(false), zstd.WithZeroFrames(true))
		if err != nil {
			b.Fatal(err)
		}
		return e
	case "br":
		return brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: 2, LGWin: 17})
	}
	e, err := gzip.NewWriterLevel(nil, 5)
	if err != nil {
		b.Fatal(err)
	}
	return e
}

// BenchmarkEncode is a response that is encoded, by size and coding.
func BenchmarkEncode(b *testing.B) {
	for _, size := range []int{800, 10_000, 36_000, 100_000} {
		body := jsonList(size)
		h := jsonHandler(body)
		for _, coding := range []string{"zstd", "br", "gzip"} {
			name := fmt.Sprintf("%dB/%s/", size, coding)
			b.Run(name+"raw", func(b *testing.B) {
				b.ReportAllocs()
				e, w := raw(b, coding), &wire{discard: discard{http.Header{}}}
				n := 0
				for b.Loop() {
					w.n = 0
					e.Reset(w)
					_, _ = e.Write(body)
					_ = e.Close()
					n = w.n
				}
				b.ReportMetric(float64(n), "wire-B")
			})
			b.Run(name+"hotpath", func(b *testing.B) { through(b, hotpath(b, compress.Config{MinSize: 512}, h), coding) })
			if coding != "br" {
				b.Run(name+"gzhttp", func(b *testing.B) { through(b, gz(b, h), coding) })
			}
			if size != 10_000 {
				continue
			}
			if coding != "gzip" {
				b.Run(name+"httpcompression", func(b *testing.B) {
					adapter, err := httpcompression.DefaultAdapter()
					if err != nil {
						b.Fatal(err)
					}
					through(b, adapter(h), coding)
				})
				continue
			}
			b.Run(name+"chi", func(b *testing.B) { through(b, chimw.Compress(5)(h), coding) })
			b.Run(name+"echo", func(b *testing.B) {
				e := echo.New()
				e.Use(echomw.Gzip())
				e.GET("/", echo.WrapHandler(h))
				through(b, e, coding)
			})
			b.Run(name+"gin", func(b *testing.B) {
				gin.SetMode(gin.ReleaseMode)
				g := gin.New()
				g.Use(gingzip.Gzip(gingzip.DefaultCompression))
				g.GET("/", gin.WrapH(h))
				through(b, g, coding)
			})
		}
	}
}

// BenchmarkSkip is a response that leaves as it is: the price above the bare handler.
func BenchmarkSkip(b *testing.B) {
	png := []string{"image/png"}
	for _, tc := range []struct {
		name, accept string
		h            http.Handler
	}{
		{"identity", "identity", jsonHandler(jsonList(10_000))},
		{"204", "gzip", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })},
		{"20B", "gzip", jsonHandler(jsonList(20))},
		{"png", "gzip", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = png
			_, _ = w.Write(pngBody)
		})},
	} {
		b.Run(tc.name+"/bare", func(b *testing.B) { through(b, tc.h, tc.accept) })
		b.Run(tc.name+"/hotpath", func(b *testing.B) { through(b, hotpath(b, compress.Config{}, tc.h), tc.accept) })
		b.Run(tc.name+"/gzhttp", func(b *testing.B) { through(b, gz(b, tc.h), tc.accept) })
	}
}

// pngBody does not get smaller, as PNGs do not.
var pngBody = func() []byte {
	p, x := make([]byte, 10_000), uint32(1)
	for i := range p {
		x = x*1664525 + 1013904223
		p[i] = byte(x >> 24)
	}
	copy(p, "\x89PNG\r\n\x1a\n")
	return p
}()

// BenchmarkHit is a stored body that is sent again and again, encoded once.
func BenchmarkHit(b *testing.B) {
	body := jsonList(36_000)
	v := rw.NewVariants(body, nil)
	fields := http.Header{"Content-Type": {"application/json"}, "Content-Length": {"36000"}, "Etag": {`"v1"`}}
	hit := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for name, lines := range fields {
			h[name] = lines
		}
		rw.Offer(w, v)
		_, _ = w.Write(body)
	})
	b.Run("bare", func(b *testing.B) { through(b, hit, "zstd, gzip") })
	b.Run("hotpath", func(b *testing.B) { through(b, hotpath(b, compress.Config{}, hit), "zstd, gzip") })
	b.Run("gzhttp", func(b *testing.B) { through(b, gz(b, hit), "zstd, gzip") })
}

// BenchmarkEvents is a stream of 300 events, each flushed.
func BenchmarkEvents(b *testing.B) {
	var events [][]byte
	for i := range 300 {
		events = append(events, fmt.Appendf(nil, "id: %d\nevent: price\ndata: {\"symbol\":\"HP%02d\",\"price\":%d.%02d,\"volume\":%d}\n\n", i, i*7%23, 100+i*13%50, i*37%100, i*7919%100_000))
	}
	contentType := []string{"text/event-stream"}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = contentType
		for _, e := range events {
			_, _ = w.Write(e)
			_ = http.NewResponseController(w).Flush()
		}
	})
	b.Run("hotpath", func(b *testing.B) { through(b, hotpath(b, compress.Config{}, h), "gzip") })
	b.Run("gzhttp", func(b *testing.B) { through(b, gz(b, h), "gzip") })
	b.Run("gzip7", func(b *testing.B) {
		e, _ := gzip.NewWriterLevel(nil, 7)
		w := &wire{}
		for b.Loop() {
			w.n = 0
			e.Reset(w)
			for _, event := range events {
				_, _ = e.Write(event)
				_ = e.Flush()
			}
			_ = e.Close()
		}
		b.ReportMetric(float64(w.n), "wire-B")
	})
}

// BenchmarkDecompress reads a coded request body of 100 KB.
func BenchmarkDecompress(b *testing.B) {
	var coded bytes.Buffer
	zw := gzip.NewWriter(&coded)
	_, _ = zw.Write(jsonList(100_000))
	_ = zw.Close()
	buf := make([]byte, 32<<10)
	b.Run("raw", func(b *testing.B) {
		b.ReportAllocs()
		zr, src := new(gzip.Reader), bytes.NewReader(nil)
		for b.Loop() {
			src.Reset(coded.Bytes())
			_ = zr.Reset(src)
			for {
				if _, err := zr.Read(buf); err != nil {
					break
				}
			}
		}
	})
	b.Run("hotpath", func(b *testing.B) {
		b.ReportAllocs()
		d, err := compress.NewDecompressor(compress.DecompressorConfig{})
		if err != nil {
			b.Fatal(err)
		}
		h := d.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := r.Body.Read(buf); err != nil {
					return
				}
			}
		}))
		src := bytes.NewReader(nil)
		r := httptest.NewRequest("POST", "/", io.NopCloser(src))
		r.Header.Set("Content-Encoding", "gzip")
		w := &discard{http.Header{}}
		for b.Loop() {
			src.Reset(coded.Bytes())
			h.ServeHTTP(w, r)
		}
	})
}

// BenchmarkServedHit is a stored hit over a loopback connection, against a handler that has
// nothing to do but to write the same coded bytes.
func BenchmarkServedHit(b *testing.B) {
	body := jsonList(36_000)
	v := rw.NewVariants(body, nil)
	c, err := compress.New(compress.Config{})
	if err != nil {
		b.Fatal(err)
	}
	fields := http.Header{"Content-Type": {"application/json"}, "Content-Length": {"36000"}, "Etag": {`"v1"`}}
	hit := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for name, lines := range fields {
			h[name] = lines
		}
		rw.Offer(w, v)
		_, _ = w.Write(body)
	}))
	recorded := httptest.NewRecorder()
	hit.ServeHTTP(recorded, asks("zstd, gzip"))
	b.Run("static", func(b *testing.B) { served(b, again(recorded)) })
	b.Run("hotpath", func(b *testing.B) { served(b, hit) })
}

// again has nothing to do but to write what was recorded.
func again(recorded *httptest.ResponseRecorder) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for name, lines := range recorded.Header() {
			h[name] = lines
		}
		_, _ = w.Write(recorded.Body.Bytes())
	})
}

// served measures h behind net/http, over one connection whose client does next to nothing.
func served(b *testing.B, h http.Handler) {
	b.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	request := []byte("GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: zstd, gzip\r\n\r\n")
	in := bufio.NewReader(conn)
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			b.Fatal(err)
		}
	}
}
