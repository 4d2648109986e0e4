package compress

import (
	"net/http"
	"time"

	"github.com/hotpath-go/hotpath/internal/rw"
)

// whole decides about a body that is here to its end, and sends it.
func (w *writer) whole(body []byte) error {
	w.sniff(body)
	h := w.Thaw()
	f := w.facts(int64(len(body)))
	p := decide(f)
	if !p.encode {
		return w.passWhole(p, body)
	}
	own := w.c.codings[w.choice.coding]
	out := rw.GetBuffer(len(body))
	defer out.Put()
	n := w.c.counters.Here()
	begin := time.Now()
	result, err := own.appendBody(out.B, body)
	n.nanos.Add(uint64(time.Since(begin)))
	n.wholes.Add(1)
	if err != nil {
		n.failed.Add(1)
		return w.passWhole(plan{vary: true, reason: noReason}, body)
	}
	out.B = result
	if f.larger = len(result) >= len(body); f.larger {
		if p = decide(f); !p.encode {
			return w.passWhole(p, body)
		}
	}
	if !w.commitCoded() {
		return w.passWhole(plan{reason: skipOff}, body)
	}
	w.codedHeader(h, w.choice.coding, w.decimal(len(result)))
	w.suffixTag(h, own.suffix, false)
	w.tellVarier(false)
	return w.sendWhole(result, len(body))
}

// sendWhole sends a coded body in one Write.
func (w *writer) sendWhole(body []byte, plainBytes int) (err error) {
	w.Send(int(w.status))
	w.state = closed
	n := w.c.counters.Here()
	n.responses[w.choice.coding].Add(1)
	if !w.head {
		_, err = w.Unwrap().Write(body)
		n.inBytes[w.choice.coding].Add(uint64(plainBytes))
		n.outBytes[w.choice.coding].Add(uint64(len(body)))
	}
	w.dropHeld()
	return err
}

// start decides about a body that is not here to its end, and sends the header: because
// there is too much of it, or because of a flush. If it leaves as it is the layer has passed,
// and what was held is out.
func (w *writer) start(sample []byte, flush bool) error {
	w.sniff(sample)
	h := w.Thaw()
	p := decide(w.facts(w.Declared()))
	held := 0
	if w.held != nil {
		held = len(w.held.B)
	}
	var heldBytes []byte
	if held > 0 {
		heldBytes = w.held.B
	}
	if !p.encode {
		return w.pass(p, heldBytes)
	}
	event := w.eventType || flush && held < smallAtFlush
	w.coding = w.choice.coding
	if event {
		w.coding = w.choice.event
	}
	own := w.c.codings[w.coding]
	suffix := own.suffix
	usual := true // what another request would have had is told by a chooser
	if !w.head {
		switch w.open(own, flush && held <= piece) {
		case saturated:
			if w.choice.gzip < 0 {
				return w.pass(plan{vary: true, reason: skipSaturated}, heldBytes)
			}
			w.coding = w.choice.gzip
			w.openStateless()
			suffix, usual = "~gzip.0", false
		case broken:
			return w.pass(plan{vary: true, reason: noReason}, heldBytes)
		}
	}
	if !w.commitCoded() {
		w.closeEncoder(true)
		return w.pass(plan{reason: skipOff}, heldBytes)
	}
	w.codedHeader(h, w.coding, "")
	w.suffixTag(h, suffix, flush)
	if usual {
		w.tellVarier(event)
	}
	w.Send(int(w.status))
	n := w.c.counters.Here()
	n.responses[w.coding].Add(1)
	if w.head {
		w.state = closed
		w.dropHeld()
		return nil
	}
	w.state = streaming
	n.streamed.Add(1)
	if event {
		w.openEvents = true
		w.c.streams.Add(1)
	}
	if held > 0 {
		_, err := w.encode(heldBytes)
		w.dropHeld()
		return err
	}
	return nil
}

