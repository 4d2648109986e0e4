package httpcache

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// A stream is a body that grows while many read it. The handler appends; each reader takes at
// its own pace. Bytes once written are never changed, so a reader uses them without a lock.
type stream struct {
	keep int64 // so many are kept; beyond, what all have read is freed

	mu       sync.Mutex
	wake     chan struct{} // closed at the next change; nil: nobody waits
	buf      []byte        // from base on
	base     int64
	flushes  int // so often the handler has flushed
	state    state
	open     bool      // to new readers
	reserved int       // readers that were promised the beginning and have not come yet
	readers  []*reader // that read now
}

type state uint8

const (
	growing state = iota
	whole
	cut
)

type reader struct {
	at    int64
	moved time.Time
	w     http.ResponseWriter
	late  bool // took nothing for too long
}

const pieceSize = 32 << 10 // of one Write to a reader

const slowest = 10 * time.Second // without taking anything, before a reader is cut

var (
	errCut  = errors.New("httpcache: the response was cut")
	errLate = errors.New("httpcache: reader took nothing for 10 s")
)

func newStream(keep, declared int64) *stream {
	s := &stream{keep: keep, open: true}
	if declared > 0 && declared <= keep {
		s.buf = make([]byte, 0, declared)
	}
	return s
}

func (s *stream) broadcast() {
	if s.wake != nil {
		close(s.wake)
		s.wake = nil
	}
}

func (s *stream) waiter() chan struct{} {
	if s.wake == nil {
		s.wake = make(chan struct{})
	}
	return s.wake
}

// promise lets n more readers have the beginning.
func (s *stream) promise(n int) {
	s.mu.Lock()
	s.reserved += n
	s.mu.Unlock()
}

// forgo gives a promise back.
func (s *stream) forgo() {
	s.mu.Lock()
	s.reserved--
	s.broadcast()
	s.mu.Unlock()
}

// attach begins to read at the beginning; nil: that is gone, or the response was cut.
func (s *stream) attach(w http.ResponseWriter, promised bool) *reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	if promised {
		s.reserved--
	}
	if !promised && !s.open || s.state == cut {
		s.broadcast()
		return nil
	}
	rd := &reader{moved: time.Now(), w: w}
	s.readers = append(s.readers, rd)
	return rd
}

func (s *stream) detach(rd *reader) {
	s.mu.Lock()
	for i, other := range s.readers {
		if other == rd {
			s.readers[i] = s.readers[len(s.readers)-1]
			s.readers[len(s.readers)-1] = nil
			s.readers = s.readers[:len(s.readers)-1]
			break
		}
	}
	s.broadcast()
	s.mu.Unlock()
}

// others reports whether anybody reads, or will.
func (s *stream) others() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reserved > 0 || len(s.readers) > 0
}

// append takes p. Beyond what is kept it waits for the slowest reader (B4). fits is false from
// then on: the body cannot be stored any more.
func (s *stream) append(ctx context.Context, p []byte) (fits bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	began := time.Now()
	for {
		if s.base == 0 && int64(len(s.buf)+len(p)) <= s.keep {
			s.buf = append(s.buf, p...)
			s.broadcast()
			return true, nil
		}
		s.open = false
		s.free()
		if s.reserved == 0 && len(s.readers) == 0 {
			s.base += int64(len(s.buf) + len(p))
			s.buf = nil
			return false, nil
		}
		if room := s.keep - int64(len(s.buf)); room > 0 {
			n := min(room, int64(len(p)))
			s.buf = append(s.buf, p[:n]...)
			p = p[n:]
			s.broadcast()
			if len(p) == 0 {
				return false, nil
			}
		}
		if err := s.waitForReaders(ctx, began); err != nil {
			return false, err
		}
	}
}

