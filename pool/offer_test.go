package pool_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

// A worker that has nothing else to do helps at once, however long the elements that run still take.
func TestP10_AWorkerThatComesFreeDuringAnElement(t *testing.T) {
	for _, kind := range []string{"map", "stream"} {
		for where, enter := range around {
			for _, queue := range []int{-1, 1} {
				t.Run(kind+" "+where, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						p := newPool(t, pool.Config{Workers: 4, Queue: queue})
						release := holdAll(t, p, 3)
						if queue == 1 { // what waits is before them
							_ = p.Go(t.Context(), nop)
						}
						began, took := time.Now(), make(chan time.Duration, 1)
						go enter(p, func(ctx context.Context) {
							if err := elements[kind](ctx, p, 4, func(context.Context, int) (int, error) { time.Sleep(time.Hour); return 0, nil }); err != nil {
								t.Error(err)
							}
							took <- time.Since(began)
						})
						time.Sleep(time.Second)
						if s := p.Stats(); s.Blocked != 0 {
							t.Errorf("an offer is no submitter: %+v", s)
						}
						release()
						if d := <-took; d != time.Hour+time.Second {
							t.Errorf("%v", d)
						}
						if s := p.Stats(); s.Refused["full"] != 0 {
							t.Errorf("%+v", s)
						}
						closed(t, p)
					})
				})
			}
		}
	}
}

// An offer comes when it is its turn among those that wait for room, and leaves with what made it.
func TestP3_AnOfferWaitsInOrder(t *testing.T) {
	for _, ends := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, pool.Config{Workers: 2, Queue: -1})
			release := hold(t, p)
			order := make(chan string, 9)
			task := func(name string) {
				_ = p.Go(t.Context(), func(context.Context) error { order <- name; time.Sleep(time.Second); return nil })
			}
			ctx, cancel := context.WithCancel(t.Context())
			mapped := make(chan error, 1)
			go func() {
				_, err := pool.Map(ctx, p, []int{0, 1, 2}, func(_ context.Context, v int) (int, error) {
					if v > 0 {
						order <- "map"
					}
					time.Sleep(time.Minute)
					return v, nil
				})
				mapped <- err
			}()
			synctest.Wait()
			go task("task")
			synctest.Wait()
			if ends {
				cancel()
				synctest.Wait()
			}
			release()
			time.Sleep(30 * time.Second)
			first := "map"
			if ends {
				first = "task"
			}
			if got := <-order; got != first {
				t.Errorf("%s came first, want %s", got, first)
			}
			cancel()
			if err := <-mapped; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			closed(t, p)
		})
	}
}

// After the cut nobody is let in who waited for room: no request, and no offer.
func TestC2_WhoWaitsForRoomAtTheCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 2, Queue: -1})
		for range 2 {
			_ = p.Go(t.Context(), func(context.Context) error { time.Sleep(time.Hour); return nil })
		}
		refused := make(chan error, 1)
		begin := make(chan struct{})
		go p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-begin
			refused <- p.Go(r.Context(), func(context.Context) error { t.Error("it runs"); return nil })
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() { time.Sleep(time.Second); close(begin) }()
		_ = p.Close(ctx)
		select {
		case err := <-refused:
			if err != pool.ErrClosed {
				t.Error(err)
			}
		default:
			t.Error("it still waits")
		}
		time.Sleep(2 * time.Hour)
	})
}

// A slot that is lent makes room, for who waits for some.
func TestC4_ALentSlotIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1, Queue: -1})
		task := func(at time.Duration) func(context.Context) error {
			return func(ctx context.Context) error {
				time.Sleep(at)
				if err := p.Close(context.WithoutCancel(ctx)); err != nil {
					t.Error(err)
				}
				return nil
			}
		}
		_ = p.Go(t.Context(), task(time.Second))
		handled := make(chan error, 1)
		go p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			time.Sleep(2 * time.Second)
			_ = p.Go(r.Context(), task(2*time.Second)) // in the slot that is lent
			c, cancel := context.WithTimeout(r.Context(), time.Minute)
			defer cancel()
			handled <- p.Go(c, nop)
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		if err := <-handled; err != nil {
			t.Error(err)
		}
		closed(t, p)
	})
}
