package pool_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool"
)

// C2: a Map whose runners wait when the cut comes ends with it, and not with the tasks before it.
func TestC2_AMapThatWaitsEndsAtTheCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1})
		release := hold(t, p)
		mapped := make(chan error, 1)
		go func() {
			_, err := pool.Map(t.Context(), p, []int{1, 2, 3}, func(_ context.Context, v int) (int, error) { return v, nil })
			mapped <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		go func() { _ = p.Close(ctx) }()
		time.Sleep(9500 * time.Millisecond) // the cut comes at 9 s
		synctest.Wait()
		select {
		case err := <-mapped:
			if !errors.Is(err, pool.ErrClosed) {
				t.Error(err)
			}
		default:
			t.Error("it waits for who ignores the cut")
		}
		release()
		time.Sleep(time.Second)
	})
}

// A5: Close in a request does not wait for what that request has reserved, and loses nothing of it.
func TestA5_CloseInARequestWithTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1})
		var ran atomic.Bool
		p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if err := p.After(r.Context(), func(context.Context) error { ran.Store(true); return nil }); err != nil {
				t.Error(err)
			}
			if err := p.Close(r.Context()); err != nil {
				t.Error(err)
			}
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		closed(t, p)
		if !ran.Load() {
			t.Error("its task was lost")
		}
	})
}

// A5: what a request had reserved at the cut is named, and reserved no more.
func TestA5_TasksOfARequestAtTheCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1})
		end := make(chan struct{})
		go p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if err := p.After(r.Context(), nop); err != nil {
				t.Error(err)
			}
			<-end
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var e *pool.CloseError
		if err := p.Close(ctx); !errors.As(err, &e) || len(e.Tasks) != 1 || e.Tasks[0].State != "waiting" || e.Tasks[0].Do == nil {
			t.Errorf("%v", err)
		}
		if s := p.Stats(); s.Waiting != 0 || s.Tasks["cancelled"] != 1 {
			t.Errorf("%d wait, %v", s.Waiting, s.Tasks)
		}
		close(end)
		synctest.Wait()
	})
}

// P8: a result that is there is given, whatever the context of who asks for it.
func TestP8_AResultThatIsThere(t *testing.T) {
	p := newPool(t, pool.Config{Workers: 1})
	defer closed(t, p)
	f := pool.Submit(t.Context(), p, func(context.Context) (int, error) { return 7, nil })
	<-f.Done()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if v, err := f.Wait(ctx); v != 7 || err != nil {
			t.Fatalf("%d, %v", v, err)
		}
	}
}

// late is a context that takes its time, and counts who watches its end.
type late struct {
	context.Context
	end           chan struct{}
	watched, left atomic.Int32
}

func (l *late) Done() <-chan struct{} { time.Sleep(time.Second); return l.end }

func (l *late) AfterFunc(func()) (stop func() bool) {
	l.watched.Add(1)
	return func() bool { l.left.Add(1); return true }
}

// P5: a task that has ended before its context is watched leaves no watch.
func TestP5_NoWatchIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, pool.Config{Workers: 1})
		l := &late{Context: context.Background(), end: make(chan struct{})}
		if _, err := pool.Submit(l, p, func(context.Context) (int, error) { return 0, nil }).Wait(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if w, left := l.watched.Load(), l.left.Load(); w != 1 || left != w {
			t.Errorf("%d watched, %d left", w, left)
		}
		closed(t, p)
	})
}
