package batch

import (
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hotpath-go/hotpath/internal/field"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// A sink is the innermost writer of a part: it keeps the answer. Nothing passes by it to the
// envelope, so it has no Unwrap.
type sink struct {
	p *part

	mu      sync.Mutex // a handler may outlive its answer
	closed  bool
	status  int // 0: not settled
	header  http.Header
	fields  []byte   // of the answer, as JSON members, as they were when the status was settled
	cookies []string // they go to the envelope
	typ     string   // Content-Type
	typed   bool     // nothing is to be sniffed
	flushed bool
	length  int64        // declared; -1: not
	wrote   int64        // bytes of the body, also for HEAD
	body    *rw.Buffer   // nil: nothing
	offered *rw.Variants // a stored body that a cache will write
	lent    []byte       // it, written: kept as it is, not copied
	full    bool         // MaxResponseBytes is used up
	took    int64        // bytes of it, besides the frame
}

var (
	_ rw.Offerer   = (*sink)(nil)
	_ rw.Enveloped = (*sink)(nil)
)

// Envelope leads from the part to the layers around the batch.
func (s *sink) Envelope() (http.ResponseWriter, *http.Request) { return s.p.run.w, s.p.req }

func (s *sink) Header() http.Header {
	if s.header == nil {
		s.header = make(http.Header)
	}
	return s.header
}

// Offer notes a stored body, whose slice is then kept and not copied.
func (s *sink) Offer(v *rw.Variants) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offered = v
	return false // who encodes comes further out: this is no promise
}

func (s *sink) WriteHeader(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(status)
}

// settle takes the header as it is now: what the handler does to it later does not count. 1xx is
// dropped.
func (s *sink) settle(status int) {
	if s.closed || s.status != 0 || status < 200 {
		return
	}
	s.status, s.length = status, -1
	h := canonical(s.Header())
	head := s.p.method == http.MethodHead
	var few [24]string
	names, size := few[:0], 0
	for name, lines := range h {
		names = append(names, name)
		for _, line := range lines {
			size += len(name) + len(line) + len(`"":"",`)
		}
	}
	slices.Sort(names)
	s.fields = make([]byte, 0, size+len(`"Content-Type":"text/plain; charset=utf-8","Content-Length":"123456"`))
	for _, name := range names {
		lines := h[name]
		switch {
		case len(lines) == 0 || strings.HasPrefix(name, http.TrailerPrefix):
			continue
		case name == "Content-Length":
			if n, err := strconv.ParseInt(lines[0], 10, 64); err == nil && n >= 0 {
				s.length = n
			}
			if !head {
				continue
			}
		case name == "Set-Cookie":
			if !s.reserve(sizeOfCookies(lines)) {
				return
			}
			s.cookies = slices.Clone(lines)
			continue
		case name == "Content-Type":
			s.typ = lines[0] // typed: below
		case name == "Content-Encoding":
			s.typed = s.typed || lines[0] != "" // net/http sniffs no coded bytes
		case hopByHop(name) || field.Has(h["Connection"], name):
			continue
		}
		s.fields = appendField(s.fields, name, strings.Join(lines, ", "))
	}
	if _, there := h["Content-Type"]; there {
		s.typed = true // nil there means: no type at all
	}
}

// reserve takes n bytes of MaxResponseBytes. If there is no room, all that s has taken goes back: the
// part is answered with 507, which was set aside.
func (s *sink) reserve(n int64) bool {
	if s.p.run.reserve(n) {
		s.took += n
		return true
	}
	s.full = true
	s.giveBack()
	return false
}

// giveBack drops the answer so far, in favour of a problem.
func (s *sink) giveBack() {
	s.release()
	s.cookies = nil
	s.p.run.left.Add(s.took)
	s.took = 0
}

// sizeOfCookies is what they take as fields of the envelope.
func sizeOfCookies(lines []string) (n int64) {
	for _, line := range lines {
		n += int64(len("Set-Cookie: \r\n") + len(line))
	}
	return n
}

// canonical returns h with the names that clients look for: a handler may have written others into
// the map.
func canonical(h http.Header) http.Header {
	is := true
	for name := range h {
		is = is && textproto.CanonicalMIMEHeaderKey(name) == name
	}
	if is {
		return h
	}
	out := make(http.Header, len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		key := textproto.CanonicalMIMEHeaderKey(name)
		out[key] = append(out[key], h[name]...)
	}
	return out
}

func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

const sniffed = 512 // bytes that http.DetectContentType looks at

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, http.ErrHandlerTimeout
	}
	s.settle(http.StatusOK)
	if len(p) == 0 {
		return 0, nil
	}
	if s.p.method == http.MethodHead {
		s.wrote += int64(len(p))
		if !s.typed { // the bytes are only looked at
			s.keep(p[:min(len(p), max(0, sniffed-s.kept()))])
		}
		return len(p), nil
	}
	if s.full || !s.reserve(int64(len(p))) {
		return 0, errFull
	}
	s.wrote += int64(len(p))
	if s.body == nil && s.lent == nil && s.offered != nil && s.offered.Is(p) {
		s.lent = p
		return len(p), nil
	}
	if s.lent != nil {
		lent := s.lent
		s.lent = nil
		s.keep(lent)
	}
	s.keep(p)
	return len(p), nil
}

func (s *sink) kept() int {
	if s.body == nil {
		return 0
	}
	return len(s.body.B)
}

func (s *sink) keep(p []byte) {
	if s.body == nil {
		s.body = rw.GetBuffer(len(p))
	}
	s.body.B = append(s.body.B, p...)
}

// bytes returns the body so far.
func (s *sink) bytes() []byte {
	switch {
	case s.lent != nil:
		return s.lent
	case s.body != nil:
		return s.body.B
	}
	return nil
}

// Flush settles the status. The type is sniffed from what is there, as net/http does.
func (s *sink) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(http.StatusOK)
	s.sniff()
	s.flushed = true
}

func (s *sink) sniff() {
	if s.typed || s.closed || !rw.BodyAllowed(s.status) {
		return
	}
	s.typed = true
	if body := s.bytes(); len(body) > 0 {
		s.typ = http.DetectContentType(body)
		s.fields = appendField(s.fields, "Content-Type", s.typ)
	}
}

// httpBuffer is what net/http holds of a response before it sends the header: a HEAD answer that
// fits gets its length from it.
const httpBuffer = 2048

// finish ends the answer, after its handler.
func (s *sink) finish() {
	s.settle(http.StatusOK)
	sniffed := !s.flushed
	s.sniff()
	if s.p.method != http.MethodHead {
		return
	}
	if sniffed && s.length < 0 && s.wrote > 0 && s.wrote <= httpBuffer && rw.BodyAllowed(s.status) {
		s.fields = appendField(s.fields, "Content-Length", strconv.FormatInt(s.wrote, 10))
	}
	s.release()
}

// release gives the buffer back. s.mu is held, or nobody else is there.
func (s *sink) release() {
	if s.body != nil {
		s.body.Put()
		s.body = nil
	}
	s.lent = nil
}

// close makes every later call of the handler fail.
func (s *sink) close() {
	s.closed = true
	s.release()
}
