package metrics

import (
	"bufio"
	"cmp"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/hotpath-go/hotpath/internal/rw"
)

// Handler returns next, measured. Its place is around the whole handler of a framework, where a
// returned error has become a status; the route is read from the request that next was given,
// after it has returned. It panics if next is nil.
func (h *HTTP) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("metrics: Handler(nil)")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := &observer{h: h, at: h.now(), bodiless: r.Method == http.MethodHead}
		h.inFlight.Add(1)
		defer h.count(o, r) // whatever happens: a panic goes on as it was
		o.Wrap(w, nil)
		o.Serve(o, next, r)
		o.returned = true
	})
}

// An observer is the ResponseWriter of a measured request. It changes nothing, and so it has no
// Layer: that would cost a fifth of the whole.
type observer struct {
	rw.Writer
	h        *HTTP
	at       time.Duration // when it began; of an event stream that has begun, how long that took
	begun    bool          // the first byte or flush has left the handler, or there will be none
	streamed bool          // what has begun is an event stream
	hijacked bool
	bodiless bool // HEAD: net/http drops what the handler writes
	returned bool
}

// begin is called when the answer begins, and notes whether it is an event stream, which lives for
// minutes and is not slow.
func (o *observer) begin() {
	if o.begun || o.Status() == 0 { // Flush, behind a writer that cannot: nothing has left
		return
	}
	o.begun = true
	if o.streams(o.Status()) {
		o.streamed, o.at = true, o.h.now()-o.at
	}
}

// streams reports whether an answer of this status is an event stream. What failed is none, whatever
// its type says.
func (o *observer) streams(status int) bool {
	const kind = "text/event-stream"
	if status >= 300 || !rw.BodyAllowed(status) {
		return false
	}
	lines := o.Unwrap().Header()["Content-Type"] // our own has ended when this is asked last
	if len(lines) == 0 || len(lines[0]) < len(kind) || !strings.EqualFold(lines[0][:len(kind)], kind) {
		return false
	}
	rest := strings.TrimLeft(lines[0][len(kind):], " \t")
	return rest == "" || rest[0] == ';'
}

func (o *observer) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if !o.begun && len(p) > 0 {
		o.begin()
	}
	return n, err
}

func (o *observer) WriteString(s string) (int, error) {
	n, err := o.Writer.WriteString(s)
	if !o.begun && len(s) > 0 {
		o.begin()
	}
	return n, err
}

// ReadFrom keeps sendfile for all but event streams: no file is one, and the first byte would be seen
// with the last.
func (o *observer) ReadFrom(src io.Reader) (int64, error) {
	if !o.begun && o.streams(cmp.Or(o.Status(), http.StatusOK)) {
		return io.Copy(struct{ io.Writer }{o}, src)
	}
	return o.Writer.ReadFrom(src)
}

func (o *observer) FlushError() error {
	err := o.Writer.FlushError()
	if !o.begun {
		o.begin()
	}
	return err
}

// Flush is FlushError for those who assert http.Flusher.
func (o *observer) Flush() { _ = o.FlushError() }

// Hijack notes that no answer follows, whatever status was settled before.
func (o *observer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := o.Writer.Hijack()
	o.hijacked = o.hijacked || err == nil
	return conn, buffered, err
}

func (h *HTTP) count(o *observer, r *http.Request) {
	h.inFlight.Add(-1)
	o.begin() // with nothing but a header
	took := o.at
	if !o.streamed {
		took = h.now() - o.at
	}
	name, ended := other, aborted // should Route panic
	defer func() {
		route := h.of(name)
		route.observe(ended, took)
		if n := o.Written(); n > 0 && !o.bodiless {
			route.bytes.Here().n.Add(uint64(n))
		}
	}()
	name, ended = h.route(r), o.outcome()
}

func (o *observer) outcome() outcome {
	switch status := o.Status(); {
	case !o.returned:
		return aborted
	case o.hijacked || status < 200:
		return informed
	case o.streamed:
		return streamed
	case status < 300:
		return succeeded
	case status < 400:
		return redirected
	case status < 500:
		return refused
	default: // beyond 599 too: RFC 9110 section 15 has clients treat that as a 5xx
		return failed
	}
}