// free lets go what all have read. Readers may still hold the old slice, so it is not moved.
func (s *stream) free() {
	if s.reserved > 0 {
		return
	}
	least := s.base + int64(len(s.buf))
	for _, rd := range s.readers {
		least = min(least, rd.at)
	}
	// In quarters, or each small read would copy all that is left.
	if n := least - s.base; n > 0 && (n >= s.keep/4 || n == int64(len(s.buf))) {
		s.buf = append([]byte(nil), s.buf[n:]...)
		s.base = least
	}
}

// waitForReaders waits until somebody has read, and cuts who reads nothing. It holds the lock
// before and after.
func (s *stream) waitForReaders(ctx context.Context, began time.Time) error {
	wake := s.waiter()
	timer := time.NewTimer(slowest)
	s.mu.Unlock()
	var err error
	select {
	case <-wake:
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	timer.Stop()
	s.mu.Lock()
	now := time.Now()
	for i := 0; i < len(s.readers); {
		rd := s.readers[i]
		if rd.at < s.base+int64(len(s.buf)) && now.Sub(rd.moved) >= slowest && now.Sub(began) >= slowest {
			rd.late = true
			_ = http.NewResponseController(rd.w).SetWriteDeadline(now) // ends the Write that it may hang in
			s.readers[i] = s.readers[len(s.readers)-1]
			s.readers = s.readers[:len(s.readers)-1]
			s.broadcast()
			continue
		}
		i++
	}
	return err
}

func (s *stream) flush() {
	s.mu.Lock()
	s.flushes++
	s.broadcast()
	s.mu.Unlock()
}

// end says how it ended; the first call counts.
func (s *stream) end(how state) {
	s.mu.Lock()
	if s.state == growing {
		s.state = how
		if how == cut {
			s.open = false
		}
	}
	s.broadcast()
	s.mu.Unlock()
}

// bytes returns the whole body, in a slice of about its size; after the end.
func (s *stream) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if spare := cap(s.buf) - len(s.buf); spare > len(s.buf)/16 {
		s.buf = append(make([]byte, 0, len(s.buf)), s.buf...)
	}
	return s.buf[:len(s.buf):len(s.buf)]
}

// next returns what is there behind rd, waiting for it. flush: the handler has flushed all of
// that. None and no error: the end.
func (s *stream) next(ctx context.Context, rd *reader, flushed *int) (p []byte, flush bool, err error) {
	for {
		s.mu.Lock()
		switch {
		case rd.late:
			s.mu.Unlock()
			return nil, false, errLate
		case s.state == cut:
			s.mu.Unlock()
			return nil, false, errCut
		case rd.at-s.base < int64(len(s.buf)):
			p = s.buf[rd.at-s.base:]
			p = p[:len(p):len(p)]
			fallthrough
		case *flushed != s.flushes:
			flush = *flushed != s.flushes
			*flushed = s.flushes
			s.mu.Unlock()
			return p, flush, nil
		case s.state == whole:
			s.mu.Unlock()
			return nil, false, nil
		}
		wake := s.waiter()
		s.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

// took says that rd has n bytes more.
func (s *stream) took(rd *reader, n int) {
	s.mu.Lock()
	rd.at += int64(n)
	rd.moved = time.Now()
	if !s.open {
		s.broadcast() // the handler may be waiting for it
	}
	s.mu.Unlock()
}

// copyTo writes the body to rd's writer as it grows, and flushes as the handler does. It detaches rd.
func (s *stream) copyTo(ctx context.Context, rd *reader) error {
	defer s.detach(rd)
	flushed := 0
	for {
		p, flush, err := s.next(ctx, rd, &flushed)
		if err != nil {
			return err
		}
		if len(p) == 0 && !flush {
			return nil
		}
		for len(p) > 0 { // in pieces, by which a slow reader shows that it reads
			n := min(len(p), pieceSize)
			if _, err := rd.w.Write(p[:n]); err != nil {
				return err
			}
			s.took(rd, n)
			p = p[n:]
		}
		if flush {
			_ = http.NewResponseController(rd.w).Flush()
		}
	}
}
