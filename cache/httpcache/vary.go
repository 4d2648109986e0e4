package httpcache

import (
	"encoding/binary"
	"net/http"
	"slices"
	"strings"

	"github.com/hotpath-go/hotpath/internal/field"
)

// A rule says by which request fields the responses of a URL are told apart.
type rule struct {
	names    []string                 // canonical, sorted
	choose   func(http.Header) string // of an inner compress, for Accept-Encoding (C5); nil: none
	variants []Key                    // that are stored
}

// varyNames returns the members of Vary, nil if there are none.
func varyNames(lines []string) (names []string) {
	for name := range field.Members(lines) {
		names = append(names, http.CanonicalHeaderKey(name))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// appendVariant appends what tells the variant of a request with header h from others. Lengths
// stand before values, so that no value can look like two.
func (v *rule) appendVariant(dst []byte, h http.Header) []byte {
	dst = append(dst, 1)
	for _, name := range v.names {
		dst = append(dst, name...)
		lines := h[name]
		chosen := name == "Accept-Encoding" && v.choose != nil
		if len(lines) == 0 && !chosen {
			dst = append(dst, 0) // absent equals absent only
			continue
		}
		dst = append(dst, ':')
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		switch {
		case chosen:
			dst = append(dst, v.choose(h)...)
		case name == "Accept-Encoding":
			dst = appendPreferences(dst, lines, true)
		case name == "Accept-Language":
			dst = appendPreferences(dst, lines, false)
		default:
			dst = appendJoined(dst, lines)
		}
		binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	}
	return dst
}

// appendJoined joins lines and removes the white space around commas (RFC 9111 section 4.1).
func appendJoined(dst []byte, lines []string) []byte {
	for i, line := range lines {
		if i > 0 {
			dst = append(dst, ',')
		}
		for first := true; ; first = false {
			piece, rest, more := strings.Cut(line, ",")
			if !first {
				dst = append(dst, ',')
			}
			dst = append(dst, strings.Trim(piece, " \t")...)
			if !more {
				break
			}
			line = rest
		}
	}
	return dst
}

const maxPreferences = 16

// appendPreferences appends the members sorted by weight. Of equal ones the order says nothing
// among codings, which are compared as a set; of languages servers read it as preference.
func appendPreferences(dst []byte, lines []string, isSet bool) []byte {
	var all [maxPreferences]struct {
		token string
		q     int
	}
	n := 0
	for token, q := range field.Weighted(lines) {
		if n == maxPreferences {
			return appendJoined(dst, lines) // nobody real: as it stands
		}
		at := n
		for at > 0 && (all[at-1].q < q || isSet && all[at-1].q == q && fold(token, all[at-1].token) < 0) {
			all[at] = all[at-1]
			at--
		}
		all[at].token, all[at].q = token, q
		n++
	}
	rank, last := byte('a'), -1
	for _, m := range all[:n] {
		if m.q != last && last >= 0 {
			rank++
		}
		last = m.q
		if m.q == 0 {
			dst = append(dst, '!')
		} else {
			dst = append(dst, rank)
		}
		dst = appendLower(dst, m.token)
		dst = append(dst, ',')
	}
	return dst
}

func appendLower(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// fold compares without case.
func fold(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		ca, cb := a[i]|0x20, b[i]|0x20
		if ca != cb {
			return int(ca) - int(cb)
		}
	}
	return len(a) - len(b)
}
