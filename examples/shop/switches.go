package main

import (
	"fmt"
	"slices"
	"strings"
)

// allSwitches are the layers of After, in the order in which they came.
var allSwitches = []string{"cache", "httpcache", "partial", "batch", "compress", "throttle", "pool", "bulkhead"}

// Switches says which layers of After are on.
type Switches map[string]bool

// AllOn has every layer.
func AllOn() Switches {
	on := Switches{}
	for _, name := range allSwitches {
		on[name] = true
	}
	return on
}

// Has reports whether a layer is on.
func (on Switches) Has(name string) bool {
	if !slices.Contains(allSwitches, name) {
		panic("no switch " + name)
	}
	return on[name]
}

// String is the list for -with; "none" if all are off.
func (on Switches) String() string {
	var names []string
	for _, name := range allSwitches {
		if on[name] {
			names = append(names, name)
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
		if !slices.Contains(allSwitches, name) {
			return nil, fmt.Errorf("%s is %q: must be of %s", flag, name, strings.Join(allSwitches, ", "))
		}
		on[name] = set
	}
	return on, nil
}
