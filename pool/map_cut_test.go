package pool_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

// The error of an element is context.Canceled, and nobody cancelled anything.
func TestP10_Map_AnElementThatReturnsCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 2})
		if _, err := pool.Map(t.Context(), p, []int{1}, func(context.Context, int) (int, error) { return 0, context.Canceled }); err != context.Canceled {
			t.Error(err)
		}
		closed(t, p)
	})
}

// A runner that is withdrawn from a worker's batch does not run.
func TestP10_Map_WithdrawnFromABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1})
		ra := hold(t, p)
		ctx, cancel := context.WithCancel(t.Context())
		mapped := make(chan error, 1)
		_ = p.Go(t.Context(), func(context.Context) error { time.Sleep(time.Second); return nil })
		go func() {
			_, err := pool.Map(ctx, p, make([]int, 5), second)
			mapped <- err
		}()
		synctest.Wait()
		for range 60 {
			_ = p.Go(t.Context(), nop)
		}
		ra()
		synctest.Wait() // it is in the batch of the first
		cancel()
		if err := <-mapped; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		closed(t, p)
		if s := p.Stats(); s.Tasks["cancelled"] != 1 || s.Tasks["ok"] != 62 || s.Tasks["panicked"] != 0 {
			t.Error(s.Tasks)
		}
	})
}

// A Map that lets go returns all results.
func TestP10_Map_AllResultsOfAMapThatLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1})
		in := make([]int, 50)
		for i := range in {
			in[i] = i + 1
		}
		for range 20 {
			go func() {
				time.Sleep(time.Second / 2)
				_ = p.Go(t.Context(), func(context.Context) error { time.Sleep(time.Second); return nil })
			}()
		}
		out, err := pool.Map(t.Context(), p, in, second)
		for i := range in {
			if out[i] != in[i] || err != nil {
				t.Fatal(out, err)
			}
		}
		closed(t, p)
	})
}
