package bulkhead_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/internal/leaktest"
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
