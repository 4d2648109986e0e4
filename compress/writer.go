package compress

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/hotpath-go/hotpath/internal/field"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// wholeMax is the largest body that is held to its end and encoded in one go.
const wholeMax = 64 << 10

// sniffLen is how much of a body http.DetectContentType looks at.
const sniffLen = 512

// A state says what the next event meets.
type state uint8

const (
	undecided state = iota
	streaming
	closed // header and body are out, or the body is dropped: HEAD
)

// Modes, of which Off knows; it may be called from other goroutines.
const (
	open    uint32 = iota
	off            // the response leaves, or has left, as it is
	encoded        // the coded header is out
)

// writer encodes one response. It is the only allocation of a request.
type writer struct {
	rw.Writer
	c       *Compressor
	r       *http.Request
	offered *rw.Variants
	held    *rw.Buffer // of an undecided body
	enc     *pooled    // of a streamed one
	gz      *gzipStream

	vals values

	mode   atomic.Uint32
	choice choice
	status int16
	coding int8 // of a streamed body
	state  state
	kind   kind

	head, restoredTags                              bool // of the request
	eventType, ranged, coded, verbatim, incremental bool // of the handler's header
	openEvents, failed                              bool // of a streamed body
}

var errStarted = errors.New("compress: the encoded response has begun")

// OnHeader decides what the header alone decides.
func (w *writer) OnHeader(status int) {
	h := w.Thaw()
	w.status = int16(status)
	w.read(h)
	if p := decide(w.facts(w.Declared())); !p.encode && (w.kind != unknown || p.reason != skipType && p.reason != skipSmall) {
		w.commitPlain(h, p)
		w.Pass()
	}
}

// isIncremental reads an RFC 9651 Boolean: each Write is worth sending at once.
func isIncremental(lines []string) bool {
	if len(lines) != 1 {
		return false
	}
	value, _, _ := strings.Cut(lines[0], ";")
	return strings.Trim(value, " ") == "?1"
}

func (w *writer) OnWrite(p []byte) (int, error) {
	switch {
	case w.state == streaming:
		return w.encode(p)
	case w.state == closed: // HEAD, whose length is counted by the core
		return len(p), nil
	case w.choice.coding < 0 && !w.choice.forced: // only its type was open
		w.sniff(p)
		_ = w.pass(decide(w.facts(w.Declared())), nil)
		return w.Unwrap().Write(p)
	}
	declared := w.Declared()
	if w.held == nil && declared == int64(len(p)) {
		if v := w.offered; v != nil && v.Is(p) {
			if sent, err := w.sendForm(v, p); sent {
				return w.taken(p, err)
			}
		}
		if declared <= wholeMax {
			return w.taken(p, w.whole(p))
		}
	}
	total := len(p)
	if w.held != nil {
		total += len(w.held.B)
	}
	if w.incremental || declared > wholeMax || total > wholeMax {
		return w.startWith(p)
	}
	if w.held == nil {
		w.held = rw.GetBuffer(max(total, int(declared)))
	}
	w.held = grown(w.held, len(p))
	w.held.B = append(w.held.B, p...)
	if declared == int64(total) {
		return w.taken(p, w.whole(w.held.B))
	}
	return len(p), nil
}

