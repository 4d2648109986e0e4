package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/hotpath-go/hotpath/examples/internal/load"
)

// schemaVersion is of report.json.
const schemaVersion = 1

// A Report is what a run found. report.json, report.md, report.svg and the table on the
// terminal are renderings of it and hold nothing else.
type Report struct {
	Schema   int             `json:"schema"`
	Revision string          `json:"revision,omitempty"`
	Started  time.Time       `json:"started"`
	Seconds  float64         `json:"seconds"`
	Flags    []string        `json:"flags"`
	Seed     uint64          `json:"seed"`
	Database string          `json:"database"`
	Data     string          `json:"data"`
	Layers   string          `json:"layers"` // of After that are on
	Host     Host            `json:"host"`
	Variants []VariantReport `json:"variants"`
	Cold     []ColdReport    `json:"cold,omitempty"`
	Limits   []LimitReport   `json:"limits,omitempty"`
	Ablation []AblationRow   `json:"ablation,omitempty"`
	Abuse    *AbuseReport    `json:"abuse,omitempty"`
	Checks   Checks          `json:"checks"`
	Verdicts []Verdict       `json:"verdicts"`
}

// Checks are exact, on any machine.
type Checks struct {
	Compared       int       `json:"compared"`
	Of             int       `json:"of"`
	ComparedBefore int       `json:"compared_before,omitempty"` // of them on Before, which is slow
	Stale          Staleness `json:"stale"`
	Failed         []string  `json:"failed,omitempty"` // what makes the run fail, a sentence each
}

// A VariantReport is what the rounds of one variant found.
type VariantReport struct {
	Name      string                 `json:"name"`
	Rounds    []RoundReport          `json:"rounds"`
	Kinds     map[string]Percentiles `json:"kinds"`     // over all rounds; see finish
	Histogram []Bucket               `json:"histogram"` // of all rounds in the open loop
	Layers    LayerCounts            `json:"layers"`
}

// A RoundReport is an open loop and then a closed one to saturation.
type RoundReport struct {
	Open      PhaseReport `json:"open"`
	Saturated PhaseReport `json:"saturated"`
}

// A PhaseReport is one load on one variant. Figures per action are of the server's process and
// count the actions of the probe for old prices among the others.
type PhaseReport struct {
	Offered        float64                `json:"offered_per_second"` // 0: a closed loop
	Seconds        float64                `json:"seconds"`
	Done           int                    `json:"done"`
	Kinds          map[string]Percentiles `json:"kinds"`
	LagP99         float64                `json:"lag_p99_ms"`
	Invalid        string                 `json:"invalid,omitempty"` // why its times say nothing
	Failures       map[string]int         `json:"failures"`          // by cause
	FirstFailure   string                 `json:"first_failure,omitempty"`
	Slow           int                    `json:"over_1s"`
	Throughput     float64                `json:"throughput"` // successes a second
	Queries        float64                `json:"queries_per_action"`
	Rows           float64                `json:"rows_per_action"`
	Requests       float64                `json:"requests_per_action"`
	WireIn         float64                `json:"wire_in_per_action"` // bytes to the server
	WireOut        float64                `json:"wire_out_per_action"`
	CPU            *float64               `json:"cpu_us_per_action"` // null: not known here
	Allocs         float64                `json:"allocs_per_action"`
	AllocBytes     float64                `json:"alloc_bytes_per_action"`
	GeneratorShare float64                `json:"generator_cpu_share"`  // of its cores
	Unexplained    int64                  `json:"unexplained_requests"` // that the server got and nobody counts as sent
}

// Percentiles are in milliseconds; null: fewer than ten samples lie beyond it.
type Percentiles struct {
	Count int      `json:"count"`
	P50   *float64 `json:"p50_ms"`
	P95   *float64 `json:"p95_ms"`
	P99   *float64 `json:"p99_ms"`
	Max   *float64 `json:"max_ms"`
}

// A Bucket counts latencies up to an end, in milliseconds: four to a doubling.
type Bucket struct {
	UpTo  float64 `json:"up_to_ms"`
	Count int     `json:"count"`
}

// Kinds of the reports that are sums.
const (
	allKinds = "all"
	reads    = "reads" // without writes, and so without the side work of orders
)

func percentiles(r *load.Result) Percentiles {
	p := Percentiles{Count: r.Done()}
	p.P50, p.P95, p.P99 = ms(r.Quantile("", 0.50)), ms(r.Quantile("", 0.95)), ms(r.Quantile("", 0.99))
	if list := r.Samples(""); len(list) > 0 {
		p.Max = ms(list[len(list)-1], true)
	}
	return p
}

func ms(d time.Duration, ok bool) *float64 {
	if !ok {
		return nil
	}
	v := float64(d) / 1e6
	return &v
}

func kinds(r *load.Result) map[string]Percentiles {
	all := map[string]Percentiles{
		allKinds: percentiles(r),
		reads:    percentiles(r.Only(string(Detail), string(List), string(Top), string(Home))),
	}
	for _, kind := range r.Kinds() {
		all[kind] = percentiles(r.Only(kind))
	}
	return all
}

