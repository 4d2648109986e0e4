package compress

import (
	"slices"
	"strings"
	"testing"
)

// The naive twin asks every rule by itself, in words, over the product of all facts.
func TestD_DecisionAgainstTwin(t *testing.T) {
	bools := []bool{false, true}
	n := 0
	for _, status := range []int{100, 101, 103, 199, 200, 201, 204, 205, 206, 301, 304, 404, 416, 500} {
		for _, k := range []kind{unwanted, wanted, unknown} {
			for _, size := range []int64{-1, 0, 1, 1023, 1024, 1 << 20} {
				for bits := range 1 << 10 {
					bit := func(i int) bool { return bools[bits>>i&1] }
					f := facts{
						status: status, kind: k, size: size, min: 1024,
						connect: bit(0), head: bit(1), ranged: bit(2), coded: bit(3), verbatim: bit(4), off: bit(5),
						accepts: bit(6) || bit(7), forced: bit(7), ended: bit(8), larger: bit(9),
					}
					n++
					if got, want := decide(f), twin(f); got != want {
						t.Fatalf("%+v: %+v, the twin says %+v", f, got, want)
					}
				}
			}
		}
	}
	if n != 14*3*6*1024 {
		t.Errorf("only %d cases", n)
	}
}

func twin(f facts) plan {
	// D1 to D3: what must not be touched.
	noBody := f.status < 200 || slices.Contains([]int{204, 205, 304}, f.status)
	part := f.status == 206 || f.status == 416 || f.ranged
	keep := f.coded || f.verbatim || f.off
	if noBody || part || f.connect {
		p := plan{reason: skipStatus}
		if !keep {
			p.vary = f.kind == wanted
			if (f.status == 304 || f.ranged) && f.kind == unknown {
				p.vary = true
			}
		}
		return p
	}
	if keep {
		r := skipOff
		if f.verbatim {
			r = skipNoTransform
		}
		if f.coded {
			r = skipCoded
		}
		return plan{reason: r}
	}
	// M1: nothing is known of the body that GET would have.
	if f.head && f.ended {
		if f.size == -1 || f.kind == unknown && f.size > 0 {
			return plan{reason: skipStatus, vary: f.kind == wanted || f.kind == unknown}
		}
	}
	// N4, D4 to D6.
	if f.forced && f.size != 0 {
		return plan{encode: true, vary: true}
	}
	if !f.forced && f.kind != wanted {
		return plan{reason: skipType}
	}
	p := plan{vary: true}
	switch {
	case f.size == 0:
		p.reason = skipSmall
	case !f.accepts:
		p.reason = skipClient
	case f.size != -1 && f.size < f.min:
		p.reason = skipSmall
	case f.larger:
		p.reason = skipLarger
	default:
		p.encode = true
	}
	return p
}

func TestStats_NameEveryReason(t *testing.T) {
	if len(reasonNames) != int(noReason) {
		t.Errorf("%d names for %d reasons", len(reasonNames), noReason)
	}
	for _, name := range reasonNames {
		if name == "" || strings.ToLower(name) != name {
			t.Errorf("reason %q", name)
		}
	}
}
