package pool

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A task that comes between the word to the last idle worker to end, and its end, runs all the same.
func TestP1_ATaskThatComesWhenTheLastWorkerIsToEnd(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, Config{Workers: 1})
			_ = p.Go(t.Context(), nothing)
			synctest.Wait() // the worker is idle
			p.trim()        // the first one only begins a period
			p.trim()
			ran := false
			_ = p.Go(t.Context(), func(context.Context) error { ran = true; return nil })
			synctest.Wait()
			if !ran {
				t.Fatalf("accepted, and nobody runs it: %d wait, %d workers", p.Stats().Waiting, len(p.all))
			}
			_ = p.Close(t.Context())
		})
	}
}

// A request that submits at the moment of Close.
func TestC1_ARequestThatSubmitsAtClose(t *testing.T) {
	for range 500 {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, Config{Workers: 1})
			_ = p.Go(t.Context(), nothing)
			go p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Second)
				ctx, cancel := context.WithTimeout(r.Context(), time.Hour)
				defer cancel()
				if _, err := Submit(r.Context(), p, func(context.Context) (int, error) { return 0, nil }).Wait(ctx); err != nil && !errors.Is(err, ErrClosed) {
					t.Errorf("nobody ran it for an hour: %v", err)
				}
			})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			time.Sleep(time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
			defer cancel()
			_ = p.Close(ctx)
		})
	}
}

// Requests that have reserved all the room by After do not wait for each other's, beside idle workers.
func TestP2_GoBehindWhatIsReserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 4, Queue: 16})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					if err := p.After(r.Context(), nothing); err != nil {
						t.Error(err)
					}
					time.Sleep(10 * time.Millisecond) // the database
					ctx, cancel := context.WithTimeout(r.Context(), time.Hour)
					defer cancel()
					if err := p.Go(ctx, nothing); err != nil {
						t.Errorf("%v; %d run", err, p.Stats().Running)
					}
				})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			})
		}
		wg.Wait()
		_ = p.Close(context.Background())
	})
}

// A Map of a thousand holds nobody up who waits for room.
func TestP10_CallersThatWaitForRoomGoFirst(t *testing.T) {
	for _, queue := range []int{-1, 1} {
		for _, kind := range []string{"map", "stream"} {
			synctest.Test(t, func(t *testing.T) {
				p := mustNew(t, Config{Workers: 1, Queue: queue})
				in := make([]int, 1000)
				f := func(_ context.Context, v int) (int, error) { time.Sleep(time.Second); return v, nil }
				go func() {
					if kind == "map" {
						_, _ = Map(t.Context(), p, in, f)
						return
					}
					for range Stream(t.Context(), p, func(yield func(int) bool) {
						for _, v := range in {
							if !yield(v) {
								return
							}
						}
					}, f) {
					}
				}()
				time.Sleep(500 * time.Millisecond)
				began := time.Now()
				for range 3 {
					if err := p.Go(t.Context(), nothing); err != nil {
						t.Error(err)
					}
				}
				if waited := time.Since(began); waited > 10*time.Second {
					t.Errorf("%s, Queue %d: Go waited %v", kind, queue, waited)
				}
				_ = p.Close(context.Background())
			})
		}
	}
}

// The first error is the panic, and not an echo of the cancelling that it caused.
func TestP10_AnEchoOfAPanic(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			p := mustNew(t, Config{Workers: 2, TaskTimeout: timeout})
			_, err := Map(t.Context(), p, []int{0, 1}, func(ctx context.Context, v int) (int, error) {
				if v == 0 {
					<-ctx.Done()
					return 0, ctx.Err()
				}
				time.Sleep(time.Second)
				panic("boom")
			})
			if _, is := err.(*PanicError); !is || errors.Is(err, context.Canceled) {
				t.Errorf("TaskTimeout %v: %T %q", timeout, err, err)
			}
			_ = p.Close(context.Background())
		})
	}
}

// Close with the context of a task that has ended meanwhile takes no other task for it.
func TestC4_CloseOutlivesItsTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := mustNew(t, Config{Workers: 1})
		ended := false
		_ = p.Go(t.Context(), func(ctx context.Context) error {
			go func() {
				if err := p.Close(ctx); !ended {
					t.Errorf("Close returned %v while a task ran", err)
				}
			}()
			time.Sleep(time.Second)
			return nil
		})
		_ = p.Go(t.Context(), func(context.Context) error { time.Sleep(time.Minute); return nil })
		_ = p.Go(t.Context(), func(context.Context) error { time.Sleep(time.Hour); ended = true; return nil })
		time.Sleep(2 * time.Hour)
	})
}