// newPhase puts together what the generator saw and what the server says.
func newPhase(r *load.Result, before, after Counters, probeActions int) PhaseReport {
	p := PhaseReport{
		Offered: r.Offered, Seconds: r.Took.Seconds(), Done: r.Done(), Kinds: kinds(r), Failures: r.Failures,
		Slow: r.Over(time.Second), Throughput: float64(r.Done()) / r.Took.Seconds(), LagP99: float64(r.Lag(0.99)) / 1e6,
	}
	if r.FirstErr != nil {
		p.FirstFailure = r.FirstErr.Error()
	}
	p.Invalid = p.lagProblem()
	own := math.Max(float64(r.Done()+r.Failed()-r.Failures[load.NotSent]), 1)
	p.Requests, p.WireIn, p.WireOut = float64(r.Requests)/own, float64(r.Out)/own, float64(r.In)/own
	all := own + float64(probeActions)
	p.Queries = float64(after.Queries-before.Queries) / all
	p.Rows = float64(after.Rows-before.Rows) / all
	p.Allocs = float64(after.Allocs-before.Allocs) / all
	p.AllocBytes = float64(after.AllocBytes-before.AllocBytes) / all
	if cpu := after.CPU - before.CPU; cpu > 0 {
		us := cpu.Seconds() * 1e6 / all
		p.CPU = &us
	}
	return p
}

const (
	maxLag      = 2.0 // ms
	maxLagShare = 0.1 // of the p99 that it is part of
)

// lagProblem says why the generator was too late for the times to mean anything; "": it was not.
func (p *PhaseReport) lagProblem() string {
	if p.Offered == 0 {
		return "" // nothing is due at a moment
	}
	if p.LagP99 > maxLag {
		return fmt.Sprintf("the generator was late: lag p99 %.2f ms, at most %.0f", p.LagP99, maxLag)
	}
	if p99 := p.Kinds[allKinds].P99; p99 != nil && p.LagP99 > maxLagShare**p99 {
		return fmt.Sprintf("the generator was late: lag p99 %.2f ms is over 10 %% of the p99, %.2f ms", p.LagP99, *p99)
	}
	return ""
}

// failed is the share of actions that failed, were refused, cut, or not sent.
func (p *PhaseReport) failed() float64 {
	n := 0
	for _, count := range p.Failures {
		n += count
	}
	return float64(n) / math.Max(float64(n+p.Done), 1)
}

// finish sums the open loops up. A percentile is the median of the rounds'; where a round has
// too few samples for it, that of all rounds together.
func (v *VariantReport) finish(opens []*load.Result) {
	merged := load.Merge(opens...)
	v.Kinds = kinds(merged)
	for kind, sum := range v.Kinds {
		for _, q := range []struct {
			into *(*float64)
			of   func(p Percentiles) *float64
		}{
			{&sum.P50, func(p Percentiles) *float64 { return p.P50 }},
			{&sum.P95, func(p Percentiles) *float64 { return p.P95 }},
			{&sum.P99, func(p Percentiles) *float64 { return p.P99 }},
		} {
			if m, all := v.median(func(r RoundReport) *float64 { return q.of(r.Open.Kinds[kind]) }); all {
				*q.into = m
			}
		}
		v.Kinds[kind] = sum
	}
	h := merged.Histogram()
	for b, n := range h {
		v.Histogram = append(v.Histogram, Bucket{float64(load.BucketEnd(b)) / 1e6, n})
	}
	slices.SortFunc(v.Histogram, func(a, b Bucket) int { return int(math.Copysign(1, a.UpTo-b.UpTo)) })
}

// values returns a figure of every round that has it, sorted.
func (v *VariantReport) values(of func(r RoundReport) *float64) (list []float64) {
	for _, r := range v.Rounds {
		if x := of(r); x != nil {
			list = append(list, *x)
		}
	}
	slices.Sort(list)
	return list
}

// median returns the median of a figure; all says that every round has it.
func (v *VariantReport) median(of func(r RoundReport) *float64) (m *float64, all bool) {
	list := v.values(of)
	if len(list) == 0 {
		return nil, false
	}
	x := (list[(len(list)-1)/2] + list[len(list)/2]) / 2
	return &x, len(list) == len(v.Rounds)
}

// least and most are the best of the rounds, each for its kind of figure.
func (v *VariantReport) least(of func(r RoundReport) *float64) *float64 {
	list := v.values(of)
	if len(list) == 0 {
		return nil
	}
	return &list[0]
}

func (v *VariantReport) most(of func(r RoundReport) *float64) *float64 {
	list := v.values(of)
	if len(list) == 0 {
		return nil
	}
	return &list[len(list)-1]
}

func (r *Report) variant(name string) *VariantReport {
	for i := range r.Variants {
		if r.Variants[i].Name == name {
			return &r.Variants[i]
		}
	}
	return nil
}
