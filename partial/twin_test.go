package partial_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode/utf16"
)

// The naive twin: a mask is the list of its paths, a document is parsed by recursion, and
// nothing is clever.

type twinName struct {
	name string
	star bool
}

type twinPath []twinName

// twinMask parses a mask of plain names, without escapes and blanks.
func twinMask(text string) []twinPath {
	paths, rest := twinTerms(text)
	if rest != "" {
		panic("twin: " + text + " ends with " + rest)
	}
	return paths
}

func twinTerms(text string) (paths []twinPath, rest string) {
	for {
		var term []twinPath
		term, text = twinTerm(text)
		paths = append(paths, term...)
		if !strings.HasPrefix(text, ",") {
			return paths, text
		}
		text = text[1:]
	}
}

func twinTerm(text string) (paths []twinPath, rest string) {
	n := strings.IndexAny(text+")", ",/()")
	name := twinName{text[:n], text[:n] == "*"}
	if name.star {
		name.name = ""
	}
	rest = text[n:]
	below := []twinPath{{}}
	switch {
	case strings.HasPrefix(rest, "/"):
		below, rest = twinTerm(rest[1:])
	case strings.HasPrefix(rest, "("):
		below, rest = twinTerms(rest[1:])
		rest = rest[1:]
		if strings.HasPrefix(rest, "/") {
			var after, all []twinPath
			after, rest = twinTerm(rest[1:])
			for _, b := range below {
				for _, a := range after {
					all = append(all, append(append(twinPath{}, b...), a...))
				}
			}
			below = all
		}
	}
	for _, b := range below {
		paths = append(paths, append(twinPath{name}, b...))
	}
	return paths, rest
}

func twinBelow(paths []twinPath, name string, known bool) (below []twinPath) {
	for _, p := range paths {
		if len(p) > 0 && (p[0].star || known && p[0].name == name) {
			below = append(below, p[1:])
		}
	}
	return below
}

func twinWhole(paths []twinPath) bool {
	for _, p := range paths {
		if len(p) == 0 {
			return true
		}
	}
	return false
}

type twinFault struct{}

// twinCut returns what paths select of doc; not ok: it is no JSON, as far as B7 looks.
func twinCut(paths []twinPath, doc []byte) (out []byte, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			if _, fault := p.(twinFault); !fault {
				panic(p)
			}
			out, ok = nil, false
		}
	}()
	for _, p := range paths {
		if len(p) == 1 && p[0].star {
			return doc, true
		}
	}
	t := &twin{doc: doc}
	if bytes.HasPrefix(doc, []byte("\xef\xbb\xbf")) {
		t.i = 3
		out = append(out, doc[:3]...)
	}
	apart := true
	for {
		from := t.i
		for t.i < len(doc) && strings.IndexByte(" \t\r\n\x1e", doc[t.i]) >= 0 {
			t.i++
		}
		out = append(out, doc[from:t.i]...)
		if t.i == len(doc) {
			return out, true
		}
		if !apart && from == t.i {
			return nil, false
		}
		apart = false
		from = t.i
		if c := t.peek(); c != '{' && c != '[' {
			t.scalar()
			out = append(out, doc[from:t.i]...)
			continue
		}
		v, _ := t.value(paths)
		out = append(out, v...)
	}
}

type twin struct {
	doc []byte
	i   int
}

func (t *twin) fault() { panic(twinFault{}) }

func (t *twin) peek() byte {
	if t.i == len(t.doc) {
		t.fault()
	}
	return t.doc[t.i]
}

func (t *twin) take() byte {
	c := t.peek()
	t.i++
	return c
}

func (t *twin) space() {
	for strings.IndexByte(" \t\r\n", t.peek()) >= 0 {
		t.i++
	}
}

