package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hotpath-go/hotpath/examples/internal/load"
)

// An AblationRow is what one technique is worth: added to Tuned, and taken from After. Of what Tuned
// has itself: taken from it as well, seen from the other side.
type AblationRow struct {
	Technique string `json:"technique"`
	Kind      Kind   `json:"kind"` // of action that it concerns most
	Added     Change `json:"added_to_tuned"`
	Taken     Change `json:"taken_from_after"`
}

// A Change is what was, and what became of it.
type Change struct {
	From Ablated `json:"from"`
	To   Ablated `json:"to"`
}

// Ablated are figures of After with some of its layers, at saturation.
type Ablated struct {
	Layers     string            `json:"layers"`
	CPU        *float64          `json:"cpu_us_per_action"`
	Throughput float64           `json:"throughput"`
	Queries    float64           `json:"queries_per_action"`
	Bytes      float64           `json:"bytes_per_action"`
	Requests   float64           `json:"requests_per_action"`
	P50        map[Kind]*float64 `json:"p50_ms"`
}

// concerns is the kind of action that a technique is for.
var concerns = map[string]Kind{
	"indexes": List, "connections": Detail, "cache": Detail, "httpcache": Detail, "partial": Home, "batch": Home,
	"compress": Detail, "throttle": Detail, "pool": Order, "bulkhead": Detail,
}

const ablationRounds = 3 // at most

// ablations is how many sets of layers are measured.
func ablations() int { return 4 + 2*len(foundations) + 2*len(allSwitches) }

// ablationTime is about how long they take: start, warm-up, rounds.
func ablationTime(o Options) time.Duration {
	return time.Duration(ablations()) * (4*time.Second + time.Duration(min(o.rounds, ablationRounds))*o.length/2)
}

// ablate measures every technique alone, and all of them without it. What they are compared with is measured
// before and after them, and the calmer one counts.
func (d *drive) ablate(ctx context.Context) error {
	tuned, after, err := d.ends(ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Concat(foundations, allSwitches) {
		alone, err := d.ablated(ctx, Switches{}.But(name, !Switches{}.Has(name)))
		if err != nil {
			return err
		}
		rest, err := d.ablated(ctx, AllOn().But(name, false))
		if err != nil {
			return err
		}
		d.report.Ablation = append(d.report.Ablation, AblationRow{name, concerns[name], Change{To: alone}, Change{To: rest}})
	}
	tuned2, after2, err := d.ends(ctx)
	if err != nil {
		return err
	}
	tuned, after = calmer(tuned, tuned2), calmer(after, after2)
	for i := range d.report.Ablation {
		row := &d.report.Ablation[i]
		row.Added.From, row.Taken.From = tuned, after
		if (Switches{}).Has(row.Technique) { // tuned has it: what was measured is tuned without
			row.Added.From, row.Added.To = row.Added.To, tuned
		}
	}
	return nil
}

// ends are what techniques are added to, and taken from.
func (d *drive) ends(ctx context.Context) (tuned, after Ablated, err error) {
	if tuned, err = d.ablated(ctx, Switches{}); err == nil {
		after, err = d.ablated(ctx, AllOn())
	}
	return tuned, after, err
}

// calmer is the one that others disturbed less.
func calmer(a, b Ablated) Ablated {
	if value(b.CPU) < value(a.CPU) {
		return b
	}
	return a
}

// ablated measures After with some layers, in a process of its own.
func (d *drive) ablated(ctx context.Context, on Switches) (a Ablated, err error) {
	d.progress.Next("after with %s", on)
	alone := *d
	alone.o.on = on
	all, stop, err := alone.sides(ctx, []string{"after"})
	if err != nil {
		return a, err
	}
	defer stop()
	if a, err = alone.saturated(ctx, all[0], on); err == nil {
		d.progress.Done(group(a.Throughput) + " actions/s")
	}
	return a, err
}

func (d *drive) saturated(ctx context.Context, s *side, on Switches) (Ablated, error) {
	n := warmUpActions("after")
	if !on.Has("cache") && !on.Has("httpcache") {
		n = warmUpActions("tuned")
	}
	if d.o.warm > 0 {
		n = min(n, d.o.warm)
	}
	if _, err := load.Closed(ctx, saturating, n, s.next); err != nil {
		return Ablated{}, err
	}
	for round := range min(d.o.rounds, ablationRounds) {
		p, _, err := d.phase(ctx, s, round, func(ctx context.Context) (*load.Result, error) {
			ctx, cancel := context.WithTimeout(ctx, d.o.length/2)
			defer cancel()
			return load.Closed(ctx, saturating, 0, s.next)
		})
		if err != nil {
			return Ablated{}, err
		}
		if p.wrong() > 0 || p.Unexplained != 0 { // figures of wrong answers are none
			return Ablated{}, fmt.Errorf("after with %s: %d wrong answers, %+d requests that nobody sent, the first: %s", on, p.wrong(), p.Unexplained, p.FirstFailure)
		}
		s.report.Rounds = append(s.report.Rounds, RoundReport{Saturated: p})
	}
	median := func(of func(p PhaseReport) *float64) *float64 {
		m, _ := s.report.median(func(r RoundReport) *float64 { return of(r.Saturated) })
		return m
	}
	figure := func(of func(p PhaseReport) float64) float64 {
		return value(median(func(p PhaseReport) *float64 { v := of(p); return &v }))
	}
	a := Ablated{
		Layers: on.String(), CPU: s.report.least(func(r RoundReport) *float64 { return r.Saturated.CPU }),
		Throughput: figure(func(p PhaseReport) float64 { return p.Throughput }),
		Queries:    figure(func(p PhaseReport) float64 { return p.Queries }),
		Bytes:      figure(func(p PhaseReport) float64 { return p.WireIn + p.WireOut }),
		Requests:   figure(func(p PhaseReport) float64 { return p.Requests }),
		P50:        map[Kind]*float64{},
	}
	for _, kind := range concerns {
		a.P50[kind] = median(func(p PhaseReport) *float64 { return p.Kinds[string(kind)].P50 })
	}
	return a, nil
}

// ablationTables are what each technique is worth, from both sides.
func (r *Report) ablationTables() []extra {
	return []extra{
		{"Each technique alone: tuned, and what was added to it", r.ablationRows("with", func(a AblationRow) Change { return a.Added })},
		{"Each technique missing: after, and what was taken from it", r.ablationRows("without", func(a AblationRow) Change { return a.Taken })},
	}
}

func (r *Report) ablationRows(with string, of func(a AblationRow) Change) [][]string {
	rows := [][]string{{with, "", "CPU us", "", "actions/s", "", "queries", "", "bytes", "", "requests", "", "p50 ms", "", "of"}}
	for _, a := range r.Ablation {
		from, to := of(a).From, of(a).To
		rows = append(rows, []string{
			a.Technique, "per action",
			whole(to.CPU), change(value(to.CPU), value(from.CPU)),
			group(to.Throughput), times(to.Throughput, from.Throughput),
			decimals(to.Queries), change(to.Queries, from.Queries),
			group(to.Bytes), change(to.Bytes, from.Bytes),
			decimals(to.Requests), change(to.Requests, from.Requests),
			millis(to.P50[a.Kind]), change(value(to.P50[a.Kind]), value(from.P50[a.Kind])), string(a.Kind),
		})
	}
	return rows
}
