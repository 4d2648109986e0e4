package pool_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

func TestC1_TheFrontDoorIsShut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1, Queue: -1})
		inner := make(chan error, 1)
		_ = p.Go(t.Context(), func(ctx context.Context) error {
			time.Sleep(time.Second)
			_, err := pool.Submit(ctx, p, func(context.Context) (int, error) { return 1, nil }).Wait(ctx)
			inner <- err
			return nil
		})
		blocked := make(chan error, 1)
		go func() { blocked <- p.Go(t.Context(), nop) }()
		synctest.Wait()
		done := make(chan struct{})
		go func() { closed(t, p); close(done) }()
		if err := <-blocked; !errors.Is(err, pool.ErrClosed) {
			t.Errorf("blocked: %v", err)
		}
		if err := p.Go(t.Context(), nop); !errors.Is(err, pool.ErrClosed) {
			t.Errorf("Go: %v", err)
		}
		if err := <-inner; err != nil {
			t.Errorf("from inside: %v", err)
		}
		<-done
	})
}

func TestC2_TheCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1})
		began := time.Now()
		var cutAt time.Duration
		_ = p.Go(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			cutAt = time.Since(began)
			time.Sleep(100 * time.Millisecond)
			return ctx.Err()
		})
		_ = p.Go(t.Context(), nop)
		f := pool.Submit(t.Context(), p, func(context.Context) (int, error) { return 1, nil })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := p.Close(ctx)
		if cutAt != 9*time.Second || time.Since(began) != 9100*time.Millisecond {
			t.Errorf("cut at %v, closed after %v", cutAt, time.Since(began))
		}
		var ce *pool.CloseError
		if !errors.As(err, &ce) || len(ce.Tasks) != 3 || ce.Tasks[0].State != "cancelled" || ce.Tasks[1].State != "waiting" || ce.Tasks[1].Do == nil || ce.Tasks[2].Do != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%+v", err)
		}
		if !strings.HasPrefix(ce.Tasks[0].Name, "pool_test.TestC2_TheCut.func1.1 (close_test.go:") {
			t.Errorf("name %q", ce.Tasks[0].Name)
		}
		if _, err := f.Wait(t.Context()); !errors.Is(err, pool.ErrClosed) {
			t.Errorf("future: %v", err)
		}
	})
}

func TestC3_WhatStillRunsIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{})
		_ = p.Go(t.Context(), func(context.Context) error { time.Sleep(time.Hour); return nil })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var ce *pool.CloseError
		if err := p.Close(ctx); !errors.As(err, &ce) || len(ce.Tasks) != 1 || ce.Tasks[0].State != "running" {
			t.Errorf("%v", err)
		}
		time.Sleep(time.Hour)
	})
}

func TestC4_CloseInATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 3})
		for range 3 {
			_ = p.Go(t.Context(), func(ctx context.Context) error {
				if err := p.Close(ctx); err != nil {
					t.Errorf("in a task: %v", err)
				}
				return nil
			})
		}
		synctest.Wait()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { closed(t, p) })
		}
		wg.Wait()

		p = newPool(t, pool.Config{})
		got := make(chan error, 1)
		_ = p.Go(t.Context(), func(context.Context) error {
			foreign, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			got <- p.Close(foreign)
			return nil
		})
		var ce *pool.CloseError
		if err := <-got; !errors.As(err, &ce) || ce.Tasks[0].State != "running" {
			t.Errorf("foreign: %v", err)
		}
	})
}

func TestC5_NothingIsLeft(t *testing.T) {
	closed(t, newPool(t, pool.Config{}))
	synctest.Test(t, func(t *testing.T) { // fails by itself if a goroutine or timer is left
		p := newPool(t, pool.Config{IdleTimeout: time.Second})
		for range 100 {
			_ = p.Go(t.Context(), nop)
		}
		before := runtime.NumGoroutine()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := runtime.NumGoroutine(); n > before {
			t.Errorf("%d goroutines after idling, %d before", n, before)
		}
	})
}