// value returns what paths select of the value here; not kept: B3 drops it.
func (t *twin) value(paths []twinPath) (out []byte, kept bool) {
	switch t.peek() {
	case '[':
		t.i++
		var items [][]byte
		if t.space(); t.peek() == ']' {
			t.i++
			return []byte("[]"), true
		}
		for {
			t.space()
			if item, kept := t.value(paths); kept {
				items = append(items, item)
			}
			t.space()
			switch t.take() {
			case ',':
			case ']':
				return []byte("[" + string(bytes.Join(items, []byte(","))) + "]"), true
			default:
				t.fault()
			}
		}
	case '{':
		t.i++
		var members [][]byte
		if t.space(); t.peek() == '}' {
			t.i++
			return []byte("{}"), true
		}
		for {
			t.space()
			key := t.text()
			name, known := twinUnescape(key)
			below := twinBelow(paths, name, known)
			t.space()
			if t.take() != ':' {
				t.fault()
			}
			t.space()
			from := t.i
			switch {
			case below == nil:
				t.balanced()
			case twinWhole(below):
				t.balanced()
				members = append(members, []byte(string(key)+":"+string(t.doc[from:t.i])))
			default:
				if v, kept := t.value(below); kept {
					members = append(members, []byte(string(key)+":"+string(v)))
				}
			}
			t.space()
			switch t.take() {
			case ',':
			case '}':
				return []byte("{" + string(bytes.Join(members, []byte(","))) + "}"), true
			default:
				t.fault()
			}
		}
	}
	from := t.i
	t.scalar()
	return t.doc[from:t.i], string(t.doc[from:t.i]) == "null"
}

// scalar reads a number by its grammar, a literal, or a string that ends.
func (t *twin) scalar() {
	if t.peek() == '"' {
		t.text()
		return
	}
	for _, word := range []string{"null", "true", "false"} {
		if bytes.HasPrefix(t.doc[t.i:], []byte(word)) {
			t.i += len(word)
			return
		}
	}
	at := func(set string) bool { return t.i < len(t.doc) && strings.IndexByte(set, t.doc[t.i]) >= 0 }
	digits := func() {
		if !at("0123456789") {
			t.fault()
		}
		for at("0123456789") {
			t.i++
		}
	}
	if at("-") {
		t.i++
	}
	if at("0") {
		t.i++
	} else {
		digits()
	}
	if at(".") {
		t.i++
		digits()
	}
	if at("eE") {
		t.i++
		if at("+-") {
			t.i++
		}
		digits()
	}
}

func (t *twin) str() []byte {
	from := t.i
	if t.take() != '"' {
		t.fault()
	}
	for {
		switch t.take() {
		case '\\':
			t.take()
		case '"':
			return t.doc[from:t.i]
		}
	}
}

// text is a string of which every byte is checked.
func (t *twin) text() []byte {
	s := t.str()
	if !json.Valid(s) {
		t.fault()
	}
	return s
}

// balanced reads a value of which only strings and brackets matter.
func (t *twin) balanced() {
	var open []byte
	for {
		switch c := t.peek(); {
		case c == '"':
			t.str()
		case c == '{' || c == '[':
			open = append(open, c)
			t.i++
		case c == '}' || c == ']':
			if len(open) == 0 || open[len(open)-1] != c-2 {
				t.fault()
			}
			open = open[:len(open)-1]
			t.i++
		case len(open) > 0:
			t.i++
		case strings.IndexByte("-0123456789tfn", c) < 0:
			t.fault()
		default:
			for t.i < len(t.doc) && strings.IndexByte(" \t\r\n\x1e,:[]{}\"", t.doc[t.i]) < 0 {
				t.i++
			}
		}
		if len(open) == 0 {
			return
		}
	}
}

// twinUnescape asks encoding/json what a key is; not known: it has a lone surrogate, which becomes
// U+FFFD there.
func twinUnescape(key []byte) (name string, known bool) {
	text := invalidUTF8(string(key))
	if json.Unmarshal([]byte(text), &name) != nil {
		return "", false
	}
	escapes := strings.NewReplacer(`\\`, ``, `\ufffd`, "\ufffd").Replace(strings.ToLower(text))
	wide := strings.Count(escapes, "\ufffd")
	return name, strings.Count(name, "\ufffd") == wide
}

// invalidUTF8 leaves only what encoding/json keeps: no name of a mask here is anything else.
func invalidUTF8(text string) string { return strings.ToValidUTF8(text, "?") }

