package httpcache

import (
	"net/http"
	"slices"
	"strings"

	"github.com/hotpath-go/hotpath/internal/field"
)

// A stored header is the difference that the handler made to the header map (S15): what outer
// layers had set is theirs, at each request anew.
type change struct {
	name  string
	lines []string // cap == len: an append by an outer layer copies
	how   how
}

type how uint8

const (
	set how = iota
	add
	remove
	united // Vary
)

const (
	maxField  = 16 << 10 // bytes of one field
	maxHeader = 64 << 10
)

// A snapshot is the header map before the handler.
type snapshot struct {
	names []string
	ends  []int // of the lines of each name in lines
	lines []string
}

func (s *snapshot) take(h http.Header) {
	for name, lines := range h {
		s.names = append(s.names, name)
		s.lines = append(s.lines, lines...)
		s.ends = append(s.ends, len(s.lines))
	}
}

func (s *snapshot) of(name string) (lines []string, ok bool) {
	i := slices.Index(s.names, name)
	if i < 0 {
		return nil, false
	}
	from := 0
	if i > 0 {
		from = s.ends[i-1]
	}
	return s.lines[from:s.ends[i]], true
}

// restore makes h what it was.
func (s *snapshot) restore(h http.Header) {
	clear(h)
	for _, name := range s.names {
		lines, _ := s.of(name)
		h[name] = slices.Clone(lines)
	}
}

// changes returns what the handler did to the header map, without the fields for which drop is
// true. ok is false if it is too much to store.
func (s *snapshot) changes(h http.Header, drop func(name string) bool) (all []change, ok bool) {
	total := 0
	for name, lines := range h {
		before, was := s.of(name)
		if was && slices.Equal(before, lines) || drop(name) {
			continue
		}
		c := change{name: name, how: set}
		switch {
		case name == "Vary":
			c.how = united
		case was && len(lines) > len(before) && slices.Equal(before, lines[:len(before)]):
			c.how, lines = add, lines[len(before):]
		}
		c.lines = slices.Clip(slices.Clone(lines))
		size := len(name)
		for i, line := range c.lines {
			c.lines[i] = strings.Clone(line) // a line may be a piece of something big
			size += len(line) + 2
		}
		total += size
		if size > maxField || total > maxHeader {
			return nil, false
		}
		all = append(all, c)
	}
	for _, name := range s.names {
		if _, still := h[name]; !still {
			all = append(all, change{name: strings.Clone(name), how: remove})
		}
	}
	slices.SortFunc(all, func(a, b change) int { return strings.Compare(a.name, b.name) })
	return all, true
}

func (s *snapshot) added(h http.Header, name string) bool {
	before, _ := s.of(name)
	return len(h[name]) > 0 && !slices.Equal(before, h[name])
}

// ofOneMessage are the fields of S14 that are of a connection or of one message's framing.
func ofOneMessage(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization", "Proxy-Connection",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Age", "Content-Length": // these two are computed for each answer
		return true
	}
	return strings.HasPrefix(name, http.TrailerPrefix)
}

// ofOneCaller are the others: one caller's bucket.
func ofOneCaller(name string) bool {
	return name == "Ratelimit" || name == "Ratelimit-Policy" || strings.HasPrefix(name, "X-Ratelimit-")
}

// dropper returns which fields of a response are not stored.
func dropper(h http.Header, c *control, keepSetCookie bool) func(name string) bool {
	named := h["Connection"]
	return func(name string) bool {
		return ofOneMessage(name) || ofOneCaller(name) || name == "Set-Cookie" && !keepSetCookie ||
			len(named) > 0 && field.Has(named, name) ||
			slices.ContainsFunc(c.unstored, func(n string) bool { return strings.EqualFold(n, name) })
	}
}

// replay brings the stored header to h. It allocates only where an outer layer has set the
// same field.
func replay(h http.Header, stored []change) {
	for i := range stored {
		switch c := &stored[i]; c.how {
		case set:
			h[c.name] = c.lines
		case add:
			if have := h[c.name]; len(have) > 0 {
				h[c.name] = append(slices.Clip(have), c.lines...)
			} else {
				h[c.name] = c.lines
			}
		case remove:
			delete(h, c.name)
		case united:
			if len(h[c.name]) == 0 {
				h[c.name] = c.lines
				continue
			}
			for name := range field.Members(c.lines) {
				field.AddVary(h, name)
			}
		}
	}
}

// get returns the first stored line of a field.
func get(stored []change, name string) string {
	for i := range stored {
		if stored[i].name == name && len(stored[i].lines) > 0 {
			return stored[i].lines[0]
		}
	}
	return ""
}

// notUpdated are the fields of a 304 that cannot be of the stored bytes if they differ (RFC 9111
// section 3.2). Content-Type can: the suite behind cache-tests.fyi requires it.
func notUpdated(name string) bool {
	return name == "Content-Encoding" || name == "Content-Range" || name == "Content-Md5" || name == "Etag"
}

// updated returns stored with what a 304 brought, but for the fields for which drop is true.
func updated(stored, brought []change, drop func(name string) bool) []change {
	all := slices.Clone(stored)
	for _, c := range brought {
		if notUpdated(c.name) || c.how == remove || drop(c.name) {
			continue
		}
		if i := slices.IndexFunc(all, func(s change) bool { return s.name == c.name }); i >= 0 {
			all[i] = c
		} else {
			all = append(all, c)
		}
	}
	return all
}
