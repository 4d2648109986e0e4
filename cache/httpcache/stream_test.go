package httpcache_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hotpath-go/hotpath/cache/httpcache"
)

// pipeWriter shows each Write and Flush as it comes.
type pipeWriter struct {
	h      http.Header
	events chan string
}

func (w *pipeWriter) Header() http.Header         { return w.h }
func (w *pipeWriter) WriteHeader(int)             { w.events <- "header" }
func (w *pipeWriter) Write(p []byte) (int, error) { w.events <- string(p); return len(p), nil }
func (w *pipeWriter) FlushError() error           { w.events <- "flush"; return nil }

// B1: bytes leave as the handler writes them, to all who are attached, and a Flush is one for all.
func TestB1_AsTheHandlerWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step := make(chan struct{})
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			for _, piece := range []string{"one ", "two "} {
				<-step
				_, _ = io.WriteString(w, piece)
				_ = http.NewResponseController(w).Flush()
			}
			<-step
		})
		all := [3]*pipeWriter{}
		for i := range all {
			all[i] = &pipeWriter{h: http.Header{}, events: make(chan string, 100)}
			go s.ServeHTTP(all[i], request("GET", "http://example.com/a"))
			synctest.Wait()
		}
		for _, want := range []string{"one ", "two "} {
			step <- struct{}{}
			synctest.Wait() // everybody rests, the handler too: it waits for the next step
			for i, w := range all {
				got, flushed := "", false
				for len(w.events) > 0 {
					switch e := <-w.events; e {
					case "flush":
						flushed = true
					case "header":
					default:
						got, flushed = got+e, false
					}
				}
				if got != want || !flushed {
					t.Errorf("client %d has %q, flushed %t, while the handler sleeps; want %q", i, got, flushed, want)
				}
			}
		}
		step <- struct{}{}
		synctest.Wait()
		s.want(1, "one call")
	})
}

// fileWriter is an inner writer that can sendfile.
type fileWriter struct {
	sink
	from io.Reader
}

func (w *fileWriter) ReadFrom(src io.Reader) (int64, error) {
	w.from = src
	return io.Copy(io.Discard, src)
}

// B5: what only passes through keeps sendfile.
func TestB5_PassingKeepsReadFrom(t *testing.T) {
	for name, tc := range map[string]struct {
		method, control string
		fields          []string
		times           int // that it is asked before
	}{
		"not storable":    {"GET", "no-store", []string{"Authorization: a"}, 0},
		"at a mark":       {"GET", "no-store", nil, 1},
		"another method":  {"POST", "", nil, 0},
		"an event stream": {"GET", "", []string{"Accept: text/event-stream"}, 0},
	} {
		file := strings.NewReader("content")
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", tc.control)
			w.WriteHeader(200) // a file server does
			file.Reset("content")
			_, _ = io.Copy(w, struct{ io.Reader }{file})
		})
		for range tc.times {
			s.ask(tc.method, "http://example.com/a", tc.fields...)
		}
		w := &fileWriter{sink: sink{h: http.Header{}}}
		s.ServeHTTP(w, request(tc.method, "http://example.com/a", tc.fields...))
		if w.from == nil || w.n != 0 {
			t.Errorf("%s: ReadFrom did not reach the connection", name)
		}
	}
}

// B6: an entry is there when the handler has returned, and not before; of one that said more than
// it gave never.
func TestB6_PublishedWhenItIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step := make(chan struct{})
		for _, declared := range []string{"", "4", "5"} {
			s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "max-age=60")
				if declared != "" {
					w.Header().Set("Content-Length", declared)
				}
				_, _ = io.WriteString(w, "body")
				<-step
			})
			go func() {
				defer func() { _ = recover() }()
				s.get()
			}()
			synctest.Wait()
			if n := s.Stats().Entries; n != 0 {
				t.Errorf("declared %q: stored while the handler runs", declared)
			}
			step <- struct{}{}
			synctest.Wait()
			if n, want := s.Stats().Entries, map[string]int64{"": 1, "4": 1, "5": 0}[declared]; n != want {
				t.Errorf("declared %q: %d entries, want %d", declared, n, want)
			}
		}
	})
}
