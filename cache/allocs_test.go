//go:build !race

package cache_test

import (
	"context"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/cache"
)

func TestAllocs_Hit(t *testing.T) {
	type pair struct{ a, b int64 }
	ctx := context.Background()
	strings := newCache(t, cache.Config[string, []byte]{})
	ints := newCache(t, cache.Config[int, int]{})
	structs := newCache(t, cache.Config[pair, string]{})
	tagged := newCache(t, cache.Config[string, int]{})
	stale := newCache(t, cache.Config[string, int]{
		Load: func(context.Context, string) (int, error) { return 1, nil },
		TTL:  time.Hour, StaleWhileRevalidate: time.Hour, StaleIfError: time.Hour, EarlyRefresh: 1, Jitter: 0.5,
	})
	shared := newCache(t, cache.Config[string, int]{Remote: newHub().view()})
	shared.Set("a", 1, "x")
	missing := newCache(t, cache.Config[string, int]{
		Load: func(context.Context, string) (int, error) { return 0, cache.ErrNotFound }, NegativeTTL: time.Hour,
	})
	strings.Set("a", []byte("x"))
	ints.Set(1, 1)
	structs.Set(pair{1, 2}, "x")
	tagged.Set("a", 1, "x", "y")
	tagged.PurgeTags("z")
	tagged.ExpireTags("z")
	stale.Set("a", 1)
	_, _ = missing.Get(ctx, "a")
	for _, tc := range []struct {
		name string
		want float64
		f    func()
	}{
		{"string key", 0, func() { _, _ = strings.Get(ctx, "a") }},
		{"int key", 0, func() { _, _ = ints.Get(ctx, 1) }},
		{"struct key", 0, func() { _, _ = structs.Get(ctx, pair{1, 2}) }},
		{"with tags", 0, func() { _, _ = tagged.Get(ctx, "a") }},
		{"fresh, with every stale option", 0, func() { _, _ = stale.Get(ctx, "a") }},
		{"a remembered ErrNotFound", 0, func() { _, _ = missing.Get(ctx, "a") }},
		{"with a Remote", 0, func() { _, _ = shared.Get(ctx, "a") }},
		{"Peek", 0, func() { strings.Peek("a") }},
		{"PurgeTags", 0, func() { ints.PurgeTags("x") }},
		// The entry, and the closure that runs under the key's lock.
		{"Set of a resident key", 2, func() { ints.Set(1, 1) }},
		{"Delete", 1, func() { ints.Delete(2) }},
	} {
		if got := testing.AllocsPerRun(200, tc.f); got > tc.want {
			t.Errorf("%s: %v allocations, want at most %v", tc.name, got, tc.want)
		}
	}
}

// What a miss costs besides the load: the entry, the flight with its context and place, what
// the loader may say of the value, and the closures of the four moments of a flight.
func TestAllocs_Miss(t *testing.T) {
	c := newCache(t, cache.Config[int, int]{MaxItems: 10, Load: func(context.Context, int) (int, error) { return 1, nil }})
	key := 0
	got := testing.AllocsPerRun(200, func() {
		key++
		_, _ = c.Get(context.Background(), key)
	})
	if got > 15 {
		t.Errorf("%v allocations a miss, want at most 15", got)
	}
}
