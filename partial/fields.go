package partial

import (
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// A member is a field of a struct as encoding/json sees it.
type member struct {
	name   string
	tagged bool // by the json tag, which decides between fields of the same depth
	depth  int
	index  []int
	field  reflect.StructField
}

// membersOf returns the fields that encoding/json writes of struct t, in its order. Fields of
// embedded structs count as t's own; of those with the same name the least deep one counts,
// then the one that is tagged, and else none of them.
func membersOf(t reflect.Type) []member {
	type level struct {
		t     reflect.Type
		index []int
		twice bool // embedded more than once at this depth: its fields hide each other
	}
	var all []member
	seen := map[reflect.Type]bool{t: true}
	for depth, now := 0, []level{{t: t}}; len(now) > 0; depth++ {
		var next []level
		for _, l := range now {
			for i := range l.t.NumField() {
				f := l.t.Field(i)
				under := f.Type
				if under.Name() == "" && under.Kind() == reflect.Pointer {
					under = under.Elem()
				}
				if !f.IsExported() && !(f.Anonymous && under.Kind() == reflect.Struct) {
					continue
				}
				tag := f.Tag.Get("json")
				if tag == "-" {
					continue
				}
				name, _, _ := strings.Cut(tag, ",")
				if !isTagName(name) {
					name = ""
				}
				index := append(slices.Clone(l.index), i)
				if f.Anonymous && name == "" && under.Kind() == reflect.Struct {
					at := slices.IndexFunc(next, func(n level) bool { return n.t == under })
					switch {
					case at >= 0:
						next[at].twice = true
					case !seen[under]:
						next = append(next, level{t: under, index: index})
					}
					continue
				}
				m := member{name, name != "", depth, index, f}
				if !m.tagged {
					m.name = f.Name
				}
				if all = append(all, m); l.twice {
					all = append(all, m)
				}
			}
		}
		for _, n := range next {
			seen[n.t] = true
		}
		now = next
	}
	return dominant(all)
}

func dominant(all []member) []member {
	// The best of a name first, then it has to be better than the second.
	slices.SortStableFunc(all, func(a, b member) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return rank(a) - rank(b)
	})
	var members []member
	for i := 0; i < len(all); {
		j := i + 1
		for j < len(all) && all[j].name == all[i].name {
			j++
		}
		if j == i+1 || rank(all[i]) < rank(all[i+1]) {
			members = append(members, all[i])
		}
		i = j
	}
	slices.SortFunc(members, func(a, b member) int { return slices.Compare(a.index, b.index) })
	return members
}

func rank(m member) int {
	if m.tagged {
		return 2 * m.depth
	}
	return 2*m.depth + 1
}

// isTagName reports whether encoding/json takes name from a tag.
func isTagName(name string) bool {
	for _, c := range name {
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return false
		}
	}
	return name != ""
}
