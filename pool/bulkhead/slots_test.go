package bulkhead_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool/bulkhead"
)

func TestB1_TheSlotIsGivenBackExactlyOnce(t *testing.T) {
	for _, buffer := range []int64{0, -1} {
		b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true, Buffer: buffer})
		for name, f := range map[string]func(http.ResponseWriter){
			"return": func(w http.ResponseWriter) { _, _ = io.WriteString(w, "x") },
			"panic":  func(http.ResponseWriter) { panic("p") },
			"abort":  func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
			"goexit": func(http.ResponseWriter) { runtime.Goexit() },
		} {
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { _ = recover() }()
				get(b.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					if n := b.Stats().InFlight; n != 1 {
						t.Errorf("%s: in flight %d", name, n)
					}
					f(w)
				})), context.Background())
			}()
			<-done
			if s := b.Stats(); s.InFlight != 0 || s.BufferBytes != 0 {
				t.Errorf("%s: in flight %d, buffers %d", name, s.InFlight, s.BufferBytes)
			}
		}
		if s := b.Stats(); s.Requests["panicked"] != 3 || s.Requests["served"] != 1 {
			t.Errorf("%v", s.Requests)
		}
		release := acquire(t, b, bulkhead.Class{})
		release()
		release()
		if n := b.Stats().InFlight; n != 0 {
			t.Errorf("released twice: in flight %d", n)
		}
	}
}

func TestB1_ACancelledStreamCountsUntilItsHandlerReturned(t *testing.T) {
	b := newBulkhead(t, bulkhead.Config{Limit: 2, Fixed: true, Queue: -1})
	end, entered := make(chan struct{}), make(chan struct{}, 2)
	var most atomic.Int64
	srv := httptest.NewUnstartedServer(b.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		most.Store(max(most.Load(), b.Stats().InFlight))
		entered <- struct{}{}
		<-end
	})))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
		go func() { <-entered; cancel() }()
		if _, err := srv.Client().Do(r); err == nil { //nolint:bodyclose // it fails
			t.Error("not cancelled")
		}
	}
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Cache-Control") != "no-store" || b.Stats().InFlight != 2 {
		t.Errorf("%d, %v, in flight %d", resp.StatusCode, resp.Header, b.Stats().InFlight)
	}
	close(end)
}

// slow is a client that does not read until told.
type slow struct {
	*httptest.ResponseRecorder
	wrote func(p []byte)
	calls int
}

func (s *slow) Write(p []byte) (int, error) {
	s.calls++
	s.wrote(p)
	return s.ResponseRecorder.Write(p)
}

func TestB2_SlowReadersHoldNoSlot(t *testing.T) {
	for _, c := range []struct {
		name     string
		size     int
		inFlight int64
	}{{"kept", 1000, 0}, {"too large", 5000, 1}} {
		b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true, Buffer: 2000})
		w := &slow{ResponseRecorder: httptest.NewRecorder(), wrote: func([]byte) {
			if n := b.Stats().InFlight; n != c.inFlight {
				t.Errorf("%s: in flight %d while the client reads", c.name, n)
			}
		}}
		b.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for range 10 {
				_, _ = io.WriteString(w, strings.Repeat("x", c.size/10))
			}
		})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Body.Len() != c.size {
			t.Errorf("%s: %d bytes", c.name, w.Body.Len())
		}
		if c.inFlight == 0 && (w.calls != 1 || w.Header().Get("Content-Length") != "1000") {
			t.Errorf("%s: %d writes, Content-Length %q", c.name, w.calls, w.Header().Get("Content-Length"))
		}
		if n := b.Stats().BufferBytes; n != 0 {
			t.Errorf("%s: %d bytes left", c.name, n)
		}
	}
}

// A handler that makes no body for HEAD has not said that GET has none.
func TestB2_HEADPassesThrough(t *testing.T) {
	b := newBulkhead(t, bulkhead.Config{})
	w := httptest.NewRecorder()
	b.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, httptest.NewRequest("HEAD", "/", nil))
	if v, there := w.Header()["Content-Length"]; there {
		t.Errorf("Content-Length %v", v)
	}
}

func TestB3_LongLivedHandlersGiveTheirSlotBack(t *testing.T) {
	b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true})
	check := func(name string) {
		if s := b.Stats(); s.InFlight != 0 || s.LongLived != 1 {
			t.Errorf("%s: in flight %d, long-lived %d", name, s.InFlight, s.LongLived)
		}
	}
	srv := httptest.NewServer(b.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hijack" {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			check("hijack")
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_ = conn.Close()
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		check("events")
		_, _ = io.WriteString(w, "data: 2\n\n")
	})))
	for _, path := range []string{"/events", "/hijack"} {
		resp, err := srv.Client().Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if path == "/events" && string(body) != "data: 1\n\ndata: 2\n\n" {
			t.Errorf("body %q", body)
		}
	}
	srv.Close()
	for end := time.Now().Add(2 * time.Second); b.Stats().LongLived != 0 && time.Now().Before(end); {
		runtime.Gosched()
	}
	if s := b.Stats(); s.InFlight != 0 || s.LongLived != 0 {
		t.Errorf("in flight %d, long-lived %d", s.InFlight, s.LongLived)
	}
}

func TestB4_WhoLeftNeverReachesTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true})
		release := acquire(t, b, bulkhead.Class{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan *httptest.ResponseRecorder)
		go func() {
			done <- get(b.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was called") })), ctx)
		}()
		synctest.Wait()
		cancel()
		if w := <-done; w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%d %v", w.Code, w.Header()) // if it is there after all: never an empty 200
		}
		release()
		if s := b.Stats(); s.Requests["left"] != 1 || s.Requests["refused"] != 0 || s.InFlight != 0 {
			t.Errorf("%v", s.Requests)
		}
	})
}

// leaving has ended, but its end has not been noticed by who waits for it.
type leaving struct {
	context.Context
	left atomic.Bool
}

func (l *leaving) Err() error {
	if l.left.Load() {
		return context.Canceled
	}
	return nil
}

// The same at the very moment at which it is called.
func TestB4_WhoLeavesWhileItIsCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true})
		release := acquire(t, b, bulkhead.Class{})
		ctx := &leaving{Context: t.Context()}
		done := make(chan error)
		go func() {
			_, err := b.Acquire(ctx, bulkhead.Class{})
			done <- err
		}()
		synctest.Wait()
		ctx.left.Store(true)
		release()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if s := b.Stats(); s.InFlight != 0 || s.Requests["left"] != 1 || s.Requests["served"] != 1 || s.ServiceSeconds.Count() != 1 {
			t.Errorf("in flight %d, %v, %d times", s.InFlight, s.Requests, s.ServiceSeconds.Count())
		}
	})
}
