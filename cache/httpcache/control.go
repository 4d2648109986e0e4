package httpcache

import (
	"strings"

	"github.com/hotpath-go/hotpath/internal/field"
)

const (
	absent    = int64(-1)
	maxSecond = int64(1) << 31 // RFC 9111 section 1.2.2
	anyStale  = maxSecond      // max-stale without an argument
)

// control is what Cache-Control, or the field that replaces it, says in a response.
type control struct {
	any                                       bool // at least one directive
	public, private, noStore, noCache         bool
	mustRevalidate, proxyRevalidate           bool
	mustUnderstand, immutable                 bool
	maxAge, sMaxAge, staleWhile, staleIfError int64    // seconds; absent
	unstored                                  []string // fields named by private="..." and no-cache="..."
}

func newControl() control {
	return control{maxAge: absent, sMaxAge: absent, staleWhile: absent, staleIfError: absent}
}

// directive splits a member. Nothing is trimmed: white space around "=" makes the argument
// invalid (RFC 9111 section 5.2 has none), and that must not be taken for freshness.
func directive(member string) (name, argument string, has bool) {
	equals := strings.IndexByte(member, '=')
	if equals < 0 {
		return member, "", false
	}
	name, argument = member[:equals], member[equals+1:]
	if trimmed := strings.TrimRight(name, " \t"); len(trimmed) < len(name) {
		return trimmed, " ", true
	}
	return name, argument, true
}

// seconds reads delta-seconds, quoted or not; what is invalid is 0, which is stale (RFC 9111 section
// 4.2.1).
func seconds(argument string) int64 {
	n, ok := digits(strings.TrimSuffix(strings.TrimPrefix(argument, `"`), `"`))
	if !ok || (len(argument) > 0 && (argument[0] == '"') != (argument[len(argument)-1] == '"')) {
		return 0
	}
	return n
}

// digits reads a number; above 2^31 it is 2^31.
func digits(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	n := int64(0)
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = min(n*10+int64(s[i]-'0'), maxSecond)
	}
	return n, true
}

// once keeps the first occurrence of a directive (RFC 9111 section 4.2.1).
func once(have *int64, argument string) {
	if *have == absent {
		*have = seconds(argument)
	}
}

// parseControl reads the lines of Cache-Control of a response.
func parseControl(lines []string) control {
	c := newControl()
	for member := range field.Members(lines) {
		name, argument, has := directive(member)
		c.any = true
		// What is no directive, such as "private; max-age=60", must not be read as permission.
		if end := tokenEnd(name); end < len(name) {
			c.private = c.private || is(name[:end], "private")
			c.noStore = c.noStore || is(name[:end], "no-store")
			c.noCache = c.noCache || is(name[:end], "no-cache")
			continue
		}
		switch {
		case is(name, "public"):
			c.public = true
		case is(name, "private"):
			if names := fieldNames(argument); has && names != nil {
				c.unstored = append(c.unstored, names...)
			} else {
				c.private = true
			}
		case is(name, "no-cache"):
			if names := fieldNames(argument); has && names != nil {
				c.unstored = append(c.unstored, names...)
			} else {
				c.noCache = true
			}
		case is(name, "no-store"):
			c.noStore = true
		case is(name, "must-revalidate"):
			c.mustRevalidate = true
		case is(name, "proxy-revalidate"):
			c.proxyRevalidate = true
		case is(name, "must-understand"):
			c.mustUnderstand = true
		case is(name, "immutable"):
			c.immutable = true
		case is(name, "max-age"):
			once(&c.maxAge, argument)
		case is(name, "s-maxage"):
			once(&c.sMaxAge, argument)
		case is(name, "stale-while-revalidate"):
			once(&c.staleWhile, argument)
		case is(name, "stale-if-error"):
			once(&c.staleIfError, argument)
		}
	}
	return c
}

// tokenEnd is where something begins that is not of a directive's name.
func tokenEnd(name string) int {
	for i := range len(name) {
		if c := name[i]; c == ';' || c == ' ' || c == '\t' {
			return i
		}
	}
	return len(name)
}

func is(name, want string) bool {
	return len(name) == len(want) && strings.EqualFold(name, want)
}

// fieldNames returns the names in the argument of private or no-cache, nil if there are none:
// then the directive holds for the whole response.
func fieldNames(argument string) (names []string) {
	for name := range field.Members([]string{strings.Trim(argument, `"`)}) {
		if field.IsToken(name) {
			names = append(names, name)
		}
	}
	return names
}

// wishes are what Cache-Control says in a request.
type wishes struct {
	noStore, noCache, onlyIfCached bool
	maxAge, minFresh, maxStale     int64
}

// parseWishes allocates nothing. Pragma counts if there is no Cache-Control (RFC 9111 section
// 5.4).
func parseWishes(lines, pragma []string) wishes {
	w := wishes{maxAge: absent, minFresh: absent, maxStale: absent}
	if len(lines) == 0 {
		if len(pragma) > 0 {
			w.noCache = field.Has(pragma, "no-cache")
		}
		return w
	}
	for member := range field.Members(lines) {
		name, argument, has := directive(member)
		switch {
		case is(name, "no-store"):
			w.noStore = true
		case is(name, "no-cache"):
			w.noCache = true
		case is(name, "only-if-cached"):
			w.onlyIfCached = true
		case is(name, "max-age"):
			once(&w.maxAge, argument)
		case is(name, "min-fresh"):
			once(&w.minFresh, argument)
		case is(name, "max-stale"):
			if w.maxStale == absent {
				if !has {
					w.maxStale = anyStale
				} else {
					w.maxStale = seconds(argument)
				}
			}
		}
	}
	return w
}

func isAlpha(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// isStructuredToken reports whether s is a token of structured fields (RFC 9651 section 3.3.4).
func isStructuredToken(s string) bool {
	if s == "" || !isAlpha(s[0]) && s[0] != '*' {
		return false
	}
	return field.IsToken(strings.Map(func(r rune) rune {
		if r == ':' || r == '/' {
			return 'a'
		}
		return r
	}, s))
}
