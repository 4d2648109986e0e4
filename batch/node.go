package batch

import (
	"slices"
	"sync"
)

// A node is a fetch in the graph of who waits for whom.
type node struct {
	mu    sync.Mutex
	waits []edge
}

// An edge is the loads inside of one fetch that wait for another one.
type edge struct {
	to    *node
	loads int
}

// waitFor notes that a load inside of n's fetch waits for m. False: m waits for n already, and
// both would wait for ever. Each edge is there before the search, so of two that close a
// circle at the same time one at least sees it.
func (n *node) waitFor(m *node) bool {
	n.mu.Lock()
	if i := n.edge(m); i >= 0 {
		n.waits[i].loads++
	} else {
		n.waits = append(n.waits, edge{m, 1})
	}
	n.mu.Unlock()
	if m.reaches(n) {
		n.waited(m)
		return false
	}
	return true
}

func (n *node) edge(m *node) int {
	return slices.IndexFunc(n.waits, func(e edge) bool { return e.to == m })
}

// waited undoes waitFor.
func (n *node) waited(m *node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := n.edge(m)
	if n.waits[i].loads--; n.waits[i].loads == 0 {
		last := len(n.waits) - 1
		n.waits[i], n.waits[last] = n.waits[last], edge{}
		n.waits = n.waits[:last]
	}
}

// reaches reports whether n is goal or waits for it, by way of others. Each of them is looked at
// once, however many ways lead there.
func (n *node) reaches(goal *node) bool {
	if n == goal {
		return true
	}
	var few [16]*node
	found := append(few[:0], n)
	var known map[*node]bool // when they are many
	for i := 0; i < len(found); i++ {
		at := found[i]
		at.mu.Lock()
		for _, e := range at.waits {
			if e.to == goal {
				at.mu.Unlock()
				return true
			}
			if len(found) == len(few) && known == nil {
				known = make(map[*node]bool, 4*len(few))
				for _, m := range found {
					known[m] = true
				}
			}
			if known != nil && known[e.to] || known == nil && slices.Contains(found, e.to) {
				continue
			}
			found = append(found, e.to)
			if known != nil {
				known[e.to] = true
			}
		}
		at.mu.Unlock()
	}
	return false
}
