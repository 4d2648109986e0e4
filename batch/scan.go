package batch

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// A scanner reads JSON (RFC 8259) from text. It accepts what encoding/json accepts, but for
// nesting, and does not recurse (CWE-674).
type scanner struct {
	text string
	pos  int
}

const (
	maxNesting       = 512    // in an envelope
	maxAnswerNesting = 10_000 // in an answer; as encoding/json
)

var (
	errSyntax  = errors.New("not JSON")
	errNesting = errors.New("nested too deeply")
)

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the next byte that is no space; 0: there is none.
func (s *scanner) peek() byte {
	if s.space(); s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

// take skips c if it is the next byte that is no space.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

// raw skips a string and returns it with its quotes. plain: its bytes are its text.
func (s *scanner) raw() (text string, plain bool, err error) {
	if !s.take('"') {
		return "", false, errSyntax
	}
	from, ascii := s.pos-1, true
	plain = true
	for s.pos < len(s.text) {
		c := s.text[s.pos]
		s.pos++
		switch {
		case c == '"':
			text = s.text[from:s.pos]
			return text, plain && (ascii || utf8.ValidString(text)), nil
		case c < ' ':
			return "", false, errSyntax
		case c == '\\':
			plain = false
			if !s.escape() {
				return "", false, errSyntax
			}
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", false, errSyntax
}

// escape skips what follows a backslash.
func (s *scanner) escape() bool {
	if s.pos >= len(s.text) {
		return false
	}
	c := s.text[s.pos]
	s.pos++
	if c != 'u' {
		return strings.IndexByte(`"\/bfnrt`, c) >= 0
	}
	if len(s.text)-s.pos < 4 {
		return false
	}
	for _, h := range []byte(s.text[s.pos : s.pos+4]) {
		if !(h >= '0' && h <= '9' || h >= 'a' && h <= 'f' || h >= 'A' && h <= 'F') {
			return false
		}
	}
	s.pos += 4
	return true
}

// string reads a string. Only one with escapes or invalid UTF-8 is copied.
func (s *scanner) string() (string, error) {
	text, plain, err := s.raw()
	if err != nil {
		return "", err
	}
	if plain {
		return text[1 : len(text)-1], nil
	}
	return unquote(text), nil
}

// unquote returns the text of a string that raw has returned.
func unquote(raw string) (text string) {
	_ = json.Unmarshal([]byte(raw), &text) // its syntax is known to be right
	return text
}

// skip skips one value of any kind and returns it as it stands there.
func (s *scanner) skip(deepest int) (string, error) {
	s.space()
	from := s.pos
	var first [64]byte
	nest := first[:0] // what is open: '{' or '['
	for {
		// A value begins here.
		switch c := s.peek(); c {
		case '{', '[':
			if len(nest) >= deepest {
				return "", errNesting
			}
			s.pos++
			if s.take(c + 2) { // '}' and ']' are two after
				break
			}
			nest = append(nest, c)
			if c == '{' && !s.name() {
				return "", errSyntax
			}
			continue
		case '"':
			if _, _, err := s.raw(); err != nil {
				return "", err
			}
		default:
			if !s.scalar(c) {
				return "", errSyntax
			}
		}
		// A value has ended here.
		for {
			if len(nest) == 0 {
				return s.text[from:s.pos], nil
			}
			within := nest[len(nest)-1]
			if s.take(',') {
				if within == '{' && !s.name() {
					return "", errSyntax
				}
				break
			}
			if !s.take(within + 2) {
				return "", errSyntax
			}
			nest = nest[:len(nest)-1]
		}
	}
}

// name skips the name of a member and its colon.
func (s *scanner) name() bool {
	_, _, err := s.raw()
	return err == nil && s.take(':')
}

// scalar skips a value that begins with c and is neither string, array nor object.
func (s *scanner) scalar(c byte) bool {
	for _, word := range [...]string{"null", "true", "false"} {
		if c == word[0] && strings.HasPrefix(s.text[s.pos:], word) {
			s.pos += len(word)
			return true
		}
	}
	return s.number()
}

func (s *scanner) number() bool {
	s.one("-", "-")
	if !s.one("0", "0") && !s.digits() {
		return false
	}
	if s.one(".", ".") && !s.digits() {
		return false
	}
	if s.one("e", "E") {
		s.one("+", "-")
		return s.digits()
	}
	return true
}

func (s *scanner) one(a, b string) bool {
	if s.pos < len(s.text) && (s.text[s.pos] == a[0] || s.text[s.pos] == b[0]) {
		s.pos++
		return true
	}
	return false
}

func (s *scanner) digits() bool {
	from := s.pos
	for s.pos < len(s.text) && s.text[s.pos] >= '0' && s.text[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > from
}

// isJSON reports whether text is one JSON text in UTF-8. An answer that is none must not go raw
// into the envelope, or it could forge its neighbours.
func isJSON(text string) bool {
	s := scanner{text: text}
	if _, err := s.skip(maxAnswerNesting); err != nil {
		return false
	}
	return s.peek() == 0 && s.pos == len(text) && utf8.ValidString(text)
}
