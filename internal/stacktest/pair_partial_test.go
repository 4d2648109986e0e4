package stacktest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hotpath-go/hotpath/partial"
)

func masking(t *testing.T) *partial.Filter {
	t.Helper()
	f, err := partial.New(partial.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// partial > httpcache: one document for all masks, and the handler runs once.
func TestN1_OneDocument(t *testing.T) {
	f, c, next := masking(t), caching(t), newOrigin(t)
	pushed := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m := partial.FromContext(r.Context()); m != nil {
			t.Errorf("inside of a cache the mask is %v: push-down would poison it", m)
		}
		if r.URL.RawQuery != "" || strings.Contains(r.RequestURI, "fields") {
			t.Errorf("inside of a cache the request is for %s", r.RequestURI)
		}
		next.ServeHTTP(w, r)
	})
	h := f.Handler(c.Handler(pushed))
	for range 3 {
		for query, want := range map[string]string{"?fields=items/id": mediumIDs, "": medium, "?fields=nothing": "{}", "?fields=items": medium} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/list/medium"+query, nil))
			if w.Body.String() != want || w.Header().Get("Content-Length") != fmt.Sprint(len(want)) {
				t.Errorf("%q: %d bytes, Content-Length %s, want %d", query, w.Body.Len(), w.Header().Get("Content-Length"), len(want))
			}
		}
	}
	if s := c.Stats(); next.ranFor("/list/medium") != 1 || s.Stored != 1 {
		t.Errorf("the handler ran %d times, %+v", next.ranFor("/list/medium"), s)
	}
	if s := f.Stats(); s.Filtered != 9 || s.Plain != 3 {
		t.Errorf("%+v", s)
	}
}

// httpcache > partial: an entry for each text of a mask, and WriteJSON pushes down.
func TestN1_CacheOutside(t *testing.T) {
	f, c := masking(t), caching(t)
	var calls atomic.Int64
	h := c.Handler(f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		w.Header().Set("Cache-Control", "max-age=600")
		answer := map[string]int{}
		for _, name := range []string{"a", "b"} {
			if partial.FromContext(r.Context()).Has(name) {
				answer[name] = 1
			}
		}
		if err := f.WriteJSON(w, r, 200, answer); err != nil {
			t.Error(err)
		}
	})))
	for range 2 {
		for query, want := range map[string]string{"?fields=a": `{"a":1}`, "?fields=b": `{"b":1}`, "": `{"a":1,"b":1}`} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/"+query, nil))
			if w.Body.String() != want {
				t.Errorf("%q: %s, want %s", query, w.Body, want)
			}
		}
	}
	if s := f.Stats(); calls.Load() != 3 || s.Projected != 2 {
		t.Errorf("the handler ran %d times, %+v", calls.Load(), s)
	}
}

// compress > partial: cut, then coded, and the tag's suffix of compress comes off first. partial > compress: the
// cut is of what is not coded.
func TestN3_CutAndCoded(t *testing.T) {
	for _, letters := range []string{"cp", "pc"} {
		keepsOverBoth(t, letters)
	}
}
