package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const output = `cpu: Example
BenchmarkHit/hotpath-2     100   50.0 ns/op   7 wire-B   0 B/op   1 allocs/op
BenchmarkHit/gzhttp-2      100   900 ns/op
BenchmarkHit/hotpath-2     100   45.0 ns/op   1 allocs/op
BenchmarkSkip/png/bare-2   100   100 ns/op
BenchmarkSkip/png/hotpath-2 100  104 ns/op
BenchmarkSkip/png/gzhttp-2 100   200 ns/op
BenchmarkHTTPCacheCodedHit/hotpath 10 10 ns/op
BenchmarkHTTPCacheCodedHit/gzhttp 10 155 ns/op
PASS
`

func TestTable(t *testing.T) {
	f, machine, err := read(strings.NewReader(output))
	if err != nil || machine != "Example" {
		t.Fatal(machine, err)
	}
	table := write(f, machine)
	for _, row := range []string{
		"| a stored body of 36 KB | gzhttp over it | 0.10 | 0.050 | 0.050 | aim |",
		"| allocations of that |  | 1 | 1 | 1 | aim |",
		"| an image: time added | gzhttp's | 0.050 | 0.010 | 0.040 | met |",
		"| coded hit, 36 KB: times faster | gzhttp encoding each | 10 | 20 | 15.5 | met |",
		"| gzip, 10 KB | chi | 0.80 | 0.60 | - | not run |",
	} {
		if !strings.Contains(table, row) {
			t.Errorf("no row %q in\n%s", row, table)
		}
	}
	slow, _, _ := read(strings.NewReader(strings.ReplaceAll(output, "45.0", "95.0") + "BenchmarkHit/gzhttp-2 1 90 ns/op\n"))
	if !strings.Contains(write(slow, ""), "| 0.56 | **missed** |") {
		t.Errorf("a miss is not shown:\n%s", write(slow, ""))
	}
	for _, bad := range []string{"", "BenchmarkX-2 1 y ns/op\n"} {
		if _, _, err := read(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// Every benchmark of a goal is one of the files beside.
func TestGoals(t *testing.T) {
	files, err := filepath.Glob("../*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, g := range goals {
		for _, name := range []string{g.ours, g.theirs, g.base} {
			top, _, _ := strings.Cut(name, "/")
			if top != "" && !strings.Contains(all.String(), "\nfunc Benchmark"+top+"(b *testing.B)") {
				t.Errorf("%s, %s: there is no Benchmark%s", g.room, g.what, top)
			}
		}
		if g.least != (g.aim > g.must) && g.aim != g.must {
			t.Errorf("%s, %s: aim %v is worse than must %v", g.room, g.what, g.aim, g.must)
		}
	}
	text, err := os.ReadFile("../README.md")
	if err != nil || !strings.Contains(string(text), begin) || !strings.Contains(string(text), end) {
		t.Errorf("bench/README.md has no markers: %v", err)
	}
}
