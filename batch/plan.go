package batch

import (
	"fmt"
	"strconv"
)

// plan looks up ids: who waits for whom.
func (env *envelope) plan() error {
	env.ids = make(map[string]int, len(env.parts))
	var groups map[string][]int
	var waited []int // by part: the last one that has been noted to wait for it, counted from 1
	for i := range env.parts {
		p := &env.parts[i]
		if p.needs != nil && waited == nil {
			waited = make([]int, len(env.parts))
		}
		depend := func(before int) {
			if waited[before] == i+1 {
				return // by its id and by its group
			}
			waited[before] = i + 1
			q := &env.parts[before]
			q.dependents = append(q.dependents, i)
			p.waitsFor++
		}
		for _, need := range p.needs {
			before, known := env.ids[need.id]
			earlier := groups[need.id]
			switch {
			case known:
				depend(before)
			case earlier != nil: // OData lets parts depend on a whole group
				for _, before := range earlier {
					depend(before)
				}
			default:
				return &placed{p.place("dependsOn[" + strconv.Itoa(need.at) + "]"), fmt.Errorf("no earlier part %s", short(need.id))}
			}
		}
		if first, twice := env.ids[p.id]; twice {
			return &placed{p.place("id"), fmt.Errorf("%s is the id of requests[%d], too", short(p.id), first)}
		}
		env.ids[p.id] = i
		if p.group != "" {
			if groups == nil {
				groups = make(map[string][]int)
			}
			groups[p.group] = append(groups[p.group], i)
		}
	}
	return nil
}
