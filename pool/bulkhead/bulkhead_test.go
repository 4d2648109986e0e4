package bulkhead_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/internal/flight"
	"github.com/hotpath-go/hotpath/internal/leaktest"
	"github.com/hotpath-go/hotpath/internal/rw"
	"github.com/hotpath-go/hotpath/internal/statstest"
	"github.com/hotpath-go/hotpath/pool/bulkhead"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var errGone = errors.New("gone")

func newBulkhead(t testing.TB, cfg bulkhead.Config) *bulkhead.Bulkhead {
	t.Helper()
	b, err := bulkhead.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func get(h http.Handler, ctx context.Context) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	return w
}

func acquire(t *testing.T, b *bulkhead.Bulkhead, c bulkhead.Class) func() {
	t.Helper()
	release, err := b.Acquire(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return release
}

// queue lets requests of a class wait, one after another, and notes in what order they start.
type queue struct {
	mu    sync.Mutex
	order []string
}

func (q *queue) add(ctx context.Context, b *bulkhead.Bulkhead, name string, c bulkhead.Class) {
	go func() {
		release, err := b.Acquire(ctx, c)
		q.mu.Lock()
		if err != nil {
			name = "!" + name
		}
		q.order = append(q.order, name)
		q.mu.Unlock()
		if err == nil {
			time.Sleep(time.Millisecond)
			release()
		}
	}()
	synctest.Wait()
}

func (q *queue) got() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return strings.Join(q.order, " ")
}

func TestNew_EveryProblemAtOnce(t *testing.T) {
	_, err := bulkhead.New(bulkhead.Config{Limit: -1, Patience: -1, Floor: 1})
	if err == nil || strings.Count(err.Error(), "\n") != 2 || !strings.Contains(err.Error(), "bulkhead: Limit is -1: must be at least 1 (0 means 1,024)") {
		t.Errorf("got %v", err)
	}
}

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
		if w := <-done; w.Body.Len() != 0 || len(w.Header()) != 0 {
			t.Errorf("written: %v %q", w.Header(), w.Body)
		}
		release()
		if s := b.Stats(); s.Requests["left"] != 1 || s.Requests["refused"] != 0 || s.InFlight != 0 {
			t.Errorf("%v", s.Requests)
		}
	})
}

func TestQ1_StartsWhileThereIsASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, bulkhead.Config{Limit: 2, Fixed: true})
		r1, r2 := acquire(t, b, bulkhead.Class{}), acquire(t, b, bulkhead.Class{})
		q := new(queue)
		q.add(t.Context(), b, "a", bulkhead.Class{})
		if q.got() != "" || b.Stats().Waiting["normal"] != 1 {
			t.Errorf("%q, %v", q.got(), b.Stats().Waiting)
		}
		r1()
		synctest.Wait()
		if q.got() != "a" {
			t.Errorf("%q", q.got())
		}
		r2()
		time.Sleep(time.Second)
	})
}

func TestQ2_WhoWaitedTooLongIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true})
		first := acquire(t, b, bulkhead.Class{})
		time.Sleep(100 * time.Millisecond) // the service time
		first()
		release := acquire(t, b, bulkhead.Class{})
		began := time.Now()
		w := get(b.Handler(http.NotFoundHandler()), t.Context())
		if took := time.Since(began); took != 800*time.Millisecond {
			t.Errorf("refused after %v", took)
		}
		if w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		release()
		if s := b.Stats(); s.Refused["expired"] != 1 {
			t.Errorf("%v", s.Refused)
		}
	})
}

func TestQ3_NewestFirstOnceTheQueueStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true})
		q := new(queue)
		release := acquire(t, b, bulkhead.Class{})
		for _, name := range []string{"a", "b", "c"} {
			q.add(t.Context(), b, name, bulkhead.Class{})
		}
		release()
		time.Sleep(time.Second)
		synctest.Wait()
		if q.got() != "a b c" {
			t.Errorf("calm: %q", q.got())
		}
		q = new(queue)
		release = acquire(t, b, bulkhead.Class{})
		q.add(t.Context(), b, "a", bulkhead.Class{})
		time.Sleep(900 * time.Millisecond)
		q.add(t.Context(), b, "b", bulkhead.Class{})
		q.add(t.Context(), b, "c", bulkhead.Class{})
		time.Sleep(150 * time.Millisecond) // a has been refused, the queue has not been empty
		q.add(t.Context(), b, "d", bulkhead.Class{})
		release()
		time.Sleep(time.Second)
		synctest.Wait()
		if q.got() != "!a d c b" {
			t.Errorf("standing: %q", q.got())
		}
	})
}

func TestQ4_StrictPrioritiesAndAFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true, Floor: -1})
		release := acquire(t, b, bulkhead.Class{})
		q := new(queue)
		for p, name := range map[int]string{-7: "idle", -1: "low", 0: "normal", 9: "urgent"} {
			q.add(t.Context(), b, name, bulkhead.Class{Priority: p})
		}
		release()
		time.Sleep(time.Second)
		synctest.Wait()
		if q.got() != "urgent normal low idle" {
			t.Errorf("%q", q.got())
		}

		b = newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true, Floor: 0.25})
		release = acquire(t, b, bulkhead.Class{})
		q = new(queue)
		for i := range 8 {
			q.add(t.Context(), b, "u", bulkhead.Class{Priority: 1})
			if i < 2 {
				q.add(t.Context(), b, "low", bulkhead.Class{Priority: -1})
			}
		}
		release()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := q.got(); strings.Count(got[:len(got)-len(" u")], "low") != 2 {
			t.Errorf("with a floor: %q", got)
		}
	})
}

func TestQ5_AFloodDoesNotStarveASmallTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true})
		release := acquire(t, b, bulkhead.Class{})
		q := new(queue)
		for range 100 {
			q.add(t.Context(), b, "hog", bulkhead.Class{Tenant: "hog"})
		}
		q.add(t.Context(), b, "small", bulkhead.Class{Tenant: "small"})
		release()
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if !strings.Contains(q.got(), "small") {
			t.Errorf("%q", q.got())
		}
		time.Sleep(time.Second)
	})
}

func TestQ6_RefusedAtArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true, Queue: 2, Floor: -1})
		first := acquire(t, b, bulkhead.Class{})
		time.Sleep(100 * time.Millisecond)
		first()
		release := acquire(t, b, bulkhead.Class{})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // less than a service
		defer cancel()
		if _, err := b.Acquire(ctx, bulkhead.Class{}); !errors.Is(err, bulkhead.ErrFull) || b.Stats().Refused["hopeless"] != 1 {
			t.Errorf("%v, %v", err, b.Stats().Refused)
		}
		q := new(queue)
		q.add(t.Context(), b, "low1", bulkhead.Class{Priority: -1})
		q.add(t.Context(), b, "low2", bulkhead.Class{Priority: -1})
		q.add(t.Context(), b, "urgent", bulkhead.Class{Priority: 1})
		q.add(t.Context(), b, "idle", bulkhead.Class{Priority: -2})
		release()
		time.Sleep(time.Second)
		synctest.Wait()
		if q.got() != "!low1 !idle urgent low2" {
			t.Errorf("%q", q.got())
		}
	})
}

func TestQ7_AcquireSaysWhenToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true, Queue: -1})
		release := acquire(t, b, bulkhead.Class{})
		_, err := b.Acquire(t.Context(), bulkhead.Class{})
		var later interface{ RetryAfter() time.Duration }
		if !errors.Is(err, bulkhead.ErrFull) || !errors.As(err, &later) || later.RetryAfter() < time.Second {
			t.Errorf("%v", err)
		}
		release()
		b = newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true})
		release = acquire(t, b, bulkhead.Class{})
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { time.Sleep(time.Millisecond); cancel(errGone) }()
		if _, err := b.Acquire(ctx, bulkhead.Class{}); !errors.Is(err, errGone) {
			t.Errorf("%v", err)
		}
		release()
	})
}

type task struct{ blocked, done int }

func (k *task) Blocked() func() { k.blocked++; return func() { k.done++ } }

func TestQ8_WaitingIsSaidToTheBatchScope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true})
		release := acquire(t, b, bulkhead.Class{})
		k := new(task)
		go func() { time.Sleep(time.Millisecond); release() }()
		free, err := b.Acquire(context.WithValue(t.Context(), flight.TaskKey{}, k), bulkhead.Class{})
		if err != nil || k.blocked != 1 || k.done != 1 {
			t.Errorf("%v, %+v", err, k)
		}
		free()
	})
}

func TestBackgroundCountsOnePriorityLower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true})
		release := acquire(t, b, bulkhead.Class{})
		q := new(queue)
		q.add(rw.Background(t.Context()), b, "refresh", bulkhead.Class{})
		if w := b.Stats().Waiting; w["low"] != 1 {
			t.Errorf("%v", w)
		}
		release()
		time.Sleep(time.Second)
	})
}

// scripted lets n clients call for a while a service whose time depends on how many it serves.
func scripted(t *testing.T, b *bulkhead.Bulkhead, n int, lasting time.Duration, took func(inFlight int64) time.Duration) {
	var wg sync.WaitGroup
	end := time.Now().Add(lasting)
	for range n {
		wg.Go(func() {
			for time.Now().Before(end) {
				release, err := b.Acquire(t.Context(), bulkhead.Class{})
				if err != nil {
					time.Sleep(10 * time.Millisecond)
					continue
				}
				time.Sleep(took(b.Stats().InFlight))
				release()
			}
		})
	}
	wg.Wait()
}

