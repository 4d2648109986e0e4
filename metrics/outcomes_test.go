package metrics_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/hotpath-go/hotpath/metrics"
)

// once serves one request and returns who measured it.
func once(t testing.TB, cfg metrics.Config, w http.ResponseWriter, r *http.Request, f http.HandlerFunc) *metrics.HTTP {
	t.Helper()
	h := newHTTP(t, cfg)
	func() {
		defer func() { _ = recover() }()
		h.Handler(f).ServeHTTP(w, r)
	}()
	return h
}

func wantOne(t *testing.T, h *metrics.HTTP, want string) {
	t.Helper()
	wantCounts(t, h, map[string]uint64{"other " + want: 1})
}

// M9: the borders between the classes. RFC 9110 section 15 has clients treat 600 and above as a 5xx.
func TestM9_EachClassBeginsAtItsHundred(t *testing.T) {
	for status, want := range map[int]string{101: "1xx", 200: "2xx", 299: "2xx", 300: "3xx", 399: "3xx", 400: "4xx", 499: "4xx", 500: "5xx", 599: "5xx", 600: "5xx", 999: "5xx"} {
		h := once(t, metrics.Config{}, httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) })
		if got := counts(h); len(got) != 1 || got["other "+want] != 1 {
			t.Errorf("%d: %v, want one %s", status, got, want)
		}
	}
	for _, status := range []int{-1, 0, 99, 1000} { // net/http panics
		wantOne(t, once(t, metrics.Config{}, httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) }), "aborted")
	}
}

// M9: a Route that panics does not make the request disappear, and the panic goes on.
func TestM9_ARouteThatPanics(t *testing.T) {
	h := newHTTP(t, metrics.Config{Route: func(*http.Request) string { panic("route") }})
	func() {
		defer func() {
			if p := recover(); p != "route" {
				t.Errorf("the panic that goes on is %v", p)
			}
		}()
		h.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}()
	wantOne(t, h, "aborted")
}

// conn is an inner writer that can be hijacked.
type conn struct{ *httptest.ResponseRecorder }

func (c conn) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	mine, theirs := net.Pipe()
	_ = theirs.Close()
	return mine, nil, nil
}

// M10: a hijacked connection is one whatever was said before.
func TestM10_HijackedAfterAHeader(t *testing.T) {
	for name, before := range map[string]http.HandlerFunc{
		"nothing":   func(w http.ResponseWriter, r *http.Request) {},
		"a type":    func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Type", "text/event-stream") },
		"a status":  func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) },
		"of errors": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) },
	} {
		t.Run(name, func(t *testing.T) {
			wantOne(t, once(t, metrics.Config{}, conn{httptest.NewRecorder()}, httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, r *http.Request) {
				before(w, r)
				c, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.Close()
			}), "1xx")
		})
	}
	// One that cannot be is not.
	wantOne(t, once(t, metrics.Config{}, httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, r *http.Request) {
		if _, _, err := http.NewResponseController(w).Hijack(); err == nil {
			t.Error("hijacked")
		}
	}), "2xx")
}

// M12: what HEAD does not send is not counted, and of others every byte is.
func TestM12_BytesOfBodies(t *testing.T) {
	for method, want := range map[string]uint64{"GET": 1, "POST": 1, "HEAD": 0} {
		h := once(t, metrics.Config{}, httptest.NewRecorder(), httptest.NewRequest(method, "/", nil), func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "x") })
		if n := h.Stats().Routes["other"].BodyBytes; n != want {
			t.Errorf("%s: %d bytes, want %d", method, n, want)
		}
	}
}

// M13: what fails is an error, and only text/event-stream is an event stream.
func TestM13_WhatIsNoEventStream(t *testing.T) {
	for _, tc := range []struct {
		kind   string
		status int
		want   string
	}{
		{"text/event-stream", 200, "stream"},
		{"text/event-stream", 203, "stream"},
		{"text/event-stream ; charset=utf-8", 200, "stream"},
		{"text/event-stream", 204, "2xx"}, // which tells EventSource to stop
		{"text/event-stream", 300, "3xx"},
		{"text/event-stream", 404, "4xx"},
		{"text/event-stream", 500, "5xx"},
		{"text/event-stream", 503, "5xx"},
		{"text/event-streams+json", 200, "2xx"},
		{"text/event-stream-2", 200, "2xx"},
		{"text/event-strea", 200, "2xx"},
	} {
		for _, said := range []string{"", "data: x\n\n"} {
			h := once(t, metrics.Config{}, httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", tc.kind)
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, said)
				_ = http.NewResponseController(w).Flush()
			})
			if got := counts(h); len(got) != 1 || got["other "+tc.want] != 1 {
				t.Errorf("%q with %d: %v, want one %s", tc.kind, tc.status, got, tc.want)
			}
		}
	}
}

