package cache_test

import (
	"context"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/internal/statstest"
)

func TestStats_CanBeExported(t *testing.T) {
	c := newCache(t, cache.Config[string, int]{
		Load: func(_ context.Context, key string) (int, error) {
			switch key {
			case "none":
				return 0, cache.ErrNotFound
			case "down":
				return 0, errDown
			}
			time.Sleep(time.Millisecond) // so that a hit saves some time
			return 1, nil
		},
		NegativeTTL: time.Hour,
	})
	for _, key := range []string{"a", "a", "a", "b", "none", "none", "down"} {
		_, _ = c.Get(t.Context(), key)
	}
	c.PurgeTags("x", "y")

	got := statstest.Check(t, c.Stats)
	for series, want := range map[string]float64{
		`hotpath_cache_requests_total{outcome="hit"}`:       2,
		`hotpath_cache_requests_total{outcome="miss"}`:      4,
		`hotpath_cache_requests_total{outcome="not_found"}`: 1,
		`hotpath_cache_requests_total{outcome="stale"}`:     0,
		`hotpath_cache_requests_total{outcome="coalesced"}`: 0,
		`hotpath_cache_loads_total{result="ok"}`:            2,
		`hotpath_cache_loads_total{result="not_found"}`:     1,
		`hotpath_cache_loads_total{result="error"}`:         1,
		`hotpath_cache_purges_total`:                        2,
		`hotpath_cache_loads_in_flight`:                     0,
		`hotpath_cache_load_seconds_count`:                  4,
	} {
		if v, there := got[series]; !there || v != want {
			t.Errorf("%s is %v (there: %t), want %v", series, v, there, want)
		}
	}
	for _, series := range []string{"hotpath_cache_load_seconds_saved_total", "hotpath_cache_load_seconds_sum", "hotpath_cache_bytes", "hotpath_cache_entries"} {
		if got[series] <= 0 {
			t.Errorf("%s is %v, want more than 0", series, got[series])
		}
	}
}
