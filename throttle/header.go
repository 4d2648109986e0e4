package throttle

import (
	"net/http"
	"strconv"
	"time"
	"unsafe"
)

// headers is the dialect of the fields.
type headers uint8

const (
	ietf headers = iota
	legacy
	off
)

var headerWords = [...]string{ietf: "ietf", legacy: "legacy", off: "off"}

// A level is what an enforced policy's bucket owes, in units, when the fields are written.
type level struct {
	p     *policy
	ahead uint64
}

// report is what the fields of a response are made of.
type report struct {
	plan   *plan
	levels []level
	chosen *policy       // the one that Decision names
	retry  time.Duration // of a refusal
}

// room is for the values of one response: they are never shared between two. A longer text than
// usual has memory of its own.
type room struct {
	lines [3]string
	text  [56]byte
}

// put sets a field, behind what an inner limiter has said.
func put(h http.Header, name string, value []string) {
	if said := h[name]; len(said) > 0 {
		value = append(said[:len(said):len(said)], value...)
	}
	h[name] = value
}

// write adds the fields to h. It calls by name, so that nothing escapes to the heap.
func (d headers) write(h http.Header, r *report, in *room) {
	switch d {
	case ietf:
		writeIETF(h, r, in)
	case legacy:
		writeLegacy(h, r, in)
	}
}

// writeIETF writes the fields of draft-ietf-httpapi-ratelimit-headers-10: Lists of Strings (RFC
// 9651) with the parameters r, whole tokens, and t, seconds until r grows. It is not the time
// until the bucket is full: a client without tokens would wait a minute for what is there in
// 0.6 s.
func writeIETF(h http.Header, r *report, in *room) {
	b := in.text[:0]
	for i, l := range r.levels {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(append(b, l.p.name...), ";r="...)
		left := l.p.law.left(l.ahead)
		b = strconv.AppendInt(b, left, 10)
		t := l.p.law.duration(l.p.law.next(l.ahead, left))
		// The draft: Retry-After must not lie before a t. It is the policies that are not
		// violated whose t may lie after it, and of them it says nothing that helps.
		if t > 0 && (r.retry <= 0 || seconds(t) <= seconds(r.retry)) {
			b = strconv.AppendInt(append(b, ";t="...), seconds(t), 10)
		}
	}
	// b is never written to again, so it can be the string itself.
	in.lines[0], in.lines[1] = r.plan.limits, unsafe.String(unsafe.SliceData(b), len(b))
	put(h, "Ratelimit-Policy", in.lines[0:1:1])
	if len(b) > 0 { // else all was paid from leases, and what is left is not known
		put(h, "Ratelimit", in.lines[1:2:2])
	}
}

// writeLegacy writes the fields that many clients know, of one policy. They cannot say two, so
// what an inner limiter has said stands.
func writeLegacy(h http.Header, r *report, in *room) {
	if len(h["X-Ratelimit-Limit"]) > 0 {
		return
	}
	for _, l := range r.levels {
		if l.p != r.chosen {
			continue
		}
		law := &l.p.law
		in.lines[0] = strconv.FormatInt(law.burst, 10)
		left := law.left(l.ahead)
		in.lines[1] = strconv.FormatInt(left, 10)
		in.lines[2] = strconv.FormatInt(seconds(law.duration(law.next(l.ahead, left))), 10)
		h["X-Ratelimit-Limit"], h["X-Ratelimit-Remaining"], h["X-Ratelimit-Reset"] = in.lines[0:1:1], in.lines[1:2:2], in.lines[2:3:3]
	}
}

// quoted is s as a String (RFC 9651 section 3.3.3); it is printable ASCII.
func quoted(s string) string {
	b := []byte{'"'}
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return string(append(b, '"'))
}
