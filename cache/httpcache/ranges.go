package httpcache

import (
	"bytes"
	"net/http"

	"github.com/hotpath-go/hotpath/internal/field"
	"github.com/hotpath-go/hotpath/internal/rw"
)

const maxRanges = 16

// serveRange answers a Range request from a complete 200; false: send the whole. What a 206 is
// made of is net/http's business, which knows multipart and every corner of the syntax: it is
// given the stored body, and no condition but those that were judged already.
func (c *Cache) serveRange(w http.ResponseWriter, r *http.Request, o *Object, via *rw.Writer) bool {
	spec := r.Header["Range"]
	if len(spec) != 1 || !o.ifRange(r.Header["If-Range"]) || !sane(spec[0], int64(len(o.body.bytes))) {
		return false
	}
	plain := &http.Request{Method: http.MethodGet, Header: http.Header{"Range": spec}, URL: r.URL}
	h := w.Header()
	cw := &byWay{ResponseWriter: w, via: via}
	if len(h["Content-Type"]) == 0 {
		h["Content-Type"] = []string{http.DetectContentType(o.body.bytes)}
	}
	http.ServeContent(cw, plain, "", o.modified, bytes.NewReader(o.body.bytes))
	if cw.status == http.StatusPartialContent {
		c.counters.Here().answered206.Add(1)
	}
	return true
}

// A byWay is a recorder's inner writer, whose header only the recorder sends.
type byWay struct {
	http.ResponseWriter
	via    *rw.Writer // nil: its own
	status int
}

func (w *byWay) WriteHeader(status int) {
	if status >= 200 {
		w.status = status
	}
	if status < 200 {
		w.ResponseWriter.WriteHeader(status)
	} else {
		send(w.ResponseWriter, w.via, status)
	}
}

func (w *byWay) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

func (w *byWay) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *byWay) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ifRange compares strongly (RFC 9110 section 13.1.5).
func (o *response) ifRange(lines []string) bool {
	if len(lines) == 0 {
		return true
	}
	if len(lines) > 1 {
		return false
	}
	if field.StrongMatch(lines[0], o.etag) {
		return true
	}
	date, ok := parseDate(lines)
	return ok && !o.modified.IsZero() && sameSecond(date, o.modified)
}

// sane refuses what costs more than the whole: more than 16 ranges, or more than twice the
// body. What is no valid Range at all is ignored (RFC 9110 section 14.2).
func sane(spec string, size int64) bool {
	const unit = "bytes="
	if len(spec) < len(unit) || spec[:len(unit)] != unit {
		return false
	}
	ranges, total := 0, int64(0)
	for member := range field.Members([]string{spec[len(unit):]}) {
		ranges++
		from, to, ok := oneRange(member, size)
		if !ok {
			return false
		}
		total += max(to-from, 0)
	}
	return ranges >= 1 && ranges <= maxRanges && total <= 2*size
}

// oneRange returns the bytes [from, to) of a range, none if it is beyond the end.
func oneRange(s string, size int64) (from, to int64, ok bool) {
	dash := bytes.IndexByte([]byte(s), '-')
	if dash < 0 {
		return 0, 0, false
	}
	first, last := s[:dash], s[dash+1:]
	if first == "" {
		n, ok := number(last)
		return max(size-n, 0), size, ok
	}
	from, ok = number(first)
	if !ok {
		return 0, 0, false
	}
	to = size
	if last != "" {
		end, ok := number(last)
		if !ok || end < from {
			return 0, 0, false
		}
		to = min(end+1, size)
	}
	return min(from, to), to, true
}

// number is digits without the bound of ages.
func number(s string) (n int64, ok bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	for _, c := range []byte(s) {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
