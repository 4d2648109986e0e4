package field

import (
	"iter"
	"strings"
)

// maxWeighted is how much of an Accept-Encoding field is read: real ones have 30 bytes.
const maxWeighted = 4 << 10

// Weighted yields the members of a list with weights, such as Accept-Encoding (RFC 9110
// section 12.4.2): the token as sent, and q in thousandths, 1000 if there is none. A
// malformed weight drops its member and no other; other parameters are skipped. Of a list
// longer than 4 KiB only the members are read that end within it.
func Weighted(lines []string) iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		left := maxWeighted
		for _, line := range lines {
			whole := len(line) <= left
			if !whole {
				line = line[:left]
			}
			left -= len(line)
			for line != "" {
				end := memberEnd(line)
				if end == len(line) && !whole {
					return // cut in the middle: gzip;q=0.5 must not become gzip;q=0
				}
				token, q, ok := weigh(line[:end])
				if ok && !yield(token, q) {
					return
				}
				line = line[min(end+1, len(line)):]
			}
		}
	}
}

func weigh(member string) (token string, q int, ok bool) {
	end := strings.IndexByte(member, ';')
	if end < 0 {
		token = strings.Trim(member, " \t")
		return token, 1000, token != ""
	}
	token, rest := strings.Trim(member[:end], " \t"), member[end:]
	for rest != "" {
		rest = rest[1:] // the semicolon
		end := paramEnd(rest)
		param := strings.Trim(rest[:end], " \t")
		if len(param) > 1 && (param[0] == 'q' || param[0] == 'Q') && param[1] == '=' {
			q, ok = thousandths(param[2:])
			return token, q, ok && token != ""
		}
		rest = rest[end:]
	}
	return token, 1000, token != ""
}

// paramEnd returns the index of the semicolon that ends the first parameter of s, or the
// length of s.
func paramEnd(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ';' && !quoted:
			return i
		}
	}
	return len(s)
}

// thousandths reads a qvalue: 0 or 1 with up to three decimals, at most 1.
func thousandths(s string) (q int, ok bool) {
	if s == "" || s[0] != '0' && s[0] != '1' || len(s) > len("0.000") || len(s) > 1 && s[1] != '.' {
		return 0, false
	}
	q = int(s[0]-'0') * 1000
	unit := 100
	for i := 2; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		q += int(s[i]-'0') * unit
		unit /= 10
	}
	return q, q <= 1000
}
