package batch

import "testing"

// L6: the search for circles looks at every fetch once, whatever the number of ways to it: with 30
// fetches on each of 8 levels there are 30^8 of them, for which no time would be enough.
func TestL6_ManyWays(t *testing.T) {
	const width, levels = 30, 8
	var top node
	all := make([][]node, levels)
	for l := range all {
		all[l] = make([]node, width)
	}
	for i := range width {
		top.waitFor(&all[0][i])
	}
	for l := range levels - 1 {
		for i := range width {
			for j := range width {
				if !all[l][i].waitFor(&all[l+1][j]) {
					t.Fatalf("a circle at level %d", l)
				}
			}
		}
	}
	last := &all[levels-1][width-1]
	if last.waitFor(&top) {
		t.Error("the circle is not seen")
	}
	if len(last.waits) != 0 {
		t.Errorf("what would close a circle is noted: %v", last.waits)
	}
	if last.reaches(&top) || !top.reaches(last) {
		t.Error("who waits for whom")
	}
}

// L6: many loads of one fetch that wait for another one are one edge, until the last has ended.
func TestL6_EdgesAreCounted(t *testing.T) {
	var n, m, other node
	for range 1000 {
		n.waitFor(&m)
	}
	n.waitFor(&other)
	if len(n.waits) != 2 {
		t.Errorf("%d edges, want 2", len(n.waits))
	}
	for range 999 {
		n.waited(&m)
	}
	if !n.reaches(&m) {
		t.Error("the last load still waits")
	}
	n.waited(&m)
	if n.reaches(&m) || !n.reaches(&other) {
		t.Errorf("%v", n.waits)
	}
}
