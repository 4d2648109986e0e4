package httpcache

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hotpath-go/hotpath/internal/field"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// An Object is what a Store keeps for a Key: a stored response, a Vary rule, or a hit-for-miss
// mark. What it says is never changed; a 304 makes a new one with the same body.
type Object struct {
	full  string        // the whole key
	born  uint64        // before the load began
	asked time.Duration // when that was: what was asked for later is newer
	slots []uint32
	until time.Duration // of a mark
	why   reason        // there is one
	rule  *rule
	*response
}

// A response is what was stored of one.
type response struct {
	status int
	header []change
	body   *body

	// declared is the handler's Content-Length, for those who follow while the body grows; nil:
	// none. They may read nothing of body: it is filled at the end.
	declared []string

	etag         string
	modified     time.Time // Last-Modified
	lastModified string
	date         time.Time

	lifetime, initialAge, arrived time.Duration // arrived on the clock of the Cache
	staleWhile, staleIfError      time.Duration
	ownStaleIfError               bool // said by the response: then 429 is no error (T6)
	noCache                       bool // validated before each use
	mustValidate                  bool // T3: never served stale
	immutable                     bool
	shared                        bool // may answer requests with Authorization (K3)
	personal                      bool // was not fresh on arrival: loads of it are not shared (L2, L3)
	plain                         bool // may be offered to an outer compress (C3)

	took    time.Duration          // of the handler
	pattern atomic.Pointer[string] // see route

	confirmed atomic.Int64 // when an answer of the origin to a reload last said that it is current, plus 1; 0: never
	used      atomic.Int64
	behind    atomic.Bool // a refresh is under way
	fails     atomic.Int32
	retry     atomic.Int64 // no refresh before
	said      atomic.Pointer[saying]
}

// route is r.Pattern of the load, by which layers outside name their series.
func (o *response) route() string {
	if p := o.pattern.Load(); p != nil {
		return *p
	}
	return ""
}

// routed is called when the header comes, for those who follow, and again when the handler has returned: a
// layer inside that copies the request tells of its route only then.
func (o *response) routed(pattern string) {
	if pattern != o.route() {
		o.pattern.Store(&pattern)
	}
}

// A body is shared by the objects that 304s make of each other.
type body struct {
	bytes    []byte
	length   []string // Content-Length, rendered; nil: of a status without a body
	variants *rw.Variants
	// Under the lock of the key:
	key   Key
	owner *Object
	forms int64 // bytes charged for encoded forms
}

const (
	keptWith     = 24 * time.Hour // after the last stale window, for whom a validator can bring back
	objectWeight = 640            // Object, response, body, Variants, entry and engine
	ruleWeight   = 320
	changeWeight = 48 + 16 // a change, and the header of its first line
)

func (o *Object) isResponse() bool { return o != nil && o.response != nil }
func (o *Object) isMark() bool     { return o != nil && o.response == nil && o.rule == nil }

func (o *Object) weight() int64 {
	n := int64(len(o.full) + 4*len(o.slots))
	switch {
	case o.rule != nil:
		n += ruleWeight + int64(len(o.rule.variants))*16
		for _, name := range o.rule.names {
			n += int64(len(name)) + 16
		}
	case o.response != nil:
		n += objectWeight + int64(cap(o.body.bytes)) + o.body.forms
		for i := range o.header {
			n += changeWeight + int64(len(o.header[i].name))
			for _, line := range o.header[i].lines {
				n += 16 + int64(len(line))
			}
		}
	default:
		n += 256
	}
	return n
}

// age is RFC 9111 section 4.2.3's current_age.
func (o *response) age(now time.Duration) time.Duration { return o.initialAge + now - o.arrived }

// life is how long an entry is of any use.
func (o *response) life(now time.Duration) time.Duration {
	left := max(o.lifetime-o.age(now), 0)
	if !o.mustValidate {
		left += max(o.staleWhile, o.staleIfError)
	}
	if o.hasValidator() {
		left += keptWith
	}
	return max(left, time.Second)
}

func (o *response) hasValidator() bool { return o.etag != "" || o.lastModified != "" }

// newResponse makes what is stored of x, without the body.
func (c *Cache) newResponse(x *exchange, v *verdict, header []change, now time.Duration) *response {
	ctl := &v.control
	o := &response{
		status: x.status, header: header, body: new(body),
		lifetime: v.lifetime, initialAge: v.initialAge, arrived: now, date: v.date, took: x.took,
		noCache: ctl.noCache, immutable: ctl.immutable, shared: ctl.shared(),
		mustValidate: ctl.mustRevalidate || ctl.proxyRevalidate || ctl.sMaxAge != absent || ctl.noCache,
		staleWhile:   window(ctl.staleWhile, c.cfg.StaleWhileRevalidate),
		staleIfError: window(ctl.staleIfError, c.cfg.StaleIfError), ownStaleIfError: ctl.staleIfError != absent,
	}
	o.personal = ctl.noCache || v.lifetime <= v.initialAge
	o.describe()
	return o
}

func window(says int64, config time.Duration) time.Duration {
	if says == absent {
		return config
	}
	return time.Duration(says) * time.Second
}

// describe reads what the stored header says about the body.
func (o *response) describe() {
	if get(o.header, "Date") == "" {
		o.header = append(o.header, change{name: "Date", how: set, lines: []string{o.date.UTC().Format(http.TimeFormat)}})
	}
	o.etag = get(o.header, "Etag")
	o.lastModified = get(o.header, "Last-Modified")
	o.modified, _ = parseDate([]string{o.lastModified})
	coded, transform := get(o.header, "Content-Encoding") != "", true
	for i := range o.header {
		if o.header[i].name == "Cache-Control" {
			transform = !field.NoTransform(http.Header{"Cache-Control": o.header[i].lines})
		}
	}
	o.plain = !coded && transform
}
