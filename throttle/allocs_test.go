//go:build !race

package throttle_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

func TestAllocs_Calls(t *testing.T) {
	one := mustNew(t, throttle.Config{Rate: throttle.Per(1_000_000, time.Hour)})
	three := mustNew(t, throttle.Config{Policies: []throttle.Policy{
		{Name: "a", Rate: throttle.Per(1_000_000, time.Hour)}, {Name: "b", Rate: throttle.Per(2_000_000, time.Hour)}, {Name: "c", Rate: throttle.Per(1, time.Hour), Shadow: true},
	}})
	none := mustNew(t, throttle.Config{Rate: throttle.Per(1, time.Hour)})
	ctx, key, other := t.Context(), throttle.KeyOf("k"), throttle.KeyAddr(addr("192.0.2.1"), 0)
	none.Take(ctx, key, 1)
	for name, f := range map[string]func(){
		"Take":          func() { one.Take(ctx, key, 1) },
		"of an address": func() { one.Take(ctx, other, 1) },
		"three":         func() { three.Take(ctx, key, 1) },
		"refused":       func() { none.Take(ctx, key, 1) },
		"Peek":          func() { one.Peek(ctx, key, 1) },
		"Refund":        func() { one.Refund(ctx, key, 1) },
		"Wait, not long": func() {
			if err := one.Wait(ctx, key, 1); err != nil {
				t.Error(err)
			}
		},
		"KeyOf one part": func() { _ = throttle.KeyOf("k") },
		"KeyAddr":        func() { _ = throttle.KeyAddr(addr("192.0.2.1"), 24) },
	} {
		if got := testing.AllocsPerRun(500, f); got > 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
	i := 0
	keys := make([]throttle.Key, 1000)
	for i := range keys {
		keys[i] = throttle.KeyOf(time.Duration(i).String())
	}
	if got := testing.AllocsPerRun(900, func() { one.Take(ctx, keys[i], 1); i++ }); got > 0 {
		t.Errorf("a new key: %v allocations, want 0", got)
	}
}

type discard struct{ header http.Header }

func (w discard) Header() http.Header         { return w.header }
func (w discard) Write(p []byte) (int, error) { return len(p), nil }
func (w discard) WriteHeader(int)             {}

// Let in: the writer, which has room for the fields of one policy; of two their text is longer.
// Refused: body, its length as text, the lines of four fields, and those of RateLimit.
func TestAllocs_Handler(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  throttle.Config
		want float64
	}{
		{"fields", throttle.Config{Rate: throttle.Per(1_000_000, time.Hour)}, 1},
		{"no fields", throttle.Config{Rate: throttle.Per(1_000_000, time.Hour), Headers: "off"}, 1},
		{"refused", throttle.Config{Rate: throttle.Per(1, time.Second*50)}, 4},
		{"behind a proxy", throttle.Config{Rate: throttle.Per(1_000_000, time.Hour), TrustedProxies: prefixes("192.0.2.0/24")}, 1},
		{"two policies", throttle.Config{Policies: []throttle.Policy{{Name: "a", Rate: throttle.Per(1_000_000, time.Hour)}, {Name: "b", Rate: throttle.Per(1_000_000, time.Hour)}}}, 2},
	} {
		h := mustNew(t, tc.cfg).Handler(nothing)
		w, r := discard{http.Header{}}, request("X-Forwarded-For: 1.2.3.4")
		h.ServeHTTP(w, r)
		got := testing.AllocsPerRun(200, func() {
			clear(w.header)
			h.ServeHTTP(w, r)
		})
		if got > tc.want {
			t.Errorf("%s: %v allocations, want at most %v", tc.name, got, tc.want)
		}
	}
}

// full is a Remote that always has room: as cheap as one can be.
type full struct{}

func (full) Take(_ context.Context, ops []throttle.Op) error {
	for i := range ops {
		op := &ops[i]
		op.Granted, op.Remaining, op.ResetAfter = op.Cost+op.Ahead, op.Burst/2, op.Rate.Per
	}
	return nil
}

// With a Remote: a trip has its ops, its context with a timer that the caller's end does not end, and the claim of each policy. A
// lease and, once the breaker is open, a bucket here are taken from as without.
func TestAllocs_Remote(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	trip := mustNew(t, throttle.Config{Remote: full{}, Lease: -1, Rate: throttle.Per(1_000_000, time.Hour)})
	lease := mustNew(t, throttle.Config{Remote: full{}, Lease: time.Second, Rate: throttle.Per(1_000_000_000, time.Second), Logger: quiet})
	down := mustNew(t, throttle.Config{Remote: &store{fail: errDead}, Rate: throttle.Per(1_000_000, time.Hour), Logger: quiet})
	ctx, key := t.Context(), throttle.KeyOf("k")
	for range 1000 {
		lease.Take(ctx, key, 1)
	}
	for range 10 {
		down.Take(ctx, key, 1)
	}
	for _, tc := range []struct {
		name string
		want float64
		f    func()
	}{
		{"a trip", 7, func() { trip.Take(ctx, key, 1) }},
		{"a lease", 0, func() { lease.Take(ctx, key, 1) }},
		{"the breaker is open", 0, func() { down.Take(ctx, key, 1) }},
	} {
		if got := testing.AllocsPerRun(1000, tc.f); got > tc.want {
			t.Errorf("%s: %v allocations, want at most %v", tc.name, got, tc.want)
		}
	}
}
