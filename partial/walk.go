package partial

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"sync"
)

// A fault says where a document is not JSON.
type fault struct {
	offset int64
	reason string
}

func (f *fault) Error() string {
	return "partial: not JSON at byte " + strconv.FormatInt(f.offset, 10) + ": " + f.reason
}

// A state says what the walker expects next.
type state uint8

const (
	atStart     state = iota // a byte order mark or what a document may begin with
	atTop                    // white space and values
	atValue                  // a value on the path
	atElement                // the first element of an array, or its end
	atFirstKey               // the first name of an object, or its end
	atKey                    // a name, behind a comma
	inKey                    // the rest of a name that is held
	inLongKey                // the rest of a name that can match no more
	atColon                  // then a value on the path
	atSpanColon              // then a value that is kept or skipped
	atSpan                   // the first byte of such a value
	inSpan                   // the rest of it
	inScalar                 // the rest of such a value that is a number or a literal
	inWord                   // the rest of a literal on the path
	inNumber                 // the rest of a number on the path
	inString                 // the rest of a string on the path
	afterValue               // a comma or a closing bracket
)

// A walker cuts documents, in chunks of any size, to what root selects. What it knows is on a stack
// of the objects on the path, whose depth is that of the mask: arrays are counted, and nothing
// is remembered of what is kept or skipped.
type walker struct {
	root *Mask
	out  []byte // what is decided

	frame
	stack  []frame
	offset int64  // of the chunk in the text
	key    []byte // of the member whose value decides about it; nil: none
	held   []byte // what key is kept in between chunks
	name   []byte // scratch for unescaped names

	span    span
	word    string // of the literal that is under way
	pos     uint8  // in word, or of the byte order mark
	number  numberState
	text    textState // of a string on the path
	state   state
	keep    bool // the value under way is kept
	comma   bool // the next that is sent needs one before it
	apart   bool // the next top-level value may begin: white space stood before it
	escaped bool // of a key that is held
}

// A frame is an object on the path: the mask of its members, and where the walker is within the
// current one.
type frame struct {
	object *Mask
	value  *Mask // what applies to the current value
	arrays int   // open ones between the object and the current value
}

var walkers = sync.Pool{New: func() any { return new(walker) }}

func newWalker(m *Mask) *walker {
	w := walkers.Get().(*walker)
	w.reset(m)
	return w
}

func (w *walker) reset(m *Mask) {
	*w = walker{root: m, stack: w.stack[:0], held: w.held[:0], name: w.name[:0], frame: frame{value: m}, apart: true}
}

// release gives w back, without what a document of unusual names made of it.
func (w *walker) release() {
	clear(w.stack[:cap(w.stack)])
	w.reset(nil)
	if cap(w.held) > maxHeldKey || cap(w.name) > maxHeldKey {
		w.held, w.name = nil, nil
	}
	walkers.Put(w)
}

func (w *walker) fail(i int, reason string) error {
	return &fault{w.offset + int64(i), reason}
}

// top reports whether the walker is outside of all brackets.
func (w *walker) top() bool { return len(w.stack) == 0 && w.arrays == 0 }

// step walks the next chunk of the text.
func (w *walker) step(b []byte) error {
	err := w.walk(b)
	w.offset += int64(len(b))
	if w.key != nil && err == nil { // b is not ours to keep
		w.held = append(w.held[:0], w.key...)
		w.key = w.held
	}
	return err
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
		for i+8 <= len(b) { // indentation
			x := binary.LittleEndian.Uint64(b[i:]) ^ ' '*ones
			if x != 0 {
				i += bits.TrailingZeros64(x) >> 3
				break
			}
			i += 8
		}
	}
	return i
}

const byteOrderMark = "\xef\xbb\xbf"

