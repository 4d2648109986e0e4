package stacktest_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/pool/bulkhead"
	"github.com/hotpath-go/hotpath/throttle"
)

func bounding(t *testing.T, cfg bulkhead.Config) *bulkhead.Bulkhead {
	t.Helper()
	b, err := bulkhead.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func caching(t *testing.T) *httpcache.Cache {
	t.Helper()
	c, err := httpcache.New(httpcache.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// changing answers with the number of its call, and takes as long as it is told.
type changing struct {
	calls atomic.Int64
	takes atomic.Int64
	field string
}

func (c *changing) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	n := c.calls.Add(1)
	time.Sleep(time.Duration(c.takes.Load()))
	w.Header().Set("Cache-Control", c.field)
	fmt.Fprint(w, n)
}

func fetch(ctx context.Context, h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", path, nil))
	return w
}

// An overloaded service with a cache in front stays up: a refusal is answered by what is stale
// if that may be, is never stored, and never stands for the others who wait.
func TestBulkhead_StaleInsteadOfARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := caching(t), bounding(t, bulkhead.Config{Limit: 1, Fixed: true, Queue: -1})
		docs := &changing{field: "max-age=10, stale-if-error=600"}
		h := c.Handler(b.Handler(docs))
		if w := fetch(t.Context(), h, "/doc"); w.Body.String() != "1" {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		time.Sleep(time.Minute)
		release, err := b.Acquire(t.Context(), bulkhead.Class{})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if w := fetch(t.Context(), h, "/doc"); w.Code != 200 || w.Body.String() != "1" {
				t.Errorf("stale: %d %s", w.Code, w.Body)
			}
			if w := fetch(t.Context(), h, "/other"); w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("nothing stale: %d %v", w.Code, w.Header())
			}
		}
		release()
		if w := fetch(t.Context(), h, "/other"); w.Code != 200 || w.Body.String() != "2" {
			t.Errorf("afterwards: %d %s", w.Code, w.Body)
		}
		if st := c.Stats(); st.Stored != 2 {
			t.Errorf("%d stored", st.Stored)
		}
	})
}

// A refresh that no client waits for never displaces a request.
func TestBulkhead_ARefreshWaitsForRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := caching(t), bounding(t, bulkhead.Config{Limit: 1, Fixed: true, Floor: -1})
		docs := &changing{field: "max-age=10, stale-while-revalidate=600"}
		h := c.Handler(b.Handler(docs))
		fetch(t.Context(), h, "/doc")
		time.Sleep(time.Minute)
		release, err := b.Acquire(t.Context(), bulkhead.Class{})
		if err != nil {
			t.Fatal(err)
		}
		if w := fetch(t.Context(), h, "/doc"); w.Body.String() != "1" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		synctest.Wait()
		if n := b.Stats().Waiting; n["low"] != 1 || n["normal"] != 0 {
			t.Errorf("the refresh waits as %v", n)
		}
		var order sync.WaitGroup
		docs.takes.Store(int64(10 * time.Millisecond))
		order.Go(func() {
			if w := fetch(t.Context(), h, "/client"); w.Body.String() != "2" {
				t.Errorf("who came later, but is a client: %d %s", w.Code, w.Body)
			}
		})
		synctest.Wait()
		release()
		order.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		if w := fetch(t.Context(), h, "/doc"); w.Body.String() != "3" {
			t.Errorf("refreshed: %d %s", w.Code, w.Body)
		}
	})
}

// A throttle stops the abuser before he takes a slot, and a refusal of a Bulkhead outside costs no
// token.
func TestBulkhead_ThrottleStacked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := throttle.New(throttle.Config{Rate: throttle.Per(1, time.Hour), Burst: 2})
		if err != nil {
			t.Fatal(err)
		}
		b := bounding(t, bulkhead.Config{Limit: 1, Fixed: true, Queue: -1})
		docs := &changing{field: "no-store"}
		outside, inside := l.Handler(b.Handler(docs)), b.Handler(l.Handler(docs))
		release, err := b.Acquire(t.Context(), bulkhead.Class{})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if w := fetch(t.Context(), inside, "/"); w.Code != 503 || w.Header().Get("RateLimit") != "" {
				t.Errorf("%d %v", w.Code, w.Header())
			}
		}
		release()
		for i, want := range []int{200, 200, 429, 429} {
			if w := fetch(t.Context(), outside, "/"); w.Code != want {
				t.Errorf("request %d: %d", i, w.Code)
			}
		}
		if s := b.Stats(); s.Requests["refused"] != 5 || s.Started["normal"] != 3 || s.InFlight != 0 {
			t.Errorf("%v, %v", s.Requests, s.Started)
		}
	})
}
