package pool_test

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

// A Map or a Stream that the cut ended did not run to its end, as little as a task.
func TestC3_CloseNamesAMapThatItCut(t *testing.T) {
	for _, kind := range []string{"map", "map heeds", "stream", "submit"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, pool.Config{Workers: 1})
				heeds := func(ctx context.Context, v int) (int, error) {
					select {
					case <-time.After(time.Second):
						return v, nil
					case <-ctx.Done():
						return 0, ctx.Err()
					}
				}
				mapped := make(chan error, 1)
				go func() {
					var err error
					switch kind {
					case "map":
						_, err = pool.Map(t.Context(), p, make([]int, 100), second)
					case "map heeds":
						_, err = pool.Map(t.Context(), p, make([]int, 100), heeds)
					case "stream":
						for _, e := range pool.Stream(t.Context(), p, count(2), func(ctx context.Context, _ int) (int, error) {
							<-ctx.Done()
							return 0, ctx.Err()
						}) {
							err = cmp.Or(err, e)
						}
					case "submit":
						_, err = pool.Submit(t.Context(), p, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }).Wait(t.Context())
					}
					mapped <- err
				}()
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond)
				defer cancel()
				cerr := p.Close(ctx)
				err := <-mapped
				if err == nil || cerr == nil {
					t.Errorf("%s: it was cut (%.40v), and Close says %v", kind, err, cerr)
				}
				if strings.HasPrefix(kind, "map") && !errors.Is(err, pool.ErrClosed) {
					t.Errorf("%s: %v, and not that the pool was closed", kind, err)
				}
			})
		})
	}
}

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
