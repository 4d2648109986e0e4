package main

import (
	"fmt"
	"math"
	"strings"
)

// rows are the cells of the table, the heading first: of the terminal, of report.md and, by
// -readme, of the README.
func (r *Report) rows() [][]string {
	before, tuned, peers, after := r.variant("before"), r.variant("tuned"), r.variant("peers"), r.variant("after")
	heading := []string{"", ""}
	for _, v := range r.Variants {
		heading = append(heading, v.Name)
	}
	type opponent struct {
		v    *VariantReport
		name string
	}
	var against []opponent
	for _, o := range []opponent{{tuned, "after/tuned"}, {before, "after/before"}, {peers, "after/peers"}} {
		if o.v != nil && after != nil {
			against = append(against, o)
			heading = append(heading, o.name)
		}
	}
	rows := [][]string{append(heading, "promised")}
	add := func(name, unit, promised string, show func(v *float64) string, ratio func(after, other float64) string, get func(v *VariantReport) *float64) {
		row := []string{name, unit}
		for i := range r.Variants {
			row = append(row, show(get(&r.Variants[i])))
		}
		for _, o := range against {
			row = append(row, ratio(value(get(after)), value(get(o.v))))
		}
		rows = append(rows, append(row, promised))
	}
	// figure is the median of a figure of the saturated phases.
	figure := func(of func(p PhaseReport) *float64) func(v *VariantReport) *float64 {
		return func(v *VariantReport) *float64 {
			m, _ := v.median(func(r RoundReport) *float64 { return of(r.Saturated) })
			return m
		}
	}
	kind := func(name string, of func(p Percentiles) *float64) func(v *VariantReport) *float64 {
		return func(v *VariantReport) *float64 { return of(v.Kinds[name]) }
	}
	p50, p95, p99 := func(p Percentiles) *float64 { return p.P50 }, func(p Percentiles) *float64 { return p.P95 }, func(p Percentiles) *float64 { return p.P99 }

	add("offered load", "actions/s", "", whole, none, func(v *VariantReport) *float64 {
		m, _ := v.median(func(r RoundReport) *float64 { return &r.Open.Offered })
		return m
	})
	add("response time p50", "ms", "-45 %", millis, change, kind(allKinds, p50))
	add("              p95", "ms", "", millis, change, kind(allKinds, p95))
	add("              p99", "ms", "", millis, change, kind(allKinds, p99))
	add("  reads alone p95", "ms", "", millis, change, kind(reads, p95))
	add("              p99", "ms", "", millis, change, kind(reads, p99))
	add("throughput", "actions/s", "2.5x", whole, times, figure(func(p PhaseReport) *float64 { return &p.Throughput }))
	add("database queries", "per action", "-60 %", hundredths, change, figure(func(p PhaseReport) *float64 { return &p.Queries }))
	add("database rows", "per action", "", hundredths, change, figure(func(p PhaseReport) *float64 { return &p.Rows }))
	add("bytes on the wire", "per action", "", whole, change, figure(func(p PhaseReport) *float64 { return sum(p.WireIn, p.WireOut) }))
	add("requests", "per action", "", hundredths, change, figure(func(p PhaseReport) *float64 { return &p.Requests }))
	add("CPU of the server", "us per action", "", whole, change, func(v *VariantReport) *float64 {
		return v.least(func(r RoundReport) *float64 { return r.Saturated.CPU })
	})
	add("allocations", "per action", "", whole, change, figure(func(p PhaseReport) *float64 { return &p.Allocs }))
	add("failed or over 1 s", "of actions", "-30 %", share, none, func(v *VariantReport) *float64 {
		bad, all := 0.0, 0.0
		for _, round := range v.Rounds {
			n := float64(round.Open.Done)
			failed := round.Open.failed()
			if failed < 1 {
				n /= 1 - failed
			}
			bad += n*failed + float64(round.Open.Slow)
			all += n
		}
		if all == 0 {
			return nil
		}
		v1 := bad / all
		return &v1
	})
	return rows
}

func whole(v *float64) string      { return group(value(v)) }
func hundredths(v *float64) string { return decimals(value(v)) }
func share(v *float64) string      { return percent(value(v)) }
func none(_, _ float64) string     { return "" }

// machine says in a line where this was measured.
func (r *Report) machine() string {
	load := ""
	if r.Host.LoadBefore != nil {
		load = fmt.Sprintf(", load %.1f", *r.Host.LoadBefore)
	}
	return fmt.Sprintf("%s, %d cores, %s%s", r.Host.System, r.Host.Cores, r.Host.Go, load)
}

