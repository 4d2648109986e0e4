package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// JSON is report.json.
func (r *Report) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}

// Markdown is report.md.
func (r *Report) Markdown() string {
	var b strings.Builder
	b.WriteString("# hotpath shop: one service, written several times\n\n")
	fmt.Fprintf(&b, "%s, %s. Data: %s. Database: %s. Layers of after: %s.\n\n", r.machine(), r.Host.Split, r.Data, r.Database, r.Layers)
	b.WriteString("![Share of actions answered within a time](report.svg)\n\n")
	b.WriteString(markdownTable(r.rows()))
	b.WriteString("\n```text\n")
	for _, line := range append(r.explained(), r.notes()...) {
		b.WriteString(line + "\n")
	}
	b.WriteString("```\n")
	for _, extra := range r.extras() {
		fmt.Fprintf(&b, "\n## %s\n\n%s", extra.title, markdownTable(extra.rows))
	}
	fmt.Fprintf(&b, "\n## The spread of the rounds\n\n%s", markdownTable(r.spread()))
	fmt.Fprintf(&b, "\n## Response times by kind of action\n\n%s", markdownTable(r.byKind()))
	b.WriteString("\n## What was promised\n\n" +
		"The column \"promised\" has the figures of \"API Performance Optimization\": response time -45 %, throughput 2.5x,\n" +
		"database load -60 %, support requests -30 %. It is an article without a program. \"after/before\" is what it\n" +
		"compares; \"after/tuned\" is what a library can be given credit for.\n")
	fmt.Fprintf(&b, "\n## Techniques, and what shows them\n\nWithout a clock: each is a test, run by `make test`.\n\n%s", markdownTable(coverageRows()))
	fmt.Fprintf(&b, "\n## How to get these figures\n\n```sh\ngo run -C examples ./shop%s\n```\n\nRevision %s, seed %d. The same seed gives the same data and the same actions.\n",
		strings.Join(append([]string{""}, r.Flags...), " "), orUnknown(r.Revision), r.Seed)
	return b.String()
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func markdownTable(rows [][]string) string {
	var b strings.Builder
	for i, row := range rows {
		cells := make([]string, len(row))
		for j, cell := range row {
			cells[j] = strings.TrimSpace(strings.ReplaceAll(cell, "|", `\|`))
		}
		if strings.HasPrefix(row[0], " ") { // belongs to the row before
			cells[0] = "&nbsp; " + cells[0]
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			b.WriteString("|" + strings.Repeat(" --- |", min(2, len(row))) + strings.Repeat(" ---: |", max(len(row)-2, 0)) + "\n")
		}
	}
	return b.String()
}

// spread shows the least and the greatest of the rounds.
func (r *Report) spread() [][]string {
	rows := [][]string{{"", ""}}
	for _, v := range r.Variants {
		rows[0] = append(rows[0], v.Name)
	}
	for _, f := range []struct {
		name, unit string
		show       func(v *float64) string
		of         func(r RoundReport) *float64
	}{
		{"response time p50", "ms", millis, func(r RoundReport) *float64 { return r.Open.Kinds[allKinds].P50 }},
		{"response time p95", "ms", millis, func(r RoundReport) *float64 { return r.Open.Kinds[allKinds].P95 }},
		{"throughput", "actions/s", whole, func(r RoundReport) *float64 { return &r.Saturated.Throughput }},
		{"database queries", "per action", hundredths, func(r RoundReport) *float64 { return &r.Saturated.Queries }},
		{"CPU of the server", "us per action", whole, func(r RoundReport) *float64 { return r.Saturated.CPU }},
		{"CPU of the generator", "of its cores", share, func(r RoundReport) *float64 { return &r.Saturated.GeneratorShare }},
	} {
		row := []string{f.name, f.unit}
		for i := range r.Variants {
			v := &r.Variants[i]
			cell := f.show(v.least(f.of)) + " to " + f.show(v.most(f.of))
			if len(v.values(f.of)) == 0 {
				cell = dash
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	return rows
}

func (r *Report) byKind() [][]string {
	rows := [][]string{{"", ""}}
	for _, v := range r.Variants {
		rows[0] = append(rows[0], v.Name)
	}
	for _, kind := range []Kind{Detail, List, Top, Home, Price, Order} {
		row := []string{string(kind), "p50 / p95 ms"}
		for _, v := range r.Variants {
			p := v.Kinds[string(kind)]
			row = append(row, millis(p.P50)+" / "+millis(p.P95))
		}
		rows = append(rows, row)
	}
	return rows
}

// Write writes the three files of the report and returns their directory.
func (r *Report) Write(dir string) (absolute string, err error) {
	if absolute, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(absolute, 0o755); err != nil {
		return "", err
	}
	text, err := r.JSON()
	if err != nil {
		return "", err
	}
	for name, content := range map[string]string{"report.json": string(text), "report.md": r.Markdown(), "report.svg": r.SVG()} {
		if err := os.WriteFile(filepath.Join(absolute, name), []byte(content), 0o644); err != nil {
			return "", err
		}
	}
	return absolute, nil
}

// The README's figures stand between these, and are always those of a run.
const (
	readmeBegin = "<!-- shop:begin -->"
	readmeEnd   = "<!-- shop:end -->"
)

// UpdateReadme replaces what stands between the markers of a file by the table of this run.
func (r *Report) UpdateReadme(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, tail, err := aroundMarkers(file, string(text))
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(head+readmeBegin+"\n```text\n"+r.Text()+"```\n"+readmeEnd+tail), 0o644)
}

// aroundMarkers returns what stands before and behind the one pair of markers.
func aroundMarkers(file, text string) (head, tail string, err error) {
	head, rest, begun := strings.Cut(text, readmeBegin)
	_, tail, ended := strings.Cut(rest, readmeEnd)
	if !begun || !ended || strings.Count(text, readmeBegin) > 1 || strings.Count(text, readmeEnd) > 1 {
		return "", "", fmt.Errorf("%s: must have %s followed by %s, once", file, readmeBegin, readmeEnd)
	}
	return head, tail, nil
}
