package partial

import (
	"cmp"
	"slices"
	"strings"
)

// building is the part of a parser that makes a Mask of what was written.
type building struct {
	named []named
	masks []Mask
	kids  []kid
	work  int
}

type named struct {
	word uint64
	name string
	node int32
}

// maxMerged bounds what merging names with the "*" beside them may add: in units of MaxNames.
const maxMerged = 4

func (p *parser) build() (*Mask, *MaskError) {
	if p.nodes[0].child == 0 {
		return nil, nil
	}
	for c := p.nodes[0].child; c != 0; c = p.nodes[c].next {
		if p.nodes[c].star && p.nodes[c].whole {
			return nil, nil
		}
	}
	p.masks = make([]Mask, len(p.nodes))
	p.kids = make([]kid, len(p.nodes)-1)
	m := p.take()
	if !p.merge(m, []int32{0}) {
		return nil, &MaskError{Reason: p.tooMany() + ", once each has what the * beside it says,"}
	}
	return m, nil
}

func (p *parser) take() *Mask {
	if len(p.masks) == 0 { // only after merging with "*"
		p.masks = make([]Mask, len(p.nodes))
	}
	m := &p.masks[0]
	p.masks = p.masks[1:]
	return m
}

func (p *parser) takeKids(n int) []kid {
	if len(p.kids) < n {
		p.kids = make([]kid, max(n, len(p.nodes)))
	}
	kids := p.kids[:n:n]
	p.kids = p.kids[n:]
	return kids
}

// merge makes m the union of nodes. It recurses to the depth of the mask, which is bounded by
// then; false: there is too much to do.
func (p *parser) merge(m *Mask, nodes []int32) bool {
	if p.work += len(nodes); p.work > maxMerged*p.names {
		return false
	}
	from, wild := len(p.named), len(p.set)
	for _, n := range nodes {
		at := &p.nodes[n]
		if at.whole {
			p.named, p.set = p.named[:from], p.set[:wild]
			*m = Mask{whole: true}
			return true
		}
		for c := at.child; c != 0; c = p.nodes[c].next {
			if p.nodes[c].star {
				p.set = append(p.set, c)
			} else {
				p.named = append(p.named, named{wordOf(p.nodes[c].name), p.nodes[c].name, c})
			}
		}
	}
	stars := p.set[wild:len(p.set):len(p.set)]
	if len(stars) > 0 {
		m.wild = p.take()
		if !p.merge(m.wild, stars) {
			return false
		}
		if m.wild.whole { // then no name says more
			p.named, p.set = p.named[:from], p.set[:wild]
			return true
		}
	}
	names := p.named[from:len(p.named):len(p.named)]
	slices.SortFunc(names, func(a, b named) int {
		if a.word != b.word {
			return cmp.Compare(a.word, b.word)
		}
		return strings.Compare(a.name, b.name)
	})
	distinct := 0
	for i := range names {
		if i == 0 || names[i].name != names[i-1].name {
			distinct++
		}
	}
	m.kids = p.takeKids(distinct)
	for i, j := 0, 0; i < len(names); j++ {
		k := &m.kids[j]
		*k = kid{word: names[i].word, name: names[i].name, mask: p.take()}
		m.longest = max(m.longest, len(k.name))
		mark := len(p.set)
		for ; i < len(names) && names[i].name == k.name; i++ {
			p.set = append(p.set, names[i].node)
		}
		p.set = append(p.set, stars...)
		if !p.merge(k.mask, p.set[mark:len(p.set):len(p.set)]) {
			return false
		}
		p.set = p.set[:mark]
	}
	p.named, p.set = p.named[:from], p.set[:wild]
	return true
}

// union is the mask of what one of all selects at least.
func union(all []*Mask) *Mask {
	if slices.ContainsFunc(all, (*Mask).everything) {
		return &Mask{whole: true}
	}
	m := &Mask{}
	var wilds []*Mask
	var names []string
	for _, a := range all {
		if a.wild != nil {
			wilds = append(wilds, a.wild)
		}
		for i := range a.kids {
			names = append(names, a.kids[i].name)
		}
	}
	if wilds != nil {
		if m.wild = union(wilds); m.wild.whole {
			return m
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		var below []*Mask
		for _, a := range all {
			if found := a.find([]byte(name), wordOf(name)); found != nil {
				below = append(below, found)
			}
		}
		m.add(name, union(below))
	}
	return m
}

// add appends a member; names come sorted.
func (m *Mask) add(name string, below *Mask) {
	m.kids = append(m.kids, kid{wordOf(name), name, below})
	m.longest = max(m.longest, len(name))
}
