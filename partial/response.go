package partial

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/hotpath-go/hotpath/internal/field"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// A phase says how far the answer to a masked request has got.
type phase uint8

const (
	holding   phase = iota // nothing is sent
	streaming              // the header is
	done                   // all that was to be sent is, or everything passes through
	failed                 // what was sent has to look cut
)

// A response cuts one answer. It is never pooled, only what it works with.
type response struct {
	rw.Writer
	f *Filter
	m *Mask
	r *http.Request // as it came

	walker *walker
	out    *chunk // cut bytes that are held
	in     *chunk // their original, of an answer in several Writes
	err    error  // of a Write that failed

	tagSuffix  string
	projection rw.Projection
	identity   [1]string // Accept-Encoding of the handler's request
	lines      [2]string // of header fields: one allocation for all

	inBytes, outBytes int64
	isProjected       atomic.Bool // WriteJSON has cut the body, or is about to
	status            int16
	phase             phase
	outcome           outcome

	head     bool // of the request
	begun    bool // a Write came
	lost     bool // the original is not at hand any more
	returned bool // the handler did, and so did we
}

var errBegun = errors.New("partial: the cut answer has begun")

// OnHeader decides from the header whether the answer is cut. Nothing is touched before.
func (s *response) OnHeader(status int) {
	s.status = int16(status)
	h := s.Thaw()
	switch {
	case status == http.StatusNotModified:
		s.asListed(h)
	case !cuts(status, h):
		s.wholeTag(h)
	case s.isProjected.Load() && s.Declared() >= 0:
		s.cutHeader(h)
		s.outcome = projected
		if !s.head {
			s.outBytes = s.Declared()
		}
		s.leave()
		return
	default: // without a length more may follow what WriteJSON cut: to cut again is harmless
		return
	}
	s.outcome = untouched
	s.leave()
}

// leave lets all that follows through as it is.
func (s *response) leave() {
	s.phase = done
	s.Pass()
}

// cutHeader takes off what describes the bytes of the whole document.
func (s *response) cutHeader(h http.Header) {
	field.DropDigests(h)
	s.cutTag(h)
}

// sendHeader sends the header of a cut answer; length below 0: unknown.
func (s *response) sendHeader(length int64) {
	h := s.Thaw()
	s.cutHeader(h)
	delete(h, "Content-Length") // RFC 9110 section 8.6: it was that of other bytes
	if length >= 0 && !s.HasTrailers() {
		s.lines[1] = strconv.FormatInt(length, 10)
		h["Content-Length"] = s.lines[1:2:2]
	}
	s.outcome = filtered
	s.Send(int(s.status))
}

