package bulkhead

import (
	"bufio"
	"context"
	"mime"
	"net"
	"net/http"
	"strconv"

	"github.com/hotpath-go/hotpath/internal/rw"
)

// A keeper keeps a response until its handler has returned, so that a client that reads slowly
// holds no slot.
type keeper struct {
	rw.Writer
	b       *Bulkhead
	slot    slot
	ctx     context.Context
	head    bool
	status  int
	body    []byte
	kept    int64 // of BufferTotal
	offered *rw.Variants
	lent    bool // body is the offered slice
	long    bool // declared itself long-lived
}

// OnHeader lets pass what cannot be kept.
func (k *keeper) OnHeader(status int) {
	k.status = status
	switch {
	case k.head || status == http.StatusSwitchingProtocols:
		k.pass(-1)
	case k.Declared() > k.b.cfg.Buffer:
		k.pass(tooLarge)
	}
}

// OnWrite keeps p, or sends everything if it becomes too much.
func (k *keeper) OnWrite(p []byte) (int, error) {
	if k.offered != nil && k.offered.Is(p) && len(k.body) == 0 {
		k.body, k.lent = p, true // immutable, so it costs nothing
		return len(p), nil
	}
	if k.lent {
		k.body, k.lent = append([]byte(nil), k.body...), false
	}
	need := int64(len(k.body) + len(p))
	switch {
	case need > k.b.cfg.Buffer:
		return k.giveUp(p, tooLarge)
	case !k.reserve(max(need, k.Declared())):
		return k.giveUp(p, noBudget)
	}
	if cap(k.body) == 0 && k.Declared() > 0 {
		k.body = make([]byte, 0, k.Declared())
	}
	k.body = append(k.body, p...)
	return len(p), nil
}

// reserve takes bytes of BufferTotal.
func (k *keeper) reserve(n int64) bool {
	more := n - k.kept
	if more <= 0 {
		return true
	}
	if k.b.kept.Add(more) > k.b.cfg.BufferTotal {
		k.b.kept.Add(-more)
		return false
	}
	k.kept += more
	return true
}

// drop gives the bytes back.
func (k *keeper) drop() {
	k.b.kept.Add(-k.kept)
	k.kept, k.body = 0, nil
}

// forget is for what is left when the handler has ended.
func (k *keeper) forget() {
	k.drop()
	if k.long {
		k.long = false
		k.b.longLived.Add(-1)
	}
}

// giveUp sends what was kept, and p.
func (k *keeper) giveUp(p []byte, reason int) (int, error) {
	inner := k.Unwrap()
	if err := k.sendKept(reason); err != nil {
		return 0, err
	}
	return inner.Write(p)
}

// sendKept ends the keeping and sends what was kept. From then on it counts no more.
func (k *keeper) sendKept(reason int) (err error) {
	k.pass(reason)
	if len(k.body) > 0 {
		_, err = k.Unwrap().Write(k.body)
	}
	k.drop()
	return err
}

// pass ends the keeping: from here on bytes go straight out, and the slot stays until the return.
func (k *keeper) pass(reason int) {
	if reason >= 0 {
		k.b.count(func(t *tally) { t.unbuffered[reason]++ })
	}
	k.Send(k.status)
	k.Pass()
}

// Flush is FlushError for those who assert http.Flusher.
func (k *keeper) Flush() { _ = k.FlushError() }

// FlushError is where an event stream declares itself long-lived, whether it is kept or not.
func (k *keeper) FlushError() error {
	if !k.long {
		media, _, _ := mime.ParseMediaType(k.Header().Get("Content-Type"))
		if media == "text/event-stream" {
			k.goLong()
		}
	}
	return k.Writer.FlushError()
}

// OnFlush sends what is kept.
func (k *keeper) OnFlush() error {
	if err := k.sendKept(flushed); err != nil {
		return err
	}
	return k.FlushInner()
}

func (k *keeper) goLong() {
	if !k.long {
		k.long = true
		k.b.longLived.Add(1)
		k.b.free(&k.slot, false)
	}
}

// OnReturn gives the slot back first, then sends in one Write.
func (k *keeper) OnReturn() {
	k.b.free(&k.slot, k.ctx.Err() == nil)
	h := k.Thaw()
	whole := k.Declared() < 0 || k.Declared() == k.Written()
	if whole && rw.BodyAllowed(k.status) && h.Get("Transfer-Encoding") == "" && !k.HasTrailers() {
		h["Content-Length"] = []string{strconv.Itoa(len(k.body))}
	}
	if k.offered != nil && k.lent {
		rw.Offer(k.Unwrap(), k.offered)
	}
	k.Send(k.status)
	if len(k.body) > 0 {
		_, _ = k.Unwrap().Write(k.body) // the client is gone or is not
	}
}

// Offer keeps the body of a cache by reference, to offer it on when it is sent.
func (k *keeper) Offer(v *rw.Variants) bool {
	if k.Sent() || k.status != 0 || int64(len(v.Body())) > k.b.cfg.Buffer {
		return false
	}
	k.offered = v
	return true
}

// Hijack sends what is kept; the connection is the handler's own business from then on.
func (k *keeper) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if k.status != 0 && !k.Sent() {
		if err := k.sendKept(hijacked); err != nil {
			return nil, nil, err
		}
	} else if !k.Sent() && k.b.keeps() {
		k.b.count(func(t *tally) { t.unbuffered[hijacked]++ })
	}
	conn, buffered, err := k.Writer.Hijack()
	if err == nil {
		k.goLong()
	}
	return conn, buffered, err
}
