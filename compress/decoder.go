package compress

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxWindow is the largest zstd window that a receiver has to support, and the largest that
// a sender may use (RFC 9659). The library would take 64 GiB.
const maxWindow = 8 << 20

// A decoder undoes one coding. Its Read ends in io.EOF only where a body may end, and in
// io.ErrUnexpectedEOF where it was cut.
type decoder interface {
	io.Reader
	reset(src io.Reader) // nil: let go of it
}

// decoders are the codings of requests, best first.
var decoders = [...]struct {
	token string
	make  func() (decoder, error)
}{
	{"zstd", newZstdDecoder},
	{"br", newBrotliDecoder},
	{"gzip", newGzipDecoder},
}

// A layer is one coding of a body, limited in what it gives.
type layer struct {
	dec    decoder
	index  int8
	src    source
	left   int64 // bytes that it may still give
	broken bool  // it failed: who knows in which state
}

// source is where a layer reads from. It remembers what went wrong there, which is not
// the coding's fault.
type source struct {
	r     io.Reader
	err   error
	total int64
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.total += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

var errTooLarge = errors.New("compress: request body is too large")

func (l *layer) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p)) > l.left {
		p = p[:l.left+1] // one more tells what is too large from what just fits
	}
	n, err := l.dec.Read(p)
	if int64(n) > l.left {
		n = int(l.left)
		l.left = 0
		return n, errTooLarge
	}
	l.left -= int64(n)
	switch {
	case err == nil || err == io.EOF:
		return n, err
	case l.src.err != nil:
		err = l.src.err
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = io.ErrUnexpectedEOF
	default:
		err = fmt.Errorf("compress: request body is not valid %s: %w", decoders[l.index].token, err)
	}
	l.broken = true
	return n, err
}

// open takes a decoder from pool, or makes one.
func (l *layer) open(pool *sync.Pool, src io.Reader, index int8, limit int64) error {
	l.index, l.left, l.src.r = index, limit, src
	dec, ok := pool.Get().(decoder)
	if !ok {
		var err error
		if dec, err = decoders[index].make(); err != nil {
			return err
		}
	}
	dec.reset(&l.src)
	l.dec = dec
	return nil
}

// close gives the decoder back, also when the body was not read to its end: a handler that
// decodes one JSON value seldom asks what comes behind it.
func (l *layer) close(pool *sync.Pool) {
	if l.dec == nil {
		return
	}
	l.dec.reset(nil)
	if !l.broken {
		pool.Put(l.dec)
	}
	l.dec = nil
}

type zstdDecoder struct{ *zstd.Decoder }

func newZstdDecoder() (decoder, error) {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1), // on the caller's goroutine
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow),
	)
	if err != nil {
		return nil, err
	}
	return zstdDecoder{d}, nil
}

func (d zstdDecoder) reset(src io.Reader) {
	_ = d.Reset(src) // what it says comes again from Read
}

// gzipDecoder walks from member to member itself: the library takes a cut within the name of
// a member for its end.
type gzipDecoder struct {
	r      gzip.Reader
	br     *bufio.Reader
	inside bool
}

func newGzipDecoder() (decoder, error) { return &gzipDecoder{br: bufio.NewReader(nil)}, nil }

func (d *gzipDecoder) reset(src io.Reader) {
	d.br.Reset(src)
	d.inside = false
}

func (d *gzipDecoder) Read(p []byte) (n int, err error) {
	for {
		if !d.inside {
			if _, err := d.br.Peek(1); err != nil {
				return 0, err
			}
			if err := d.r.Reset(d.br); err != nil {
				return 0, noEOF(err)
			}
			d.r.Multistream(false)
			d.inside = true
		}
		n, err = d.r.Read(p)
		if err == io.EOF {
			d.inside, err = false, nil
		}
		if n > 0 || err != nil {
			return n, noEOF(err)
		}
	}
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// brotliDecoder finds out whether a body ended where its source did, which the library does
// not tell: at the end of the source it is given one byte more, and calls that excessive if
// and only if the body was complete.
type brotliDecoder struct {
	r    *brotli.Reader
	src  io.Reader
	some bool // there was a byte
	none bool // the source ended without one
	over bool // the extra byte was given
}

func newBrotliDecoder() (decoder, error) {
	d := new(brotliDecoder)
	d.r = brotli.NewReader(d)
	return brotliReader{d}, nil
}

// brotliReader is the decoder; brotliDecoder is what the library reads from.
type brotliReader struct{ *brotliDecoder }

func (d *brotliDecoder) Read(p []byte) (int, error) {
	n, err := d.src.Read(p)
	d.some = d.some || n > 0
	if n == 0 && err == io.EOF && d.some && !d.over {
		d.over = true
		p[0] = 0
		return 1, nil
	}
	d.none = d.none || err == io.EOF && !d.some
	if n > 0 && err == io.EOF {
		err = nil // the library drops an error beside bytes; it comes again
	}
	return n, err
}

func (d brotliReader) reset(src io.Reader) {
	d.src, d.some, d.none, d.over = src, false, false, false
	_ = d.r.Reset(d.brotliDecoder)
}

func (d brotliReader) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	switch {
	case d.none:
		return 0, io.EOF
	case !d.over:
		return n, err
	}
	if n == 0 && err != nil && err.Error() == "brotli: excessive input" {
		return 0, io.EOF
	}
	return 0, io.ErrUnexpectedEOF
}
