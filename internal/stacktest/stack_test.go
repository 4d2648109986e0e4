package stacktest_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/internal/leaktest"
	"github.com/hotpath-go/hotpath/internal/rw"
	"github.com/hotpath-go/hotpath/pool"
	"github.com/hotpath-go/hotpath/throttle"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

type middleware struct {
	name string
	wrap func(http.Handler) http.Handler
	// opaque: no Unwrap, and a buffer in which flushes end.
	opaque bool
	limit  *throttle.Limiter // nil: it is no throttle
	work   *pool.Pool        // nil: it is no pool
}

func ours(t *testing.T) middleware {
	c, err := compress.New(compress.Config{Codings: []compress.Coding{compress.Gzip(0)}, MinSize: -1})
	if err != nil {
		t.Fatal(err)
	}
	return middleware{name: "compress", wrap: c.Handler}
}

func limiter(t *testing.T) middleware {
	l, err := throttle.New(throttle.Config{Rate: throttle.Per(1_000_000, time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return middleware{name: "throttle", wrap: l.Handler, limit: l}
}

// logger is a foreign layer as most are: a struct around the writer, with Unwrap.
type logger struct {
	http.ResponseWriter
	status int
}

func (l *logger) WriteHeader(s int)           { l.status = s; l.ResponseWriter.WriteHeader(s) }
func (l *logger) Unwrap() http.ResponseWriter { return l.ResponseWriter }

var foreign = [...]middleware{
	{name: "logger", wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(&logger{ResponseWriter: w}, r) })
	}},
	{name: "observer", wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			o := new(struct{ rw.Writer })
			o.Wrap(w, nil)
			o.Serve(o, next, r)
		})
	}},
	{name: "timeout", opaque: true, wrap: func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Minute, "late") }},
}

// stacks are compress and throttle in every order, each of them twice too, and foreign middleware
// in the gaps.
func stacks(t *testing.T) (all [][]middleware) {
	all = append(all, []middleware{ours(t)}, []middleware{ours(t), ours(t)})
	all = append(all,
		[]middleware{limiter(t), ours(t)}, []middleware{ours(t), limiter(t)},
		[]middleware{limiter(t), limiter(t), ours(t)}, []middleware{limiter(t), ours(t), limiter(t)}, []middleware{ours(t), limiter(t), limiter(t)},
		[]middleware{ours(t), limiter(t), ours(t)},
	)
	same := limiter(t)
	all = append(all, []middleware{same, ours(t), same})
	for _, f := range foreign {
		all = append(all, []middleware{f, limiter(t), ours(t)}, []middleware{f, ours(t), limiter(t)})
		if !f.opaque {
			all = append(all, []middleware{limiter(t), f, ours(t), f}, []middleware{ours(t), f, limiter(t), f})
		}
	}
	for _, f := range foreign {
		all = append(all, []middleware{f, ours(t)}, []middleware{f, ours(t), ours(t)})
		if !f.opaque { // TimeoutHandler stands outside
			all = append(all, []middleware{ours(t), f}, []middleware{f, ours(t), f}, []middleware{ours(t), f, ours(t)})
		}
	}
	return all
}

func text(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `{"id":%d,"name":"item %d"},`, i, i*7919%1000)
	}
	return b.Bytes()[:n]
}

// service is what stands in the middle of limits.
func service(limits ...*throttle.Limiter) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /settled", func(w http.ResponseWriter, r *http.Request) {
		var others sync.WaitGroup
		for _, l := range limits {
			others.Go(func() {
				for n := range int64(50) {
					if err := l.Settle(w, "", n); err != nil {
						panic(err)
					}
				}
			})
		}
		for i := range 20 {
			_, _ = w.Write(text(5000))
			for _, l := range limits {
				_ = l.Settle(w, "default", int64(i))
			}
			if i == 10 {
				_ = http.NewResponseController(w).Flush()
			}
		}
		others.Wait()
		for _, l := range limits {
			_ = l.Settle(w, "", 3)
		}
	})
	mux.HandleFunc("GET /doc", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Etag", `"v1"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text(20_000)))
	})
	mux.HandleFunc("PUT /doc", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-Match") != `"v1"` {
			w.WriteHeader(http.StatusPreconditionFailed)
		}
	})
	mux.HandleFunc("GET /long", func(w http.ResponseWriter, r *http.Request) {
		for range 30 {
			_, _ = w.Write(text(9000))
		}
	})
	mux.HandleFunc("GET /late", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Own", "early")
		_, _ = w.Write(text(100))
		w.Header().Set("X-Own", "late")
		_, _ = w.Write(text(100))
	})
	mux.HandleFunc("GET /trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = w.Write(text(3000))
		w.Header().Set("X-Sum", "1")
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 5 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("GET /abort", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(text(200_000))
		panic(http.ErrAbortHandler)
	})
	return mux
}

