package pool_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

// elements are the ways to have n elements called, of whom the last calls Close.
var elements = map[string]func(ctx context.Context, p *pool.Pool, n int, f func(context.Context, int) (int, error)) error{
	"map": func(ctx context.Context, p *pool.Pool, n int, f func(context.Context, int) (int, error)) error {
		in := make([]int, n)
		for i := range in {
			in[i] = i
		}
		_, err := pool.Map(ctx, p, in, f)
		return err
	},
	"stream": func(ctx context.Context, p *pool.Pool, n int, f func(context.Context, int) (int, error)) (err error) {
		for _, e := range pool.Stream(ctx, p, count(n), f) {
			err = errors.Join(err, e)
		}
		return err
	},
	"left stream": func(ctx context.Context, p *pool.Pool, n int, f func(context.Context, int) (int, error)) (err error) {
		for range pool.Stream(ctx, p, count(n), f) {
			break
		}
		return nil
	},
	"nested": func(ctx context.Context, p *pool.Pool, n int, f func(context.Context, int) (int, error)) error {
		_, err := pool.Map(ctx, p, make([]int, 2), func(ctx context.Context, _ int) (int, error) {
			_, err := pool.Map(ctx, p, make([]int, 2), func(ctx context.Context, _ int) (err error, _ error) {
				for _, e := range pool.Stream(ctx, p, count(n), f) {
					err = errors.Join(err, e)
				}
				return nil, err
			})
			return 0, err
		})
		return err
	},
}

// around are the places where they are called from.
var around = map[string]func(p *pool.Pool, f func(ctx context.Context)){
	"outside": func(_ *pool.Pool, f func(ctx context.Context)) { f(context.Background()) },
	"task": func(p *pool.Pool, f func(ctx context.Context)) {
		_ = p.Go(context.Background(), func(ctx context.Context) error { f(ctx); return nil })
	},
	"future": func(p *pool.Pool, f func(ctx context.Context)) {
		_, _ = pool.Submit(context.Background(), p, func(ctx context.Context) (int, error) { f(ctx); return 0, nil }).Wait(context.Background())
	},
	"request": func(p *pool.Pool, f func(ctx context.Context)) {
		p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { f(r.Context()) })).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	},
}

// An element is a part of the task, or of the request, that waits for it: a Close in it waits for neither,
// and for all else, the other elements included.
func TestC4_CloseInAnElement(t *testing.T) {
	for where, enter := range around {
		for kind, call := range elements {
			for _, workers := range []int{1, 2, 3, 5} {
				for _, timeout := range []time.Duration{0, time.Hour} {
					name := fmt.Sprint(where, " ", kind, " ", workers, " ", timeout)
					t.Run(name, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							p := newPool(t, pool.Config{Workers: workers, TaskTimeout: timeout})
							var calls, closes atomic.Int32
							closing := make(chan struct{})
							enter(p, func(ctx context.Context) {
								err := call(ctx, p, 3, func(ctx context.Context, v int) (int, error) {
									calls.Add(1)
									defer calls.Add(-1)
									time.Sleep(time.Duration(v+1) * time.Second)
									if v != 1 {
										return 0, nil
									}
									if closes.Add(1) == 1 {
										close(closing)
									}
									c, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute) // break ends ctx
									defer cancel()
									began := time.Now()
									if err := p.Close(c); err != nil || time.Since(began) > 30*time.Second {
										t.Errorf("%v after %v", err, time.Since(began))
									}
									return 0, nil
								})
								if err != nil && !errors.Is(err, pool.ErrClosed) {
									t.Error(err)
								}
							})
							if kind != "left stream" {
								<-closing
							}
							closed(t, p)
							if s := p.Stats(); calls.Load() != 0 || s.Waiting != 0 || s.Running != 0 {
								t.Errorf("%d calls, %+v", calls.Load(), s)
							}
						})
					})
				}
			}
		}
	}
}

