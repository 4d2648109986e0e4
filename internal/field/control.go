package field

import (
	"iter"
	"net/http"
	"strings"
)

// Directives yields the directives of a Cache-Control field (RFC 9111 section 5.2): the name
// in lower case and the argument without its quotes, "" if there is none. It allocates only
// to lower capitals and to undo escapes.
func Directives(lines []string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, line := range lines {
			for line != "" {
				end := memberEnd(line)
				name, argument, _ := strings.Cut(line[:end], "=")
				name = strings.Trim(name, " \t")
				if name != "" && !yield(strings.ToLower(name), unquote(strings.Trim(argument, " \t"))) {
					return
				}
				line = line[min(end+1, len(line)):]
			}
		}
	}
}

// unquote undoes a quoted-string; one that is never closed ends with s.
func unquote(s string) string {
	if s == "" || s[0] != '"' {
		return s
	}
	s = s[1:]
	var undone []byte // of what stands before s, once there was an escape
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"' && undone == nil:
			return s[:i]
		case s[i] == '"':
			return string(append(undone, s[:i]...))
		case s[i] == '\\' && i+1 < len(s):
			undone = append(undone, s[:i]...)
			s, i = s[i+1:], 0 // what was escaped is a character, whatever it is
		}
	}
	if undone == nil {
		return s
	}
	return string(append(undone, s...))
}

// NoTransform reports whether Cache-Control forbids to change the body (RFC 9111 section
// 5.2.2.6), in any case and on any line.
func NoTransform(h http.Header) bool {
	for _, line := range h["Cache-Control"] {
		for line != "" {
			end := memberEnd(line)
			name := line[:end]
			if equals := strings.IndexByte(name, '='); equals >= 0 {
				name = name[:equals]
			}
			if strings.EqualFold(strings.Trim(name, " \t"), "no-transform") {
				return true
			}
			line = line[min(end+1, len(line)):]
		}
	}
	return false
}
