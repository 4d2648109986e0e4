package rw_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/internal/rw"
)

func TestWriter_Size(t *testing.T) {
	if size := reflect.TypeFor[rw.Writer]().Size(); size > 72 && reflect.TypeFor[uintptr]().Size() == 8 {
		t.Errorf("a Writer has %d bytes, want at most 72: every response pays for them", size)
	}
}

// reader is an inner writer with a ReadFrom of its own, as net/http's, which calls sendfile.
type reader struct {
	*httptest.ResponseRecorder
	from io.Reader
}

func (r *reader) ReadFrom(src io.Reader) (int64, error) {
	r.from = src
	return io.Copy(r.ResponseRecorder, src)
}

func TestWriter_ReadFromReachesTheInnerWriterOnlyWhenPassing(t *testing.T) {
	src := struct{ io.Reader }{strings.NewReader(text)}
	for kind, want := range map[string]bool{"observer": true, "passer": true, "transformer": false, "holder": false} {
		inner := &reader{ResponseRecorder: httptest.NewRecorder()}
		src.Reader = strings.NewReader(text)
		kinds[kind](http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n, err := w.(io.ReaderFrom).ReadFrom(src); n != int64(len(text)) || err != nil {
				t.Errorf("%s: ReadFrom: %d, %v", kind, n, err)
			}
		})).ServeHTTP(inner, httptest.NewRequest("GET", "/", nil))
		if got := inner.from == src; got != want {
			t.Errorf("%s: the inner ReadFrom got the source itself: %v, want %v", kind, got, want)
		}
		if want := (stack{kind}).text(text); inner.Body.String() != want {
			t.Errorf("%s: body %q, want %q", kind, inner.Body, want)
		}
	}
}

// A Layer that passes in the middle of a ReadFrom hands the rest of the source on.
func TestWriter_ReadFromLooksAfterEachPiece(t *testing.T) {
	inner := &reader{ResponseRecorder: httptest.NewRecorder()}
	pass(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := w.(io.ReaderFrom).ReadFrom(io.MultiReader(strings.NewReader("first "), strings.NewReader("rest")))
		if n != 10 || err != nil {
			t.Errorf("ReadFrom: %d, %v", n, err)
		}
	})).ServeHTTP(inner, httptest.NewRequest("GET", "/", nil))
	if inner.from == nil || inner.Body.String() != "first rest" {
		t.Errorf("inner ReadFrom called: %v, body %q", inner.from != nil, inner.Body)
	}
}

type failing struct{ after string }

func (f *failing) Read(p []byte) (int, error) {
	n := copy(p, f.after)
	f.after = f.after[n:]
	if n == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return n, nil
}

func TestWriter_ReadFromReportsTheSourcesError(t *testing.T) {
	hold(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n, err := w.(io.ReaderFrom).ReadFrom(&failing{"abc"}); n != 3 || err != io.ErrUnexpectedEOF {
			t.Errorf("%d, %v, want 3 and the source's error", n, err)
		}
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}

func TestWriter_StatusAndCounts(t *testing.T) {
	for _, tc := range []struct {
		name     string
		handler  http.HandlerFunc
		status   int
		written  int64
		declared int64
	}{
		{"nothing said is 200", func(w http.ResponseWriter, r *http.Request) {}, 200, 0, -1},
		{"the first final status counts", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(103)
			w.WriteHeader(404)
			w.WriteHeader(200)
			io.WriteString(w, "abc")
		}, 404, 3, -1},
		{"a declared length", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "3")
			w.Write([]byte("abc"))
			w.Write([]byte("d")) // refused
		}, 200, 3, 3},
		{"a length that is none", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "-3") }, 200, 0, -1},
		{"101 is final", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(101); w.WriteHeader(200) }, 101, 0, -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := new(observer)
			o.Wrap(newWire(), nil)
			o.Serve(o, tc.handler, httptest.NewRequest("GET", "/", nil))
			if o.Status() != tc.status || o.Written() != tc.written || o.Declared() != tc.declared {
				t.Errorf("status %d, written %d, declared %d, want %d, %d, %d", o.Status(), o.Written(), o.Declared(), tc.status, tc.written, tc.declared)
			}
		})
	}
}

