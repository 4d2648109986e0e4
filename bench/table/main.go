// Command table runs the benchmarks of this module, several times in turn, and writes the table of
// bench/README.md: each figure the ratio of the least times, beside what it has to be. With -runs 0 it
// reads on stdin what go test -bench has printed.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	runs := flag.Int("runs", 3, "runs of all benchmarks; 0: read stdin")
	benchtime := flag.Duration("benchtime", 300*time.Millisecond, "of each benchmark")
	readme := flag.String("readme", "", "file whose table is replaced, between its markers; empty: print it")
	flag.Parse()
	if err := run(*runs, *benchtime, *readme); err != nil {
		log.Fatal(err)
	}
}

func run(runs int, benchtime time.Duration, readme string) error {
	var printed io.Reader = os.Stdin
	if runs > 0 {
		all, err := runAll(runs, benchtime)
		if err != nil {
			return err
		}
		printed = all
	}
	least, machine, err := read(printed)
	if err != nil {
		return err
	}
	table := write(least, machine)
	if readme == "" {
		_, err := fmt.Print(table)
		return err
	}
	return replace(readme, table)
}

// runAll runs every benchmark in a process of its own, or one would pay for the heap and the goroutines that
// another has left, and then all of them again.
func runAll(runs int, benchtime time.Duration) (*bytes.Buffer, error) {
	dir, err := os.MkdirTemp("", "hotpath-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "bench.test")
	if out, err := exec.Command("go", "test", "-c", "-o", binary, ".").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go test -c: %w\n%s", err, out)
	}
	names, err := exec.Command(binary, "-test.list", "^Benchmark").Output()
	if err != nil {
		return nil, err
	}
	all := new(bytes.Buffer)
	for i := range runs {
		fmt.Fprintf(os.Stderr, "== run %d of %d\n", i+1, runs)
		for name := range strings.FieldsSeq(string(names)) {
			one := exec.Command(binary, "-test.run", "^$", "-test.bench", "^"+name+"$", "-test.benchmem", "-test.benchtime", benchtime.String())
			one.Stdout, one.Stderr = io.MultiWriter(all, os.Stderr), os.Stderr
			if err := one.Run(); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return all, nil
}

// figures are the least of each unit of each benchmark. Interference only ever adds time.
type figures map[string]map[string]float64

var line = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(.*)$`)

func read(r io.Reader) (least figures, machine string, err error) {
	least = figures{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if cpu, ok := strings.CutPrefix(lines.Text(), "cpu: "); ok {
			machine = cpu
		}
		m := line.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		fields := strings.Fields(m[2])
		units := least[m[1]]
		if units == nil {
			units = map[string]float64{}
			least[m[1]] = units
		}
		for i := 0; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, "", fmt.Errorf("%s: %w", m[1], err)
			}
			if have, ok := units[fields[i+1]]; !ok || v < have {
				units[fields[i+1]] = v
			}
		}
	}
	if len(least) == 0 {
		return nil, "", errors.New("no benchmark was read")
	}
	return least, machine, lines.Err()
}

// of returns the figure of a goal; false: one of its benchmarks did not run.
func (f figures) of(g goal) (float64, bool) {
	unit := g.unit
	if unit == "" {
		unit = "ns/op"
	}
	ours, ok := f[g.ours][unit]
	if !ok || g.theirs == "" {
		return ours, ok
	}
	theirs, ok := f[g.theirs][unit]
	if g.base != "" && ok {
		var base float64
		base, ok = f[g.base][unit]
		ours, theirs = max(ours-base, 0), theirs-base
	}
	if g.inverse {
		ours, theirs = theirs, ours
	}
	return ours / theirs, ok && theirs > 0
}

func (g goal) verdict(v float64) string {
	// Two digits are what the figure is printed with, and what is promised.
	better := func(bound float64) bool {
		if g.least {
			return v >= bound*0.995
		}
		return v <= bound*1.005
	}
	switch {
	case better(g.aim):
		return "aim"
	case better(g.must):
		return "met"
	}
	return "**missed**"
}

func write(f figures, machine string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. A ratio is ours to theirs, both the least of the runs; \"times\" is theirs to ours.\n\n", machine)
	b.WriteString("| | measured | against | must | aim | is | |\n| --- | --- | --- | ---: | ---: | ---: | --- |\n")
	counts := map[string]int{}
	for i, g := range goals {
		room := g.room
		if i > 0 && goals[i-1].room == room {
			room = ""
		}
		is, said := "-", "not run"
		if v, ok := f.of(g); ok {
			is, said = number(v), g.verdict(v)
		}
		counts[said]++
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", room, g.what, g.against, number(g.must), number(g.aim), is, said)
	}
	fmt.Fprintf(&b, "\nOf %d: %d reach the aim, %d what they must, %d miss it, %d did not run.\n", len(goals), counts["aim"], counts["met"], counts["**missed**"], counts["not run"])
	return b.String()
}

// number has three digits at most.
func number(v float64) string {
	switch {
	case v == math.Trunc(v) && v < 1000, v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

const (
	begin = "<!-- table:begin -->\n"
	end   = "<!-- table:end -->"
)

func replace(path, table string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return fmt.Errorf("%s has no markers %s%s", path, begin, end)
	}
	return os.WriteFile(path, []byte(before+begin+table+end+after), 0o644)
}
