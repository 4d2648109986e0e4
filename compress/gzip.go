package compress

import (
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
)

const (
	usualGzip = 5
	mostGzip  = 9
)

type gzipCoding struct{ level int }

// Gzip is the coding gzip (RFC 1952) by github.com/klauspost/compress. Levels are 1 to 9; 0: 5.
// Event streams prefer it: between events it holds no encoder.
func Gzip(level int) Coding {
	if level == 0 {
		level = usualGzip
	}
	return gzipCoding{level}
}

func (c gzipCoding) Token() string  { return "gzip" }
func (c gzipCoding) check() error   { return checkLevel("gzip", c.level, 1, mostGzip, usualGzip) }
func (c gzipCoding) recipe() string { return recipeOf(c.level, usualGzip) }

func (c gzipCoding) NewEncoder() (Encoder, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	fw, err := flate.NewWriter(nil, c.level)
	if err != nil {
		return nil, err
	}
	return &gzipEncoder{fw: fw}, nil
}

// gzipEncoder frames one member itself, because a gzipStream writes the same member in turns
// with it and without it.
type gzipEncoder struct {
	fw *flate.Writer
	w  io.Writer
	gzipFrame
}

func (e *gzipEncoder) Reset(w io.Writer) {
	e.fw.Reset(w)
	e.w, e.gzipFrame = w, gzipFrame{}
}

func (e *gzipEncoder) Write(p []byte) (int, error) {
	if err := e.begin(e.w); err != nil {
		return 0, err
	}
	e.count(p)
	return e.fw.Write(p)
}

func (e *gzipEncoder) Flush() error {
	if err := e.begin(e.w); err != nil {
		return err
	}
	return e.fw.Flush()
}

func (e *gzipEncoder) Close() error {
	if err := e.begin(e.w); err != nil {
		return err
	}
	if err := e.fw.Close(); err != nil {
		return err
	}
	return e.end(e.w)
}

// gzipFrame is the header and trailer of one member (RFC 1952 section 2.3).
type gzipFrame struct {
	begun     bool
	crc, size uint32
	scratch   [10]byte
}

func (f *gzipFrame) begin(w io.Writer) error {
	if f.begun {
		return nil
	}
	f.begun = true
	// No name, no time, no level, and an unknown system: nothing that varies.
	f.scratch = [10]byte{0x1f, 0x8b, 8, 9: 255}
	_, err := w.Write(f.scratch[:])
	return err
}

func (f *gzipFrame) count(p []byte) {
	f.crc = crc32.Update(f.crc, crc32.IEEETable, p)
	f.size += uint32(len(p)) // modulo 2^32, as the format has it
}

func (f *gzipFrame) end(w io.Writer) error {
	binary.LittleEndian.PutUint32(f.scratch[:], f.crc)
	binary.LittleEndian.PutUint32(f.scratch[4:], f.size)
	_, err := w.Write(f.scratch[:8])
	return err
}