func TestL1_TheLimitStartsLowAndGrowsWhereItBinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(t, bulkhead.Config{})
		if n := b.Stats().Limit; n != 16 {
			t.Errorf("it starts at %d", n)
		}
		flat := func(int64) time.Duration { return 10 * time.Millisecond }
		scripted(t, b, 4, 5*time.Second, flat)
		if n := b.Stats().Limit; n != 16 {
			t.Errorf("not binding, and it is %d", n)
		}
		scripted(t, b, 200, 20*time.Second, flat)
		if s := b.Stats(); s.Limit < 60 || s.LimitChanges["grew"] == 0 {
			t.Errorf("limit %d, %v", s.Limit, s.LimitChanges)
		}
	})
}

func TestL2_TheLimitStaysNearWhatTheServiceBears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const servers = 20
		b := newBulkhead(t, bulkhead.Config{})
		scripted(t, b, 300, 30*time.Second, func(n int64) time.Duration {
			return 10 * time.Millisecond * time.Duration(max(n, servers)) / servers
		})
		if s := b.Stats(); s.Limit < servers*3/4 || s.Limit > 4*servers || s.LimitChanges["fell"] == 0 {
			t.Errorf("limit %d, %v", s.Limit, s.LimitChanges)
		}
	})
}

func TestL3L4_ABrownOutCostsLittleAndASlowerServiceIsNotThrottled(t *testing.T) {
	t.Run("L3 the way back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBulkhead(t, bulkhead.Config{Limit: 16})
			flat := func(d time.Duration) func(int64) time.Duration { return func(int64) time.Duration { return d } }
			scripted(t, b, 64, 3*time.Second, flat(10*time.Millisecond))
			scripted(t, b, 64, 300*time.Millisecond, flat(40*time.Millisecond))
			low := b.Stats().Limit
			scripted(t, b, 64, 2*time.Second, flat(10*time.Millisecond))
			if s := b.Stats(); low >= 16 || s.Limit != 16 || s.LimitChanges["returned"] == 0 {
				t.Errorf("it fell to %d and is %d, %v", low, s.Limit, s.LimitChanges)
			}
		})
	})
	t.Run("L4 absolved", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBulkhead(t, bulkhead.Config{Limit: 16})
			flat := func(d time.Duration) func(int64) time.Duration { return func(int64) time.Duration { return d } }
			scripted(t, b, 64, 3*time.Second, flat(10*time.Millisecond))
			scripted(t, b, 64, 10*time.Second, flat(40*time.Millisecond))
			if s := b.Stats(); s.Limit < 14 || s.LimitChanges["absolved"] == 0 {
				t.Errorf("limit %d, %v", s.Limit, s.LimitChanges)
			}
		})
	})
}

func TestExemptIsNeitherCountedNorRefused(t *testing.T) {
	b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true, Queue: -1, Class: func(r *http.Request) bulkhead.Class {
		return bulkhead.Class{Exempt: r.URL.Path == "/"}
	}})
	release := acquire(t, b, bulkhead.Class{})
	if w := get(b.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), t.Context()); w.Code != 200 {
		t.Errorf("%d", w.Code)
	}
	release()
}

func TestOnRefusedWritesTheBodyOnly(t *testing.T) {
	b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true, Queue: -1, OnRefused: func(w http.ResponseWriter, _ *http.Request, err error) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(200)
		fmt.Fprint(w, err)
	}})
	release := acquire(t, b, bulkhead.Class{})
	w := get(b.Handler(http.NotFoundHandler()), t.Context())
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Header().Get("Cache-Control") != "no-store" || w.Body.String() != "bulkhead: overloaded" {
		t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
	}
	release()
}

func TestStats_CanBeExported(t *testing.T) {
	b := newBulkhead(t, bulkhead.Config{Limit: 1, Fixed: true})
	get(b.Handler(http.NotFoundHandler()), t.Context())
	got := statstest.Check(t, b.Stats)
	for series, want := range map[string]float64{
		`hotpath_bulkhead_requests_total{outcome="served"}`: 1,
		`hotpath_bulkhead_started_total{priority="normal"}`: 1,
		`hotpath_bulkhead_in_flight`:                        0,
		`hotpath_bulkhead_limit`:                            1,
		`hotpath_bulkhead_service_seconds_count`:            1,
	} {
		if v, there := got[series]; !there || v != want {
			t.Errorf("%s is %v (there: %t), want %v", series, v, there, want)
		}
	}
}
