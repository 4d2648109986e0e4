package field

import (
	"iter"
	"strings"
)

// Members yields the members of a comma-separated list (RFC 9110 section 5.6.1). A
// quoted string is a unit, commas and escaped quotes in it included; one that is never
// closed runs to the end of its line. White space around members and empty members go.
func Members(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for line != "" {
				end := memberEnd(line)
				member := strings.Trim(line[:end], " \t")
				if member != "" && !yield(member) {
					return
				}
				line = line[min(end+1, len(line)):]
			}
		}
	}
}

// memberEnd returns the index of the comma that ends the first member of line, or the
// length of line.
func memberEnd(line string) int {
	// Quotes are rare in the fields that are read most, and then this is one pass of
	// assembly over the line.
	comma := strings.IndexByte(line, ',')
	if comma < 0 {
		comma = len(line)
	}
	if strings.IndexByte(line[:comma], '"') < 0 {
		return comma
	}
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			return i
		}
	}
	return len(line)
}

// Has reports whether token is a whole member of the list, in any case.
func Has(lines []string, token string) bool {
	for member := range Members(lines) {
		if strings.EqualFold(member, token) {
			return true
		}
	}
	return false
}