// What random documents and masks are made of.

var twinNames = [...]string{"a", "b", "c", "id", "name", "items", "longer_name", "longer_nama", "x1", "x2", "x3", "x4", "é", "𝄞"}

func randomMask(r *rand.Rand, depth int) string {
	terms := make([]string, 1+r.IntN(3))
	for i := range terms {
		t := twinNames[r.IntN(len(twinNames))]
		if r.IntN(6) == 0 {
			t = "*"
		}
		if depth > 0 {
			switch r.IntN(4) {
			case 0:
				t += "/" + randomMask(r, 0)
			case 1:
				t += "(" + randomMask(r, depth-1) + ")"
			case 2:
				t += "(" + randomMask(r, depth-1) + ")/" + twinNames[r.IntN(4)]
			}
		}
		terms[i] = t
	}
	return strings.Join(terms, ",")
}

func randomSpace(r *rand.Rand, b []byte) []byte {
	for r.IntN(8) == 0 {
		b = append(b, " \t\r\n"[r.IntN(4)])
	}
	return b
}

func randomKey(r *rand.Rand, b []byte) []byte {
	b = append(b, '"')
	for _, c := range twinNames[r.IntN(len(twinNames))] {
		switch {
		case r.IntN(20) > 0:
			b = append(b, string(c)...)
		case c > 0xffff:
			hi, lo := utf16.EncodeRune(c)
			b = fmt.Appendf(b, `\u%04x\u%04X`, hi, lo)
		default:
			b = fmt.Appendf(b, `\u%04x`, c)
		}
	}
	if r.IntN(30) == 0 {
		b = append(b, [...]string{`\ud834`, `\udd1e`, `\"`, `\\`, `\/`, `\n`, "\n", `\x`, `\u00`}[r.IntN(9)]...)
	}
	return append(b, '"')
}

var twinScalars = [...]string{
	"null", "true", "false", "0", "-0.0", "1e400", "123456789012345678901234567890", "1.50E+3", `""`, `"x"`,
	`"a \"quoted\" text that is longer than sixteen bytes"`, `"\\"`, `"\\\\\""`, `"ends with \\\\"`, `"\ud800"`, `"[{"`, `"}],"`, "\"\xff\"",
}

func randomValue(r *rand.Rand, b []byte, depth int) []byte {
	kind := r.IntN(5)
	if depth == 0 {
		kind = 4
	}
	switch kind {
	case 0, 1:
		b = append(b, '{')
		for i := range r.IntN(6) {
			if i > 0 {
				b = append(randomSpace(r, b), ',')
			}
			b = randomKey(r, randomSpace(r, b))
			b = append(randomSpace(r, b), ':')
			b = randomValue(r, randomSpace(r, b), depth-1)
		}
		return append(randomSpace(r, b), '}')
	case 2, 3:
		b = append(b, '[')
		for i := range r.IntN(4) {
			if i > 0 {
				b = append(randomSpace(r, b), ',')
			}
			b = randomValue(r, randomSpace(r, b), depth-1)
		}
		return append(randomSpace(r, b), ']')
	}
	return append(b, twinScalars[r.IntN(len(twinScalars))]...)
}

func randomText(r *rand.Rand) (b []byte) {
	if r.IntN(10) == 0 {
		b = append(b, "\xef\xbb\xbf"...)
	}
	for i := range 1 + r.IntN(6)/4 {
		if i > 0 {
			b = append(b, "\n\x1e "[r.IntN(3)])
		}
		b = randomValue(r, randomSpace(r, b), 1+r.IntN(5))
		b = randomSpace(r, b)
	}
	return b
}

// damaged changes a few bytes, so that it is no JSON as a rule.
func damaged(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + r.IntN(2) {
		if len(b) == 0 {
			return b
		}
		i := r.IntN(len(b))
		switch r.IntN(3) {
		case 0:
			b[i] = `{}[]",:\ntf1-e. `[r.IntN(16)]
		case 1:
			b = append(b[:i], b[i+1:]...)
		case 2:
			b = b[:i]
		}
	}
	return b
}
