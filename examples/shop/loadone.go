package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"sort"
	"strings"

	"github.com/hotpath-go/hotpath/examples/internal/load"
)

// loadOne loads a shop that is served elsewhere, and prints what was seen.
func loadOne(ctx context.Context, o Options, stdout io.Writer) error {
	target, err := url.Parse(o.url)
	if err != nil {
		return err
	}
	if o.rate == 0 {
		o.rate = defaultRate
	}
	s := &side{
		Child: &Child{Target: Target{Name: o.variant, Addr: target.Host, Home: homeFormOf(o.variant, o.on)}}, actions: NewWorkload(o.products, o.seed), docs: NewDocuments(o.products),
	}
	r, err := load.Open(ctx, load.Plan{Rate: o.rate, For: o.length, Seed: o.seed}, s.next)
	if err != nil {
		return err
	}
	p := newPhase(r, Counters{}, Counters{}, 0)
	if o.json {
		if err := writeJSON(stdout, loadReport{PhaseReport: p}); err != nil {
			return err
		}
		return failures(r)
	}
	rows := [][]string{{"", "", "actions", "p50 ms", "p95 ms", "p99 ms", "max ms"}}
	for _, kind := range append([]string{allKinds, reads}, r.Kinds()...) {
		k := p.Kinds[kind]
		rows = append(rows, []string{kind, "", group(float64(k.Count)), millis(k.P50), millis(k.P95), millis(k.P99), millis(k.Max)})
	}
	for _, line := range align(rows) {
		fmt.Fprintln(stdout, line)
	}
	fmt.Fprintf(stdout, "\noffered %.4g actions/s, done %s, generator lag p99 %.2f ms, %s requests, %s bytes in, %s out\n",
		o.rate, group(float64(p.Done)), p.LagP99, group(float64(r.Requests)), group(float64(r.In)), group(float64(r.Out)))
	if p.Invalid != "" {
		fmt.Fprintln(stdout, p.Invalid)
	}
	return failures(r)
}

// A loadReport is a phase of a server that cannot be asked: what only it knows is null.
type loadReport struct {
	PhaseReport
	Queries    *float64 `json:"queries_per_action"`
	Rows       *float64 `json:"rows_per_action"`
	Allocs     *float64 `json:"allocs_per_action"`
	AllocBytes *float64 `json:"alloc_bytes_per_action"`
}

func failures(r *load.Result) error {
	if r.Failed() == 0 {
		return nil
	}
	return fmt.Errorf("%d actions failed (%s), the first: %w", r.Failed(), causes(r.Failures), r.FirstErr)
}

func causes(failures map[string]int) string {
	var list []string
	for cause, n := range failures {
		list = append(list, fmt.Sprintf("%s %d", cause, n))
	}
	sort.Strings(list)
	return strings.Join(list, ", ")
}
