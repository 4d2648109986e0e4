package compress_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/internal/statstest"
)

func TestStats_CanBeExported(t *testing.T) {
	c, err := compress.New(compress.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write(text(5_000))
	}))
	for _, accepts := range []string{"gzip", "zstd", ""} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", accepts)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	got := statstest.Check(t, c.Stats)
	for series, want := range map[string]float64{
		`hotpath_compress_responses_total{coding="gzip"}`:     1,
		`hotpath_compress_responses_total{coding="zstd"}`:     1,
		`hotpath_compress_responses_total{coding="identity"}`: 1,
		`hotpath_compress_responses_total{coding="br"}`:       0,
		`hotpath_compress_skipped_total{reason="client"}`:     1,
		`hotpath_compress_encodes_total{kind="whole"}`:        2,
	} {
		if v, there := got[series]; !there || v != want {
			t.Errorf("%s is %v (there: %t), want %v", series, v, there, want)
		}
	}
}
