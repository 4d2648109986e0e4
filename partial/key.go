package partial

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// A name within a document is compared after its escapes are undone; it is sent as it was
// written.

// maxEscape is how much longer an escaped byte of a name is at most: "\u0069" is "i".
const maxEscape = 6

// unescape appends to dst the name that raw, without its quotes, stands for. Not ok: it stands
// for none, because of a lone surrogate or an escape that JSON has not.
func unescape(dst, raw []byte) (name []byte, ok bool) {
	for i := 0; i < len(raw); {
		c := raw[i]
		if c != '\\' {
			dst = append(dst, c)
			i++
			continue
		}
		if i+1 == len(raw) {
			return dst, false
		}
		switch c = raw[i+1]; c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, ok := hex4(raw, i)
			if ok && utf16.IsSurrogate(r) {
				i += 6
				second, _ := hex4(raw, i)
				r = utf16.DecodeRune(r, second)
				ok = r != utf8.RuneError
			}
			if !ok {
				return dst, false
			}
			i += 6
			dst = utf8.AppendRune(dst, r)
			continue
		default:
			return dst, false
		}
		i += 2
	}
	return dst, true
}

// A textState is how far a string on the path has got, of which every byte is checked (RFC 8259
// section 7): above textEscape it awaits that many hexadecimal digits more.
type textState uint8

const (
	textPlain textState = iota
	textEscape
)

// check reads the next bytes of a string, its closing quote too; bad: the index of a control
// character or of what no escape goes on with, or len(b).
func (t textState) check(b []byte) (next textState, bad int) {
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case t == textPlain:
			if i = endPlain(b, i); i < len(b) {
				if b[i] < ' ' {
					return t, i
				}
				t = textEscape
			}
		case t > textEscape:
			if !isHex(c) {
				return t, i
			}
			if t--; t == textEscape {
				t = textPlain
			}
		case c == 'u':
			t = textEscape + 4
		case c == '"', c == '\\', c == '/', c == 'b', c == 'f', c == 'n', c == 'r', c == 't':
			t = textPlain
		default:
			return t, i
		}
		i++
	}
	return t, len(b)
}

// endPlain returns the index of the first backslash or control character of b[i:], or len(b).
func endPlain(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		if m := zeros(x^'\\'*ones) | controls(x); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for i < len(b) && b[i] != '\\' && b[i] >= ' ' {
		i++
	}
	return i
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// hex4 reads an escape such as \u0069 at b[i:].
func hex4(b []byte, i int) (r rune, ok bool) {
	if i+6 > len(b) || b[i] != '\\' || b[i+1] != 'u' {
		return 0, false
	}
	for _, c := range b[i+2 : i+6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
