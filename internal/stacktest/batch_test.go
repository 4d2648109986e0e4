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
	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/pool/bulkhead"
	"github.com/hotpath-go/hotpath/throttle"
)

func endpoint(t *testing.T, cfg batch.Config) *batch.Endpoint {
	t.Helper()
	e, err := batch.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func envelopeOf(urls ...string) string {
	parts := make([]string, len(urls))
	for i, u := range urls {
		parts[i] = fmt.Sprintf(`{"id":"%d","method":"GET","url":%q}`, i, u)
	}
	return `{"requests":[` + strings.Join(parts, ",") + `]}`
}

type part struct {
	Status  int
	Headers map[string]string
	Body    json.RawMessage
}

// send posts an envelope to h and returns its answers. fields are "Name: value".
func send(t *testing.T, h http.Handler, envelope string, fields ...string) []part {
	t.Helper()
	r := httptest.NewRequest("POST", "/$batch", strings.NewReader(envelope))
	r.Header.Set("Content-Type", "application/json")
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var out struct{ Responses []part }
	if w.Code != 200 || json.Unmarshal(w.Body.Bytes(), &out) != nil {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	return out.Responses
}

func partStatuses(parts []part) (all []int) {
	for _, p := range parts {
		all = append(all, p.Status)
	}
	return all
}

// A batch of n parts costs n tokens, whichever side of the throttle it stands on.
func TestBatch_AndThrottle(t *testing.T) {
	for _, outside := range []bool{true, false} {
		l, err := throttle.New(throttle.Config{Rate: throttle.Per(5, time.Hour), Burst: 5})
		if err != nil {
			t.Fatal(err)
		}
		var ran atomic.Int64
		h := http.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran.Add(1) }))
		e := endpoint(t, batch.Config{Concurrency: 1})
		if outside {
			h = l.Handler(e.Handler(h))
		} else {
			h = e.Handler(l.Handler(h))
		}
		if got := partStatuses(send(t, h, envelopeOf("/a", "/b", "/c"))); !slices.Equal(got, []int{200, 200, 200}) {
			t.Errorf("throttle outside: %t: %v", outside, got)
		}
		got := send(t, h, envelopeOf("/a", "/b", "/c", "/d"))
		if !slices.Equal(partStatuses(got), []int{200, 200, 429, 429}) || got[2].Headers["Retry-After"] != "720" || ran.Load() != 5 {
			t.Errorf("throttle outside: %t: %v, %d ran", outside, got, ran.Load())
		}
	}
}

// A tag that compress has suffixed on the way out revalidates in a part, too; the envelope is
// encoded, its parts are not.
func TestBatch_InsideCompress(t *testing.T) {
	h := ours(t).wrap(endpoint(t, batch.Config{}).Handler(service()))
	r := httptest.NewRequest("GET", "/doc", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	tag := w.Header().Get("Etag")
	if tag == `"v1"` || tag == "" {
		t.Fatalf("the tag is %s: nothing to restore", tag)
	}
	envelope := fmt.Sprintf(`{"requests":[{"id":"1","method":"GET","url":"/doc","headers":{"If-None-Match":%q}},
		{"id":"2","method":"PUT","url":"/doc","headers":{"If-Match":%[1]q}},{"id":"3","method":"GET","url":"/doc"}]}`, tag)
	srv := httptest.NewServer(h)
	defer srv.Close()
	q, _ := http.NewRequest("POST", srv.URL+"/$batch", strings.NewReader(envelope))
	q.Header.Set("Content-Type", "application/json")
	res, err := srv.Client().Do(q) // it asks for gzip, and decodes
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct{ Responses []part }
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || !res.Uncompressed {
		t.Fatalf("%v, encoded: %t", err, res.Uncompressed)
	}
	if got := partStatuses(out.Responses); !slices.Equal(got, []int{304, 200, 200}) {
		t.Errorf("%v", got)
	}
	if len(out.Responses[2].Body) < 20_000 || out.Responses[2].Headers["Content-Encoding"] != "" {
		t.Errorf("%v", out.Responses[2].Headers)
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
		c, err := httpcache.New(httpcache.Config{})
		if err != nil {
			t.Fatal(err)
		}
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
				c, err := httpcache.New(httpcache.Config{})
				if err != nil {
					t.Fatal(err)
				}
				h = c.Handler(h)
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
			b, err := bulkhead.New(bulkhead.Config{Limit: 1, Fixed: true, Queue: 100, Patience: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
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

// Any order of the layers: the same documents, statuses and updates as alone.
func TestBatch_AnyOrder(t *testing.T) {
	const envelope = `{"requests":[{"id":"1","method":"GET","url":"/doc"},{"id":"2","method":"HEAD","url":"/doc"},{"id":"3","method":"GET","url":"/none"},
		{"id":"4","method":"PUT","url":"/doc","headers":{"If-Match":"\"v1\""}},{"id":"5","method":"GET","url":"/abort"},{"id":"6","method":"GET","url":"/events"},{"id":"7","method":"GET","url":"/late"}]}`
	layers := map[byte]func() middleware{
		'b': func() middleware { return middleware{name: "batch", wrap: endpoint(t, batch.Config{}).Handler} },
		'c': func() middleware { return ours(t) },
		't': func() middleware { return limiter(t) },
		'h': func() middleware { m, _ := caching(t); return m },
		'l': func() middleware { return foreign[0] },
		'o': func() middleware { return foreign[1] },
	}
	for _, order := range []string{
		"b", "bcth", "bcht", "btch", "btct", "bhct", "bhtc", "cbth", "cbht", "tbch", "tbhc", "hbct", "hbtc", "ctbh", "chbt", "tcbh", "thbc", "hcbt", "htbc",
		"cthb", "chtb", "tchb", "thcb", "hctb", "htcb", "tlcobhl", "lbl", "bb",
	} {
		h := service()
		for i := len(order) - 1; i >= 0; i-- {
			h = layers[order[i]]().wrap(h)
		}
		for _, fields := range [][]string{nil, {"Accept-Encoding: br"}} {
			got := send(t, h, envelope, fields...)
			if want := []int{200, 200, 404, 200, 502, 200, 200}; !slices.Equal(partStatuses(got), want) {
				t.Errorf("%s: %v, want %v", order, partStatuses(got), want)
			}
			var doc string
			if err := json.Unmarshal(got[0].Body, &doc); err != nil || doc != string(text(20_000)) {
				t.Errorf("%s: a document of %d bytes: %v", order, len(doc), err)
			}
			if got[1].Body != nil || got[6].Headers["X-Own"] != "early" || strings.Count(string(got[5].Body), "data:") != 5 {
				t.Errorf("%s: %v", order, got[1:])
			}
		}
	}
}
