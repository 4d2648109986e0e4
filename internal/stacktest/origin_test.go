package stacktest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/pool"
	"github.com/hotpath-go/hotpath/throttle"
)

// An origin is the service in the middle of a stack. Its answers are all there is to know about what a
// client has to get.
type origin struct {
	http.Handler

	limits  []*throttle.Limiter // of the stack around it
	work    *pool.Pool
	after   atomic.Int64  // work that ran after its response
	version atomic.Int64  // of /note
	quick   atomic.Bool   // /slow does not wait
	release chan struct{} // lets /live go on
	started chan struct{} // /slow runs
	left    chan error    // the cause of what ended /slow

	mu   sync.Mutex
	runs map[string]int // of handlers, by path
}

func (o *origin) ranFor(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.runs[path]
}

func text(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `{"id":%d,"name":"item %d"},`, i, i*7919%1000)
	}
	return b.Bytes()[:n]
}

// catalogue is a list, and what the mask items/id keeps of it.
func catalogue(n int) (doc, kept string) {
	var d, k strings.Builder
	for i := range n {
		fmt.Fprintf(&d, `{"id":%d,"name":"product %d"},`, i, i)
		fmt.Fprintf(&k, `{"id":%d},`, i)
	}
	return `{"items":[` + d.String() + `null]}`, `{"items":[` + k.String() + `null]}`
}

var (
	medium, mediumIDs = catalogue(300)
	large, largeIDs   = catalogue(3400)
	longText          = text(72_000)
)

// forAMinute is said of what may be stored.
func forAMinute(w http.ResponseWriter, contentType string) {
	w.Header().Set("Cache-Control", "max-age=600")
	w.Header().Set("Content-Type", contentType)
}

func newOrigin(t *testing.T) *origin {
	o := &origin{runs: map[string]int{}, release: make(chan struct{}), started: make(chan struct{}, 100), left: make(chan error, 100)}
	mux := http.NewServeMux()
	o.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.runs[r.URL.Path]++
		o.mu.Unlock()
		mux.ServeHTTP(w, r)
	})
	o.documents(mux)
	o.oddities(mux)
	o.cuts(mux)
	o.conversations(mux, t)
	return o
}

// documents have tags, and most of them may be stored.
func (o *origin) documents(mux *http.ServeMux) {
	serve := func(w http.ResponseWriter, r *http.Request, tag, doc string) {
		w.Header().Set("Etag", tag)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(doc))
	}
	mux.HandleFunc("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) {
		forAMinute(w, "application/json")
		serve(w, r, `"`+r.PathValue("id")+`"`, fmt.Sprintf(`{"id":%s,"name":"item %[1]s","text":%q}`, r.PathValue("id"), strings.Repeat("long ", 400)))
	})
	mux.HandleFunc("GET /list/{size}", func(w http.ResponseWriter, r *http.Request) {
		forAMinute(w, "application/json")
		serve(w, r, `"list"`, map[string]string{"medium": medium, "large": large}[r.PathValue("size")])
	})
	mux.HandleFunc("GET /doc", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		serve(w, r, `"v1"`, string(longText[:20_000]))
	})
	mux.HandleFunc("GET /weak", func(w http.ResponseWriter, r *http.Request) {
		forAMinute(w, "text/plain")
		serve(w, r, `W/"weak"`, string(longText[:2000]))
	})
	mux.HandleFunc("GET /note", func(w http.ResponseWriter, r *http.Request) {
		forAMinute(w, "application/json")
		v := o.version.Load()
		serve(w, r, fmt.Sprintf(`"note %d"`, v), fmt.Sprintf(`{"version":%d,"text":%q}`, v, strings.Repeat("note ", 500)))
	})
	mux.HandleFunc("PUT /note", func(w http.ResponseWriter, r *http.Request) {
		if v := o.version.Load(); r.Header.Get("If-Match") != fmt.Sprintf(`"note %d"`, v) || !o.version.CompareAndSwap(v, v+1) {
			http.Error(w, "another version", http.StatusPreconditionFailed)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		forAMinute(w, "text/plain")
		w.Header().Set("Vary", "Accept-Language")
		_, _ = io.WriteString(w, strings.Repeat("in "+r.Header.Get("Accept-Language")+" ", 200))
	})
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private")
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, strings.Repeat(r.Header.Get("Authorization")+" ", 200))
	})
	mux.HandleFunc("GET /mine", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private, max-age=600")
		_, _ = io.WriteString(w, strings.Repeat(r.Header.Get("X-User")+" ", 200))
	})
	// What a careless handler says: it may be stored, and is one user's all the same.
	mux.HandleFunc("GET /account", func(w http.ResponseWriter, r *http.Request) {
		forAMinute(w, "text/plain")
		_, _ = io.WriteString(w, strings.Repeat(r.Header.Get("Authorization")+" ", 200))
	})
	mux.HandleFunc("GET /session", func(w http.ResponseWriter, r *http.Request) {
		forAMinute(w, "text/plain")
		w.Header().Set("Set-Cookie", "session="+r.URL.RawQuery+r.Header.Get("X-User"))
		_, _ = io.WriteString(w, strings.Repeat(r.Header.Get("X-User")+" ", 200))
	})
}

