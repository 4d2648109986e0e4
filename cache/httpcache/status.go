package httpcache

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// A saying is Age and Cache-Status of one second, rendered once.
type saying struct {
	second, ttl int64
	detail      string
	age         []string
	status      []string
}

// say sets Age and Cache-Status of an answer from the store, without allocating but for the first
// in a second.
func (c *Cache) say(h http.Header, o *response, now time.Duration, detail, key string) {
	age := o.age(now)
	second, ttl := int64(age/time.Second), floor(o.lifetime-age)
	s := o.said.Load()
	if s == nil || s.second != second || s.ttl != ttl || s.detail != detail || c.cfg.Debug {
		member := c.cfg.Name + "; hit; ttl=" + strconv.FormatInt(ttl, 10)
		if detail != "" {
			member += "; detail=" + detail
		}
		if c.cfg.Debug {
			member += "; key=" + quote(key)
		}
		s = &saying{second: second, ttl: ttl, detail: detail, age: []string{strconv.FormatInt(max(second, 0), 10)}}
		s.status = []string{member}
		for i := range o.header {
			if o.header[i].name == "Cache-Status" && len(o.header[i].lines) > 0 {
				s.status = append(append([]string{}, o.header[i].lines...), member)
			}
		}
		s.status = s.status[:len(s.status):len(s.status)]
		o.said.Store(s)
	}
	h["Age"] = s.age
	h["Cache-Status"] = s.status
}

// floor is whole seconds, downwards.
func floor(d time.Duration) int64 {
	n := int64(d / time.Second)
	if d < 0 && d%time.Second != 0 {
		n--
	}
	return n
}

// A forward is why and how a request went to the handler, for Cache-Status.
type forward struct {
	fwd       string // uri-miss, vary-miss, stale, bypass, method, request
	status    int    // fwd-status; 0: not said
	stored    bool
	collapsed bool
	detail    string
}

// usual renders what is said often, so that saying it costs nothing.
func usual(name string) map[forward][]string {
	all := map[forward][]string{}
	for _, fwd := range [...]string{"uri-miss", "vary-miss", "stale", "bypass", "method", "request"} {
		for _, f := range [...]forward{{fwd: fwd}, {fwd: fwd, stored: true}, {fwd: fwd, collapsed: true}} {
			all[f] = []string{f.member(name)}
		}
	}
	return all
}

// tell appends our member to Cache-Status (RFC 9211 section 2).
func (c *Cache) tell(h http.Header, f forward, key string) {
	have := h["Cache-Status"]
	if !c.cfg.Debug {
		f.detail = ""
		if line, ok := c.usual[f]; ok && len(have) == 0 {
			h["Cache-Status"] = line
			return
		}
	}
	member := f.member(c.cfg.Name)
	if c.cfg.Debug {
		if key != "" {
			member += "; key=" + quote(key)
		}
		if f.detail != "" {
			member += "; detail=" + f.detail
		}
	}
	h["Cache-Status"] = append(have[:len(have):len(have)], member)
}

// member is f without what only Debug may say.
func (f forward) member(name string) string {
	member := name + "; fwd=" + f.fwd
	if f.status != 0 {
		member += "; fwd-status=" + strconv.Itoa(f.status)
	}
	if f.collapsed {
		member += "; collapsed"
	}
	if f.stored {
		member += "; stored"
	}
	return member
}

// quote renders a string of structured fields; what it cannot say becomes %XX.
func quote(s string) string {
	b := []byte{'"'}
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c > '~':
			b = fmt.Appendf(b, "%%%02X", c)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}
