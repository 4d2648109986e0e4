package cache_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/cache"
)

func TestNew_ReportsEveryProblem(t *testing.T) {
	store, _ := cache.NewStore[string, int](0, 0)
	load := func(context.Context, string) (int, error) { return 0, nil }
	for _, tc := range []struct {
		name string
		cfg  cache.Config[string, int]
		want []string
	}{
		{
			"every field that can be wrong by itself",
			cache.Config[string, int]{
				Load: load, Jitter: 1.5, StaleWhileRevalidate: -1, StaleIfError: -time.Second, NegativeTTL: -2, LoadTimeout: -3,
				EarlyRefresh: -1, MaxRefreshes: -1, MaxItems: -1,
			},
			[]string{
				"cache: Jitter is 1.5: must be between 0 and 0.9",
				"cache: StaleWhileRevalidate is -1ns: must not be negative",
				"cache: StaleIfError is -1s: must not be negative",
				"cache: NegativeTTL is -2ns: must not be negative",
				"cache: LoadTimeout is -3ns: must not be negative",
				"cache: EarlyRefresh is -1: must be a number that is not negative (0 means off)",
				"cache: MaxRefreshes is -1: must be at least 1 (0 means 64)",
				"cache: MaxItems is -1: must not be negative (0 means no bound but MaxBytes)",
			},
		},
		{
			"no loader for what needs one",
			cache.Config[string, int]{StaleWhileRevalidate: time.Minute, StaleIfError: 2 * time.Minute, NegativeTTL: 5 * time.Second, EarlyRefresh: 1, LoadTimeout: time.Millisecond},
			[]string{
				"cache: StaleWhileRevalidate is 1m0s without Load and LoadMany: nothing is ever loaded",
				"cache: StaleIfError is 2m0s without", "cache: NegativeTTL is 5s without", "cache: EarlyRefresh is 1 without", "cache: LoadTimeout is 1ms without",
			},
		},
		{
			"a Store has its own bound",
			cache.Config[string, int]{Store: store, MaxBytes: 1 << 20, MaxItems: 7},
			[]string{"cache: MaxBytes is 1048576 with a Store: the Store has its own bound", "cache: MaxItems is 7 with a Store: the Store has its own bound"},
		},
		{
			"another unit was meant",
			cache.Config[string, int]{Load: load, TTL: 60, NegativeTTL: 86400, StaleIfError: time.Millisecond - 1, MaxBytes: 64},
			[]string{
				"cache: TTL is 60ns: must be at least 1ms (a number without a unit is in nanoseconds)",
				"cache: NegativeTTL is 86.4µs: must", "cache: StaleIfError is 999.999µs: must",
				"cache: MaxBytes is 64: must be at least 4096 bytes (0 means 64 MiB)",
			},
		},
		{"no bound at all", cache.Config[string, int]{MaxBytes: -1}, []string{"cache: MaxBytes is -1 without MaxItems: one of them must bound the cache"}},
		{"numbers that are none", cache.Config[string, int]{Load: load, Jitter: math.NaN(), EarlyRefresh: math.NaN()}, []string{"cache: Jitter is NaN", "cache: EarlyRefresh is NaN"}},
		{"infinity", cache.Config[string, int]{Load: load, EarlyRefresh: math.Inf(1)}, []string{"cache: EarlyRefresh is +Inf"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := cache.New(tc.cfg)
			if c != nil || err == nil {
				t.Fatalf("a Cache %v, error %v", c != nil, err)
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tc.want) {
				t.Errorf("%d problems, want %d:\n%v", len(lines), len(tc.want), err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in\n%v", want, err)
				}
			}
		})
	}
}

func TestNew_AcceptsTheEdges(t *testing.T) {
	load := func(context.Context, string) (int, error) { return 0, nil }
	for name, cfg := range map[string]cache.Config[string, int]{
		"zero":                 {},
		"the most jitter":      {Jitter: 0.9},
		"items alone":          {MaxBytes: -1, MaxItems: 1},
		"both bounds":          {MaxBytes: 4096, MaxItems: 1},
		"everything for ever":  {Load: load, TTL: -1, StaleWhileRevalidate: math.MaxInt64, StaleIfError: math.MaxInt64, NegativeTTL: math.MaxInt64},
		"LoadMany is a loader": {LoadMany: func(context.Context, []string) (map[string]int, error) { return nil, nil }, NegativeTTL: time.Millisecond},
	} {
		if _, err := cache.New(cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
