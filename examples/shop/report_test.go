package main

import (
	"context"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata anew")

// goldenReport is a report of figures that nobody measured.
func goldenReport() *Report {
	load, later, foreign := 0.4, 1.1, 0.02
	r := &Report{
		Schema: schemaVersion, Revision: "0123456789ab", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Seconds: 71.5,
		Flags: []string{"-seed", "7"}, Seed: 7, Database: "SQLite, synchronous=OFF: the disk is not what is measured",
		Data: "2 400 products, 12 000 reviews, SQLite, seed 7", Layers: "cache",
		Host:   Host{System: "linux/amd64", CPU: "Example <fast> & wide", Kernel: "6.0", Go: "go1.26.0", Cores: 2, Split: "server 1, generator 1 cores, pinned", LoadBefore: &load, LoadAfter: &later, Foreign: &foreign},
		Checks: Checks{Compared: 1_000, Of: 1_000, ComparedBefore: 150, Stale: Staleness{Writes: 300, Reads: 412}},
		Cold:   []ColdReport{{"after", 2_000, 0.84, percentile(0.9)}},
		Limits: []LimitReport{{"after", 4_200}},
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i, name := range []string{"before", "tuned", "peers", "after"} {
		speed := []float64{60, 1, 0.5, 0.4}[i]
		v := VariantReport{Name: name, Kinds: map[string]Percentiles{allKinds: percentile(speed), reads: percentile(speed / 2), string(Detail): percentile(speed)}}
		for k := range 16 {
			v.Histogram = append(v.Histogram, Bucket{speed * (0.5 + float64(k)/8), 1 + rng.IntN(1_000)})
		}
		for k := range 3 {
			cpu := 400*speed + float64(k)
			open := PhaseReport{Offered: []float64{15, 150, 150, 150}[i], Seconds: 4, Done: 600, LagP99: 0.1, Kinds: v.Kinds, Failures: map[string]int{}}
			closed := PhaseReport{Seconds: 2, Done: 4_000, Throughput: 1_500 / speed, Queries: 3.7 * speed, Rows: 20, Requests: 1.9, WireIn: 300, WireOut: 3_000, CPU: &cpu, Allocs: 100 * speed, GeneratorShare: 0.3, Failures: map[string]int{}}
			v.Rounds = append(v.Rounds, RoundReport{open, closed})
		}
		r.Variants = append(r.Variants, v)
	}
	r.Variants[0].Rounds[0].Open.Failures["timeout"] = 25
	r.Variants[3].Layers = LayerCounts{Lookups: 10_000, Hits: 9_500, Items: 2_500, Bytes: 5_000_000, SavedSeconds: 12.5}
	cpu, half, p50 := 400.0, 200.0, 9.5
	was := Ablated{"none", &cpu, 1_500, 3.7, 3_300, 1.9, map[Kind]*float64{Detail: &p50}}
	is := Ablated{"cache", &half, 3_000, 0.37, 3_300, 1.9, map[Kind]*float64{Detail: nil}}
	r.Ablation = []AblationRow{{"cache", Detail, Change{was, is}, Change{is, was}}}
	r.judge()
	return r
}

func percentile(p50 float64) Percentiles {
	p95, most := 4*p50, 9*p50
	return Percentiles{Count: 600, P50: &p50, P95: &p95, Max: &most}
}

func TestReport_Golden(t *testing.T) {
	r := goldenReport()
	text, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"report.json": string(text), "report.md": r.Markdown(), "report.svg": r.SVG(), "report.txt": r.Text()} {
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is another one than in testdata (if that is meant: go test -update ./shop)", name)
		}
	}
	checkSVG(t, filepath.Join("testdata", "report.svg"))
	var back Report
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(&back, r) {
		t.Errorf("JSON does not hold all of a report: %v", err)
	}
	if back.SVG() != r.SVG() || back.Text() != r.Text() {
		t.Error("a report that was read again looks different")
	}
}

// Nobody's label may become markup.
func TestSVG_Escapes(t *testing.T) {
	r := goldenReport()
	r.Host.System = `<script>"&`
	if svg := r.SVG(); strings.Contains(svg, "<script>") {
		t.Error("it does not")
	}
}

