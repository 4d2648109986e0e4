package partial

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// The scanner moves over strings and over values that are kept or skipped: only strings and
// brackets matter there.

// Classes of bytes outside of strings. Only other ones continue a number or a literal; what stands
// behind separator needs a look.
const (
	other     uint8 = iota
	separator       // , : and white space
	quote
	opener
	closer
	lineFeed // white space that more of it follows, in texts for people
)

var classes = [...]uint8{
	'"': quote, '{': opener, '[': opener, '}': closer, ']': closer,
	',': separator, ':': separator, ' ': separator, '\t': separator, '\n': lineFeed, '\r': separator,
	recordSeparator: separator,
	255:             other,
}

// recordSeparator begins each text of a JSON sequence (RFC 7464 section 2.2).
const recordSeparator = 0x1e

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// zeros marks the zero bytes of x by their high bits. Only the lowest mark is sure.
func zeros(x uint64) uint64 { return (x - ones) &^ x & highs }

// controls marks the bytes of x below a blank likewise.
func controls(x uint64) uint64 { return (x - ' '*ones) &^ x & highs }

// shortString is how much of a string is looked at before bytes.IndexByte is worth its call.
const shortString = 32

// endString returns the index behind the closing quote of a string, from i, which stands
// behind the opening quote or between characters. Not ok: the string goes on behind b, and
// escaped says whether its next byte is.
func endString(b []byte, i int) (end int, ok, escaped bool) {
	for j := i; j < i+shortString && j+8 <= len(b); j += 8 {
		if m := zeros(binary.LittleEndian.Uint64(b[j:]) ^ '"'*ones); m != 0 {
			if j += bits.TrailingZeros64(m) >> 3; j == i || b[j-1] != '\\' {
				return j + 1, true, false
			}
			break
		}
	}
	for {
		n := bytes.IndexByte(b[i:], '"')
		last := i + n
		if n < 0 {
			last = len(b)
		}
		// A quote counts if the run of backslashes before it is even.
		run := 0
		for last-run > i && b[last-run-1] == '\\' {
			run++
		}
		switch {
		case n < 0:
			return len(b), false, run%2 == 1
		case run%2 == 0:
			return last + 1, true, false
		}
		i = last + 1
	}
}

// endBrackets is span.run for a value that lies within b as a whole, or ok is false. It is
// where most of the time is spent.
func endBrackets(b []byte, i int) (end int, ok bool) {
	depth, kinds := 0, uint64(0)
	for i < len(b) {
		c := b[i]
		class := classes[c]
		if class <= separator {
			i++
			continue
		}
		if class == quote {
			i++
			j, found := i, false
			for ; j < i+shortString && j+8 <= len(b); j += 8 {
				if m := zeros(binary.LittleEndian.Uint64(b[j:]) ^ '"'*ones); m != 0 {
					j += bits.TrailingZeros64(m) >> 3
					found = b[j-1] != '\\'
					break
				}
			}
			if found {
				i = j + 1
			} else if i, ok, _ = endString(b, i); !ok {
				return i, false
			}
			continue
		}
		switch class {
		case lineFeed:
			i = skipSpace(b, i)
			continue
		case opener:
			if depth < 64 {
				kinds = kinds&^(1<<depth) | kindOf(c)<<depth
			}
			depth++
		default:
			depth--
			if depth < 64 && kinds>>(depth&63)&1 != kindOf(c) {
				return i, false
			}
			if depth == 0 {
				return i + 1, true
			}
		}
		i++
	}
	return i, false
}

// A span is where a value that is kept or skipped has got to: it ends anywhere in a chunk and
// goes on in the next. Nesting costs no memory: brackets are counted, and the kinds of the
// outermost 64 are remembered as bits.
type span struct {
	kinds    uint64
	depth    int
	inString bool
	escaped  bool
}

// run moves over b from i; done: the value has ended. Fault: a closing bracket has not the kind of
// its opening one.
func (s *span) run(b []byte, i int) (end int, done, fault bool) {
	if s.inString {
		if s.escaped && i < len(b) {
			s.escaped = false
			i++
		}
		if i, s.inString, s.escaped = resumeString(b, i, s.escaped); s.inString {
			return i, false, false
		}
		if s.depth == 0 {
			return i, true, false
		}
	}
	depth, kinds := s.depth, s.kinds
	for i < len(b) {
		switch classes[b[i]] {
		case quote:
			ok := false
			if i, ok, s.escaped = endString(b, i+1); !ok {
				s.inString, s.depth, s.kinds = true, depth, kinds
				return i, false, false
			}
			continue
		case lineFeed:
			i = skipSpace(b, i)
			continue
		case opener:
			if depth < 64 {
				kinds = kinds&^(1<<depth) | kindOf(b[i])<<depth
			}
			depth++
		case closer:
			depth--
			if depth < 64 && kinds>>depth&1 != kindOf(b[i]) {
				return i, false, true
			}
			if depth == 0 {
				s.depth = 0
				return i + 1, true, false
			}
		}
		i++
	}
	s.depth, s.kinds = depth, kinds
	return i, false, false
}

func resumeString(b []byte, i int, escaped bool) (end int, inString, stillEscaped bool) {
	if i == len(b) {
		return i, true, escaped
	}
	end, ok, escaped := endString(b, i)
	return end, !ok, escaped
}

// kindOf tells braces from brackets: '{' and '}' have the bit that '[' and ']' lack.
func kindOf(c byte) uint64 { return uint64(c>>5) & 1 }

// endScalar returns the index behind a number or a literal.
func endScalar(b []byte, i int) int {
	for i < len(b) && classes[b[i]] == other {
		i++
	}
	return i
}