// OnWrite cuts p.
func (s *response) OnWrite(p []byte) (int, error) {
	var err error
	switch s.phase {
	case holding:
		err = s.hold(p)
	case streaming:
		err = s.stream(p)
	case done:
		_, err = s.Unwrap().Write(p)
	case failed:
		err = s.err
	}
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// heldPiece is how much is walked before what is held is measured.
const heldPiece = 4 << 10

// hold walks p while nothing is sent.
func (s *response) hold(p []byte) error {
	first := !s.begun
	if first {
		s.begun = true
		s.walker, s.out = newWalker(s.m), chunks.Get().(*chunk)
	}
	for n := 0; n < len(p); {
		piece := p[n:min(n+heldPiece, len(p))]
		if err := s.walk(piece); err != nil {
			return s.spoilt(err, first, p)
		}
		n += len(piece)
		if int64(len(s.out.b)) <= s.f.cfg.Buffer {
			continue
		}
		if first {
			return s.streamFirst(p, n)
		}
		s.start()
		if err := s.emit(); err != nil {
			return s.fail(err)
		}
		return s.stream(p[n:])
	}
	if first && s.Declared() == int64(len(p)) {
		if err := s.walker.end(); err != nil {
			return s.spoilt(err, true, p)
		}
		return s.sendWhole()
	}
	s.retain(p)
	return nil
}

// walk appends to what is held.
func (s *response) walk(piece []byte) error {
	s.inBytes += int64(len(piece))
	s.walker.out = s.out.b
	err := s.walker.step(piece)
	s.out.b, s.walker.out = s.walker.out, nil
	return err
}

// retain keeps the original while it is small enough.
func (s *response) retain(p []byte) {
	if s.lost {
		return
	}
	if s.in == nil {
		s.in = chunks.Get().(*chunk)
	}
	if int64(len(s.in.b)+len(p)) > s.f.cfg.Buffer {
		s.in.put()
		s.in, s.lost = nil, true
		return
	}
	s.in.b = append(s.in.b, p...)
}

// streamFirst sends the first Write, of which more is kept than may be held: n bytes of it. As
// all of it is at hand it is walked to its end before anything is sent, and then once more:
// what is no JSON leaves as it came, and a whole document has its length.
func (s *response) streamFirst(p []byte, n int) error {
	length := int64(len(s.out.b))
	for n < len(p) {
		piece := p[n:min(n+chunkSize, len(p))]
		s.out.b = s.out.b[:0]
		if err := s.walk(piece); err != nil {
			return s.spoilt(err, true, p)
		}
		length += int64(len(s.out.b))
		n += len(piece)
	}
	whole := s.Declared() == int64(len(p))
	if whole {
		if err := s.walker.end(); err != nil {
			return s.spoilt(err, true, p)
		}
	} else {
		length = -1
	}
	s.sendHeader(length)
	s.phase = streaming
	s.walker.reset(s.m)
	s.out.b = s.out.b[:0]
	s.inBytes -= int64(len(p))
	return s.stream(p)
}

// start sends the header of an answer whose length is not known.
func (s *response) start() {
	s.sendHeader(-1)
	s.phase = streaming
	if s.in != nil {
		s.in.put()
		s.in = nil
	}
}

func (s *response) stream(p []byte) error {
	for len(p) > 0 {
		piece := p[:min(chunkSize, len(p))]
		p = p[len(piece):]
		err := s.walk(piece)
		if sendErr := s.emit(); sendErr != nil {
			err = sendErr
		}
		if err != nil {
			return s.fail(err)
		}
	}
	return nil
}

// emit sends what is held.
func (s *response) emit() (err error) {
	if b := s.out.b; len(b) > 0 {
		if !s.head {
			s.outBytes += int64(len(b))
			_, err = s.Unwrap().Write(b)
		}
		s.out.b = b[:0]
	}
	return err
}

// sendWhole sends an answer that is held to its end.
func (s *response) sendWhole() error {
	s.sendHeader(int64(len(s.out.b)))
	s.phase = done
	return s.emit()
}

// fail ends an answer of which bytes are sent already.
func (s *response) fail(err error) error {
	s.phase, s.err = failed, err
	s.outcome = aborted
	return err
}

// spoilt handles a document that is not JSON, in or before p: nothing of it is sent yet. It
// leaves as it came if it is still at hand.
func (s *response) spoilt(err error, first bool, p []byte) error {
	if s.lost {
		return s.fail(err)
	}
	s.outcome = broken
	s.Send(int(s.status))
	s.leave()
	if !first && s.in != nil {
		if _, err := s.Unwrap().Write(s.in.b); err != nil {
			return err
		}
	}
	if len(p) == 0 {
		return nil
	}
	_, err = s.Unwrap().Write(p)
	return err
}

// OnFlush sends what is decided: the header at least, and all but the current name.
func (s *response) OnFlush() error {
	switch s.phase {
	case holding:
		s.start()
		if s.walker == nil {
			s.begun, s.walker, s.out = true, newWalker(s.m), chunks.Get().(*chunk)
		}
		if err := s.emit(); err != nil {
			return s.fail(err)
		}
	case failed:
		return s.err
	}
	return s.FlushInner()
}

// OnReturn finishes the answer, or cuts the connection.
func (s *response) OnReturn() {
	short := s.Declared() > s.Written() && !(s.head && s.Written() == 0)
	switch s.phase {
	case holding:
		switch {
		case s.head && !s.begun:
			s.sendHeader(-1) // GET has a body, and who knows of what size
		case !s.begun && !short:
			s.sendHeader(0)
		case !s.begun:
			s.outcome = broken
			s.Send(int(s.status)) // with the length that was promised: net/http cuts it
		default:
			if err := s.walker.end(); err != nil || short {
				_ = s.spoilt(err, false, nil)
			} else {
				_ = s.sendWhole() // the handler is gone: nobody is left to tell
			}
		}
	case streaming:
		if err := s.walker.end(); err != nil || short {
			s.phase, s.outcome = failed, aborted
		} else {
			field.DropDigests(s.Unwrap().Header()) // those in trailers that nobody announced
			s.KeepTrailers()
		}
	}
	if s.phase == failed {
		panic(http.ErrAbortHandler) // what is not whole must not look so
	}
}

// Hijack hands the connection over unless cut bytes were written.
func (s *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if s.begun && s.phase != done {
		return nil, nil, errBegun
	}
	conn, buffered, err := s.Writer.Hijack()
	if err == nil {
		s.outcome, s.phase = untouched, done
	}
	return conn, buffered, err
}

// release gives back what the answer held, also on panic and Goexit, and counts it.
func (s *response) release() {
	if s.walker != nil {
		s.walker.release()
		s.out.put()
		s.walker, s.out = nil, nil
	}
	if s.in != nil {
		s.in.put()
		s.in = nil
	}
	s.phase = done
	if !s.returned {
		s.outcome = aborted
	}
	n := s.f.counters.Here()
	n.requests[s.outcome].Add(1)
	n.inBytes.Add(uint64(s.inBytes))
	n.outBytes.Add(uint64(s.outBytes))
}