func TestWriter_PanicsOnAnImpossibleStatus(t *testing.T) {
	for kind, wrap := range kinds {
		for _, status := range []int{-1, 0, 99, 1000} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: WriteHeader(%d) did not panic, as net/http's does", kind, status)
					}
				}()
				wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) })).
					ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			}()
		}
	}
}

// calls notes whether WriteHeader was called at all.
type calls struct {
	*httptest.ResponseRecorder
	statuses []int
}

func (c *calls) WriteHeader(status int) {
	c.statuses = append(c.statuses, status)
	c.ResponseRecorder.WriteHeader(status)
}

func TestWriter_PassingNeverTurnsAnImplicit200IntoACall(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"write": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x") },
		"none":  func(w http.ResponseWriter, r *http.Request) {},
		"flush": func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush() },
	} {
		inner := &calls{ResponseRecorder: httptest.NewRecorder()}
		observe(handler).ServeHTTP(inner, httptest.NewRequest("GET", "/", nil))
		if len(inner.statuses) != 0 {
			t.Errorf("%s: WriteHeader was called with %v", name, inner.statuses)
		}
	}
}

// bare cannot flush, hijack or be unwrapped, as http.TimeoutHandler's writer.
type bare struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *bare) Header() http.Header         { return b.header }
func (b *bare) WriteHeader(status int)      { b.status = status }
func (b *bare) Write(p []byte) (int, error) { return b.body.Write(p) }

func TestWriter_BehindAWriterThatCanDoNothing(t *testing.T) {
	inner := &bare{header: http.Header{}}
	observe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Flush: %v, want ErrNotSupported", err)
		}
		if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Hijack: %v, want ErrNotSupported", err)
		}
		select {
		case <-w.(interface{ CloseNotify() <-chan bool }).CloseNotify():
			t.Error("CloseNotify fired")
		default:
		}
		w.WriteHeader(404) // nothing was flushed, so it still counts
	})).ServeHTTP(inner, httptest.NewRequest("GET", "/", nil))
	if inner.status != 404 {
		t.Errorf("status %d, want 404", inner.status)
	}
}

type notifier struct {
	*httptest.ResponseRecorder
	gone chan bool
}

func (n *notifier) CloseNotify() <-chan bool { return n.gone }

func TestWriter_CloseNotifyIsTheInnerOnes(t *testing.T) {
	inner := &notifier{httptest.NewRecorder(), make(chan bool, 1)}
	inner.gone <- true
	hold(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !<-w.(interface{ CloseNotify() <-chan bool }).CloseNotify() {
			t.Error("not the inner channel")
		}
	})).ServeHTTP(inner, httptest.NewRequest("GET", "/", nil))
}

func TestWriter_IsDeadAfterTheHandlerReturned(t *testing.T) {
	for kind, wrap := range kinds {
		for _, end := range []string{"return", "panic"} {
			var kept http.ResponseWriter
			inner := httptest.NewRecorder()
			func() {
				defer func() { _ = recover() }()
				wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					kept = w
					io.WriteString(w, "x")
					if end == "panic" {
						panic("x")
					}
				})).ServeHTTP(inner, httptest.NewRequest("GET", "/", nil))
			}()
			before := inner.Body.String()

			_, writeErr := kept.Write([]byte("late"))
			_, stringErr := io.WriteString(kept, "late")
			_, fromErr := kept.(io.ReaderFrom).ReadFrom(strings.NewReader("late"))
			flushErr := kept.(interface{ FlushError() error }).FlushError()
			_, _, hijackErr := kept.(http.Hijacker).Hijack()
			for method, err := range map[string]error{"Write": writeErr, "WriteString": stringErr, "ReadFrom": fromErr, "FlushError": flushErr, "Hijack": hijackErr} {
				if err != rw.ErrDead {
					t.Errorf("%s after %s: %s: %v, want ErrDead", kind, end, method, err)
				}
			}
			kept.Header().Set("X-Late", "1")
			kept.WriteHeader(500)
			kept.(http.Flusher).Flush()
			if inner.Body.String() != before || inner.Header().Get("X-Late") != "" {
				t.Errorf("%s after %s: a dead writer reached the response", kind, end)
			}
			if kept.(interface{ Unwrap() http.ResponseWriter }).Unwrap() == nil {
				t.Errorf("%s after %s: a dead writer ends the walk", kind, end)
			}
		}
	}
}

