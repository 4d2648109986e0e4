package bench

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/go-chi/httprate"
	"github.com/klauspost/compress/gzhttp"

	"github.com/hotpath-go/hotpath/batch"
	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/metrics"
	"github.com/hotpath-go/hotpath/partial"
	"github.com/hotpath-go/hotpath/pool/bulkhead"
	"github.com/hotpath-go/hotpath/throttle"
)

// everything puts every layer around h, in the recommended order.
func everything(b *testing.B, h http.Handler) http.Handler {
	b.Helper()
	signals, err := metrics.New(metrics.Config{})
	need(b, err)
	limit, err := throttle.New(throttle.Config{Rate: throttle.Per(plenty, time.Second)})
	need(b, err)
	small, err := compress.New(compress.Config{})
	need(b, err)
	many, err := batch.New(batch.Config{})
	need(b, err)
	fields, err := partial.New(partial.Config{})
	need(b, err)
	answers, err := httpcache.New(httpcache.Config{})
	need(b, err)
	slots, err := bulkhead.New(bulkhead.Config{})
	need(b, err)
	return signals.Handler(limit.Handler(small.Handler(many.Handler(fields.Handler(answers.Handler(slots.Handler(h)))))))
}

// othersTogether is what does the same of that with others' packages.
func othersTogether(h http.Handler) http.Handler {
	h = middleware.Throttle(1_000)(h)
	h = stampeded(h)
	h = gzhttp.GzipHandler(h)
	return httprate.LimitBy(plenty, time.Second, byAddress)(h)
}

// BenchmarkStack is a stored hit of a page of 4 KB through every layer, over a loopback connection, against a
// handler that has nothing to do but to write the same bytes, and against a stack of others.
func BenchmarkStack(b *testing.B) {
	body := jsonList(4_000)
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		httpcache.Public(w, time.Hour)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("ETag", `"v1"`)
		_, _ = w.Write(body)
	})
	hit := everything(b, page)
	var recorded *httptest.ResponseRecorder
	for range 3 { // a miss, the hit that makes the form, a hit
		recorded = httptest.NewRecorder()
		hit.ServeHTTP(recorded, asks("zstd, gzip"))
	}
	if recorded.Header().Get("Content-Encoding") != "zstd" {
		b.Fatal(recorded.Header())
	}
	b.Run("constant", func(b *testing.B) { served(b, again(recorded)) })
	b.Run("hotpath", func(b *testing.B) { served(b, hit) })
	b.Run("others", func(b *testing.B) { served(b, othersTogether(page)) })
}

func need(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
