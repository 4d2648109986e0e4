//go:build !race

package pool_test

import (
	"context"
	"testing"

	"github.com/hotpath-go/hotpath/pool"
)

func TestAllocs(t *testing.T) {
	p := newPool(t, pool.Config{Workers: 1})
	bg := context.Background()
	other := context.WithValue(bg, key{}, 1)
	ran := make(chan struct{})
	same := func(_ context.Context, v int) (int, error) { return v, nil }
	f := func(context.Context) error { ran <- struct{}{}; return nil }
	one := func(context.Context) (int, error) { return 1, nil }
	for _, c := range []struct {
		name string
		want float64
		run  func()
	}{
		{"Go, Background", 0, func() { _ = p.Go(bg, f); <-ran }},
		{"Go, another context: its task's", 1, func() { _ = p.Go(other, f); <-ran }},
		{"Submit and Wait: the Future and a channel", 2, func() { _, _ = pool.Submit(bg, p, one).Wait(bg) }},
		{"Stream, of 1,000 elements: what it has itself", 20, func() {
			for range pool.Stream(bg, p, count(1000), same) {
			}
		}},
	} {
		if got := testing.AllocsPerRun(1000, c.run); got > c.want {
			t.Errorf("%s: %v allocations, want %v", c.name, got, c.want)
		}
	}
	closed(t, p)
}