// forgetful never sends: the settled status must go out all the same.
type forgetful struct{ rw.Writer }

func (f *forgetful) OnHeader(int)                  {}
func (f *forgetful) OnWrite(p []byte) (int, error) { return len(p), nil }
func (f *forgetful) OnFlush() error                { return nil }
func (f *forgetful) OnReturn()                     {}

func TestWriter_SendsWhatALayerForgot(t *testing.T) {
	inner := httptest.NewRecorder()
	f := new(forgetful)
	f.Wrap(inner, f)
	f.Serve(f, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) }), httptest.NewRequest("GET", "/", nil))
	if inner.Code != 404 {
		t.Errorf("status %d, want the 404 that was settled", inner.Code)
	}
}

func TestBuffer(t *testing.T) {
	for n, want := range map[int]int{0: 4 << 10, 4 << 10: 4 << 10, 4<<10 + 1: 16 << 10, 64 << 10: 64 << 10, 64<<10 + 1: 64<<10 + 1} {
		b := rw.GetBuffer(n)
		if len(b.B) != 0 || cap(b.B) != want {
			t.Errorf("GetBuffer(%d): length %d, room %d, want 0 and %d", n, len(b.B), cap(b.B), want)
		}
		b.B = append(b.B, "used"...)
		b.Put()
		if again := rw.GetBuffer(n); len(again.B) != 0 {
			t.Errorf("GetBuffer(%d) after Put: length %d", n, len(again.B))
		}
	}
}

// odd does with its response what f says at the return.
type odd struct {
	rw.Writer
	onWrite, onReturn func(o *odd)
}

func (o *odd) OnHeader(int) {}
func (o *odd) OnWrite(p []byte) (int, error) {
	if o.onWrite != nil {
		o.onWrite(o)
	}
	return len(p), nil
}
func (o *odd) OnFlush() error { return o.FlushInner() }
func (o *odd) OnReturn() {
	if o.onReturn != nil {
		o.onReturn(o)
	}
}

// Layers that use their means in unusual ways still send what the handler settled.
func TestWriter_OddLayers(t *testing.T) {
	settle := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Kept", "1")
		w.WriteHeader(404)
		w.Header().Set("X-Kept", "2")
		w.Header().Set("X-Late", "1")
		io.WriteString(w, "x")
		w.Header().Set("X-Kept", "3")
	}
	edit := func(o *odd) { o.Thaw().Set("X-Edited", "1") }
	for _, tc := range []struct {
		name              string
		onWrite, onReturn func(o *odd)
		edited            string
	}{
		{"passes in OnWrite", func(o *odd) { o.Pass() }, nil, ""},
		{"passes in OnReturn", nil, func(o *odd) { o.Pass() }, ""},
		{"thaws, edits and does not send", edit, nil, "1"},
		{"does so twice", edit, func(o *odd) { edit(o); o.Send(404) }, "1"},
		{"sends twice", nil, func(o *odd) { o.Send(404); o.Send(500) }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inner := newWire()
			o := &odd{onWrite: tc.onWrite, onReturn: tc.onReturn}
			o.Wrap(inner, o)
			o.Serve(o, http.HandlerFunc(settle), httptest.NewRequest("GET", "/", nil))
			if inner.status != 404 || inner.sent.Get("X-Kept") != "1" || inner.sent.Get("X-Late") != "" || inner.sent.Get("X-Edited") != tc.edited {
				t.Errorf("%d %v", inner.status, inner.sent)
			}
			if inner.header.Get("X-Late") != "1" || inner.header.Get("X-Kept") != "3" {
				t.Errorf("the handler's later changes did not come back: %v", inner.header)
			}
		})
	}
}

