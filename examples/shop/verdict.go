package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A Verdict is a goal and what became of it.
type Verdict struct {
	Goal   string  `json:"goal"`
	Want   string  `json:"want"`
	Value  float64 `json:"value"`
	Result string  `json:"result"` // met, missed, withheld
	Why    string  `json:"why,omitempty"`
}

// Results of verdicts.
const (
	met      = "met"
	missed   = "missed"
	withheld = "withheld"
)

const (
	busyLoad      = 0.5   // load average per core at the start
	busyGenerator = 0.8   // of its cores
	busyFailures  = 0.001 // of the actions of a phase
)

// busy says why times of these variants are only rough; "": they are not.
func (r *Report) busy(variants ...*VariantReport) string {
	if l := r.Host.LoadBefore; l != nil && *l/float64(max(r.Host.Cores, 1)) > busyLoad {
		return fmt.Sprintf("load average %.1f on %d cores at the start", *l, r.Host.Cores)
	}
	for _, v := range variants {
		for i, round := range v.Rounds {
			for _, p := range []PhaseReport{round.Open, round.Saturated} {
				switch {
				case p.Invalid != "":
					return fmt.Sprintf("%s, round %d: %s", v.Name, i+1, p.Invalid)
				case p.GeneratorShare > busyGenerator:
					return fmt.Sprintf("%s, round %d: the generator used %.0f %% of its cores", v.Name, i+1, 100*p.GeneratorShare)
				case p.failed() > busyFailures:
					return fmt.Sprintf("%s, round %d: %s of its actions failed", v.Name, i+1, percent(p.failed()))
				}
			}
		}
	}
	return ""
}

// judge compares After with the goals that hold for the layers it has.
func (r *Report) judge() {
	after := r.variant("after")
	if after == nil {
		return
	}
	cpu := func(r RoundReport) *float64 { return r.Saturated.CPU }
	throughput := func(r RoundReport) *float64 { return &r.Saturated.Throughput }
	bytes := func(r RoundReport) *float64 { return sum(r.Saturated.WireIn, r.Saturated.WireOut) }
	p50 := func(v *VariantReport) *float64 { return v.Kinds[allKinds].P50 }
	p99 := func(v *VariantReport) *float64 { return v.Kinds[allKinds].P99 }
	judged := func(goal string, mine, theirs *float64, most float64, atLeast bool, busy string) {
		if mine == nil || theirs == nil || *theirs == 0 {
			return
		}
		v := Verdict{Goal: goal, Value: *mine / *theirs, Result: met}
		v.Want = fmt.Sprintf("at most %.3g", most)
		bad := v.Value > most
		if atLeast {
			v.Want, bad = fmt.Sprintf("at least %.3gx", most), v.Value < most
		}
		if bad {
			v.Result = missed
		}
		if busy != "" {
			v.Result, v.Why = withheld, busy
		}
		r.Verdicts = append(r.Verdicts, v)
	}
	add := func(other *VariantReport, what string, mine, theirs *float64, most float64, atLeast bool) {
		judged(fmt.Sprintf("%s, after/%s", what, other.Name), mine, theirs, most, atLeast, r.busy(after, other))
	}
	layers := strings.Split(r.Layers, ",")
	if tuned := r.variant("tuned"); tuned != nil && r.Layers == AllOn().String() {
		add(tuned, "CPU per action", after.least(cpu), tuned.least(cpu), 0.25, false)
		add(tuned, "throughput", after.most(throughput), tuned.most(throughput), 4, true)
		add(tuned, "response time p99", p99(after), p99(tuned), 0.50, false)
	} else if tuned != nil && slices.Contains(layers, "cache") {
		add(tuned, "CPU per action", after.least(cpu), tuned.least(cpu), 0.40, false)
		add(tuned, "throughput", after.most(throughput), tuned.most(throughput), 2, true)
	}
	for _, a := range r.Ablation {
		if a.Technique == "cache" { // alone
			was, is := a.Added.From, a.Added.To
			judged("CPU per action, tuned with cache/tuned", is.CPU, was.CPU, 0.40, false, r.busy())
			judged("throughput, tuned with cache/tuned", &is.Throughput, &was.Throughput, 2, true, r.busy())
		}
	}
	if before := r.variant("before"); before != nil && slices.Contains(layers, "cache") {
		add(before, "CPU per action", after.least(cpu), before.least(cpu), 0.01, false)
		add(before, "throughput", after.most(throughput), before.most(throughput), 100, true)
		add(before, "response time p50", p50(after), p50(before), 0.10, false)
	}
	if a := r.Abuse; a != nil && a.Calm.P99 != nil && a.Beside.P99 != nil {
		v := Verdict{Goal: "p99 of others, beside a flood/before it", Want: "at most 3", Value: *a.Beside.P99 / *a.Calm.P99, Result: met}
		if v.Value > 3 || a.Lost > 0 {
			v.Result = missed
		}
		if why := r.busy(after); why != "" {
			v.Result, v.Why = withheld, why
		}
		r.Verdicts = append(r.Verdicts, v)
	}
	if peers := r.variant("peers"); peers != nil {
		add(peers, "throughput", after.most(throughput), peers.most(throughput), 1, true)
		add(peers, "CPU per action", after.least(cpu), peers.least(cpu), 1, false)
		add(peers, "bytes per action", after.least(bytes), peers.least(bytes), 1, false)
	}
}

// countProducts and countWarm are the size from which on the goals for counts are judged: with
// less, writes are a larger part of what is asked.
const (
	countProducts = 2_400
	countWarm     = 10_000
)

// exact fills in what fails the run on any machine.
func (r *Report) exact(o Options) {
	fail := func(format string, args ...any) {
		r.Checks.Failed = append(r.Checks.Failed, fmt.Sprintf(format, args...))
	}
	if s := r.Checks.Stale; s.Stale > 0 {
		fail("%d of %d reads showed an old price", s.Stale, s.Reads)
	}
	if a := r.Abuse; a != nil && a.LetIn > a.Due {
		fail("the abuser got %d answers, %d were due", a.LetIn, a.Due)
	}
	for _, v := range r.Variants {
		for i, round := range v.Rounds {
			for _, p := range []PhaseReport{round.Open, round.Saturated} {
				if wrong := p.wrong(); wrong > 0 {
					fail("%s, round %d: %d actions got a wrong answer, the first: %s", v.Name, i+1, wrong, p.FirstFailure)
				}
				if p.Unexplained != 0 {
					fail("%s, round %d: the server got %+d requests more than were sent", v.Name, i+1, p.Unexplained)
				}
			}
		}
	}
	after := r.variant("after")
	if after == nil || !o.on["cache"] || o.products < countProducts || o.warm > 0 && o.warm < countWarm {
		return
	}
	queries := func(r RoundReport) *float64 { return &r.Saturated.Queries }
	for name, most := range map[string]float64{"tuned": 0.10, "before": 0.03} {
		if other := r.variant(name); other != nil {
			mine, _ := after.median(queries)
			theirs, _ := other.median(queries)
			if share := value(mine) / value(theirs); !(share <= most) {
				fail("queries of after are %.3f of those of %s, at most %.2f", share, name, most)
			}
		}
	}
}

// wrong is how many answers were neither right nor a refusal under load.
func (p *PhaseReport) wrong() (n int) {
	for cause, count := range p.Failures {
		switch cause {
		case "timeout", "refused", "not sent":
		default:
			n += count
		}
	}
	return n
}

func sum(values ...float64) *float64 {
	total := 0.0
	for _, v := range values {
		total += v
	}
	if math.IsNaN(total) {
		return nil
	}
	return &total
}
