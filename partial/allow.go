package partial

import (
	"slices"
	"strconv"
	"strings"
)

// check returns the first name of the text that allow has not.
func (p *parser) check(allow *Mask) *MaskError {
	var first unknown
	left := maxChecks
	p.checkBelow(0, []*Mask{allow}, &first, &left)
	if left < 0 {
		return &MaskError{Reason: "\"*\" stands for too much"}
	}
	if first.node == 0 {
		return nil
	}
	n := &p.nodes[first.node]
	name := n.name
	if name == "" {
		name = "*"
	}
	path := p.pathOf(n.parent)
	e := &MaskError{Pos: int(n.pos), Reason: "no field " + strconv.Quote(clip(name)), Field: name}
	if path != "" {
		e.Reason += " in " + strconv.Quote(clip(path))
		e.Field = path + "/" + name
	}
	if n.name != "" {
		e.Hint = nearest(name, first.among)
	}
	return e
}

type unknown struct {
	node  int32
	among []*Mask
}

// maxChecks bounds the work of a check, in names looked up: stars multiply what they stand for.
const maxChecks = 8 << 10

// checkBelow looks for names below node that none of fits has: one of them is enough, for a "*"
// stands for several. left is what may still be done.
func (p *parser) checkBelow(node int32, fits []*Mask, first *unknown, left *int) {
	for _, m := range fits {
		if m.everything() && (m == nil || !m.scalar) {
			return // what is open has every name
		}
	}
	var few [4]*Mask
	for c := p.nodes[node].child; c != 0; c = p.nodes[c].next {
		below := few[:0]
		if *left -= len(fits); *left < 0 {
			return
		}
		for _, m := range fits {
			if !p.nodes[c].star {
				if found := m.find([]byte(p.nodes[c].name), wordOf(p.nodes[c].name)); found != nil {
					below = append(below, found)
				}
				continue
			}
			if *left -= len(m.kids); *left < 0 {
				return
			}
			for i := range m.kids {
				below = addOnce(below, m.kids[i].mask)
			}
			if m.wild != nil {
				below = addOnce(below, m.wild)
			}
		}
		if *left -= len(below) * len(below) / 16; *left < 0 { // addOnce has looked through them
			return
		}
		p.checkOne(c, below, fits, first, left)
	}
}

// addOnce adds m, unless it is there, or is one more of the many that have no fields.
func addOnce(masks []*Mask, m *Mask) []*Mask {
	for _, have := range masks {
		if have == m || m.scalar && have.scalar {
			return masks
		}
	}
	return append(masks, m)
}

func (p *parser) checkOne(c int32, below, fits []*Mask, first *unknown, left *int) {
	switch {
	case len(below) > 0:
		p.checkBelow(c, below, first, left)
	case first.node == 0 || p.nodes[c].pos < p.nodes[first.node].pos:
		*left -= len(fits)
		*first = unknown{c, slices.Clone(fits)}
	}
}

// pathOf returns the names down to a node, between slashes.
func (p *parser) pathOf(node int32) string {
	var names []string
	for ; node != 0; node = p.nodes[node].parent {
		name := p.nodes[node].name
		if name == "" {
			name = "*"
		}
		names = append(names, name)
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
}

// Suggestions are for typing errors: long names and huge objects are no such thing.
const (
	maxHintName     = 64
	maxHintSiblings = 1024
)

// nearest returns the name among fits that name was meant to be, or the path that it is with
// dots for slashes, as masks of protobuf are written; "" if there is none.
func nearest(name string, fits []*Mask) (hint string) {
	if len(name) > maxHintName {
		return ""
	}
	if path := strings.ReplaceAll(name, ".", "/"); path != name {
		for _, m := range fits {
			if exists(m, strings.Split(name, ".")) {
				return path
			}
		}
	}
	siblings, best := 0, max(1, len(name)/3)+1
	for _, m := range fits {
		if siblings += len(m.kids); siblings > maxHintSiblings {
			return hint
		}
		for i := range m.kids {
			kid := m.kids[i].name
			if far := len(kid) - len(name); max(far, -far) >= best {
				continue // it takes so many insertions at least
			}
			// In lower case some letters are longer.
			if a, b := strings.ToLower(name), strings.ToLower(kid); len(a) <= maxHintName && len(b) <= maxHintName {
				if d := distance(a, b); d < best {
					best, hint = d, kid
				}
			}
		}
	}
	return hint
}

func exists(m *Mask, names []string) bool {
	for _, name := range names {
		if m.everything() {
			return m == nil || !m.scalar
		}
		if m = m.find([]byte(name), wordOf(name)); m == nil || name == "" {
			return false
		}
	}
	return true
}

// distance counts the bytes to insert, delete, replace, or swap with the next, that make b of a
// (optimal string alignment).
func distance(a, b string) int {
	var rows [3][maxHintName + 1]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
