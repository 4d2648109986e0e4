package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// allSwitches are the layers of After, in the order in which they came.
var allSwitches = []string{"cache", "httpcache", "partial", "batch", "compress", "throttle", "pool", "bulkhead"}

// foundations are what Tuned has and Before has not. They are on unless they are switched off.
var foundations = []string{"indexes", "connections"}

// Switches says which layers of After are on, and which foundations are off.
type Switches map[string]bool

// AllOn has every layer.
func AllOn() Switches {
	on := Switches{}
	for _, name := range allSwitches {
		on[name] = true
	}
	return on
}

// Has reports whether a layer or a foundation is on.
func (on Switches) Has(name string) bool {
	is, said := on[name]
	switch {
	case slices.Contains(allSwitches, name):
		return is
	case slices.Contains(foundations, name):
		return is || !said
	}
	panic("no switch " + name)
}

// But returns the same but for one of them.
func (on Switches) But(name string, is bool) Switches {
	other := maps.Clone(on)
	other[name] = is
	return other
}

// String is the list for -with: the layers that are on, and foundations that are off with a minus;
// "none" if there is nothing to say.
func (on Switches) String() string {
	var names []string
	for _, name := range allSwitches {
		if on[name] {
			names = append(names, name)
		}
	}
	for _, name := range foundations {
		if !on.Has(name) {
			names = append(names, "-"+name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ",")
}

// parseSwitches reads -with and -without, lists with commas; at most one of them is given.
func parseSwitches(with, without string) (Switches, error) {
	if with != "" && without != "" {
		return nil, fmt.Errorf("-with is %q and -without is %q: give one of them", with, without)
	}
	on, list, flag, set := AllOn(), without, "-without", false
	if with != "" {
		on, list, flag, set = Switches{}, with, "-with", true
	}
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name == "" || name == "none" && with != "" {
			continue
		}
		off, minus := strings.CutPrefix(name, "-")
		switch {
		case slices.Contains(allSwitches, name), flag == "-without" && slices.Contains(foundations, name):
			on[name] = set
		case minus && flag == "-with" && slices.Contains(foundations, off):
			on[off] = false
		case flag == "-with":
			return nil, fmt.Errorf("-with is %q: must be of %s, or -%s", name, strings.Join(allSwitches, ", "), strings.Join(foundations, ", -"))
		default:
			return nil, fmt.Errorf("-without is %q: must be of %s", name, strings.Join(slices.Concat(allSwitches, foundations), ", "))
		}
	}
	return on, nil
}