func (w *walker) walk(b []byte) error {
	i := 0
	for i < len(b) {
		switch w.state {
		case atStart:
			// RFC 8259 section 8.1: it may be ignored.
			if w.pos < 3 && b[i] == byteOrderMark[w.pos] {
				w.out = append(w.out, b[i])
				w.pos++
				i++
				continue
			}
			if w.pos == 1 || w.pos == 2 {
				return w.fail(i, "half a byte order mark")
			}
			w.state = atTop

		case atTop:
			from := i
			for i < len(b) && (b[i] == recordSeparator || b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
				i++
			}
			if i > from {
				w.out = append(w.out, b[from:i]...)
				w.apart = true
			}
			if i < len(b) {
				if !w.apart {
					return w.fail(i, "text after a value")
				}
				w.apart, w.comma = false, false
				w.state = atValue
			}

		case atElement:
			if i = skipSpace(b, i); i < len(b) {
				w.state = atValue
				if b[i] == ']' {
					w.state = afterValue
				}
			}

		case atValue:
			if i = skipSpace(b, i); i == len(b) {
				return nil
			}
			if !w.beginValue(b[i]) {
				return w.fail(i, "no value")
			}
			i++

		case atFirstKey, atKey:
			if i = skipSpace(b, i); i == len(b) {
				return nil
			}
			switch {
			case b[i] == '"':
				if next := w.members(b, i); next > i {
					i = next
					continue
				}
				var err error
				if i, err = w.beginKey(b, i); err != nil {
					return err
				}
			case b[i] == '}' && w.state == atFirstKey:
				w.state = afterValue
			default:
				return w.fail(i, "no name")
			}

		case inKey:
			if w.escaped {
				w.escaped = false
				if err := w.check(b, i, i+1); err != nil {
					return err
				}
				w.held = append(w.held, b[i])
				i++
				continue
			}
			end, ok, escaped := endString(b, i)
			if start := i - len(w.held); end-start > w.object.longestKey() {
				if w.object.wild != nil {
					return w.fail(start, longName)
				}
				w.state, w.escaped, w.keep = inLongKey, false, false
				continue
			}
			if err := w.check(b, i, end); err != nil {
				return err
			}
			w.held = append(w.held, b[i:end]...)
			i = end
			if w.escaped = escaped; ok {
				if err := w.decide(w.held, i); err != nil {
					return err
				}
			}

		case inLongKey:
			from := i
			if w.escaped {
				w.escaped = false
				i++
			}
			ok := false
			if i < len(b) {
				i, ok, w.escaped = endString(b, i)
			}
			if err := w.check(b, from, i); err != nil {
				return err
			}
			if w.keep {
				w.out = append(w.out, b[from:i]...)
			}
			if ok {
				w.state = atSpanColon
			}

		case atColon, atSpanColon:
			if i = skipSpace(b, i); i == len(b) {
				return nil
			}
			if b[i] != ':' {
				return w.fail(i, `no ":" after a name`)
			}
			i++
			if w.state == atColon {
				w.state = atValue
				continue
			}
			w.state = atSpan
			if w.keep {
				w.out = append(w.out, ':')
			}

		case atSpan:
			if i = skipSpace(b, i); i == len(b) {
				return nil
			}
			from := i
			switch class := classes[b[i]]; {
			case class == opener:
				w.state, w.span = inSpan, span{}
				continue
			case class == quote:
				w.state, w.span = inSpan, span{inString: true}
				i++
			case isScalar(b[i]):
				w.state = inScalar
				i++
			default:
				return w.fail(i, "no value")
			}
			if w.keep {
				w.out = append(w.out, b[from:i]...)
			}

		case inSpan:
			end, done, wrong := w.span.run(b, i)
			if wrong {
				return w.fail(end, "wrong closing bracket")
			}
			if w.keep {
				w.out = append(w.out, b[i:end]...)
			}
			if i = end; done {
				w.state = afterValue
			}

		case inScalar:
			end := endScalar(b, i)
			if w.keep {
				w.out = append(w.out, b[i:end]...)
			}
			if i = end; i < len(b) {
				w.state = afterValue
			}

		case inWord:
			if b[i] != w.word[w.pos] {
				return w.fail(i, "no value")
			}
			if w.keep {
				w.out = append(w.out, b[i])
			}
			i++
			if w.pos++; int(w.pos) == len(w.word) {
				w.state = afterValue
			}

		case inNumber:
			from := i
			for i < len(b) {
				next := w.number.next(b[i])
				if next == numberEnd {
					break
				}
				w.number = next
				i++
			}
			if w.keep {
				w.out = append(w.out, b[from:i]...)
			}
			if i < len(b) {
				if !w.number.complete() {
					return w.fail(i, "half a number")
				}
				w.state = afterValue
			}

		case inString:
			end, done, _ := w.span.run(b, i)
			if err := w.check(b, i, end); err != nil {
				return err
			}
			if w.keep {
				w.out = append(w.out, b[i:end]...)
			}
			if i = end; done {
				w.state = afterValue
			}

		case afterValue:
			if w.top() {
				w.state = atTop
				continue
			}
			if i = skipSpace(b, i); i == len(b) {
				return nil
			}
			switch {
			case b[i] == ',' && w.arrays > 0:
				w.state = atValue
			case b[i] == ',':
				w.state = atKey
			case b[i] == ']' && w.arrays > 0:
				w.arrays--
				w.close(']')
			case b[i] == '}' && w.arrays == 0:
				w.frame = w.stack[len(w.stack)-1]
				w.stack = w.stack[:len(w.stack)-1]
				w.close('}')
			case b[i] == ']' || b[i] == '}':
				return w.fail(i, "wrong closing bracket")
			default:
				return w.fail(i, `no "," after a value`)
			}
			i++
		}
	}
	return nil
}

func (w *walker) close(bracket byte) {
	w.out = append(w.out, bracket)
	w.comma = true
}

func isScalar(c byte) bool {
	return '0' <= c && c <= '9' || c == '-' || c == 't' || c == 'f' || c == 'n'
}

// beginValue takes the first byte of a value on the path: it says whether the value, and the
// name before it, are kept.
func (w *walker) beginValue(c byte) bool {
	w.keep = w.top()
	switch c {
	case '{', '[':
		w.emit(c)
		w.comma = false
		if c == '[' {
			w.arrays++
			w.state = atElement
			return true
		}
		w.stack = append(w.stack, w.frame)
		w.frame = frame{object: w.value}
		w.state = atFirstKey
		return true
	case 'n':
		w.keep = true
		w.state, w.word, w.pos = inWord, "null", 1
	case 't':
		w.state, w.word, w.pos = inWord, "true", 1
	case 'f':
		w.state, w.word, w.pos = inWord, "false", 1
	case '"':
		w.state, w.span, w.text = inString, span{inString: true}, textPlain
	default:
		if w.number = numberStart.next(c); w.number == numberEnd {
			return false
		}
		w.state = inNumber
	}
	if w.keep {
		w.emit(c)
	} else {
		w.key = nil
	}
	return true
}

// emit sends the first byte of a value on the path, with what belongs before it.
func (w *walker) emit(c byte) {
	if w.comma {
		w.out = append(w.out, ',')
	}
	w.comma = true
	if w.key != nil {
		w.out = append(append(w.out, w.key...), ':')
		w.key = nil
	}
	w.out = append(w.out, c)
}

// end says that the text is over.
func (w *walker) end() error {
	switch {
	case w.state == atTop, w.state == atStart && (w.pos == 0 || w.pos == 3):
		return nil
	case w.state == inNumber && w.top() && w.number.complete():
		return nil
	case w.state == afterValue && w.top():
		return nil
	}
	return w.fail(0, "unexpected end")
}
