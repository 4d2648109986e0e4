package partial

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
)

// A Mask is an immutable set of field paths. The nil *Mask selects everything, and every
// method accepts it. Masks are safe for concurrent use.
//
// A Mask is a node of a tree, and the Mask below each of its paths is another one: [Mask.Sub]
// returns it as it is. A node that selects everything below it is whole and has nothing else.
type Mask struct {
	kids    []kid // named members, sorted; each has what its sibling wild selects too
	wild    *Mask // of members without a name here; nil: they are not selected
	longest int   // bytes of the longest name
	whole   bool
	scalar  bool // a whole leaf of For that has no fields: Allow lets nothing stand below it
}

type kid struct {
	word uint64 // of name: most comparisons end here
	name string
	mask *Mask
}

// everything is how code inside the package writes the nil Mask down, so that it need not ask.
func (m *Mask) everything() bool { return m == nil || m.whole }

// public is what a caller gets for a node.
func (m *Mask) public() *Mask {
	if m.everything() {
		return nil
	}
	return m
}

// fewKids is up to how many a scan beats a binary search.
const fewKids = 8

// wordOf is the beginning of a name as a number: words are ordered as their names are, up to
// names that begin alike.
func wordOf(name string) (word uint64) {
	for i := range min(len(name), 8) {
		word |= uint64(name[i]) << (56 - 8*i)
	}
	return word
}

// find returns the mask of the member name, nil if it is not selected. There are at least 8
// bytes from the beginning of name to that of from's end if wide is to be read at once.
func (m *Mask) find(name []byte, word uint64) *Mask {
	if len(m.kids) <= fewKids {
		for i := range m.kids {
			if k := &m.kids[i]; k.word == word && k.name == string(name) {
				return k.mask
			}
		}
		return m.wild
	}
	// Sorted, and never hashed: names that collide would be easy to send.
	low, high := 0, len(m.kids)
	for low < high {
		mid := int(uint(low+high) >> 1)
		if k := &m.kids[mid]; k.word < word || k.word == word && k.name < string(name) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low < len(m.kids) && m.kids[low].name == string(name) {
		return m.kids[low].mask
	}
	return m.wild
}

// wordAt is wordOf for a name of n bytes at b[i:].
func wordAt(b []byte, i, n int) uint64 {
	if i+8 <= len(b) {
		word := binary.BigEndian.Uint64(b[i:])
		if n < 8 {
			word &= ^uint64(0) << (64 - 8*n)
		}
		return word
	}
	var word uint64
	for j := range min(n, 8) {
		word |= uint64(b[i+j]) << (56 - 8*j)
	}
	return word
}

// step returns what m selects of the member name; nil if nothing. Star stands for any member:
// what is selected of one of them at least.
func (m *Mask) step(name string, star bool) *Mask {
	if !star {
		return m.find([]byte(name), wordOf(name))
	}
	all := make([]*Mask, 0, len(m.kids)+1)
	for i := range m.kids {
		all = append(all, m.kids[i].mask)
	}
	if m.wild != nil {
		all = append(all, m.wild)
	}
	if len(all) == 0 {
		return nil
	}
	return union(all)
}

// at walks a path. A nil mask selects all that stands there; not ok: nothing of it is selected.
func (m *Mask) at(path string) (at *Mask, ok bool) {
	m, ok = m.public(), true
	for path != "" {
		name, star, end, reason := scanName(path, 0)
		if reason != "" || end < len(path) && (path[end] != '/' || end+1 == len(path)) {
			return nil, false
		}
		path = path[min(end+1, len(path)):]
		if m != nil && ok { // else go on for the rest of the path, which may be malformed
			m = m.step(name, star)
			ok = m != nil
			m = m.public()
		}
	}
	return m, ok
}

// Has reports whether anything at or below path is selected. A path is names between slashes,
// with the escapes of a mask and no groups: "items/price". A "*" in it stands for any member,
// "" for the document; of a malformed path nothing is selected.
func (m *Mask) Has(path string) bool {
	at, ok := m.at(path)
	return ok && (at == nil || len(at.kids) > 0 || at.wild != nil)
}

// Sub returns the mask of what stands at path, which is written as for [Mask.Has]: nil if all of
// it is selected, a mask that selects nothing if none is. What it is applied to may be an array,
// for masks apply to each element.
func (m *Mask) Sub(path string) *Mask {
	if at, ok := m.at(path); ok {
		return at
	}
	return &Mask{}
}

// Names returns the selected members of this level, sorted. With all every member is selected, in
// whole or in part, and names are those of which the mask says something else.
func (m *Mask) Names() (names []string, all bool) {
	if m.everything() {
		return nil, true
	}
	for i := range m.kids {
		names = append(names, m.kids[i].name)
	}
	return names, m.wild != nil
}

// String returns the canonical text: names sorted bytewise, siblings merged, as few escapes as
// possible. Masks that select the same of every document have the same text, and Parse of it
// gives an equal mask. That of nil is "*"; that of a mask which selects nothing is "".
func (m *Mask) String() string {
	if m.everything() {
		return "*"
	}
	var b bytes.Buffer
	m.write(&b, nil)
	return b.String()
}

// write appends what m selects beyond what those in base do, of which none selects more than m,
// and returns the number of terms. So a name says only what the "*" beside it does not, and
// the text of a mask does not outgrow what it was parsed from.
func (m *Mask) write(b *bytes.Buffer, base []*Mask) (terms int) {
	if m.wild != nil {
		var below []*Mask
		for _, m := range base {
			if m.wild != nil {
				below = append(below, m.wild)
			}
		}
		terms += m.wild.writeTerm(b, "*", terms, below)
	}
	for i := range m.kids {
		k := &m.kids[i]
		var below []*Mask
		if m.wild != nil {
			below = append(below, m.wild)
		}
		for _, m := range base {
			if found := m.find([]byte(k.name), k.word); found != nil {
				below = append(below, found)
			}
		}
		terms += k.mask.writeTerm(b, escaped(k.name), terms, below)
	}
	return terms
}

func (m *Mask) writeTerm(b *bytes.Buffer, name string, before int, base []*Mask) (wrote int) {
	if slices.ContainsFunc(base, (*Mask).everything) {
		return 0
	}
	start := b.Len()
	if before > 0 {
		b.WriteByte(',')
	}
	b.WriteString(name)
	if m.whole {
		return 1
	}
	slash := b.Len()
	b.WriteByte('/')
	switch m.write(b, base) {
	case 0:
		b.Truncate(start)
		return 0
	case 1:
	default: // a(b,c) in place of a/b
		b.Bytes()[slash] = '('
		b.WriteByte(')')
	}
	return 1
}

// escaped returns name so that it is read as itself.
func escaped(name string) string {
	special := name == "*" || name == "**" || strings.ContainsAny(name, `,/()[]\`) ||
		name[0] == '!' || strings.Trim(name, " \t") != name
	if !special {
		return name
	}
	b := make([]byte, 0, len(name)+4)
	for i := range len(name) {
		c := name[i]
		switch c {
		case ',', '/', '(', ')', '[', ']', '\\':
			b = append(b, '\\')
		case '!':
			if i == 0 {
				b = append(b, '\\')
			}
		case '*':
			if i == 0 && strings.Trim(name[1:], "*") == "" && len(name) <= 2 {
				b = append(b, '\\')
			}
		case ' ', '\t':
			// One that is escaped ends the blanks around a name.
			if i == 0 || i == len(name)-1 {
				b = append(b, '\\')
			}
		}
		b = append(b, c)
	}
	return string(b)
}