// notes are the sentences below the table.
func (r *Report) notes() (lines []string) {
	c := r.Checks
	compared := fmt.Sprintf("equal %s of %s", group(float64(c.Compared)), group(float64(c.Of)))
	if c.ComparedBefore > 0 {
		compared += fmt.Sprintf(" (before: %d)", c.ComparedBefore)
	}
	if c.Of == 0 {
		compared = "not compared: there is one variant"
	}
	lag := 0.0
	for _, v := range r.Variants {
		for _, round := range v.Rounds {
			lag = math.Max(lag, round.Open.LagP99)
		}
	}
	lines = append(lines, fmt.Sprintf("checked   answers %s, old prices %s of %s reads, generator lag p99 %.2f ms%s",
		compared, group(float64(c.Stale.Stale)), group(float64(c.Stale.Reads)), lag, r.Host.foreign()))
	for _, failed := range c.Failed {
		lines = append(lines, "FAILED    "+failed)
	}
	for _, v := range r.Variants {
		for i, round := range v.Rounds {
			if round.Open.Invalid != "" {
				lines = append(lines, fmt.Sprintf("INVALID   times of %s, round %d: %s", v.Name, i+1, round.Open.Invalid))
			}
		}
	}
	var all []*VariantReport
	for i := range r.Variants {
		all = append(all, &r.Variants[i])
	}
	if why := r.busy(all...); why != "" {
		lines = append(lines, "busy machine: times are rough, counts stand ("+why+")")
	}
	for _, v := range r.Verdicts {
		value := fmt.Sprintf("%.3g", v.Value)
		if strings.HasSuffix(v.Want, "x") {
			value += "x"
		}
		lines = append(lines, fmt.Sprintf("goal      %s: %s, %s: %s", v.Goal, value, v.Want, v.Result))
	}
	for _, v := range r.Variants {
		if l := v.Layers; l.Lookups > 0 {
			lines = append(lines, fmt.Sprintf("cache     %s: %.1f %% of %s lookups were hits, %.1f s of database time saved, %s entries in %.1f MB",
				v.Name, 100*float64(l.Hits)/float64(l.Lookups), group(float64(l.Lookups)), l.SavedSeconds, group(float64(l.Items)), float64(l.Bytes)/1e6))
		}
		if l := v.Layers; l.Encoded > 0 {
			n := float64(l.Encoded)
			lines = append(lines, fmt.Sprintf("compress  %s: %s answers encoded, each from %s to %s bytes in %s us",
				v.Name, group(n), group(float64(l.EncodedIn)/n), group(float64(l.EncodedOut)/n), group(float64(l.EncodeTime.Microseconds())/n)))
		}
	}
	return lines
}

// explained says how the table is to be read.
func (r *Report) explained() []string {
	lines := []string{
		"load      open loop, Poisson, from the intended moment; then 16 clients to saturation: throughput, CPU, counts",
		fmt.Sprintf("          %d rounds in turn, medians, CPU the least; %s", len(r.roundsOf()), r.Host.Split),
	}
	if r.variant("before") != nil {
		lines = append(lines, "          before is offered 70 % of its own capacity, the others ten times that: this flatters before")
	}
	return lines
}

func (r *Report) roundsOf() []RoundReport {
	if len(r.Variants) == 0 {
		return nil
	}
	return r.Variants[0].Rounds
}

// Text is the report for a terminal, and for the README.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "machine   %s    data  %s\n", r.machine(), r.Data)
	for _, line := range r.explained() {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintln(&b)
	for _, line := range align(r.rows()) {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintln(&b)
	for _, line := range r.sparklines() {
		fmt.Fprintln(&b, line)
	}
	for _, line := range r.notes() {
		fmt.Fprintln(&b, line)
	}
	for _, extra := range r.extras() {
		fmt.Fprintf(&b, "\n%s\n", extra.title)
		for _, line := range align(extra.rows) {
			fmt.Fprintln(&b, line)
		}
	}
	return b.String()
}

// sparklines draw where the latencies of each variant lie, on one scale for all.
func (r *Report) sparklines() (lines []string) {
	const from, to = -1, 3 // powers of ten of milliseconds
	const width = 32
	for _, v := range r.Variants {
		var columns [width]float64
		top := 0.0
		for _, b := range v.Histogram {
			x := (math.Log10(b.UpTo) - from) / (to - from) * width
			i := min(max(int(x), 0), width-1)
			columns[i] += float64(b.Count)
			top = max(top, columns[i])
		}
		var bar strings.Builder
		for _, n := range columns {
			if n == 0 {
				bar.WriteByte(' ')
			} else {
				bar.WriteRune([]rune("▁▂▃▄▅▆▇█")[min(int(8*n/top), 7)])
			}
		}
		lines = append(lines, fmt.Sprintf("latency   0.1 ms |%s| 1 s  %s", bar.String(), v.Name))
	}
	return lines
}
