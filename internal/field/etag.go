package field

import (
	"iter"
	"net/http"
	"strings"
)

// maxETags is how long a list of entity tags may be.
const maxETags = 8 << 10

// ETags yields the members of If-Match or If-None-Match (RFC 9110 section 8.8.3) as sent,
// W/, "*" and malformed ones included. A comma within quotes belongs to a tag; a backslash
// is a character like any other. Lists longer than 8 KiB have none.
func ETags(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		total := 0
		for _, line := range lines {
			total += len(line)
		}
		if total > maxETags {
			return
		}
		for _, line := range lines {
			for line != "" {
				end := tagEnd(line)
				tag := strings.Trim(line[:end], " \t")
				if tag != "" && !yield(tag) {
					return
				}
				line = line[min(end+1, len(line)):]
			}
		}
	}
}

// tagEnd returns the index of the comma behind the first tag of s, or the length of s.
func tagEnd(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return i
		}
	}
	return len(s)
}

// opaque returns the quoted part of an entity tag, and whether tag is one.
func opaque(tag string) (quoted string, weak, ok bool) {
	quoted, weak = strings.CutPrefix(tag, "W/")
	n := len(quoted)
	if n < 2 || quoted[0] != '"' || strings.IndexByte(quoted[1:], '"') != n-2 {
		return "", false, false
	}
	return quoted, weak, true
}

// WeakMatch compares two entity tags weakly (RFC 9110 section 8.8.3.2): W/ does not count.
// What is no tag matches nothing.
func WeakMatch(a, b string) bool {
	a, _, okA := opaque(a)
	b, _, okB := opaque(b)
	return okA && okB && a == b
}

// StrongMatch compares two entity tags strongly: a weak one matches nothing.
func StrongMatch(a, b string) bool {
	_, weak, ok := opaque(a)
	return ok && !weak && a == b
}

// SuffixETag returns tag with suffix inside its quotes; what is no tag stays as it is.
// 1 allocation.
func SuffixETag(tag, suffix string) string {
	if _, _, ok := opaque(tag); !ok {
		return tag
	}
	return tag[:len(tag)-1] + suffix + `"`
}

// MapETags replaces each member of the list h[name] by what f returns for it; false drops
// it, and a list that has none left goes. A list that does not change, or is longer than 8
// KiB, stays as it was sent, byte for byte. It allocates only if something changes, and
// never writes into the slice that h has.
func MapETags(h http.Header, name string, f func(tag string) (string, bool)) {
	lines := h[name]
	changes := false
	for tag := range ETags(lines) {
		if mapped, keep := f(tag); !keep || mapped != tag {
			changes = true
			break
		}
	}
	if !changes {
		return
	}
	var list strings.Builder
	for tag := range ETags(lines) {
		mapped, keep := f(tag)
		if !keep {
			continue
		}
		if list.Len() > 0 {
			list.WriteString(", ")
		}
		list.WriteString(mapped)
	}
	if list.Len() == 0 {
		delete(h, name)
		return
	}
	h[name] = []string{list.String()}
}
