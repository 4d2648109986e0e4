package metrics_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/internal/statstest"
	"github.com/hotpath-go/hotpath/metrics"
)

func newHTTP(t testing.TB, cfg metrics.Config) *metrics.HTTP {
	t.Helper()
	h, err := metrics.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// counts returns how many requests each "route outcome" has had, without those that had none.
func counts(h *metrics.HTTP) map[string]uint64 {
	all := map[string]uint64{}
	for route, s := range h.Stats().Routes {
		for outcome, d := range s.Duration {
			if n := d.Count(); n > 0 {
				all[route+" "+outcome] = n
			}
		}
	}
	return all
}

func wantCounts(t *testing.T, h *metrics.HTTP, want map[string]uint64) {
	t.Helper()
	if got := counts(h); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("counted %v, want %v", got, want)
	}
	if n := h.Stats().InFlight; n != 0 {
		t.Errorf("%d in flight", n)
	}
}

func TestNew_MaxRoutes(t *testing.T) {
	for _, n := range []int{-1, 1001} {
		want := fmt.Sprintf("metrics: MaxRoutes is %d: must be between 0 and 1000", n)
		if _, err := metrics.New(metrics.Config{MaxRoutes: n}); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// M7: the route is what was set on the request that went in.
func TestM7_TheRouteIsReadAfterwards(t *testing.T) {
	none := func(http.ResponseWriter, *http.Request) {}
	inner := http.NewServeMux()
	inner.HandleFunc("GET /inner/{id}", none)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /items/{id}", none)
	mux.Handle("/api/", http.StripPrefix("/api", inner)) // copies the request: the outer pattern counts
	mux.Handle("/inner/", inner)                         // does not
	h := newHTTP(t, metrics.Config{})
	for _, path := range []string{"/items/1", "/items/2", "/api/inner/3", "/inner/4", "/what"} {
		h.Handler(mux).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	wantCounts(t, h, map[string]uint64{"GET /items/{id} 2xx": 2, "/api/ 2xx": 1, "GET /inner/{id} 2xx": 1, "other 4xx": 1})

	h = newHTTP(t, metrics.Config{Route: func(r *http.Request) string { return r.Header.Get("X-Template") }})
	r := httptest.NewRequest("GET", "/x", nil)
	h.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { r.Header.Set("X-Template", "/{x}") })).ServeHTTP(httptest.NewRecorder(), r)
	wantCounts(t, h, map[string]uint64{"/{x} 2xx": 1})
}

// M8: what clients choose makes no series, and a route beyond MaxRoutes is "other"; one that has its
// own keeps it.
func TestM8_SeriesAreBounded(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /items/{id}", func(http.ResponseWriter, *http.Request) {})
	h := newHTTP(t, metrics.Config{})
	reg := registered(t, h.Stats)
	ask := func(method, target string) {
		r := httptest.NewRequest("GET", target, nil)
		r.Method = method
		h.Handler(mux).ServeHTTP(httptest.NewRecorder(), r)
	}
	ask("GET", "/items/0")
	ask("GET", "/nothing")
	before := len(gather(t, reg))
	for i := range 10_000 {
		ask([]string{"GET", "POST", fmt.Sprint("M", i)}[i%3], fmt.Sprintf("/%d/items?%d", i, i))
		ask("GET", fmt.Sprint("/items/", i))
	}
	if after := len(gather(t, reg)); after > before+1 { // 405 of the mux is a 4xx as 404 is
		t.Errorf("%d series became %d", before, after)
	}

	h = newHTTP(t, metrics.Config{MaxRoutes: 2, Route: func(r *http.Request) string { return r.URL.Path[1:] }})
	for _, name := range []string{"a", "b", "c", "a", "d", "b"} {
		h.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/"+name, nil))
	}
	wantCounts(t, h, map[string]uint64{"a 4xx": 2, "b 4xx": 2, "other 4xx": 2})
}

func TestM8_RoutesThatComeAtOnce(t *testing.T) {
	h := newHTTP(t, metrics.Config{MaxRoutes: 50, Route: func(r *http.Request) string { return r.URL.Path }})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				h.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprint("/", i), nil))
			}
		})
	}
	wg.Wait()
	total := uint64(0)
	for _, n := range counts(h) {
		total += n
	}
	if routes := len(h.Stats().Routes); routes != 51 || total != 800 {
		t.Errorf("%d routes, %d requests, want 51 and 800", routes, total)
	}
}

