package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/compress"
)

// A Report is what a run found.
type Report struct {
	Host     string
	Data     string
	Clients  int
	Rounds   int
	Compared string // how many answers were compared
	Stale    Staleness
	Columns  []Column
	Caches   []CacheStats
	Codings  []CodingStats
}

// CodingStats is what the compressor of a variant did.
type CodingStats struct {
	Variant string
	compress.Stats
}

// CacheStats is what the cache of a variant did.
type CacheStats struct {
	Variant string
	cache.Stats
}

// A Column is what the rounds of one variant found: medians, and of CPU the minimum.
type Column struct {
	Name                  string
	Phases                []*Phase
	P50, P95, P99         float64 // ms; NaN: too few samples
	Throughput            float64 // actions a second
	Queries, Rows         float64 // per action, as the next ones
	Bytes, Requests       float64
	CPU                   float64 // us; NaN: not known here
	FailedOrSlow          float64 // share
	Actions, Failed, Slow int
	FirstErr              error
}

func newColumn(name string, phases []*Phase) Column {
	c := Column{Name: name, Phases: phases}
	pick := func(f func(p *Phase) float64) []float64 {
		values := make([]float64, 0, len(phases))
		for _, p := range phases {
			if v := f(p); !math.IsNaN(v) {
				values = append(values, v)
			}
		}
		slices.Sort(values)
		return values
	}
	median := func(f func(p *Phase) float64) float64 {
		values := pick(f)
		if len(values) == 0 {
			return math.NaN()
		}
		return values[len(values)/2]
	}
	quantile := func(q float64) float64 {
		return median(func(p *Phase) float64 {
			d, ok := p.Quantile(q)
			if !ok {
				return math.NaN()
			}
			return float64(d) / 1e6
		})
	}
	per := func(f func(p *Phase) float64) float64 {
		return median(func(p *Phase) float64 { return f(p) / float64(p.Done()) })
	}
	c.P50, c.P95, c.P99 = quantile(0.50), quantile(0.95), quantile(0.99)
	c.Throughput = median(func(p *Phase) float64 { return float64(p.Done()) / p.Took.Seconds() })
	c.Queries = per(func(p *Phase) float64 { return float64(p.Counts.Queries) })
	c.Rows = per(func(p *Phase) float64 { return float64(p.Counts.Rows) })
	c.Bytes = per(func(p *Phase) float64 { return float64(p.In + p.Out) })
	c.Requests = per(func(p *Phase) float64 { return float64(p.Requests) })
	c.CPU = math.NaN()
	if cpu := pick(func(p *Phase) float64 { return p.CPU.Seconds() * 1e6 / float64(p.Done()) }); len(cpu) > 0 && cpu[0] > 0 {
		c.CPU = cpu[0]
	}
	for _, p := range phases {
		c.Actions += p.Done()
		c.Failed += p.Failed
		c.Slow += p.Slow
		if c.FirstErr == nil {
			c.FirstErr = p.FirstErr
		}
	}
	c.FailedOrSlow = float64(c.Failed+c.Slow) / float64(c.Actions+c.Failed)
	return c
}

// host says what machine this is.
func host() string {
	return fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}

// Print writes the table.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "machine  %s    data  %s\n", r.Host, r.Data)
	fmt.Fprintf(w, "load     closed loop of %d clients in the process of the server, median of %d rounds: times are\n"+
		"         rough and include the clients; counts are exact\n\n", r.Clients, r.Rounds)
	for _, line := range align(r.rows()) {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintf(w, "\nchecked  answers equal %s, stale reads %s of %s", r.Compared, group(float64(r.Stale.Stale)), group(float64(r.Stale.Reads)))
	for _, c := range r.Columns {
		if c.Failed > 0 {
			fmt.Fprintf(w, ", %s failed %d times", c.Name, c.Failed)
		}
	}
	fmt.Fprintln(w)
	for _, s := range r.Caches {
		all := s.Hits + s.Misses + s.Coalesced + s.Stale + s.Negative
		fmt.Fprintf(w, "cache    %s: %.1f %% of %s lookups were hits, %s loads, %.1f s of database time saved, %s entries in %.1f MB\n",
			s.Variant, 100*float64(s.Hits+s.Coalesced)/float64(max(all, 1)), group(float64(all)), group(float64(s.Loads)), s.SavedSeconds, group(float64(s.Items)), float64(s.Bytes)/1e6)
	}
	for _, s := range r.Codings {
		var encoded, in, out uint64
		for coding, n := range s.InBytes {
			in, out, encoded = in+n, out+s.OutBytes[coding], encoded+s.Responses[coding]
		}
		if encoded > 0 {
			fmt.Fprintf(w, "compress %s: %s answers encoded, each from %s to %s bytes in %s us\n", s.Variant, group(float64(encoded)),
				group(float64(in)/float64(encoded)), group(float64(out)/float64(encoded)), group(float64(s.EncodeTime.Microseconds())/float64(encoded)))
		}
	}
	fmt.Fprintln(w, "promised are the figures of \"API Performance Optimization\", an article with no program to run;\n"+
		"the p95 of tuned and after is the 20 ms of side work in an order")
}

