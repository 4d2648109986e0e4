package partial

import (
	"errors"
	"io"
)

// Writer returns a writer that cuts a JSON text of any length to what m selects, and hands to w,
// at each Write, what is decided by then: all but the current name. Close reports a text that is
// not complete; it does not close w. The memory it needs does not depend on the text. It
// is for one goroutine at a time. See [Mask.Append] for what is kept and checked.
func (m *Mask) Writer(w io.Writer) io.WriteCloser {
	if m.everything() {
		return &stream{to: w}
	}
	return &stream{to: w, walker: newWalker(m), out: chunks.Get().(*chunk)}
}

type stream struct {
	to     io.Writer
	walker *walker // nil: everything is selected
	out    *chunk
	err    error
}

var errClosed = errors.New("partial: the Writer is closed")

// chunkSize bounds what is walked before something is handed on.
const chunkSize = 32 << 10

func (s *stream) Write(p []byte) (n int, err error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.walker == nil {
		return s.to.Write(p)
	}
	for n < len(p) && s.err == nil {
		piece := p[n:min(n+chunkSize, len(p))]
		s.walker.out = s.out.b[:0]
		s.err = s.walker.step(piece)
		s.out.b = s.walker.out
		if len(s.out.b) > 0 { // what stands before a fault is right
			sent, err := s.to.Write(s.out.b)
			if err == nil && sent < len(s.out.b) {
				err = io.ErrShortWrite
			}
			if s.err == nil {
				s.err = err
			}
		}
		if s.err == nil {
			n += len(piece)
		}
	}
	return n, s.err
}

func (s *stream) Close() error {
	err := s.err
	if err == errClosed {
		return nil
	}
	s.err = errClosed
	if s.walker != nil {
		if err == nil {
			err = s.walker.end()
		}
		s.walker.release()
		s.out.put()
		s.walker, s.out = nil, nil
	}
	return err
}
