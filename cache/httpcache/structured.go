package httpcache

import (
	"strings"

	"github.com/hotpath-go/hotpath/internal/field"
)

// Structured fields as far as caches need them: the dictionary of a targeted field (RFC 9213
// section 2.1) and the list of strings of Cache-Groups (RFC 9875 section 2).

// parseTargeted reads a targeted field. ok is false if it is absent, empty or no dictionary, or
// if an age has the wrong type: then it is ignored whole.
func parseTargeted(lines []string) (c control, ok bool) {
	c = newControl()
	s := scanner{strings.Trim(strings.Join(lines, ","), " ")}
	if s.rest == "" {
		return c, false
	}
	last := map[string]item{} // the last value of a name counts in a dictionary (RFC 9651 section 3.2)
	for {
		name, ok := s.name()
		if !ok {
			return c, false
		}
		value := item{kind: 'b', yes: true}
		if s.take('=') {
			if value, ok = s.member(); !ok {
				return c, false
			}
		}
		if !s.params() {
			return c, false
		}
		last[name] = value
		more, ok := s.comma()
		if !ok {
			return c, false
		}
		if !more {
			break
		}
	}
	for name, v := range last {
		if !c.setTargeted(name, v) {
			return c, false
		}
	}
	c.any = true
	return c, true
}

// setTargeted sets what name says; false: it is an age that is no number.
func (c *control) setTargeted(name string, v item) bool {
	on := v.kind != 'b' || v.yes
	switch name {
	case "public":
		c.public = on
	case "private":
		c.private = on
	case "no-store":
		c.noStore = on
	case "no-cache":
		c.noCache = on
	case "must-revalidate":
		c.mustRevalidate = on
	case "proxy-revalidate":
		c.proxyRevalidate = on
	case "must-understand":
		c.mustUnderstand = on
	case "immutable":
		c.immutable = on
	case "max-age", "s-maxage", "stale-while-revalidate", "stale-if-error":
		if v.kind != 'i' || v.n < 0 {
			return false
		}
		to := map[string]*int64{
			"max-age": &c.maxAge, "s-maxage": &c.sMaxAge,
			"stale-while-revalidate": &c.staleWhile, "stale-if-error": &c.staleIfError,
		}[name]
		*to = min(v.n, maxSecond)
	}
	return true
}

// parseGroups returns the strings of a list; other members are ignored (RFC 9875 section 2). A list
// that is none has no members.
func parseGroups(lines []string) (groups []string) {
	s := scanner{strings.Trim(strings.Join(lines, ","), " ")}
	if s.rest == "" {
		return nil
	}
	for {
		v, ok := s.member()
		if !ok || !s.params() {
			return nil
		}
		if v.kind == 's' {
			groups = append(groups, v.text)
		}
		more, ok := s.comma()
		if !ok {
			return nil
		}
		if !more {
			return groups
		}
	}
}

// An item is a value: i integer, d decimal, s string, t token, b boolean, y bytes, l inner list, @ date,
// % display string.
type item struct {
	kind byte
	n    int64
	yes  bool
	text string
}

type scanner struct{ rest string }

func (s *scanner) take(c byte) bool {
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) while(in func(c byte) bool) string {
	n := 0
	for n < len(s.rest) && in(s.rest[n]) {
		n++
	}
	took := s.rest[:n]
	s.rest = s.rest[n:]
	return took
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// comma reads what is between members: more is false at the end.
func (s *scanner) comma() (more, ok bool) {
	s.while(isSpace)
	if s.rest == "" {
		return false, true
	}
	if !s.take(',') {
		return false, false
	}
	s.while(isSpace)
	return true, s.rest != "" // no comma at the end
}

func (s *scanner) name() (string, bool) {
	if s.rest == "" || !('a' <= s.rest[0] && s.rest[0] <= 'z') && s.rest[0] != '*' {
		return "", false
	}
	return s.while(func(c byte) bool {
		return 'a' <= c && c <= 'z' || isDigit(c) || strings.IndexByte("_-.*", c) >= 0
	}), true
}

func (s *scanner) params() bool {
	for s.take(';') {
		s.while(func(c byte) bool { return c == ' ' })
		if _, ok := s.name(); !ok {
			return false
		}
		if s.take('=') {
			if _, ok := s.bare(); !ok {
				return false
			}
		}
	}
	return true
}

// member reads an item or an inner list.
func (s *scanner) member() (item, bool) {
	if !s.take('(') {
		return s.bare()
	}
	for {
		s.while(func(c byte) bool { return c == ' ' })
		if s.take(')') {
			return item{kind: 'l'}, true
		}
		if _, ok := s.bare(); !ok || !s.params() {
			return item{}, false
		}
		if s.rest == "" || s.rest[0] != ' ' && s.rest[0] != ')' {
			return item{}, false
		}
	}
}

func (s *scanner) bare() (item, bool) {
	if s.rest == "" {
		return item{}, false
	}
	switch c := s.rest[0]; {
	case c == '-' || isDigit(c):
		return s.number()
	case c == '"':
		return s.str()
	case c == '?':
		if len(s.rest) < 2 || s.rest[1] != '0' && s.rest[1] != '1' {
			return item{}, false
		}
		yes := s.rest[1] == '1'
		s.rest = s.rest[2:]
		return item{kind: 'b', yes: yes}, true
	case c == '*' || isAlpha(c):
		text := s.while(func(c byte) bool { return c == ':' || c == '/' || field.IsTokenByte(c) })
		return item{kind: 't', text: text}, true
	case c == ':':
		end := strings.IndexByte(s.rest[1:], ':')
		if end < 0 {
			return item{}, false
		}
		s.rest = s.rest[end+2:]
		return item{kind: 'y'}, true
	case c == '@':
		s.rest = s.rest[1:]
		v, ok := s.number()
		return item{kind: '@', n: v.n}, ok && v.kind == 'i'
	case c == '%':
		s.rest = s.rest[1:]
		v, ok := s.str()
		v.kind = '%'
		return v, ok
	}
	return item{}, false
}

func (s *scanner) number() (item, bool) {
	sign := int64(1)
	if s.take('-') {
		sign = -1
	}
	whole := s.while(isDigit)
	if whole == "" || len(whole) > 15 {
		return item{}, false
	}
	v := item{kind: 'i'}
	for _, c := range []byte(whole) {
		v.n = v.n*10 + int64(c-'0')
	}
	v.n *= sign
	if s.take('.') {
		part := s.while(isDigit)
		if part == "" || len(part) > 3 || len(whole) > 12 {
			return item{}, false
		}
		v.kind = 'd'
	}
	return v, true
}

func (s *scanner) str() (item, bool) {
	if !s.take('"') {
		return item{}, false
	}
	var text []byte
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			s.rest = s.rest[i+1:]
			return item{kind: 's', text: string(text)}, true
		case c == '\\':
			i++
			if i == len(s.rest) || s.rest[i] != '"' && s.rest[i] != '\\' {
				return item{}, false
			}
			text = append(text, s.rest[i])
		case c < ' ' || c > '~':
			return item{}, false
		default:
			text = append(text, c)
		}
	}
	return item{}, false
}
