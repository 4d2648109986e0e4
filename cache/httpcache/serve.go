package httpcache

import (
	"net/http"
	"strings"
	"time"

	"github.com/hotpath-go/hotpath/internal/field"
	"github.com/hotpath-go/hotpath/internal/problem"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// serve answers r from o: in the order of RFC 9110 section 13.2.2. via is the recorder whose header
// this is; nil: w's own.
func (c *Cache) serve(w http.ResponseWriter, r *http.Request, q *asked, o *Object, t time.Duration, detail string, via *rw.Writer) {
	r.Pattern = o.route()
	h := w.Header()
	replay(h, o.header)
	c.say(h, o.response, t, detail, o.full)
	if q.conditional && o.status < 300 && o.matches(r.Header) {
		for name := range h {
			if !in304(name) && describesBody(name) && stores(o.header, name) {
				delete(h, name)
			}
		}
		c.counters.Here().answered304.Add(1)
		send(w, via, http.StatusNotModified)
		return
	}
	if q.ranged && o.status == http.StatusOK && c.serveRange(w, r, o, via) {
		return
	}
	if o.body.length != nil {
		h["Content-Length"] = o.body.length
	}
	b := o.body.bytes
	if o.plain && o.body.variants != nil && rw.BodyAllowed(o.status) && len(b) > 0 {
		if rw.Offer(w, o.body.variants) {
			c.counters.Here().coded.Add(1)
		}
	}
	send(w, via, o.status)
	if len(b) > 0 && rw.BodyAllowed(o.status) {
		_, _ = w.Write(b) // whoever could be told has left
	}
}

// send sends the header: of a recorder by the recorder.
func send(w http.ResponseWriter, via *rw.Writer, status int) {
	if via != nil {
		via.Send(status)
	} else {
		w.WriteHeader(status)
	}
}

// in304 are the fields of a 304 (RFC 9110 section 15.4.5), and ours.
func in304(name string) bool {
	switch name {
	case "Etag", "Cache-Control", "Content-Location", "Date", "Expires", "Vary", "Age", "Cache-Status":
		return true
	}
	return false
}

// describesBody: a 304 has none. What outer layers had set stays.
func describesBody(name string) bool {
	switch name {
	case "Last-Modified", "Accept-Ranges", "Repr-Digest", "Digest", "Set-Cookie":
		return true
	}
	return strings.HasPrefix(name, "Content-")
}

func stores(header []change, name string) bool {
	for i := range header {
		if header[i].name == name {
			return true
		}
	}
	return false
}

// matches reports whether what the client has is current (V4).
func (o *response) matches(h http.Header) bool {
	if lines := h["If-None-Match"]; len(lines) > 0 {
		for tag := range field.ETags(lines) {
			if tag == "*" || field.WeakMatch(tag, o.etag) {
				return true
			}
		}
		return false
	}
	lines := h["If-Modified-Since"]
	if len(lines) == 0 {
		return false
	}
	last := o.modified
	if last.IsZero() {
		last = o.date
	}
	// Most clients send back what they were given.
	if len(lines) == 1 && lines[0] == o.lastModified {
		return true
	}
	since, ok := parseDate(lines)
	return ok && !last.Truncate(time.Second).After(since)
}

func (c *Cache) refuse(w http.ResponseWriter, r *http.Request, status int, detail string) {
	problem.Write(w, r, problem.Problem{Status: status, Detail: detail})
}
