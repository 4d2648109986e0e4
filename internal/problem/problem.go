// Package problem writes refusals as RFC 9457 problem details.
package problem

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hotpath-go/hotpath/internal/field"
)

// A Problem is one refusal. Text that is not valid UTF-8 is made so: JSON has no other.
type Problem struct {
	Type       string        // URI of the kind of problem; "": about:blank
	Title      string        // "": the text of Status
	Status     int           // 400 to 599
	Detail     string        // "": left out
	RetryAfter time.Duration // above 0: the field Retry-After, in seconds rounded up
	More       []Member      // extension members, in this order after the others
}

// A Member is an extension of a Problem (RFC 9457 section 3.2). Value is a string, int,
// int64, bool or []string.
type Member struct {
	Name  string
	Value any
}

// describes reports whether a field is about the answer that is not given. What outer layers
// put beside those stays (CORS, Vary, a request id, Content-Security-Policy), or a browser cannot
// even read the refusal.
func describes(name string) bool {
	switch name {
	case "Content-Encoding", "Content-Language", "Content-Location", "Content-Range", "Content-Disposition",
		"Etag", "Last-Modified", "Expires", "Retry-After", "Surrogate-Control":
		return true
	}
	return strings.HasSuffix(name, "-Cache-Control") // of RFC 9213: caches obey it before Cache-Control
}

const usualSize = 384 // bytes of a body; a longer one grows

// Write answers r with p. It replaces the fields that described the abandoned answer; the
// body has a Content-Length, is not stored by anybody, and is left out for HEAD.
func Write(w http.ResponseWriter, r *http.Request, p Problem) {
	// Refusals are most frequent when a service is busiest: one allocation for the body, one for
	// the lines of all fields.
	body := Append(make([]byte, 0, usualSize), p)
	Made{p.Status, body, strconv.Itoa(len(body))}.Write(w, r, p.RetryAfter)
}

// Made is a Problem whose body is made once, for those that always say the same.
type Made struct {
	status int
	body   []byte
	length string
}

// Make makes the body of p; its RetryAfter is that of each Write.
func Make(p Problem) Made {
	body := Append(nil, p)
	return Made{p.Status, body, strconv.Itoa(len(body))}
}

// Write is Write of the Problem, with another RetryAfter.
func (m Made) Write(w http.ResponseWriter, r *http.Request, retryAfter time.Duration) {
	lines := make([]string, 4)
	h := w.Header()
	for name := range h { // one walk: most headers have none of them
		if describes(name) {
			delete(h, name)
		}
	}
	field.DropDigests(h)
	set := func(i int, name, value string) {
		lines[i] = value
		h[name] = lines[i : i+1 : i+1]
	}
	set(0, "Content-Type", "application/problem+json")
	set(1, "Content-Length", m.length)
	set(2, "Cache-Control", "no-store")
	if retryAfter > 0 {
		set(3, "Retry-After", strconv.FormatInt(seconds(retryAfter), 10))
	}
	w.WriteHeader(m.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(m.body) // the client is gone or is not: a refusal has nobody else to tell
	}
}

// seconds rounds up, or a client that obeys to the second comes back too early.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}

// Append appends p to dst as the JSON object of RFC 9457 section 3.1.
func Append(dst []byte, p Problem) []byte {
	if p.Type == "" {
		p.Type = "about:blank"
	}
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	dst = appendValue(append(dst, `{"type":`...), p.Type)
	if p.Title != "" { // a status may have no text
		dst = appendValue(append(dst, `,"title":`...), p.Title)
	}
	dst = strconv.AppendInt(append(dst, `,"status":`...), int64(p.Status), 10)
	if p.Detail != "" {
		dst = appendValue(append(dst, `,"detail":`...), p.Detail)
	}
	for _, m := range p.More {
		dst = append(appendValue(append(dst, ','), m.Name), ':')
		dst = appendValue(dst, m.Value)
	}
	return append(dst, '}')
}

func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendString(dst, v)
	case []string:
		dst = append(dst, '[')
		for i, s := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, s)
		}
		return append(dst, ']')
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case bool:
		return strconv.AppendBool(dst, v)
	}
	// A type that the comment of Member does not name: say that something was there.
	return append(dst, "null"...)
}

// appendString appends s as a JSON string. Refusals are most frequent when a service is
// busiest, so plain text costs no allocation; the rest is encoding/json's business.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if !isPlain(s[i]) {
			quoted, _ := json.Marshal(s) // no string is refused; invalid UTF-8 becomes U+FFFD
			return append(dst, quoted...)
		}
	}
	return append(append(append(dst, '"'), s...), '"')
}

// isPlain reports whether c stands for itself in what json.Marshal makes: printable ASCII but
// for the quote, the backslash, and what is special in HTML.
func isPlain(c byte) bool {
	const (
		low  = uint64(0xffffffff<<' ') &^ (1<<'"' | 1<<'&' | 1<<'<' | 1<<'>')
		high = ^uint64(0) &^ (1<<('\\'-64) | 1<<(127-64))
	)
	if c < 64 {
		return low>>c&1 != 0
	}
	return c < 128 && high>>(c-64)&1 != 0
}
