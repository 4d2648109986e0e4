package metrics

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
)

// maxLabelValue bounds the bytes of a label value.
const maxLabelValue = 128

// Rows are the label pairs of a level under given keys, made once and used by every scrape.
type rows struct {
	keys  []string           // of the maps around the level, outermost first
	pairs [][]*dto.LabelPair // of each leaf
	// Below each fork: what the last scrape found there, by clean key. It is replaced and never
	// changed, so scrapes at the same time need no lock; and what is gone from the map is
	// forgotten.
	below []atomic.Pointer[map[string]*rows]
}

func (l *level) rows(keys []string) *rows {
	r := &rows{keys: keys, below: make([]atomic.Pointer[map[string]*rows], len(l.forks))}
	for _, leaf := range l.leaves {
		pairs := make([]dto.LabelPair, len(leaf.labels))
		pointers := make([]*dto.LabelPair, len(pairs))
		for i := range leaf.labels {
			of := &leaf.labels[i]
			pairs[i].Name, pairs[i].Value = &of.name, &of.value
			if of.level > 0 {
				pairs[i].Value = &keys[of.level-1]
			}
			pointers[i] = &pairs[i]
		}
		r.pairs = append(r.pairs, pointers)
	}
	return r
}

// read returns the samples of all series of v, a struct that can be addressed.
func (p *plan) read(v reflect.Value) []sample {
	out := p.top.read(p.rows, []reflect.Value{v}, make([]sample, 0, p.size.Load()))
	p.size.Store(int64(len(out))) // the next scrape makes about as many
	return out
}

// read appends the samples of a level. Usually it reads one value; several are what a map has
// under keys that become one label value, and count as one.
func (l *level) read(r *rows, vs []reflect.Value, out []sample) []sample {
	for i, leaf := range l.leaves {
		out = leaf.read(vs, r.pairs[i], out)
	}
	for i := range l.forks {
		out = l.forks[i].read(r, &r.below[i], vs, out)
	}
	return out
}

func (f *fork) read(r *rows, remembered *atomic.Pointer[map[string]*rows], vs []reflect.Value, out []sample) []sample {
	var known map[string]*rows
	if p := remembered.Load(); p != nil {
		known = *p
	}
	if len(vs) > 1 {
		return f.readMerged(r, known, remembered, vs, out)
	}
	m := at(vs[0], f.index)
	if m.Len() == 0 && len(known) == 0 {
		return out
	}
	begin, fresh := len(out), map[string]*rows(nil)
	key, one := reflect.New(m.Type().Key()).Elem(), []reflect.Value{reflect.New(m.Type().Elem()).Elem()}
	for it := m.MapRange(); it.Next(); {
		key.SetIterKey(it)
		below := known[key.String()]
		if below == nil {
			if key.String() != clean(key.String()) { // may be a label value that another key has
				return f.readMerged(r, known, remembered, vs, out[:begin])
			}
			below = f.under(r, key.String())
			if fresh == nil {
				fresh = map[string]*rows{}
			}
			fresh[below.key()] = below
		}
		one[0].SetIterValue(it)
		out = f.below.read(below, one, out)
	}
	if fresh == nil && len(known) == m.Len() {
		return out
	}
	for name, below := range known {
		key.SetString(name)
		if m.MapIndex(key).IsValid() {
			if fresh == nil {
				fresh = map[string]*rows{}
			}
			fresh[name] = below
		}
	}
	remembered.Store(&fresh)
	return out
}

// readMerged reads maps whose keys are not all label values: those that become the same one
// are added up.
func (f *fork) readMerged(r *rows, known map[string]*rows, remembered *atomic.Pointer[map[string]*rows], vs []reflect.Value, out []sample) []sample {
	groups := map[string][]reflect.Value{}
	for _, v := range vs {
		m := at(v, f.index)
		// In a fixed order: a sum of floats that depends on it would go up and down by a bit.
		keys := m.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			value := reflect.New(m.Type().Elem()).Elem() // histograms are read in place
			value.Set(m.MapIndex(key))
			name := clean(key.String())
			groups[name] = append(groups[name], value)
		}
	}
	seen := make(map[string]*rows, len(groups))
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		below := known[name]
		if below == nil {
			below = f.under(r, name)
		}
		seen[below.key()] = below
		out = f.below.read(below, groups[name], out)
	}
	remembered.Store(&seen)
	return out
}

// under makes the rows below a key. The key is copied: it may be a piece of something large.
func (f *fork) under(r *rows, key string) *rows {
	return f.below.rows(append(slices.Clip(r.keys), strings.Clone(key)))
}

// key is the innermost one.
func (r *rows) key() string { return r.keys[len(r.keys)-1] }

// at is FieldByIndex for values of a map too, which stand at no field.
func at(v reflect.Value, index []int) reflect.Value {
	if len(index) == 0 {
		return v
	}
	return v.FieldByIndex(index)
}

// clean returns s as a label value: valid UTF-8, for one bad byte would fail the scrape of
// everything, and at most maxLabelValue bytes.
func clean(s string) string {
	if len(s) <= maxLabelValue && utf8.ValidString(s) {
		return s
	}
	// Cut before and after: the first keeps the work small, and the replacement of a byte has three.
	return cut(strings.ToValidUTF8(cut(s), string(utf8.RuneError)))
}

// cut shortens s to maxLabelValue bytes, or some less where that would split a rune.
func cut(s string) string {
	if len(s) <= maxLabelValue {
		return s
	}
	end := maxLabelValue
	for end > maxLabelValue-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