// smallAtFlush: a body with less than this at its first Flush comes an event at a time.
const smallAtFlush = 4 << 10

// An opening is how the search for an encoder ended.
type opening uint8

const (
	opened opening = iota
	saturated
	broken
)

// open makes the writer ready to encode a streamed body; a few bytes that are to be flushed
// at once take no encoder of the built-in gzip.
func (w *writer) open(own *coding, few bool) opening {
	out := output{client: w.Unwrap()}
	if own.gzip {
		gz := gzipStreams.Get().(*gzipStream)
		gz.c, gz.own, gz.out = w.c, own, out
		if !few && !gz.borrow() {
			gz.release(false)
			return saturated
		}
		w.gz = gz
		return opened
	}
	if !w.c.acquire(w.choice.forced && w.choice.gzip < 0) {
		return saturated
	}
	taken := false
	defer func() { // an encoder of the user's may panic
		if !taken {
			w.c.releaseEncoder()
		}
	}()
	enc, err := own.take()
	if err != nil {
		w.c.counters.Here().failed.Add(1)
		return broken
	}
	taken = true
	enc.out = out
	w.enc = enc
	return opened
}

// openStateless is for when there is no encoder to have.
func (w *writer) openStateless() {
	gz := gzipStreams.Get().(*gzipStream)
	gz.c, gz.own, gz.out, gz.fixed = w.c, w.c.codings[w.coding], output{client: w.Unwrap()}, true
	w.gz = gz
}

// stream returns the encoder of a streamed body and where it writes to.
func (w *writer) stream() (interface {
	Write(p []byte) (int, error)
	Flush() error
	Close() error
}, *output,
) {
	if w.gz != nil {
		return w.gz, &w.gz.out
	}
	return w.enc.enc, &w.enc.out
}

// encode takes plain bytes of a streamed body.
func (w *writer) encode(p []byte) (int, error) {
	enc, out := w.stream()
	_, err := enc.Write(p)
	if err = w.noted(err, out); err != nil {
		return 0, err
	}
	w.c.counters.Here().inBytes[w.coding].Add(uint64(len(p)))
	if w.incremental {
		if err := w.flush(); err != nil && !isUnsupported(err) {
			return 0, err
		}
	}
	return len(p), nil
}

// noted tells an encoder's own failure from that of the client's connection.
func (w *writer) noted(err error, out *output) error {
	if out.err != nil {
		return out.err
	}
	if err != nil && !w.failed {
		w.failed = true
		w.c.counters.Here().failed.Add(1)
	}
	return err
}

func (w *writer) flush() error {
	enc, out := w.stream()
	err := enc.Flush()
	if err == nil {
		err = out.drain()
	}
	if err = w.noted(err, out); err != nil {
		return err
	}
	return w.FlushInner()
}

// finish ends a streamed body. What went wrong must look cut, and no coding is ended then.
func (w *writer) finish() {
	if w.failed || w.Declared() > w.Written() {
		panic(http.ErrAbortHandler)
	}
	enc, out := w.stream()
	err := enc.Close()
	if err == nil {
		err = out.drain()
	}
	if w.noted(err, out) != nil && w.failed {
		panic(http.ErrAbortHandler)
	}
	w.endStream(err == nil)
	w.state = closed
	w.KeepTrailers()
}

func (w *writer) endStream(whole bool) {
	_, out := w.stream()
	w.c.counters.Here().outBytes[w.coding].Add(uint64(out.total))
	if w.openEvents {
		w.openEvents = false
		w.c.streams.Add(-1)
	}
	w.closeEncoder(whole)
}

// closeEncoder gives the encoder back; one that was interrupted is left to the collector.
func (w *writer) closeEncoder(whole bool) {
	if w.gz != nil {
		w.gz.release(whole)
		w.gz = nil
	}
	if w.enc != nil {
		if whole {
			w.c.codings[w.coding].give(w.enc)
		}
		w.enc = nil
		w.c.releaseEncoder()
	}
}