type answer struct {
	status int
	header http.Header
	body   string // decoded
	err    error
	sum    string // a trailer
}

func ask(t *testing.T, client *http.Client, method, url string, fields ...string) (a answer) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	res, err := client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	a = answer{res.StatusCode, res.Header, string(body), err, res.Trailer.Get("X-Sum")}
	if err == nil && res.Header.Get("Content-Encoding") == "gzip" && len(body) > 0 {
		zr, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return answer{err: err}
		}
		plain, err := io.ReadAll(zr)
		a.body, a.err = string(plain), err
	}
	return a
}

// What a client sees through a stack is what it sees without.
func TestAnyStack(t *testing.T) {
	bare := httptest.NewServer(service())
	defer bare.Close()
	plainClient := &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}
	for _, stack := range stacks(t) {
		names, opaque, limits := []string{}, false, []*throttle.Limiter{}
		for _, m := range stack {
			if m.limit != nil {
				limits = append(limits, m.limit)
			}
		}
		h := service(limits...)
		for i := len(stack) - 1; i >= 0; i-- {
			h = stack[i].wrap(h)
			opaque = opaque || stack[i].opaque
			names = append([]string{stack[i].name}, names...)
		}
		for _, proto := range []string{"HTTP/1.1", "HTTP/2"} {
			t.Run(strings.Join(names, ">")+"/"+proto, func(t *testing.T) {
				srv := httptest.NewUnstartedServer(h)
				srv.EnableHTTP2 = proto == "HTTP/2"
				srv.StartTLS()
				defer srv.Close()
				client := srv.Client()
				client.Transport.(*http.Transport).DisableCompression = true
				for _, coding := range []string{"gzip", "identity"} {
					for _, path := range []string{"/doc", "/long", "/late", "/trailers", "/events", "/settled", "/none"} {
						want := ask(t, plainClient, "GET", bare.URL+path)
						got := ask(t, client, "GET", srv.URL+path, "Accept-Encoding: "+coding)
						if got.err != nil || got.status != want.status || got.body != want.body ||
							!opaque && (got.header.Get("X-Own") != want.header.Get("X-Own") || got.sum != want.sum) { // TimeoutHandler lets late fields in and drops trailers
							t.Errorf("%s by %s: %d, %d bytes, %q, trailer %q, %v; bare %d, %d bytes", path, coding, got.status, len(got.body), got.header.Get("X-Own"), got.sum, got.err, want.status, len(want.body))
						}
						if n := len(got.header["Vary"]); n != 1 {
							t.Errorf("%s by %s: %d lines of Vary", path, coding, n)
						}
						if n := len(got.header["Ratelimit"]); n != len(limits) {
							t.Errorf("%s by %s: %d lines of RateLimit behind %d throttles", path, coding, n, len(limits))
						}
						if coding == "gzip" && path != "/none" && got.header.Get("Content-Encoding") != "gzip" {
							t.Errorf("%s: not encoded", path)
						}
					}
					get := ask(t, client, "GET", srv.URL+"/doc", "Accept-Encoding: "+coding)
					tag := get.header.Get("Etag")
					if a := ask(t, client, "GET", srv.URL+"/doc", "Accept-Encoding: "+coding, "If-None-Match: "+tag); a.status != 304 || a.header.Get("Etag") != tag {
						t.Errorf("%s: revalidation of %s: %d %s", coding, tag, a.status, a.header.Get("Etag"))
					}
					if a := ask(t, client, "PUT", srv.URL+"/doc", "Accept-Encoding: "+coding, "If-Match: "+tag); a.status != 200 {
						t.Errorf("%s: update of %s: %d", coding, tag, a.status)
					}
					if a := ask(t, client, "HEAD", srv.URL+"/doc", "Accept-Encoding: "+coding); a.header.Get("Etag") != tag || a.body != "" {
						t.Errorf("%s: HEAD: %v", coding, a.header)
					}
					want := 206
					if coding == "gzip" {
						want = 200 // the tag is that of a coded body
					}
					if a := ask(t, client, "GET", srv.URL+"/doc", "Accept-Encoding: "+coding, "Range: bytes=0-9", "If-Range: "+tag); a.status != want {
						t.Errorf("%s: If-Range %s: %d", coding, tag, a.status)
					}
					if a := ask(t, client, "GET", srv.URL+"/abort", "Accept-Encoding: "+coding); a.err == nil {
						t.Errorf("%s: an abort looks whole: %d, %d bytes", coding, a.status, len(a.body))
					}
				}
			})
		}
	}
}
