package rw

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
)

// ErrDead is what every method of a Writer gives after its handler has returned.
var ErrDead = errors.New("hotpath: ResponseWriter used after its handler returned")

// A Layer is what a wrapper does differently. Its methods are called on the handler's
// goroutine, in this order.
type Layer interface {
	// OnHeader is called once, when the final status is settled: by WriteHeader, or as 200
	// by the first Write, Flush or the return. Send it now or later.
	OnHeader(status int)

	// OnWrite takes body bytes: never none, never of a bodiless status, never beyond the
	// declared length. p is only lent, and must not be changed.
	OnWrite(p []byte) (int, error)

	// OnFlush decides, sends and flushes what is held, then calls FlushInner and returns
	// its error.
	OnFlush() error

	// OnReturn finishes: the handler returned normally. It is not called after a panic,
	// Goexit, Hijack or Pass, so that what was cut looks cut.
	OnReturn()
}

// A Writer is the http.ResponseWriter under a wrapper. It is for the handler's goroutine;
// only being dead may be noticed by others.
type Writer struct {
	inner    http.ResponseWriter
	layer    Layer // nil: passing through
	held     *held
	declared int64
	written  int64
	status   int32
	dead     atomic.Bool
	sent     bool // by Send
	thawed   bool // the inner header map is the layer's to edit
	hijacked bool
	bodiless bool
	overrun  bool // a Write went beyond declared
}

// Wrap makes w write to inner by way of l; a nil l passes everything through. A Writer is
// wrapped once and never used again.
func (w *Writer) Wrap(inner http.ResponseWriter, l Layer) {
	w.inner, w.layer, w.declared = inner, l, -1
}

// Serve lets next answer r by way of self, the wrapper that embeds w, and ends the response
// as the Layer wants it. When it returns, or panics, w is dead.
func (w *Writer) Serve(self http.ResponseWriter, next http.Handler, r *http.Request) {
	defer w.dead.Store(true)
	next.ServeHTTP(self, r)
	if w.hijacked {
		return
	}
	if w.status == 0 {
		w.settle(http.StatusOK)
	}
	if w.layer != nil {
		w.layer.OnReturn()
		if w.layer != nil && !w.sent {
			w.Send(int(w.status)) // or an error that was settled would go out as an implicit 200
		}
	}
	w.copyTrailers()
}

// Status returns the settled status, 0 if there is none yet. After Serve it is 0 only if the
// handler panicked: 200 if it said nothing, 101 if it hijacked the connection.
func (w *Writer) Status() int { return int(w.status) }

// Written returns how many body bytes were taken from the handler by the calls that have
// returned.
func (w *Writer) Written() int64 { return w.written }

// Declared returns the handler's Content-Length, -1 if it gave none. It is known from
// OnHeader on.
func (w *Writer) Declared() int64 { return w.declared }

// Sent reports whether the header has gone to the inner writer.
func (w *Writer) Sent() bool { return w.sent || w.layer == nil && w.status != 0 }

// Unwrap returns the inner writer. It works on a dead Writer too: work that outlives its
// handler still has to find the layers around it.
func (w *Writer) Unwrap() http.ResponseWriter { return w.inner }

// Header returns the header map that the handler fills.
func (w *Writer) Header() http.Header {
	switch {
	case w.dead.Load():
		return http.Header{}
	case w.held.private():
		return w.held.own
	}
	return w.inner.Header()
}

// WriteHeader settles status, unless that has happened; 1xx responses other than 101 go
// out at once and settle nothing (RFC 9110 section 15.2).
func (w *Writer) WriteHeader(status int) {
	if w.dead.Load() || w.hijacked || w.status != 0 {
		return
	}
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %v", status)) // as in net/http
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		w.inform(status)
		return
	}
	w.settle(status)
	if w.layer == nil {
		if !w.sent {
			w.inner.WriteHeader(status)
		}
		return
	}
	w.hold()
}

// BodyAllowed reports whether a response of this status has a body. 205 has none either
// (RFC 9110 section 15.3.6), which net/http leaves to the handler.
func BodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusResetContent && status != http.StatusNotModified
}

func (w *Writer) settle(status int) {
	w.status, w.bodiless = int32(status), !BodyAllowed(status)
	h := w.Header()
	if status == http.StatusNoContent || status == http.StatusResetContent {
		// RFC 9110 section 8.6; the client would wait for a body that is refused.
		delete(h, "Content-Length")
	}
	if lines := h["Content-Length"]; len(lines) > 0 {
		if n, err := strconv.ParseInt(lines[0], 10, 64); err == nil && n >= 0 {
			w.declared = n
		}
	}
	if w.held.private() {
		overwrite(w.inner.Header(), h)
	}
	if w.layer != nil {
		w.layer.OnHeader(status)
	}
}

