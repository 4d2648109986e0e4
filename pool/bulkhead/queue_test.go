package bulkhead_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/internal/flight"
	"github.com/hotpath-go/hotpath/internal/rw"
	"github.com/hotpath-go/hotpath/pool/bulkhead"
)

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
