package batch_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/batch"
	"github.com/hotpath-go/hotpath/internal/statstest"
)

func wantSeries(t *testing.T, got, want map[string]float64) {
	t.Helper()
	for series, n := range want {
		if v, there := got[series]; !there || v != n {
			t.Errorf("%s is %v (there: %t), want %v", series, v, there, n)
		}
	}
}

func TestLoaderStats_CanBeExported(t *testing.T) {
	s, l := setup(t, batch.LoaderConfig[int, int]{MaxKeys: 2})
	ctx := batch.WithScope(t.Context())
	_, _ = l.LoadAll(ctx, []int{1, 2, 1})
	_, _ = l.Load(ctx, 1)
	s.fetch = func(_ context.Context, keys []int) (map[int]int, error) {
		return map[int]int{99: 1}, batch.Errors[int]{4: errors.New("bad")}
	}
	_, _ = l.LoadAll(t.Context(), []int{3, 4})
	s.fetch = func(context.Context, []int) (map[int]int, error) { panic("boom") }
	_, _ = l.Load(t.Context(), 5)
	wantSeries(t, statstest.Check(t, l.Stats), map[string]float64{
		`hotpath_batch_loader_loads_total{result="remembered"}`: 1,
		`hotpath_batch_loader_loads_total{result="joined"}`:     1,
		`hotpath_batch_loader_loads_total{result="fetched"}`:    5,
		`hotpath_batch_loader_fetches_total{reason="full"}`:     2,
		`hotpath_batch_loader_fetches_total{reason="unscoped"}`: 1,
		`hotpath_batch_loader_fetches_total{reason="quiet"}`:    0,
		`hotpath_batch_loader_fetches_total{reason="waited"}`:   0,
		`hotpath_batch_loader_keys_total{result="found"}`:       2,
		`hotpath_batch_loader_keys_total{result="missing"}`:     1,
		`hotpath_batch_loader_keys_total{result="failed"}`:      1,
		`hotpath_batch_loader_keys_total{result="panicked"}`:    1,
		`hotpath_batch_loader_keys_total{result="unasked"}`:     1,
		`hotpath_batch_loader_keys_total{result="left"}`:        0,
		`hotpath_batch_loader_fetches_in_flight`:                0,
		`hotpath_batch_loader_keys_per_fetch_count`:             3,
		`hotpath_batch_loader_keys_per_fetch_sum`:               5,
		`hotpath_batch_loader_fetch_seconds_count`:              3,
		`hotpath_batch_loader_wait_seconds_count`:               3,
	})
}

func TestStats_CanBeExported(t *testing.T) {
	e := newEndpoint(t, batch.Config{MaxParts: 10, MaxBytes: 2000})
	h := e.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(map[string]int{"/3": 302, "/4": 404, "/5": 503}[r.URL.Path] + map[string]int{"/2": 200}[r.URL.Path])
	}))
	ok := `{"requests":[{"id":"1","method":"GET","url":"/2"},{"id":"2","method":"GET","url":"/3"},{"id":"3","method":"GET","url":"/4"},{"id":"4","method":"GET","url":"/5"},
		{"id":"5","method":"GET","url":"//x"},{"id":"6","method":"GET","url":"$batch"},{"id":"7","method":"GET","url":"/2","dependsOn":["3"]}]}`
	w := post(h, "/$batch", ok)
	post(h, "/$batch", "[]")
	post(h, "/$batch", strings.Repeat(" ", 3000))
	post(h, "/$batch", "", "Content-Type", "text/plain")
	wantSeries(t, statstest.Check(t, e.Stats), map[string]float64{
		`hotpath_batch_requests_total{outcome="json"}`:        1,
		`hotpath_batch_requests_total{outcome="malformed"}`:   1,
		`hotpath_batch_requests_total{outcome="too_large"}`:   1,
		`hotpath_batch_requests_total{outcome="unsupported"}`: 1,
		`hotpath_batch_parts_total{outcome="2xx"}`:            1,
		`hotpath_batch_parts_total{outcome="3xx"}`:            1,
		`hotpath_batch_parts_total{outcome="4xx"}`:            1,
		`hotpath_batch_parts_total{outcome="5xx"}`:            1,
		`hotpath_batch_parts_total{outcome="refused"}`:        1,
		`hotpath_batch_parts_total{outcome="nested"}`:         1,
		`hotpath_batch_parts_total{outcome="dependent"}`:      1,
		`hotpath_batch_parts_total{outcome="throttled"}`:      0,
		`hotpath_batch_parts_total{outcome="timeout"}`:        0,
		`hotpath_batch_parts_total{outcome="panic"}`:          0,
		`hotpath_batch_parts_total{outcome="overflow"}`:       0,
		`hotpath_batch_parts_running`:                         0,
		`hotpath_batch_parts_per_request_sum`:                 7,
		`hotpath_batch_request_seconds_count`:                 1,
		`hotpath_batch_bytes_total{direction="in"}`:           float64(len(ok)),
		`hotpath_batch_bytes_total{direction="out"}`:          float64(w.Body.Len()),
	})
}
