package bench

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/felixge/httpsnoop"

	"github.com/hotpath-go/hotpath/internal/rw"
)

// discard is a ResponseWriter with the optional methods that net/http's has, as far as a
// benchmark needs them.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) Flush()                      {}

// BenchmarkObserver sees status and size of a response, as access logs and metrics do.
func BenchmarkObserver(b *testing.B) {
	body := []byte("hello, world")
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(body)
	})
	w, r := &discard{http.Header{}}, httptest.NewRequest("GET", "/", nil)

	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			handler.ServeHTTP(w, r)
		}
	})
	b.Run("hotpath", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			o := new(struct{ rw.Writer })
			o.Wrap(w, nil)
			o.Serve(o, handler, r)
			if o.Status() != 200 || o.Written() != int64(len(body)) {
				b.Fatal(o.Status(), o.Written())
			}
		}
	})
	b.Run("httpsnoop", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if m := httpsnoop.CaptureMetrics(handler, w, r); m.Code != 200 || m.Written != int64(len(body)) {
				b.Fatal(m)
			}
		}
	})
}