// M13: a stream begins with its first byte or flush, by whatever method; a failed one takes all its time.
func TestM13_WhenAStreamBegins(t *testing.T) {
	for name, tc := range map[string]struct {
		first func(w http.ResponseWriter) // after a second
		want  float64
	}{
		"Write":              {func(w http.ResponseWriter) { _, _ = w.Write([]byte("data: x\n\n")) }, 1},
		"WriteString":        {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "data: x\n\n") }, 1},
		"Flush":              {func(w http.ResponseWriter) { w.(http.Flusher).Flush() }, 1},
		"FlushError":         {func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }, 1},
		"ReadFrom":           {func(w http.ResponseWriter) { _, _ = w.(io.ReaderFrom).ReadFrom(&drops{n: 10}) }, 2},
		"only a header":      {func(w http.ResponseWriter) { w.WriteHeader(200) }, 61},
		"a Write of nothing": {func(w http.ResponseWriter) { _, _ = w.Write(nil); _, _ = io.WriteString(w, "") }, 61},
		"an error":           {func(w http.ResponseWriter) { w.WriteHeader(500); _, _ = w.Write([]byte("x")) }, 61},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := once(t, metrics.Config{}, httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				time.Sleep(time.Second)
				tc.first(w)
				time.Sleep(time.Minute)
			})
			want := "stream"
			if name == "an error" {
				want = "5xx"
			}
			if d := h.Stats().Routes["other"].Duration[want]; d.Count() != 1 || d.Sum() != tc.want {
				t.Errorf("%s: %d in %v s, want 1 in %v", name, d.Count(), d.Sum(), tc.want)
			}
		})
	}
}

// drops gives a byte a second, n times.
type drops struct{ n int }

func (d *drops) Read(p []byte) (int, error) {
	if d.n == 0 {
		return 0, io.EOF
	}
	d.n--
	time.Sleep(time.Second)
	return copy(p, "x"), nil
}

// deafWriter cannot flush.
type deafWriter struct {
	header http.Header
	strings.Builder
}

func (w *deafWriter) Header() http.Header { return w.header }
func (w *deafWriter) WriteHeader(int)     {}

// M13: a flush that nothing came of does not say what the answer is.
func TestM13_AFlushBehindAWriterWithout(t *testing.T) {
	h := once(t, metrics.Config{}, &deafWriter{header: http.Header{}}, httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: x\n\n")
	})
	wantOne(t, h, "stream")
}

// M8: what ServeMux redirects counts at the route it leads to, or as "other": the path of a client, which
// may stand in Pattern then, makes no series.
func TestM8_RedirectsOfTheMux(t *testing.T) {
	mux := http.NewServeMux()
	for _, p := range []string{"/tree/", "/{shop}/", "/shop/{id}/", "GET /a/{x}", "host.example/{x}/{y}/{z}/"} {
		mux.HandleFunc(p, func(http.ResponseWriter, *http.Request) {})
	}
	h := newHTTP(t, metrics.Config{})
	for i := range 50 {
		for _, method := range []string{"GET", "CONNECT", "POST"} {
			for _, path := range []string{"/%d", "/shop/%d", "//%[1]d", "/%d%%2F", "/tree/../%d", "/%d/%d/%d/..", "/%d//%d"} {
				r := httptest.NewRequest("GET", "/", nil)
				r.Method = method
				path = strings.ReplaceAll(path, "%d", fmt.Sprint(i))
				u, err := r.URL.Parse("http://host.example" + strings.ReplaceAll(strings.ReplaceAll(path, "%[1]d", fmt.Sprint(i)), "%%", "%"))
				if err != nil {
					t.Fatal(err)
				}
				r.URL.Path, r.URL.RawPath, r.Host = u.Path, u.RawPath, "host.example"
				h.Handler(mux).ServeHTTP(httptest.NewRecorder(), r)
			}
		}
	}
	for route := range h.Stats().Routes {
		if strings.ContainsAny(route, "0123456789") {
			t.Errorf("a client made the route %q", route)
		}
	}

	h = newHTTP(t, metrics.Config{}) // what is no redirect keeps its pattern
	for _, path := range []string{"/tree/", "/tree/x", "/books/", "/shop/1/"} {
		h.Handler(mux).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	wantCounts(t, h, map[string]uint64{"/tree/ 2xx": 2, "/{shop}/ 2xx": 1, "/shop/{id}/ 2xx": 1})
}

// M8: exactly MaxRoutes have their own, at whichever order they come, and no name is kept that is too long
// for a label or a piece of something large.
func TestM8_NamesOfRoutes(t *testing.T) {
	for _, most := range []int{1, 3, 1000} {
		h := newHTTP(t, metrics.Config{MaxRoutes: most, Route: func(r *http.Request) string { return r.URL.Path }})
		for i := range most + 2 {
			h.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprint("/", i), nil))
		}
		if n := len(h.Stats().Routes); n != most+1 {
			t.Errorf("%d routes with %q, want %d", n, "other", most+1)
		}
		if n := h.Stats().Routes["other"].Duration["4xx"]; n.Count() != 2 {
			t.Errorf("%d are other, want 2", n.Count())
		}
	}

	large := strings.Repeat("x", 1<<16)
	h := newHTTP(t, metrics.Config{Route: func(r *http.Request) string { return large[:len(r.URL.Path)*100] }})
	for _, path := range []string{"/", "/longer", "/the longest"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path = path
		h.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
	}
	wantCounts(t, h, map[string]uint64{large[:100] + " 4xx": 1, large[:128] + " 4xx": 2})
	for name := range h.Stats().Routes {
		if unsafe.StringData(name) == unsafe.StringData(large) {
			t.Error("a piece of something large is kept")
		}
	}
}

func TestHandler_Nil(t *testing.T) {
	defer func() {
		if p := recover(); p != "metrics: Handler(nil)" {
			t.Errorf("recovered %v", p)
		}
	}()
	newHTTP(t, metrics.Config{}).Handler(nil)
}
