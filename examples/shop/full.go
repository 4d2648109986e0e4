package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/hotpath-go/hotpath/examples/internal/load"
)

// A ColdReport is the first actions of a variant, before anything is warm.
type ColdReport struct {
	Name    string      `json:"name"`
	Actions int         `json:"actions"`
	Queries float64     `json:"queries_per_action"`
	Times   Percentiles `json:"times"`
}

// A LimitReport is the highest rate at which the p99 stays within a bound.
type LimitReport struct {
	Name string  `json:"name"`
	Rate float64 `json:"rate"` // actions a second
}

const (
	coldActions = 2_000
	limitP99    = 100 * time.Millisecond
)

// cold measures the start of all sides, which is what a deployment looks like.
func (d *drive) cold(ctx context.Context, all []*side) error {
	for _, s := range all {
		n := coldActions
		if s.Name == "before" {
			n = 200
		}
		before, err := s.ask(ctx, "counters")
		if err != nil {
			return err
		}
		r, err := load.Closed(ctx, saturating, n, s.next)
		if err != nil {
			return err
		}
		after, err := s.ask(ctx, "counters")
		if err != nil {
			return err
		}
		d.report.Cold = append(d.report.Cold, ColdReport{s.Name, n, float64(after.Queries-before.Queries) / float64(n), percentiles(r)})
	}
	return nil
}

// limits searches the highest rate with a p99 within limitP99, from the throughput downwards
// in steps of a tenth; a rate holds if nothing failed.
func (d *drive) limits(ctx context.Context, all []*side) error {
	for _, s := range all {
		top, _ := s.report.median(func(r RoundReport) *float64 { return &r.Saturated.Throughput })
		for share := 1.0; share > 0.05; share -= 0.1 {
			rate := math.Round(value(top) * share)
			long := max(3*time.Second, time.Duration(1_200/rate*float64(time.Second))) // enough for a p99
			if long > 20*time.Second {
				break
			}
			r, err := load.Open(ctx, load.Plan{Rate: rate, For: long, Seed: d.o.seed}, s.next)
			if err != nil {
				return err
			}
			if p99, ok := r.Quantile("", 0.99); ok && p99 <= limitP99 && r.Failed() == 0 {
				d.report.Limits = append(d.report.Limits, LimitReport{s.Name, rate})
				break
			}
			if err := pause(ctx, time.Second); err != nil { // the backlog
				return err
			}
		}
	}
	return nil
}

// An extra is a table of -full, or of ablate.
type extra struct {
	title string
	rows  [][]string
}

func (r *Report) extras() (list []extra) {
	if r.Abuse != nil {
		list = append(list, r.Abuse.extra())
	}
	if len(r.Cold) > 0 {
		e := extra{"Cold start: the first actions of 16 clients", [][]string{{"", "", "queries per action", "p50 ms", "p95 ms", "p99 ms"}}}
		for _, c := range r.Cold {
			e.rows = append(e.rows, []string{c.Name, fmt.Sprintf("%d actions", c.Actions), decimals(c.Queries), millis(c.Times.P50), millis(c.Times.P95), millis(c.Times.P99)})
		}
		list = append(list, e)
	}
	if len(r.Limits) > 0 {
		e := extra{"The highest rate with a p99 of at most 100 ms", [][]string{{"", "", "actions/s"}}}
		for _, l := range r.Limits {
			e.rows = append(e.rows, []string{l.Name, "", group(l.Rate)})
		}
		list = append(list, e)
	}
	if len(r.Ablation) > 0 {
		list = append(list, r.ablationTables()...)
	}
	return list
}
