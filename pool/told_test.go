package pool_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

// What an element returns when its context has ended says why: f that returns ctx.Err(), as nearly all do,
// could only say that it has. Close names what it ended.
func TestC2_TheErrorOfAnElementThatTheCutEnded(t *testing.T) {
	returns := map[string]func(ctx context.Context) error{
		"Err":     func(ctx context.Context) error { return ctx.Err() },
		"wrapped": func(ctx context.Context) error { return fmt.Errorf("row 7: %w", ctx.Err()) },
		"Cause":   context.Cause,
	}
	for _, end := range []string{"cut", "cancel"} {
		for kind, call := range elements {
			if kind == "left stream" || kind == "nested" {
				continue
			}
			for what, ret := range returns {
				for _, timeout := range []time.Duration{0, time.Hour} {
					for where, enter := range around {
						t.Run(fmt.Sprint(end, " ", kind, " ", what, " ", timeout, " ", where), func(t *testing.T) {
							synctest.Test(t, func(t *testing.T) {
								p := newPool(t, pool.Config{Workers: 2, TaskTimeout: timeout})
								want := pool.ErrClosed
								if end == "cancel" {
									want = errDown
								}
								began, errs := make(chan context.CancelCauseFunc, 1), make(chan error, 1)
								go enter(p, func(ctx context.Context) {
									ctx, cancel := context.WithCancelCause(ctx)
									defer cancel(nil)
									errs <- call(ctx, p, 1, func(ctx context.Context, _ int) (int, error) {
										began <- cancel
										<-ctx.Done()
										if cause := context.Cause(ctx); cause != want {
											t.Errorf("the cause is %v", cause)
										}
										return 0, ret(ctx)
									})
								})
								cancel := <-began
								var cerr error
								if end == "cut" {
									ctx, cancel := context.WithCancel(context.Background())
									cancel()
									_ = p.Close(ctx)
									cerr = p.Close(context.Background())
								} else {
									cancel(errDown)
								}
								err := <-errs
								if !errors.Is(err, want) || what != "Cause" && !errors.Is(err, context.Canceled) {
									t.Errorf("%v", err)
								}
								if end == "cut" && where == "outside" {
									var ce *pool.CloseError
									if !errors.As(cerr, &ce) || len(ce.Tasks) != 1 || ce.Tasks[0].State != "cancelled" {
										t.Errorf("Close says %v", cerr)
									}
								}
								_ = p.Close(context.Background())
							})
						})
					}
				}
			}
		}
	}
}

// What f returned is not touched if it is no end of its context, or says all there is to say.
func TestP10_TheErrorOfAnElementIsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 2, TaskTimeout: time.Second})
		for kind, call := range map[string]func(ctx context.Context, f func(context.Context, int) (int, error)) (err error){
			"map": func(ctx context.Context, f func(context.Context, int) (int, error)) error {
				_, err := pool.Map(ctx, p, []int{0}, f)
				return err
			},
			"stream": func(ctx context.Context, f func(context.Context, int) (int, error)) (err error) {
				for _, err = range pool.Stream(ctx, p, count(1), f) {
				}
				return err
			},
		} {
			for want, f := range map[error]func(ctx context.Context, cancel func()) error{
				context.DeadlineExceeded: func(ctx context.Context, _ func()) error { time.Sleep(time.Minute); return ctx.Err() },
				errDown:                  func(_ context.Context, cancel func()) error { cancel(); return errDown },
				context.Canceled:         func(ctx context.Context, cancel func()) error { cancel(); return ctx.Err() },
			} {
				ctx, cancel := context.WithCancel(t.Context())
				if err := call(ctx, func(ctx context.Context, _ int) (int, error) { return 0, f(ctx, cancel) }); err != want {
					t.Errorf("%s: %#v, want %v", kind, err, want)
				}
				cancel()
			}
		}
		closed(t, p)
	})
}

// An offer of a runner is nobody's task: that Close refuses it is no refusal.
func TestC1_AnOfferIsRefusedNothing(t *testing.T) {
	for kind, call := range elements {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, pool.Config{Workers: 3, Queue: -1})
				release := holdAll(t, p, 2)
				done, accepted := make(chan error, 1), make(chan struct{})
				var begun atomic.Int32
				go func() {
					done <- call(context.Background(), p, 5, func(context.Context, int) (int, error) {
						if begun.Add(1) == 1 {
							close(accepted)
						}
						time.Sleep(time.Second)
						return 0, nil
					})
				}()
				<-accepted
				go closed(t, p)
				synctest.Wait()
				release()
				err := <-done
				refused := uint64(0)
				if errors.Is(err, pool.ErrClosed) {
					refused = 1
				}
				if n := p.Stats().Refused["closed"]; n > refused {
					t.Errorf("%d refused (%v)", n, err)
				}
				closed(t, p)
			})
		})
	}
}
