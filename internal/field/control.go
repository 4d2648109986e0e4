package field

import (
	"net/http"
	"strings"
)

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