func (w *writer) taken(p []byte, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// startWith ends the holding, for p is too much or is not to wait.
func (w *writer) startWith(p []byte) (int, error) {
	sample := p
	if w.held != nil {
		sample = w.held.B
		if len(sample) < sniffLen { // net/http would look at so much of what it holds
			sample = append(sample[:len(sample):len(sample)], p[:min(len(p), sniffLen-len(sample))]...)
		}
	}
	if err := w.start(sample, w.incremental); err != nil {
		return 0, err
	}
	switch {
	case w.state == undecided: // plain: the layer has passed
		return w.Unwrap().Write(p)
	case w.state == closed:
		return len(p), nil
	}
	return w.encode(p)
}

// OnFlush sends the header, even with no byte written: EventSource.onopen waits for it.
func (w *writer) OnFlush() error {
	if w.state == undecided {
		var sample []byte
		if w.held != nil {
			sample = w.held.B
		}
		if err := w.start(sample, true); err != nil {
			return err
		}
	}
	if w.state == streaming {
		return w.flush()
	}
	return w.FlushInner()
}

func (w *writer) OnReturn() {
	switch w.state {
	case streaming:
		w.finish()
	case undecided:
		var body []byte
		if w.held != nil {
			body = w.held.B
		}
		switch declared := w.Declared(); {
		case w.head && (body == nil && declared != 0 || declared > int64(len(body))):
			w.headOnly(declared)
		case declared > int64(len(body)):
			// It has to look cut. With the length that was promised net/http sees to it.
			w.sniff(body)
			_ = w.pass(plan{vary: w.kind == wanted, reason: noReason}, body)
			w.c.counters.Here().aborted.Add(1)
		default:
			_ = w.whole(body) // the handler is gone: nobody is left to tell
		}
	}
	if w.mode.Load() == encoded {
		field.DropDigests(w.Unwrap().Header()) // those in trailers that nobody announced
	}
}

// commitPlain edits h for a body that leaves as it is, and counts it.
func (w *writer) commitPlain(h http.Header, p plan) {
	w.plainHeader(h, p)
	w.mode.Store(off)
	w.c.counters.Here().skipped[p.reason].Add(1)
}

// pass lets body, which was held, and all that follows through as it is.
func (w *writer) pass(p plan, body []byte) error {
	h := w.Thaw()
	w.commitPlain(h, p)
	w.Send(int(w.status))
	w.Pass()
	if len(body) == 0 {
		return nil
	}
	_, err := w.Unwrap().Write(body)
	w.dropHeld()
	return err
}

// passWhole is pass for a body that is here to its end: its length is known.
func (w *writer) passWhole(p plan, body []byte) error {
	h := w.Thaw()
	if w.Declared() < 0 && len(body) > 0 && len(h["Transfer-Encoding"]) == 0 && !w.HasTrailers() {
		w.vals.length[0] = w.decimal(len(body))
		h["Content-Length"] = w.vals.length[:]
	}
	return w.pass(p, body)
}

// headOnly answers HEAD where the handler wrote no body: what GET would do is told from the
// declared length, or left out.
func (w *writer) headOnly(declared int64) {
	h := w.Thaw()
	f := w.facts(declared)
	f.ended = true
	p := decide(f)
	if p.encode && w.commitCoded() {
		// As GET would: a body that is streamed, of a type that comes in events, has its own choice.
		event := w.eventType && declared > wholeMax
		coding := w.choice.coding
		if event {
			coding = w.choice.event
		}
		w.codedHeader(h, coding, "")
		w.suffixTag(h, w.c.codings[coding].suffix, false)
		w.tellVarier(event)
		w.Send(int(w.status))
		w.state = closed
		w.c.counters.Here().responses[coding].Add(1)
		return
	}
	if p.reason == skipStatus && (f.accepts || f.forced) {
		delete(h, "Content-Length") // of identity, where GET might get another form
	}
	_ = w.pass(p, nil)
}

// commitCoded claims the response for a coding, unless Off was faster.
func (w *writer) commitCoded() bool { return w.mode.CompareAndSwap(open, encoded) }

func (w *writer) dropHeld() {
	if w.held != nil {
		w.held.Put()
		w.held = nil
	}
}

// WriteString copies nothing: what p points to is only read.
func (w *writer) WriteString(s string) (int, error) {
	if w.mode.Load() == off { // passed, as a rule: the inner writer may know strings
		return w.Writer.WriteString(s)
	}
	return w.Write(unsafe.Slice(unsafe.StringData(s), len(s)))
}

// Hijack sends what is held before it hands the connection over; nothing of ours follows.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.state != undecided || w.mode.Load() == encoded {
		if w.state == closed && w.mode.Load() != encoded { // released: the core knows it is dead
			return w.Writer.Hijack()
		}
		return nil, nil, errStarted
	}
	if w.held != nil {
		if err := w.pass(plan{vary: w.kind == wanted, reason: noReason}, w.held.B); err != nil {
			return nil, nil, err
		}
	}
	return w.Writer.Hijack()
}

// release gives back what the response holds, also on panic and Goexit: then nothing is
// finalised, so that a coded body that has begun looks cut.
func (w *writer) release() {
	w.dropHeld()
	if w.state == streaming {
		w.c.counters.Here().aborted.Add(1)
		w.endStream(false)
	}
	w.state, w.offered = closed, nil
	if w.mode.Load() == open { // a load is free, a swap is not
		w.mode.CompareAndSwap(open, off)
	}
}