func TestWriter_HasTrailers(t *testing.T) {
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		want    bool
	}{
		{"none", func(w http.ResponseWriter, r *http.Request) {}, false},
		{"declared", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Trailer", "X-Sum") }, true},
		{"declared and taken back too late", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			w.WriteHeader(200)
			w.Header().Del("Trailer")
		}, true},
		{"declared too late", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			w.Header().Set("Trailer", "X-Sum")
		}, false},
		{"with the prefix, at any time", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			w.Header().Set(http.TrailerPrefix+"X", "1")
		}, true},
	} {
		for _, thaw := range []bool{false, true} {
			o := &odd{onReturn: func(o *odd) {
				if thaw {
					o.Thaw()
				}
				if got := o.HasTrailers(); got != tc.want {
					t.Errorf("%s, thawed %v: %v, want %v", tc.name, thaw, got, tc.want)
				}
			}}
			o.Wrap(newWire(), o)
			o.Serve(o, tc.handler, httptest.NewRequest("GET", "/", nil))
		}
	}
}

// A private map gives the trailers that were declared, as they are in the end.
func TestWriter_PrivateTrailers(t *testing.T) {
	inner := newWire()
	deliver(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Trailer"] = []string{"X-Sum, x-gone"}
		w.Header().Set("X-Gone", "before")
		w.WriteHeader(200)
		w.Header().Del("Trailer")
		w.Header().Del("X-Gone")
		w.Header().Set("X-Sum", "42")
		w.Header().Set("X-Late", "1")
	})).ServeHTTP(inner, httptest.NewRequest("GET", "/", nil))
	if _, gone := inner.header["X-Gone"]; gone || inner.header.Get("X-Sum") != "42" || inner.header.Get("X-Late") != "" {
		t.Errorf("%v", inner.header)
	}
}

// A 1xx response of a private map leaves nothing in the inner one.
func TestWriter_PrivateInforms(t *testing.T) {
	inner := newWire()
	deliver(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-A", "early")
		w.WriteHeader(103)
		if inner.header.Get("X-A") != "" {
			t.Errorf("after it: %v", inner.header)
		}
	})).ServeHTTP(inner, httptest.NewRequest("GET", "/", nil))
	if len(inner.early) != 1 || inner.early[0] != "103early" {
		t.Errorf("%v", inner.early)
	}
}

func TestWriter_HijackSendsWhatWasSettled(t *testing.T) {
	for kind, wrap := range kinds {
		if kind == "sink" {
			continue
		}
		client, url := serve(t, wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "2")
			w.WriteHeader(299)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Errorf("%s: %v", kind, err)
				return
			}
			defer conn.Close()
			w.WriteHeader(500)
			if err := http.NewResponseController(w).Flush(); err != http.ErrHijacked {
				t.Errorf("%s: Flush after Hijack: %v", kind, err)
			}
			if _, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("x")); err != http.ErrHijacked {
				t.Errorf("%s: ReadFrom after Hijack: %v", kind, err)
			}
			body := "ok"
			if kind == "transformer" {
				body = "okok" // it has doubled the length
			}
			io.WriteString(conn, body)
		})), false)
		if a := ask(client, "GET", url, nil); a.status != 299 || !strings.HasPrefix(a.body, "ok") || a.err != nil {
			t.Errorf("%s: %+v", kind, a)
		}
	}
}

func TestWriter_HijackedStatus(t *testing.T) {
	statuses := make(chan int, 2) // the client may ask once more
	client, url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := new(holder)
		h.Wrap(w, h)
		h.Serve(h, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			conn.Close()
		}), r)
		statuses <- h.Status()
	}), false)
	ask(client, "GET", url, nil)
	if status := <-statuses; status != 101 {
		t.Errorf("status %d, want 101", status)
	}
}

func TestWriter_ReadFromCountsWhatPassed(t *testing.T) {
	o := new(observer)
	o.Wrap(newWire(), nil)
	o.Serve(o, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(io.ReaderFrom).ReadFrom(strings.NewReader(text))
	}), httptest.NewRequest("GET", "/", nil))
	if o.Written() != int64(len(text)) || o.Status() != 200 {
		t.Errorf("written %d, status %d", o.Written(), o.Status())
	}
	o = new(observer)
	o.Wrap(newWire(), nil)
	o.Serve(o, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "3")
		w.(io.ReaderFrom).ReadFrom(strings.NewReader(text))
		w.WriteHeader(500) // too late: the refused bytes have settled 200
	}), httptest.NewRequest("GET", "/", nil))
	if o.Status() != 200 {
		t.Errorf("status %d, and on the wire it is 200", o.Status())
	}
}