// It waits for the elements that the task's own slot runs, and for whatever else runs.
func TestC4_CloseInAnElementWaitsForTheOthers(t *testing.T) {
	for _, kind := range []string{"map", "stream"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, pool.Config{Workers: 4})
				var left atomic.Int32
				left.Store(8)
				_ = p.Go(context.Background(), func(context.Context) error { time.Sleep(time.Minute); left.Add(-1); return nil })
				_ = p.Go(context.Background(), func(ctx context.Context) error {
					return elements[kind](ctx, p, 8, func(ctx context.Context, v int) (int, error) {
						time.Sleep(time.Second)
						if v != 1 {
							left.Add(-1)
							return 0, nil
						}
						if err := p.Close(ctx); err != nil || left.Load() != 0 {
							t.Errorf("%v, and %d have not ended", err, left.Load())
						}
						return 0, nil
					})
				})
				time.Sleep(time.Minute)
				closed(t, p)
			})
		})
	}
}

// At its deadline it names what still runs: not the task that waits for it, but one whose own slot is busy.
func TestC4_CloseInAnElementNamesTheOthers(t *testing.T) {
	for _, busy := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, pool.Config{Workers: 3})
			own := make(chan struct{}) // the task's own slot has the first element, the third worker the second
			_ = p.Go(context.Background(), func(context.Context) error { time.Sleep(time.Hour); return nil })
			_ = p.Go(context.Background(), func(context.Context) error { <-own; return nil })
			_ = p.Go(context.Background(), func(ctx context.Context) error {
				_, err := pool.Map(ctx, p, []int{0, 1}, func(ctx context.Context, v int) (int, error) {
					if v == 0 {
						close(own)
						time.Sleep(time.Second)
						if busy {
							time.Sleep(time.Hour)
						}
						return 0, nil
					}
					c, cancel := context.WithTimeout(ctx, time.Minute)
					defer cancel()
					want := 1
					if busy {
						want = 2
					}
					var ce *pool.CloseError
					if err := p.Close(c); !errors.As(err, &ce) || len(ce.Tasks) != want {
						t.Errorf("%v, want %d running", err, want)
					}
					return 0, nil
				})
				return err
			})
			time.Sleep(2 * time.Hour)
			_ = p.Close(context.Background()) // names them again
		})
	}
}

// Nor is a task idle that iterates, and has a result that it did not know of.
func TestC4_CloseInAnElementWaitsForWhoIterates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 3})
		_ = p.Go(context.Background(), func(ctx context.Context) error {
			var out atomic.Int32
			slowly := func(yield func(int) bool) { // so that others than the task itself begin what comes
				for i := 0; i < 3 && yield(i); i++ {
					time.Sleep(time.Millisecond)
				}
			}
			for v, err := range pool.Stream(ctx, p, slowly, func(ctx context.Context, v int) (int, error) {
				switch v {
				case 0:
					time.Sleep(2 * time.Second)
				case 1:
					time.Sleep(time.Second)
					if err := p.Close(ctx); err != nil || out.Load() != 1 {
						t.Errorf("%v, when %d had come out", err, out.Load())
					}
				}
				return v, nil
			}) {
				if err != nil {
					t.Error(err)
				}
				if v == 0 {
					time.Sleep(time.Second)
					out.Add(1)
				}
			}
			return nil
		})
		time.Sleep(time.Minute)
		closed(t, p)
	})
}

// A task that an element hands over is no part of its Map: a Close in it waits for the element, and for who
// called the Map.
func TestC4_CloseInATaskOfAnElement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 4})
		var ended atomic.Bool
		_ = p.Go(context.Background(), func(ctx context.Context) error {
			_, err := pool.Map(ctx, p, []int{0, 1}, func(ctx context.Context, v int) (int, error) {
				if v == 1 {
					return v, p.Go(ctx, func(ctx context.Context) error {
						if err := p.Close(ctx); err != nil || !ended.Load() {
							t.Errorf("%v; the Map has ended: %t", err, ended.Load())
						}
						return nil
					})
				}
				time.Sleep(time.Second)
				return v, nil
			})
			time.Sleep(time.Second)
			ended.Store(true)
			return err
		})
		time.Sleep(time.Minute)
		closed(t, p)
	})
}