// M9: each request counts once, by the first final status.
func TestM9_Outcomes(t *testing.T) {
	for name, tc := range map[string]struct {
		want string
		f    http.HandlerFunc
	}{
		"nothing said":    {"2xx", func(w http.ResponseWriter, r *http.Request) {}},
		"a body":          {"2xx", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "x") }},
		"a flush":         {"2xx", func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush() }},
		"two statuses":    {"4xx", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404); w.WriteHeader(500) }},
		"early hints":     {"5xx", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(103); w.WriteHeader(503) }},
		"not modified":    {"3xx", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) }},
		"a strange one":   {"5xx", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(799) }},
		"abort":           {"aborted", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }},
		"abort in a body": {"aborted", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "x"); panic("boom") }},
		"Goexit":          {"aborted", func(w http.ResponseWriter, r *http.Request) { runtime.Goexit() }},
	} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			h := newHTTP(t, metrics.Config{})
			var wg sync.WaitGroup
			wg.Go(func() {
				defer func() { _ = recover() }()
				h.Handler(tc.f).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, "/", nil))
			})
			wg.Wait()
			if got := counts(h); len(got) != 1 || got["other "+tc.want] != 1 {
				t.Errorf("%s by %s: %v, want one %s", name, method, got, tc.want)
			}
		}
	}
}

// M9: a panic is not recovered: its value and its stack are the handler's.
func TestM9_APanicGoesOn(t *testing.T) {
	h := newHTTP(t, metrics.Config{})
	defer func() {
		stack := make([]byte, 1<<16)
		stack = stack[:runtime.Stack(stack, false)]
		if p := recover(); p != "boom" || !strings.Contains(string(stack), "metrics_test.explodes") {
			t.Errorf("%v, by\n%s", p, stack)
		}
	}()
	h.Handler(http.HandlerFunc(explodes)).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}

func explodes(http.ResponseWriter, *http.Request) { panic("boom") }

// M10: what a client waited for, a slow one's own part included; in flight meanwhile.
func TestM10_Duration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHTTP(t, metrics.Config{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "x")
				time.Sleep(time.Second)
			})).ServeHTTP(slow{httptest.NewRecorder()}, httptest.NewRequest("GET", "/", nil))
		}()
		time.Sleep(2 * time.Second)
		if n := h.Stats().InFlight; n != 1 {
			t.Errorf("%d in flight", n)
		}
		<-done
		if d := h.Stats().Routes["other"].Duration["2xx"]; d.Sum() != 4 || h.Stats().InFlight != 0 {
			t.Errorf("%v s, want 4; %d in flight", d.Sum(), h.Stats().InFlight)
		}
	})
}

// slow takes three seconds for each Write.
type slow struct{ http.ResponseWriter }

func (s slow) Write(p []byte) (int, error) {
	time.Sleep(3 * time.Second)
	return s.ResponseWriter.Write(p)
}

// M10, M12: over a connection: hijacking, sendfile, trailers and 103 pass.
func TestM12_WhatPasses(t *testing.T) {
	h := newHTTP(t, metrics.Config{})
	var from bool
	ended := make(chan struct{}, 3) // nobody waits for a hijacked connection's handler
	measured := h.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hijack":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
			_ = conn.Close()
		case "/trailer":
			w.Header().Set("Trailer", "X-Sum")
			w.Header().Set("Link", "</a>")
			w.WriteHeader(103)
			_, _ = io.WriteString(w, "body")
			w.Header().Set("X-Sum", "4")
		case "/file":
			_, from = w.(io.ReaderFrom)
			_, _ = io.Copy(w, strings.NewReader("file"))
		}
	}))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		measured.ServeHTTP(w, r)
		ended <- struct{}{}
	}))
	defer srv.Close()
	conn, err := http.DefaultTransport.(*http.Transport).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET /hijack HTTP/1.1\r\nHost: a\r\n\r\n")
	if line, _ := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(line, "101") {
		t.Error(line)
	}
	_ = conn.Close()
	res, err := srv.Client().Get(srv.URL + "/trailer")
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(res.Body); string(b) != "body" || res.Trailer.Get("X-Sum") != "4" {
		t.Error(string(b), res.Trailer)
	}
	res.Body.Close()
	res, err = srv.Client().Get(srv.URL + "/file")
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(res.Body); string(b) != "file" || !from {
		t.Error(string(b), from)
	}
	res.Body.Close()
	for range 3 {
		<-ended
	}
	wantCounts(t, h, map[string]uint64{"other 1xx": 1, "other 2xx": 2})
	if n := h.Stats().Routes["other"].BodyBytes; n != 8 {
		t.Errorf("%d bytes of bodies, want 8", n)
	}
}