// begin settles what a write of n bytes settles, and refuses what may not be written.
func (w *Writer) begin(n int) error {
	switch {
	case w.dead.Load():
		return ErrDead
	case w.hijacked:
		return http.ErrHijacked
	}
	implicit := w.status == 0
	if implicit {
		w.settle(http.StatusOK)
	}
	err := error(nil)
	switch {
	case n == 0:
	case w.bodiless:
		err = http.ErrBodyNotAllowed
	case w.overrun || w.declared >= 0 && w.written+int64(n) > w.declared:
		// net/http's rule, kept here for inner writers that have none: of what is too much
		// nothing is taken, nor anything after it.
		w.overrun = true
		err = http.ErrContentLength
	}
	if err != nil {
		if implicit && w.layer == nil && !w.sent {
			_, _ = w.inner.Write(nil) // the refused write settled the header there too
		}
		w.hold()
	}
	return err
}

// Write takes body bytes.
func (w *Writer) Write(p []byte) (n int, err error) {
	if err := w.begin(len(p)); err != nil {
		return 0, err
	}
	if w.layer == nil {
		n, err = w.inner.Write(p)
	} else if len(p) > 0 {
		n, err = w.layer.OnWrite(p)
	}
	w.written += int64(n)
	w.hold()
	return n, err
}

// WriteString is Write without a copy where the inner writer can do without.
func (w *Writer) WriteString(s string) (n int, err error) {
	if err := w.begin(len(s)); err != nil {
		return 0, err
	}
	if w.layer == nil {
		n, err = io.WriteString(w.inner, s)
		w.written += int64(n)
		return n, err
	}
	b := GetBuffer(len(s))
	defer b.Put()
	b.B = append(b.B, s...)
	return w.Write(b.B)
}

// pieceSize is how much ReadFrom moves at a time, as io.Copy.
const pieceSize = 32 << 10

// ReadFrom hands src to the inner writer while w passes through, which keeps sendfile; else
// it writes pieces, and looks after each whether the Layer has passed.
func (w *Writer) ReadFrom(src io.Reader) (total int64, err error) {
	var b *Buffer
	defer func() {
		if b != nil {
			b.Put()
		}
	}()
	for {
		if w.dead.Load() {
			return total, ErrDead
		}
		if to, ok := w.inner.(io.ReaderFrom); ok && w.layer == nil && !w.hijacked && !w.bodiless && !w.overrun {
			n, err := to.ReadFrom(src)
			w.written += n
			if w.status == 0 && (n > 0 || errors.Is(err, http.ErrContentLength)) {
				w.settle(http.StatusOK)
			}
			return total + n, err
		}
		if b == nil {
			b = GetBuffer(pieceSize)
		}
		n, readErr := src.Read(b.B[:pieceSize])
		if n > 0 {
			m, err := w.Write(b.B[:n])
			total += int64(m)
			if err != nil {
				return total, err
			}
			if m < n {
				return total, io.ErrShortWrite
			}
		}
		if readErr == io.EOF {
			return total, nil
		}
		if readErr != nil {
			return total, readErr
		}
	}
}

// Flush is FlushError for those who assert http.Flusher.
func (w *Writer) Flush() { _ = w.FlushError() }

// FlushError sends what has been written so far, the header at least. Under a Layer it settles
// the status also where the inner writer cannot flush, as behind http.TimeoutHandler.
func (w *Writer) FlushError() error {
	switch {
	case w.dead.Load():
		return ErrDead
	case w.hijacked:
		return http.ErrHijacked
	}
	if w.layer != nil && w.status == 0 {
		w.settle(http.StatusOK)
	}
	if w.layer != nil {
		err := w.layer.OnFlush()
		w.hold()
		return err
	}
	err := w.FlushInner()
	// Behind a writer that cannot flush nothing has gone out, and a WriteHeader that comes
	// later still counts.
	if w.status == 0 && !errors.Is(err, http.ErrNotSupported) {
		w.settle(http.StatusOK)
	}
	return err
}

// Hijack takes the connection over by way of http.ResponseController. From then on the
// Layer has no part in it. A wrapper that holds bytes shadows Hijack.
func (w *Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.dead.Load() {
		return nil, nil, ErrDead
	}
	if w.layer != nil && w.status != 0 {
		w.Send(int(w.status)) // net/http too sends what was settled before
		w.Pass()
	}
	conn, buffered, err := http.NewResponseController(w.inner).Hijack()
	if err == nil {
		w.hijacked, w.layer = true, nil
		if w.status == 0 {
			w.status = http.StatusSwitchingProtocols
		}
	}
	return conn, buffered, err
}

// CloseNotify is deprecated in net/http and still asserted: gin v1's c.Stream panics without
// it. Where the inner writer has none the channel never fires.
func (w *Writer) CloseNotify() <-chan bool {
	if n, ok := w.inner.(interface{ CloseNotify() <-chan bool }); ok && !w.dead.Load() {
		return n.CloseNotify()
	}
	return make(chan bool)
}
