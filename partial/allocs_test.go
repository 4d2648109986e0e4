//go:build !race

package partial_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/partial"
)

// sink is an inner writer that allocates nothing.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

func gate(t *testing.T, name string, most float64, f func()) {
	t.Helper()
	if got := testing.AllocsPerRun(200, f); got > most {
		t.Errorf("%s: %v allocations, want at most %v", name, got, most)
	}
}

func TestAllocs_Append(t *testing.T) {
	doc, _ := big(1000)
	escaped := []byte(`{"\u0069tems":[{"\u0069d":1,"x":2}]}`)
	dst := make([]byte, 0, len(doc))
	for _, text := range []string{"items/id", "items(id,name)", "nothing", "*/id", "items/*", "*"} {
		m := partial.MustParse(text)
		for _, d := range [][]byte{[]byte(doc), escaped} {
			gate(t, "Append "+text, 0, func() { _, _ = m.Append(dst, d) })
		}
	}
}

func TestAllocs_Writer(t *testing.T) {
	piece := []byte(strings.Repeat(`{"id":1,"name":"x","other":[1,2]},`, 1000))
	out := &sink{}
	w := partial.MustParse("items/id").Writer(out)
	_, _ = w.Write([]byte(`{"items":[`))
	gate(t, "Write", 0, func() { _, _ = w.Write(piece) })
	_ = w.Close()
}

// The tree's nodes and its names.
func TestAllocs_Parse(t *testing.T) {
	gate(t, "Parse", 3, func() { _, _ = partial.Parse("items(id,name,price)") })
	gate(t, "Parse of *", 1, func() { _, _ = partial.Parse("*") })
	m := partial.MustParse("items(id,name)")
	gate(t, "Has and Sub", 0, func() {
		if !m.Has("items/id") || m.Sub("items") == nil {
			t.Error("lost")
		}
	})
}

// Masks are hostile: nothing is kept of those that came.
func TestAllocs_ManyMasks(t *testing.T) {
	live := func() uint64 {
		runtime.GC()
		runtime.GC() // pools keep what they have for one collection
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	f := mustNew(t, partial.Config{})
	h := f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	out, r := &sink{http.Header{}}, request("GET", "/")
	ask := func(n int) {
		for i := range n {
			r.URL.RawQuery = "fields=items(id,name" + strconv.Itoa(i) + "),other" + strconv.Itoa(i)
			h.ServeHTTP(out, r)
		}
	}
	ask(1000)
	before := live()
	ask(100_000)
	if after := live(); after > before+64<<10 {
		t.Errorf("100,000 masks leave %d KiB", (after-before)>>10)
	}
}

func TestAllocs_Handler(t *testing.T) {
	f, err := partial.New(partial.Config{})
	if err != nil {
		t.Fatal(err)
	}
	nothing := f.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, target := range []string{"/", "/?page=3&size=20&sort=price", "/?q=a+b%20c&x=%zz"} {
		out, r := &sink{}, request("GET", target)
		gate(t, "no mask "+target, 0, func() { nothing.ServeHTTP(out, r) })
	}

	// The mask 3 and its list 1, the writer 1, the request 1, its header 2, its context 1, the rest
	// of the query 1, Content-Length 1; and nothing that grows with the document.
	for _, n := range []int{10, 1000} {
		doc, _ := big(n)
		body, kind, length := []byte(doc), []string{"application/json"}, []string{fmt.Sprint(len(doc))}
		h := f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"], w.Header()["Content-Length"] = kind, length
			_, _ = w.Write(body)
		}))
		r := httptest.NewRequest("GET", "/?page=1&size=20&sort=price&fields=items/id", nil)
		out := &sink{http.Header{}}
		gate(t, fmt.Sprintf("masked, %d items", n), 12, func() {
			clear(out.header)
			h.ServeHTTP(out, r)
		})
	}
}