// sendfile is an inner writer that notes who reads from whom.
type sendfile struct {
	*httptest.ResponseRecorder
	read bool
}

func (s *sendfile) ReadFrom(src io.Reader) (int64, error) {
	s.read = true
	return io.Copy(s.ResponseRecorder, src)
}

func TestM12_SendfileIsKept(t *testing.T) {
	w := &sendfile{ResponseRecorder: httptest.NewRecorder()}
	newHTTP(t, metrics.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader("content"))
	})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if !w.read || w.Body.String() != "content" {
		t.Error(w.read, w.Body)
	}
}

// M13: the life of an event stream is no latency.
func TestM13_EventStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for kind, want := range map[string]string{"text/event-stream": "stream", "Text/Event-Stream; charset=utf-8": "stream", "text/plain": "2xx"} {
			h := newHTTP(t, metrics.Config{})
			h.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Second)
				w.Header().Set("Content-Type", kind)
				for range 10 {
					_, _ = io.WriteString(w, "data: x\n\n")
					w.(http.Flusher).Flush()
					time.Sleep(time.Minute)
				}
			})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			seconds := map[string]float64{"stream": 1, "2xx": 601}[want]
			if d := h.Stats().Routes["other"].Duration[want]; d.Count() != 1 || d.Sum() != seconds {
				t.Errorf("%s: %d in %s, %v s, want %v", kind, d.Count(), want, d.Sum(), seconds)
			}
		}
	})
}

// M14: the first failure after a start is a step from zero, not from nothing.
func TestM14_SeriesExistBeforeTheirFirstEvent(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /a", func(http.ResponseWriter, *http.Request) {})
	h := newHTTP(t, metrics.Config{})
	reg := registered(t, h.Stats)
	check := func(routes ...string) {
		t.Helper()
		series := gather(t, reg)
		for _, route := range routes {
			for _, code := range []string{"2xx", "5xx", "aborted"} {
				if _, there := series[fmt.Sprintf(`hotpath_http_request_duration_seconds_count{code=%q,name="x",route=%q}`, code, route)]; !there {
					t.Errorf("no %s of %q in %v", code, route, series)
				}
			}
		}
	}
	check("other")
	h.Handler(mux).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/a", nil))
	check("other", "GET /a")
}

// M11: around a batch it is one request, inside each part is one: this is the difference that two
// of them make, for neither touches what the other sees.
func TestM11_TwoOfThem(t *testing.T) {
	outside, inside := newHTTP(t, metrics.Config{}), newHTTP(t, metrics.Config{})
	part := inside.Handler(http.NotFoundHandler())
	envelope := outside.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			part.ServeHTTP(httptest.NewRecorder(), r.Clone(r.Context()))
		}
	}))
	envelope.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	wantCounts(t, outside, map[string]uint64{"other 2xx": 1})
	wantCounts(t, inside, map[string]uint64{"other 4xx": 3})
}

func TestHTTP_StatsCanBeExported(t *testing.T) {
	h := newHTTP(t, metrics.Config{})
	h.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	statstest.Check(t, h.Stats)
}

// M3, M4: scraped by some while counted by others, nothing goes down and nothing is lost.
func TestM4_HTTPUnderScrapes(t *testing.T) {
	h := newHTTP(t, metrics.Config{})
	reg := registered(t, h.Stats)
	const each = 500
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range each {
				h.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			}
		})
	}
	const series = `hotpath_http_request_duration_seconds_count{code="4xx",name="x",route="other"}`
	last := 0.0
	for range 50 {
		n := gather(t, reg)[series]
		if n < last {
			t.Fatalf("%v after %v", n, last)
		}
		last = n
	}
	wg.Wait()
	if n := gather(t, reg)[series]; n != 4*each {
		t.Errorf("%v of %d", n, 4*each)
	}
}