// oddities are what HTTP allows besides: late fields, trailers, 103, statuses without a body.
func (o *origin) oddities(mux *http.ServeMux) {
	mux.HandleFunc("GET /long", func(w http.ResponseWriter, _ *http.Request) {
		forAMinute(w, "text/plain")
		for p := longText; len(p) > 0; p = p[9000:] {
			_, _ = w.Write(p[:9000])
		}
	})
	mux.HandleFunc("GET /sniffed", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>No type is set</title>")
		_, _ = w.Write(longText[:3000])
	})
	mux.HandleFunc("GET /late", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Own", "early")
		_, _ = w.Write(longText[:100])
		w.Header()["X-Own"][0] = "late"
		w.Header().Set("X-Late", "late")
		w.Header().Set("Content-Type", "text/late")
		_, _ = w.Write(longText[:100])
	})
	mux.HandleFunc("GET /trailers", func(w http.ResponseWriter, _ *http.Request) {
		forAMinute(w, "text/plain")
		w.Header().Set("Trailer", "X-Sum")
		_, _ = w.Write(longText[:3000])
		w.Header().Set("X-Sum", "1")
		w.Header().Set(http.TrailerPrefix+"X-Unannounced", "2")
	})
	// Where net/http gives a length to what fits into its buffer it drops those trailers, but for early ones. These do not fit,
	// unless in a coding.
	for path, body := range map[string][]byte{"short": longText[:3000], "long": bytes.Repeat([]byte("long "), 14_000)} {
		mux.HandleFunc("GET /trailers/"+path, func(w http.ResponseWriter, _ *http.Request) {
			forAMinute(w, "text/plain")
			_, _ = w.Write(body)
			w.Header().Set(http.TrailerPrefix+"X-Unannounced", "2")
		})
	}
	mux.HandleFunc("GET /trailers/early", func(w http.ResponseWriter, _ *http.Request) {
		forAMinute(w, "text/plain")
		w.Header().Set(http.TrailerPrefix+"X-Unannounced", "2")
		_, _ = w.Write(longText[:100])
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 5 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("GET /hints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write(longText[:3000])
	})
	mux.HandleFunc("GET /status/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		_, _ = fmt.Sscan(r.PathValue("code"), &code)
		w.Header().Set("Location", "/doc")
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(code)
		_, _ = w.Write(longText[:2000]) // refused where there is none
	})
	mux.HandleFunc("GET /own/{n}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /pieces", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		for i := range 200 {
			fmt.Fprintf(w, `{"items":{"id":%d,"name":"x"}}`+"\n", i)
			if i%50 == 0 {
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
	mux.HandleFunc("GET /problem", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"title":"none"}`)
	})
	mux.HandleFunc("GET /settled", func(w http.ResponseWriter, _ *http.Request) {
		var others sync.WaitGroup
		for _, l := range o.limits {
			others.Go(func() {
				for range 50 {
					_ = l.Settle(w, "", 1)
				}
			})
		}
		for i := range 20 {
			_, _ = w.Write(longText[:4000])
			if i == 10 {
				_ = http.NewResponseController(w).Flush()
			}
		}
		others.Wait()
		for _, l := range o.limits {
			_ = l.Settle(w, "", 3)
		}
	})
}

// cuts are answers that do not come to their end.
func (o *origin) cuts(mux *http.ServeMux) {
	cut := func(path string, body []byte, end func()) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			forAMinute(w, "application/json")
			w.Header().Set("Etag", `"`+path+`"`)
			if body != nil { // to write nothing would begin the answer
				_, _ = w.Write(body)
			}
			end()
		})
	}
	abort := func() { panic(http.ErrAbortHandler) }
	cut("/abort/nothing", nil, abort)
	cut("/abort/panic", nil, func() { panic("on purpose") })
	mux.HandleFunc("GET /abort/hinted", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		panic("on purpose")
	})
	cut("/abort/little", []byte(`{"items":[`), abort)
	cut("/abort/much", []byte(large), abort)
	cut("/abort/goexit", longText[:5000], runtime.Goexit)
	cut("/abort/slowly", []byte(large), func() {
		time.Sleep(5 * time.Millisecond) // for others to join, if they are about to
		abort()
	})
	mux.HandleFunc("GET /fault", func(w http.ResponseWriter, _ *http.Request) { // whole, and no JSON
		forAMinute(w, "application/json")
		_, _ = io.WriteString(w, large)
		_, _ = io.WriteString(w, "]")
	})
	mux.HandleFunc("GET /abort/short", func(w http.ResponseWriter, _ *http.Request) { // a document, but less than was said
		forAMinute(w, "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(len(medium)+1000))
		_, _ = io.WriteString(w, medium)
	})
	mux.HandleFunc("GET /abort/flushed", func(w http.ResponseWriter, _ *http.Request) {
		forAMinute(w, "text/plain")
		_, _ = w.Write(longText[:4000])
		_ = http.NewResponseController(w).Flush()
		panic("on purpose")
	})
	mux.HandleFunc("GET /slow/{n}", func(w http.ResponseWriter, r *http.Request) {
		forAMinute(w, "text/plain")
		if !o.quick.Load() {
			_, _ = w.Write(longText[:1000])
			o.started <- struct{}{}
			select {
			case <-r.Context().Done():
			case <-time.After(20 * time.Second):
			}
			o.left <- context.Cause(r.Context())
			return // as a handler that did its best
		}
		_, _ = w.Write(longText[:2000])
	})
}

// conversations are what a handler does with its connection rather than with its answer.
func (o *origin) conversations(mux *http.ServeMux, t *testing.T) {
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: first\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-o.release:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "data: last\n\n")
	})
	mux.HandleFunc("GET /hijack", func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotImplemented)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := buffered.ReadString('\n')
		_, _ = io.WriteString(conn, "echo "+line)
	})
	mux.HandleFunc("POST /duplex", func(w http.ResponseWriter, r *http.Request) { echoLines(t, w, r) })
	mux.HandleFunc("POST /deadline", func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := errors.Join(rc.SetWriteDeadline(time.Now().Add(time.Minute)), rc.SetReadDeadline(time.Now().Add(-time.Second))); err != nil {
			t.Error("deadlines:", err)
		}
		_, err := r.Body.Read(make([]byte, 1))
		fmt.Fprint(w, err != nil)
	})
	mux.HandleFunc("POST /length", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	mux.HandleFunc("POST /form", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(0); err != nil {
			t.Error("a form:", err)
			return
		}
		f, err := r.MultipartForm.File["file"][0].Open()
		if err != nil {
			t.Error("a form:", err)
			return
		}
		defer f.Close()
		fmt.Fprint(w, f.(*os.File).Name())
	})
	mux.HandleFunc("POST /unread", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestEntityTooLarge) })
	mux.HandleFunc("GET /work", func(w http.ResponseWriter, r *http.Request) {
		if err := o.work.After(r.Context(), func(context.Context) error { o.after.Add(1); return nil }); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusAccepted)
	})
}