// A column or a row without data is left out or a dash, never a zero.
func TestReport_OfOneVariant(t *testing.T) {
	r := &Report{Variants: []VariantReport{{Name: "tuned", Rounds: []RoundReport{{}}}}}
	text := r.Text()
	if strings.Contains(text, "after") || !strings.Contains(text, dash) || strings.Contains(text, "NaN") {
		t.Error(text)
	}
	if r.judge(); len(r.Verdicts) > 0 {
		t.Errorf("verdicts without after: %+v", r.Verdicts)
	}
}

func TestReadme_NeedsItsMarkers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "README.md")
	for _, text := range []string{"", readmeBegin, readmeEnd + readmeBegin, strings.Repeat(readmeBegin+readmeEnd, 2)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := goldenReport().UpdateReadme(file); err == nil || !strings.Contains(err.Error(), readmeBegin) {
			t.Errorf("%q: %v", text, err)
		}
		if now, _ := os.ReadFile(file); string(now) != text {
			t.Errorf("%q became %q", text, now)
		}
	}
}

// The README of the repository has them, with the output of a run between.
func TestReadme_HasItsMarkers(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begun := strings.Cut(string(text), readmeBegin)
	table, _, ended := strings.Cut(rest, readmeEnd)
	if !begun || !ended || !strings.HasPrefix(table, "\n```text\nmachine ") {
		t.Error("README.md has no figures between its markers")
	}
}

func TestStrict_AMissedGoalFails(t *testing.T) {
	for result, code := range map[string]bool{met: true, withheld: true, missed: false} {
		d := testDrive(t, Options{})
		d.o.strict, d.o.json, d.o.dir = true, true, ""
		d.report.Verdicts = []Verdict{{Result: result}}
		if err := d.publish(new(strings.Builder)); (err == nil) != code {
			t.Errorf("%s: %v", result, err)
		}
		d.o.strict = false
		if err := d.publish(new(strings.Builder)); err != nil {
			t.Errorf("without -strict, %s: %v", result, err)
		}
	}
}

func TestAblate(t *testing.T) {
	if testing.Short() {
		t.Skip("four servers, one after the other")
	}
	code, stdout, stderr, left := shell(t, t.Context(), "ablate", "-products", "96", "-rounds", "1", "-d", "200ms", "-warm", "50")
	if code != exitOK || left != nil || strings.Count(stdout, "\n indexes ") != 2 || strings.Count(stdout, "\n bulkhead ") != 2 {
		t.Errorf("exit %d, left %v, %s%s", code, left, stdout, stderr)
	}
}

// The parts of -full, in miniature: they are too slow for a test together with all the rest.
func TestFull(t *testing.T) {
	if quick() {
		t.Skip("it looks for the highest rate, which takes seconds")
	}
	d := testDrive(t, Options{})
	all := d.testSides(t, "tuned", "peers", "after")
	ctx := context.Context(t.Context())
	if err := d.cold(ctx, all); err != nil || len(d.report.Cold) != 3 {
		t.Fatalf("cold: %v", err)
	}
	if cold := d.report.Cold; cold[2].Queries >= cold[0].Queries || cold[0].Times.P50 == nil {
		t.Errorf("cold: %+v", cold)
	}
	for _, s := range all {
		s.report.Rounds = []RoundReport{{Saturated: PhaseReport{Throughput: 400}}}
	}
	if err := d.limits(ctx, all); err != nil || len(d.report.Limits) == 0 {
		t.Errorf("limits: %v, %+v", err, d.report.Limits)
	}
}

func TestTheVariantsAreOneFunctionEach(t *testing.T) {
	for file, f := range map[string]string{"before.go": "func Before(s *Store) http.Handler", "tuned.go": "func Tuned(s *Store) http.Handler", "peers.go": "func Peers(s *Store)", "after.go": "func After(s *Store, on Switches"} {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), f) {
			t.Errorf("%s has no %s: %v", file, f, err)
		}
		if file == "after.go" && strings.Contains(string(text), "SELECT") {
			t.Error("after.go has SQL of its own")
		}
	}
}
