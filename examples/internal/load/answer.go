package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// An Answer is a whole response, as far as a load generator looks at it.
type Answer struct {
	Status int
	Type   string // Content-Type
	Coding string // Content-Encoding
	Body   []byte // not decoded; only lent
}

const (
	maxBody   = 64 << 20
	maxFields = 256
)

var errBodySize = fmt.Errorf("the body has more than %d bytes", maxBody)

// readAnswer reads one final response (RFC 9112) and appends its body to buf. again says
// whether the connection may carry another request. Where the standard leaves room, this
// reader is strict: what a client could misunderstand is an error.
func readAnswer(r *bufio.Reader, head bool, buf []byte) (a Answer, again bool, err error) {
	var f framing
	for {
		if a.Status, again, err = readStatus(r); err != nil {
			return a, false, err
		}
		f = framing{length: -1, again: again}
		a.Type, a.Coding = "", ""
		if err := f.readFields(r, &a); err != nil {
			return a, false, err
		}
		if a.Status >= 200 {
			break
		}
		if a.Status == 101 {
			return a, false, malformed("status 101, which nobody asked for")
		}
	}
	switch {
	case head || a.Status == 204 || a.Status == 304: // RFC 9112 section 6.3
	case f.chunked:
		buf, err = readChunks(r, buf)
	case f.length >= 0:
		buf, err = readN(r, buf, f.length)
	default: // until the connection ends: that it was cut cannot be seen
		f.again = false
		buf, err = readAll(r, buf)
	}
	a.Body = buf
	return a, f.again, err
}

func malformed(format string, args ...any) error {
	return Fail(Protocol, fmt.Errorf(format, args...))
}

// line returns the next line without its end, valid until the next read.
func line(r *bufio.Reader) ([]byte, error) {
	b, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, malformed("a line has more than %d bytes", headerLine)
	case errors.Is(err, io.EOF):
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	b = b[:len(b)-1]
	return bytes.TrimSuffix(b, []byte("\r")), nil
}

func readStatus(r *bufio.Reader) (status int, again bool, err error) {
	b, err := line(r)
	if err != nil {
		return 0, false, err
	}
	const example = "HTTP/1.1 200"
	if len(b) < len(example) || string(b[:7]) != "HTTP/1." || b[7] < '0' || b[7] > '1' || b[8] != ' ' || len(b) > len(example) && b[len(example)] != ' ' {
		return 0, false, malformed("status line %.40q", b)
	}
	for _, digit := range b[9:12] {
		if digit < '0' || digit > '9' {
			return 0, false, malformed("status line %.40q", b)
		}
		status = 10*status + int(digit-'0')
	}
	if status < 100 {
		return 0, false, malformed("status line %.40q", b)
	}
	return status, b[7] == '1', nil
}

// framing is how a body ends.
type framing struct {
	length  int64 // -1: not given
	chunked bool
	again   bool
}

func (f *framing) readFields(r *bufio.Reader, a *Answer) error {
	for range maxFields {
		b, err := line(r)
		if err != nil || len(b) == 0 {
			if err == nil && f.chunked && f.length >= 0 {
				return malformed("Content-Length beside Transfer-Encoding") // RFC 9112 section 6.3
			}
			return err
		}
		name, value, found := bytes.Cut(b, []byte(":"))
		if !found || len(name) == 0 || bytes.ContainsAny(name, " \t") {
			return malformed("field line %.40q", b)
		}
		value = bytes.Trim(value, " \t")
		switch {
		case is(name, "Content-Length"):
			n, err := strconv.ParseUint(string(value), 10, 63)
			if err != nil || f.length >= 0 && f.length != int64(n) {
				return malformed("Content-Length is %.40q", value)
			}
			f.length = int64(n)
		case is(name, "Transfer-Encoding"):
			if f.chunked || !is(value, "chunked") {
				return malformed("Transfer-Encoding is %.40q", value)
			}
			f.chunked = true
		case is(name, "Connection"):
			if is(value, "close") {
				f.again = false
			}
		case is(name, "Content-Type"):
			a.Type = text(value)
		case is(name, "Content-Encoding"):
			a.Coding = text(value)
		}
	}
	return malformed("more than %d header fields", maxFields)
}

// is compares without regard to case.
func is(b []byte, s string) bool { return len(b) == len(s) && bytes.EqualFold(b, []byte(s)) }

// text is string(b), without an allocation for what nearly every answer has.
func text(b []byte) string {
	for _, s := range [...]string{"application/json", "zstd", "br", "gzip"} {
		if string(b) == s {
			return s
		}
	}
	return string(b)
}

func readN(r *bufio.Reader, buf []byte, n int64) ([]byte, error) {
	if n > maxBody-int64(len(buf)) {
		return buf, malformed("%w", errBodySize)
	}
	// What a header claims is believed piece by piece: memory follows what really arrives.
	for n > 0 {
		piece := int(min(n, 1<<20))
		start := len(buf)
		buf = append(buf, make([]byte, piece)...)
		if _, err := io.ReadFull(r, buf[start:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return buf[:start], err
		}
		n -= int64(piece)
	}
	return buf, nil
}

func readAll(r *bufio.Reader, buf []byte) ([]byte, error) {
	for {
		if len(buf) > maxBody {
			return buf, malformed("%w", errBodySize)
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

func readChunks(r *bufio.Reader, buf []byte) ([]byte, error) {
	for {
		b, err := line(r)
		if err != nil {
			return buf, err
		}
		size, _, _ := bytes.Cut(b, []byte(";")) // extensions mean nothing to us
		n, err := strconv.ParseUint(string(bytes.TrimRight(size, " \t")), 16, 32)
		if err != nil {
			return buf, malformed("chunk size %.20q", size)
		}
		if n == 0 {
			return buf, skipTrailers(r)
		}
		if buf, err = readN(r, buf, int64(n)); err != nil {
			return buf, err
		}
		if b, err = line(r); err != nil {
			return buf, err
		}
		if len(b) > 0 {
			return buf, malformed("a chunk is longer than it says")
		}
	}
}

func skipTrailers(r *bufio.Reader) error {
	for range maxFields {
		if b, err := line(r); err != nil || len(b) == 0 {
			return err
		}
	}
	return malformed("more than %d trailer fields", maxFields)
}
