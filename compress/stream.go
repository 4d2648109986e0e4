package compress

import (
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/hotpath-go/hotpath/internal/rw"
)

const (
	// history is the plain text that stateless deflate refers back to; it takes no more.
	history = 8 << 10
	// piece is the plain text that one stateless deflate takes beside its history: its
	// offsets have 15 bits. It is also what waits for a Flush before an encoder is worth it.
	piece = 32<<10 - 1 - history
)

// gzipStream is one gzip member that is written by an encoder while much comes, and by
// stateless deflate between Flushes, when it holds 8 KiB of history and nothing else. The
// encoder ends its part at a byte boundary; the next one begins with the history as its
// dictionary.
//
// A stateful encoder would not only be bigger: flate's levels 1 to 6 forget all history at a
// Flush that follows less than 128 bytes, so events would not be compressed against each other.
type gzipStream struct {
	c   *Compressor
	own *coding
	gzipFrame
	out     output
	enc     *pooled // nil: stateless
	primed  bool    // enc was given a dictionary
	fixed   bool    // never an encoder: there was none to have when the body began
	pending *rw.Buffer
	past    [history]byte
	known   int // the end of past that is filled
}

var gzipStreams = sync.Pool{New: func() any { return new(gzipStream) }}

// borrow takes an encoder if one of MaxEncoders is left.
func (s *gzipStream) borrow() bool {
	if !s.c.acquire(false) {
		return false
	}
	enc, err := s.own.take()
	if err != nil {
		s.c.releaseEncoder()
		s.c.counters.Here().failed.Add(1)
		return false // stateless is always there
	}
	s.enc, s.primed = enc, s.known > 0
	fw := enc.enc.(*gzipEncoder).fw
	if s.primed {
		fw.ResetDict(&s.out, s.past[:s.known])
	} else {
		fw.Reset(&s.out)
	}
	return true
}

func (s *gzipStream) repay(pool bool) {
	if s.enc == nil {
		return
	}
	if s.primed {
		s.enc.enc.(*gzipEncoder).fw.ResetDict(nil, nil) // Reset would remember the dictionary
	}
	if pool {
		s.own.give(s.enc)
	}
	s.enc = nil
	s.c.releaseEncoder()
}

func (s *gzipStream) fw() *flate.Writer { return s.enc.enc.(*gzipEncoder).fw }

func (s *gzipStream) Write(p []byte) (int, error) {
	if err := s.begin(&s.out); err != nil {
		return 0, err
	}
	s.count(p)
	if s.enc != nil {
		s.remember(p)
		return s.fw().Write(p)
	}
	if s.fixed {
		return len(p), s.inPieces(p)
	}
	held := 0
	if s.pending != nil {
		held = len(s.pending.B)
	}
	if held+len(p) > piece && s.borrow() {
		if s.pending != nil {
			b := s.pending.B
			s.remember(b)
			_, err := s.fw().Write(b)
			s.dropPending()
			if err != nil {
				return 0, err
			}
		}
		s.remember(p)
		return s.fw().Write(p)
	}
	return len(p), s.inPieces(p)
}

// inPieces holds p until a Flush, and encodes whole pieces of what is too much. Their
// borders depend on nothing but the body, or one tag would name two byte sequences.
func (s *gzipStream) inPieces(p []byte) error {
	for len(p) > 0 {
		room := piece
		if s.pending == nil {
			s.pending = rw.GetBuffer(min(len(p), room))
		}
		room -= len(s.pending.B)
		n := min(len(p), room)
		s.pending = grown(s.pending, n)
		s.pending.B = append(s.pending.B, p[:n]...)
		if p = p[n:]; len(s.pending.B) == piece {
			if err := s.stateless(false); err != nil {
				return err
			}
		}
	}
	return nil
}

// stateless encodes what is pending; it ends at a byte boundary.
func (s *gzipStream) stateless(last bool) error {
	var b []byte
	if s.pending != nil {
		b = s.pending.B
	}
	if len(b) == 0 && !last {
		return nil
	}
	err := flate.StatelessDeflate(&s.out, b, last, s.past[:s.known])
	s.remember(b)
	s.dropPending()
	return err
}

func (s *gzipStream) dropPending() {
	if s.pending != nil {
		s.pending.Put()
		s.pending = nil
	}
}

// remember keeps the last 8 KiB of the plain text.
func (s *gzipStream) remember(p []byte) {
	if len(p) >= history {
		s.known = copy(s.past[:], p[len(p)-history:])
		return
	}
	if keep := history - len(p); s.known > keep {
		copy(s.past[:], s.past[s.known-keep:s.known])
		s.known = keep
	}
	s.known += copy(s.past[s.known:], p)
}

func (s *gzipStream) Flush() error {
	err := s.begin(&s.out)
	if err != nil {
		return err
	}
	if s.enc != nil {
		err = s.fw().Flush()
		s.repay(err == nil)
		return err
	}
	return s.stateless(false)
}

func (s *gzipStream) Close() error {
	err := s.begin(&s.out)
	switch {
	case err != nil:
	case s.enc != nil:
		err = s.fw().Close()
		s.repay(err == nil)
	default:
		err = s.stateless(true)
	}
	if err != nil {
		return err
	}
	return s.end(&s.out)
}

// release gives everything back; whole says that the body ended as it should.
func (s *gzipStream) release(whole bool) {
	s.repay(whole)
	s.dropPending()
	s.out.clear()
	// The history is somebody's answer: whoever gets this stream next never sees it, for
	// known says how much of past is his.
	s.c, s.own, s.gzipFrame, s.primed, s.fixed, s.known = nil, nil, gzipFrame{}, false, false, 0
	gzipStreams.Put(s)
}

// grown returns b with room for n more bytes.
func grown(b *rw.Buffer, n int) *rw.Buffer {
	if len(b.B)+n <= cap(b.B) {
		return b
	}
	bigger := rw.GetBuffer(len(b.B) + n)
	bigger.B = append(bigger.B, b.B...)
	b.Put()
	return bigger
}