// rows are the cells of the table, the heading first.
func (r *Report) rows() [][]string {
	tuned, after, before := r.column("tuned"), r.column("after"), r.column("before")
	heading := []string{"", ""}
	for _, c := range r.Columns {
		heading = append(heading, c.Name)
	}
	compare := after != nil && tuned != nil && before != nil
	if compare {
		heading = append(heading, "after/tuned", "after/before", "promised")
	}
	rows := [][]string{heading}
	add := func(name, unit, promised string, show func(v float64) string, ratio func(after, other float64) string, get func(c *Column) float64) {
		row := []string{name, unit}
		for i := range r.Columns {
			row = append(row, show(get(&r.Columns[i])))
		}
		if compare {
			row = append(row, ratio(get(after), get(tuned)), ratio(get(after), get(before)), promised)
		}
		rows = append(rows, row)
	}
	add("response time p50", "ms", "-45 %", millis, change, func(c *Column) float64 { return c.P50 })
	add("              p95", "ms", "", millis, change, func(c *Column) float64 { return c.P95 })
	add("              p99", "ms", "", millis, change, func(c *Column) float64 { return c.P99 })
	add("throughput", "actions/s", "2.5x", group, times, func(c *Column) float64 { return c.Throughput })
	add("database queries", "per action", "-60 %", hundredths, change, func(c *Column) float64 { return c.Queries })
	add("database rows", "per action", "", hundredths, change, func(c *Column) float64 { return c.Rows })
	add("bytes on the wire", "per action", "", group, change, func(c *Column) float64 { return c.Bytes })
	add("requests", "per action", "", hundredths, change, func(c *Column) float64 { return c.Requests })
	add("CPU, clients too", "us per action", "", group, change, func(c *Column) float64 { return c.CPU })
	add("failed or over 1 s", "of actions", "-30 %", percent, none, func(c *Column) float64 { return c.FailedOrSlow })
	return rows
}

func (r *Report) column(name string) *Column {
	for i := range r.Columns {
		if r.Columns[i].Name == name {
			return &r.Columns[i]
		}
	}
	return nil
}

// align pads the cells: the first two columns to the left, figures to the right.
func align(rows [][]string) (lines []string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if i < 2 {
				b.WriteString(" " + cell + pad)
			} else {
				b.WriteString("  " + pad + cell)
			}
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}

const dash = "-" // a figure without enough samples is no zero

func millis(v float64) string {
	if math.IsNaN(v) {
		return dash
	}
	return strconv.FormatFloat(v, 'f', 1, 64)
}

func hundredths(v float64) string {
	if math.IsNaN(v) {
		return dash
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func percent(v float64) string {
	if math.IsNaN(v) {
		return dash
	}
	return strconv.FormatFloat(100*v, 'f', 1, 64) + " %"
}

// group writes a whole number with a space between thousands.
func group(v float64) string {
	if math.IsNaN(v) {
		return dash
	}
	digits := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + " " + digits[i:]
	}
	return digits
}

// change is by how much after is less, or more, than other. Beyond -99 % it needs a decimal.
func change(after, other float64) string {
	v := 100 * (after/other - 1)
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return dash
	case v < -99:
		return strconv.FormatFloat(v, 'f', 1, 64) + " %"
	}
	return fmt.Sprintf("%+.0f %%", v+0) // +0: no -0
}

func times(after, other float64) string {
	v := after / other
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return dash
	case v < 10:
		return fmt.Sprintf("%.1fx", v)
	}
	return fmt.Sprintf("%.0fx", v)
}

func none(_, _ float64) string { return "" }

// A Progress is what a run says on stderr while it works.
type Progress struct {
	w        io.Writer
	terminal bool
	steps    int
	step     int
	end      time.Time
	started  bool
}

// newProgress writes to f. It moves the cursor only on a terminal.
func newProgress(f *os.File, steps int, estimate time.Duration) *Progress {
	info, err := f.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == ""
	return &Progress{w: f, terminal: terminal, steps: steps, end: time.Now().Add(estimate)}
}

// Next begins a step; the line of the one before gets what Done said of it.
func (p *Progress) Next(format string, args ...any) {
	p.Done("")
	p.step++
	text := fmt.Sprintf(format, args...)
	left := max(time.Until(p.end), 0).Round(time.Second)
	fmt.Fprintf(p.w, "  %2d/%d  %s %s %s left", p.step, p.steps, text, strings.Repeat(".", max(52-len(text), 3)), left)
	p.started = true
	if !p.terminal {
		fmt.Fprintln(p.w)
	}
}

// Done ends the step under way.
func (p *Progress) Done(result string) {
	if !p.started {
		return
	}
	p.started = false
	switch {
	case p.terminal && result == "":
		fmt.Fprintln(p.w)
	case p.terminal:
		fmt.Fprintf(p.w, "   %s\n", result)
	case result != "":
		fmt.Fprintf(p.w, "         %s\n", result)
	}
}
