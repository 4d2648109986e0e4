package stacktest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/batch"
	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/pool/bulkhead"
)

func endpoint(t *testing.T, cfg batch.Config) *batch.Endpoint {
	t.Helper()
	e, err := batch.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// send posts an envelope to h and returns its answers.
func send(t *testing.T, h http.Handler, envelope string) []part {
	t.Helper()
	r := httptest.NewRequest("POST", "/$batch", strings.NewReader(envelope))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var out struct{ Responses []part }
	if w.Code != 200 || json.Unmarshal(w.Body.Bytes(), &out) != nil {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	return out.Responses
}

// Parts that are over the limit are refused, each by itself, whichever side of the throttle the batch stands on.
func TestBatch_AndThrottle(t *testing.T) {
	for _, letters := range []string{"tb", "bt", "tcbp", "mbct"} {
		o := newOrigin(t)
		h, _ := build(t, letters, tight, o)
		got := send(t, h, envelopeOf("/own/1", "/own/1", "/own/1", "/own/1", "/own/1", "/own/1"))
		served := 0
		for _, p := range got {
			switch {
			case p.Status == http.StatusNoContent:
				served++
			case p.Status != http.StatusTooManyRequests || p.Headers["Retry-After"] == "":
				t.Errorf("%s: %d %v", letters, p.Status, p.Headers)
			}
		}
		if served != 4 || o.ranFor("/own/1") != 4 {
			t.Errorf("%s: of a burst of 4 %d were served, the handler ran %d times", letters, served, o.ranFor("/own/1"))
		}
	}
}

// versions answers GET /doc with a number that PATCH /doc raises.
func versions(calls *atomic.Int64) http.Handler {
	var version atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /doc", func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=600")
		fmt.Fprintf(w, `{"version":%d}`, version.Load())
	})
	mux.HandleFunc("PATCH /doc", func(w http.ResponseWriter, _ *http.Request) { version.Add(1); w.WriteHeader(204) })
	return mux
}

// Parts are lookups: hits within one batch and across batches; a PATCH in a part is seen by the GET
// after it, and makes a cache outside forget.
func TestBatch_AndHTTPCache(t *testing.T) {
	const patchThenGet = `{"requests":[{"id":"1","method":"PATCH","url":"/doc"},{"id":"2","method":"GET","url":"/doc","dependsOn":["1"]}]}`
	for _, outside := range []bool{true, false} {
		c := caching(t)
		var calls atomic.Int64
		e := endpoint(t, batch.Config{})
		var h http.Handler
		if outside {
			h = c.Handler(e.Handler(versions(&calls)))
		} else {
			h = e.Handler(c.Handler(versions(&calls)))
		}
		single := func() string {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/doc", nil))
			return w.Body.String()
		}
		if got := single() + single(); got != `{"version":0}{"version":0}` || calls.Load() != 1 {
			t.Fatalf("%s, %d calls", got, calls.Load())
		}
		for range 3 {
			for _, p := range send(t, h, envelopeOf("/doc", "/doc")) {
				if string(p.Body) != `{"version":0}` {
					t.Errorf("%s", p.Body)
				}
			}
		}
		if n := calls.Load(); !outside && n != 1 || outside && n != 7 {
			t.Errorf("cache outside: %t: %d calls", outside, n)
		}
		if got := send(t, h, patchThenGet); string(got[1].Body) != `{"version":1}` {
			t.Errorf("cache outside: %t: after a PATCH in the same batch: %s", outside, got[1].Body)
		}
		if got := single(); got != `{"version":1}` {
			t.Errorf("cache outside: %t: after a PATCH in a part: %s", outside, got)
		}
	}
}

// 20 parts that wait on one cached key are one load, and do not wait for MaxWait: who waits for the
// work of others counts as waiting.
func TestBatch_PartsThatWaitOnOneKey(t *testing.T) {
	for _, kind := range []string{"cache", "httpcache"} {
		synctest.Test(t, func(t *testing.T) {
			var fetches atomic.Int64
			l, err := batch.NewLoader(batch.LoaderConfig[string, string]{Fetch: func(_ context.Context, keys []string) (map[string]string, error) {
				fetches.Add(1)
				time.Sleep(time.Millisecond)
				return map[string]string{keys[0]: "value"}, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			get := l.Load
			if kind == "cache" {
				values, err := cache.New(cache.Config[string, string]{Load: l.Load})
				if err != nil {
					t.Fatal(err)
				}
				get = values.Get
			}
			h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				v, err := get(r.Context(), "key")
				if err != nil {
					t.Error(err)
				}
				w.Header().Set("Cache-Control", "max-age=60")
				fmt.Fprint(w, v)
			}))
			if kind == "httpcache" {
				h = caching(t).Handler(h)
			}
			start := time.Now()
			for _, p := range send(t, endpoint(t, batch.Config{}).Handler(h), envelopeOf(slices.Repeat([]string{"/doc"}, 20)...)) {
				if p.Status != 200 || string(p.Body) != `"value"` {
					t.Errorf("%s: %d %s", kind, p.Status, p.Body)
				}
			}
			if took := time.Since(start); took != time.Millisecond || fetches.Load() != 1 {
				t.Errorf("%s: %d fetches in %v, want 1 in 1ms", kind, fetches.Load(), took)
			}
		})
	}
}

// Inside, a slot for each part: those in the queue count as waiting. Outside, one for the envelope;
// the same Bulkhead on both sides does not wait for itself.
func TestBatch_AndBulkhead(t *testing.T) {
	for _, where := range []string{"inside", "outside", "both"} {
		synctest.Test(t, func(t *testing.T) {
			b := bounding(t, bulkhead.Config{Limit: 1, Fixed: true, Queue: 100, Patience: time.Minute})
			l, err := batch.NewLoader(batch.LoaderConfig[string, string]{Fetch: func(_ context.Context, keys []string) (map[string]string, error) {
				time.Sleep(time.Millisecond)
				m := map[string]string{}
				for _, k := range keys {
					m[k] = "value of " + k
				}
				return m, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				v, err := l.Load(r.Context(), r.URL.Path)
				fmt.Fprintln(w, v, err)
			}))
			if where != "outside" {
				h = b.Handler(h)
			}
			h = endpoint(t, batch.Config{}).Handler(h)
			if where != "inside" {
				h = b.Handler(h)
			}
			start := time.Now()
			for i, p := range send(t, h, envelopeOf("/0", "/1", "/2", "/3")) {
				if want := fmt.Sprintf(`"value of /%d <nil>\n"`, i); p.Status != 200 || string(p.Body) != want {
					t.Errorf("%s: %d %s", where, p.Status, p.Body)
				}
			}
			want := time.Millisecond // all parts at once
			if where == "inside" {
				want = 4 * time.Millisecond // one after the other, and none of them waits for MaxWait
			}
			if took := time.Since(start); took != want {
				t.Errorf("%s: %v, want %v", where, took, want)
			}
		})
	}
}
