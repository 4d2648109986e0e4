package httpcache

import (
	"net/http"
	"time"

	"github.com/hotpath-go/hotpath/internal/field"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// A reason is why a response was not stored: the detail in Cache-Status, the label in Stats.
type reason uint8

const (
	storable reason = iota
	incomplete
	badStatus
	requestNoStore
	notUnderstood
	noStore
	private
	authorization
	varyStar
	trailer
	tooLarge
	noPermission
	expired
	setCookie
	purged
	refused
	varyChanged
	superseded
	requestCookie
	reasons
)

var tokens = [...]string{
	storable: "", incomplete: "incomplete", badStatus: "status", requestNoStore: "request-no-store", notUnderstood: "not-understood",
	noStore: "no-store", private: "private", authorization: "authorization", varyStar: "vary-star", trailer: "trailer",
	tooLarge: "too-large", noPermission: "no-permission", expired: "expired", setCookie: "set-cookie", purged: "purged", refused: "refused", varyChanged: "vary-changed",
	superseded: "superseded", requestCookie: "request-cookie",
}

func (why reason) String() string { return tokens[why] }

// An exchange is what the decision about storing looks at: headers alone, never path or
// extension.
type exchange struct {
	request   *http.Request
	auth      bool // the request had Authorization
	noStore   bool // of the request
	status    int
	header    http.Header // of the response, as it leaves the handler
	setCookie bool        // by the handler
	writer    *rw.Writer  // knows of trailers; nil: there are none
	declared  int64       // Content-Length; -1: none
	took      time.Duration
}

// A verdict is the decision and what it rests on.
type verdict struct {
	why      reason
	control  control
	targeted bool
	times
}

// judge decides by S2 to S13 in their order; the first that matches ends it.
func (cfg *Config) judge(x *exchange) (v verdict) {
	h := x.header
	v.control, v.targeted = cfg.controlOf(h)
	v.times = lifetimeOf(&v.control, v.targeted, x.status, h, time.Now(), x.took, cfg.Heuristic)
	v.why = cfg.forbidden(x, &v.control)
	if v.why == storable && !v.allowed {
		v.why = cfg.askDefault(x, &v)
	}
	validator := len(h["Etag"]) > 0 || len(h["Last-Modified"]) > 0
	if v.why == storable && !validator && (v.lifetime <= v.initialAge || v.control.noCache) {
		v.why = expired
	}
	return v
}

// forbidden is S2 to S11, and Set-Cookie: what forbids storing, whatever permits it.
func (cfg *Config) forbidden(x *exchange, c *control) reason {
	switch {
	case x.status < 200 || x.status == http.StatusPartialContent || x.status == http.StatusNotModified || x.status == http.StatusRequestedRangeNotSatisfiable:
		return badStatus
	case x.noStore:
		return requestNoStore
	case c.mustUnderstand && !understood(x.status):
		return notUnderstood
	case c.noStore && !c.mustUnderstand: // s5.2.2.3: who understands ignores it
		return noStore
	case c.private:
		return private
	case x.auth && !c.shared():
		return authorization
	case field.Has(x.header["Vary"], "*"):
		return varyStar
	case x.writer != nil && x.writer.HasTrailers():
		return trailer
	case x.declared > cfg.MaxEntry:
		return tooLarge
	case x.setCookie && !cfg.KeepSetCookie && !c.public && c.sMaxAge == absent:
		return setCookie
	}
	return storable
}

// shared: what permits storing the answer to a request with Authorization (s3.5).
func (c *control) shared() bool { return c.public || c.sMaxAge != absent || c.mustRevalidate }

// controlOf returns what h says to this cache (RFC 9213 section 2.2).
func (cfg *Config) controlOf(h http.Header) (c control, targeted bool) {
	for _, name := range cfg.Targets {
		if lines := h[name]; len(lines) > 0 {
			if c, ok := parseTargeted(lines); ok {
				return c, true
			}
		}
	}
	return parseControl(h["Cache-Control"]), false
}

// askDefault asks DefaultTTL, of responses that say nothing at all (S17).
func (cfg *Config) askDefault(x *exchange, v *verdict) reason {
	switch {
	case cfg.DefaultTTL == nil || v.control.any || !cacheableByDefault(x.status) || x.setCookie || x.auth:
		return noPermission
	case len(x.request.Header["Cookie"]) > 0:
		return requestCookie
	}
	ttl := cfg.DefaultTTL(x.request, x.status, x.header)
	if ttl <= 0 {
		return noPermission
	}
	v.lifetime, v.allowed = ttl, true
	return storable
}

// marks reports whether a response that was refused for why says something about the next
// one, so that nobody should wait for that (L3).
func (why reason) marks(status int) bool {
	switch why {
	case storable, incomplete, badStatus, purged, refused, varyChanged, superseded:
		return false
	}
	return !why.ofRequest() && !aboutRequest(status)
}

// ofRequest: another request would have had its answer stored. So it says nothing about what is there,
// or a client could switch the cache off for all (F6).
func (why reason) ofRequest() bool {
	return why == requestNoStore || why == authorization || why == requestCookie
}

// aboutRequest: such an answer speaks of this request or moment, not of the resource (V6).
func aboutRequest(status int) bool {
	switch status {
	case 401, 403, 407, 408, 421, 425, 429,
		206, 304, 416: // to its Range and its own conditions
		return true
	}
	return status >= 500
}
