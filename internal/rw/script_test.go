package rw_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/internal/rw"
)

// wire is the naive twin of net/http's side: it copies the header when the status is settled.
type wire struct {
	header, sent http.Header
	status       int
	declared     int // -1: no length
	over         bool
	body         bytes.Buffer
	early        []string
}

func newWire() *wire {
	return &wire{header: http.Header{"Date": {"now"}, "X-Outer": {"o"}}, declared: -1}
}

func (w *wire) Header() http.Header { return w.header }

func (w *wire) WriteHeader(status int) {
	switch {
	case w.status != 0:
	case status < 200 && status != 101:
		w.early = append(w.early, strconv.Itoa(status)+w.header.Get("X-A"))
	default:
		if status == 204 || status == 205 {
			w.header.Del("Content-Length")
		}
		w.status, w.sent = status, w.header.Clone()
		if n, err := strconv.Atoi(w.sent.Get("Content-Length")); err == nil && n >= 0 {
			w.declared = n
		}
	}
}

func (w *wire) Write(p []byte) (int, error) {
	w.WriteHeader(200)
	if len(p) > 0 && !rw.BodyAllowed(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	if len(p) > 0 && w.over {
		return 0, http.ErrContentLength
	}
	if len(p) > 0 && w.declared >= 0 && w.body.Len()+len(p) > w.declared {
		w.over = true
		return 0, http.ErrContentLength
	}
	return w.body.Write(p)
}

func (w *wire) FlushError() error { w.WriteHeader(200); return nil }

// play runs a script of what handlers do, one byte an operation, and returns what each
// write said.
func play(w http.ResponseWriter, script []byte) (log []string) {
	names := []string{"X-A", "X-B", "X-Outer", "Content-Length", "X-D"}
	note := func(n int, err error) {
		if err != nil {
			log = append(log, strconv.Itoa(n)+err.Error())
		}
	}
	for i, op := range script {
		h, name := w.Header(), names[int(op>>4)%len(names)]
		switch op % 12 {
		case 0:
			h.Set(name, strconv.Itoa(i%7))
		case 1:
			h.Add(name, strconv.Itoa(i%7))
		case 2:
			h.Del(name)
		case 3:
			if len(h[name]) > 0 {
				h[name][0] = strconv.Itoa(i % 9) // into the slice itself
			}
		case 4:
			h[name] = nil
		case 5, 6:
			note(w.Write(bytes.Repeat([]byte{'a' + op>>4}, int(op>>5))))
		case 7:
			note(io.WriteString(w, strings.Repeat("s", int(op>>4))))
		case 8:
			note(0, http.NewResponseController(w).Flush())
		case 9:
			w.WriteHeader([]int{200, 404, 204, 205, 304, 201, 500}[int(op>>4)%7])
		case 10:
			w.WriteHeader(103)
		case 11:
			src := struct{ io.Reader }{strings.NewReader("copied")}
			if to, ok := w.(io.ReaderFrom); ok {
				_, err := to.ReadFrom(src)
				note(0, err)
				break
			}
			_, err := io.Copy(w, src)
			note(0, err)
		}
	}
	return log
}

// Whatever a handler does, what reaches the wire through observer, passer and holder is what
// it sends without them.
func FuzzScript(f *testing.F) {
	f.Add([]byte{0x00, 0x15, 0x03, 0x09, 0x35, 0x02})
	f.Add([]byte{0x30, 0x57, 0x57, 0x08, 0x01, 0x0a, 0x19, 0x29, 0x85})
	f.Add([]byte{0x0a, 0x00, 0x0a, 0x45, 0x03, 0x13, 0x23, 0x04, 0x14, 0x24, 0x08})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 64 {
			return
		}
		bareWire := newWire()
		bareLog := play(bareWire, script)
		bareWire.WriteHeader(200)

		for _, s := range []stack{{"observer"}, {"holder"}, {"deliverer"}, {"holder", "holder"}, {"passer", "holder", "observer"}, {"deliverer", "holder"}, {"holder", "deliverer"}} {
			got := newWire()
			var log []string
			s.around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { log = play(w, script) })).
				ServeHTTP(got, httptest.NewRequest("GET", "/", nil))
			got.WriteHeader(200)
			got.sent.Del("X-Passed")
			if s.has("holder") && bareWire.declared < 0 { // it says a length where the handler said none
				delete(got.sent, "Content-Length")
				if lines, ok := bareWire.sent["Content-Length"]; ok {
					got.sent["Content-Length"] = lines
				}
			}
			if got.status != bareWire.status || got.body.String() != bareWire.body.String() || !slices.Equal(got.early, bareWire.early) ||
				!maps.EqualFunc(got.sent, bareWire.sent, slices.Equal[[]string]) || !slices.Equal(log, bareLog) {
				t.Errorf("%v, script %x:\n got %d %v %q %v %v\nbare %d %v %q %v %v", s, script, got.status, got.sent, got.body.String(), got.early, log,
					bareWire.status, bareWire.sent, bareWire.body.String(), bareWire.early, bareLog)
			}
		}
	})
}

// ReadFrom makes the wire one that counts for itself, as net/http's with sendfile.
func (w *wire) ReadFrom(src io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{w}, src) }
