package pool_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

func TestA1_AfterIsFoundByContextAndRoutesComeBack(t *testing.T) {
	p := newPool(t, pool.Config{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /x/{id}", func(w http.ResponseWriter, r *http.Request) {})
	r := httptest.NewRequest("GET", "/x/1", nil)
	p.Handler(mux).ServeHTTP(httptest.NewRecorder(), r)
	if r.Pattern != "GET /x/{id}" {
		t.Errorf("pattern %q", r.Pattern)
	}
	closed(t, p)
}

func TestA2_AfterStartsWhenTheHandlerHasReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1, Queue: 1})
		var order []string
		h := p.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, name := range []string{"a", "b"} {
				if err := p.After(r.Context(), func(context.Context) error { order = append(order, name); return nil }); err != nil {
					t.Error(err)
				}
			}
			if err := p.After(r.Context(), nop); !errors.Is(err, pool.ErrFull) {
				t.Errorf("a third one: %v", err)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if len(order) != 0 {
				t.Error("started before the return")
			}
		}))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		synctest.Wait()
		if strings.Join(order, "") != "ab" {
			t.Errorf("order %v", order)
		}
		closed(t, p)
	})
}

func TestA3_APanickingRequestPromisedNothing(t *testing.T) {
	p := newPool(t, pool.Config{})
	h := p.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = p.After(r.Context(), func(context.Context) error { t.Error("it ran"); return nil })
		panic(http.ErrAbortHandler)
	}))
	func() {
		defer func() {
			if recover() != http.ErrAbortHandler { //nolint:errorlint // the value itself
				t.Error("the panic was changed")
			}
		}()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}()
	closed(t, p)
	if s := p.Stats(); s.Tasks["dropped"] != 1 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

func TestA4_WithoutAHandlerItIsTryGoAndCounts(t *testing.T) {
	p := newPool(t, pool.Config{})
	var ran atomic.Int64
	_ = p.After(t.Context(), func(context.Context) error { ran.Add(1); return nil })
	closed(t, p)
	if ran.Load() != 1 || p.Stats().Unwrapped != 1 {
		t.Errorf("ran %d, unwrapped %d", ran.Load(), p.Stats().Unwrapped)
	}
}

func TestA5_CloseWaitsForRequestsAndTakesTheirTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{})
		var ran atomic.Int64
		go p.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			if err := p.After(r.Context(), func(context.Context) error { ran.Add(1); return nil }); err != nil {
				t.Error(err)
			}
			if err := p.Go(r.Context(), func(context.Context) error { ran.Add(1); return nil }); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		synctest.Wait()
		began := time.Now()
		closed(t, p)
		if time.Since(began) != 2*time.Second || ran.Load() != 2 {
			t.Errorf("after %v, %d ran", time.Since(began), ran.Load())
		}
	})
}
