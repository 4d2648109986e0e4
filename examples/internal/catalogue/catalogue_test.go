package catalogue

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
)

var write = flag.Bool("write", false, "write docs/metrics.md")

func TestDocs(t *testing.T) {
	const path = "../../../docs/metrics.md"
	if *write {
		if err := os.WriteFile(path, []byte(Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil || string(have) != Markdown() {
		t.Errorf("docs/metrics.md is not what the tags say (%v): run go test ./internal/catalogue -write", err)
	}
}

// One of each package, two of some, in one pedantic registry: one name has one type, one help and one
// set of labels, and the linter finds nothing. What is scraped is in the catalogue, and the other way
// round unless a map is empty.
func TestAllTogether(t *testing.T) {
	reg, end, err := Fresh()
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("lint: %s: %s", p.Metric, p.Text)
	}
	all := All()
	for _, f := range families {
		i := slices.IndexFunc(all, func(m Metric) bool { return m.Name == f.GetName() })
		if i < 0 {
			t.Errorf("%s is not in the catalogue", f.GetName())
			continue
		}
		if kind := strings.ToLower(f.GetType().String()); all[i].Type != kind || all[i].Help != f.GetHelp() {
			t.Errorf("%s: %s, %q; in the catalogue %s, %q", f.GetName(), kind, f.GetHelp(), all[i].Type, all[i].Help)
		}
	}
	checkGuides(t, all, families)
	for i, m := range all {
		if slices.IndexFunc(all, func(other Metric) bool { return other.Name == m.Name }) != i {
			t.Errorf("%s is of two packages", m.Name)
		}
	}
}

// A series that a guide names is exported, with the label value that it names.
func checkGuides(t *testing.T, all []Metric, families []*dto.MetricFamily) {
	t.Helper()
	series := map[string]bool{}
	for _, m := range all {
		series[m.Name] = true
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				series[f.GetName()+"{"+l.GetName()+`="`+l.GetValue()+`"}`] = true
			}
		}
	}
	guides, err := filepath.Glob("../../../docs/*.md")
	if err != nil || len(guides) < 6 {
		t.Fatal(guides, err)
	}
	named := 0
	for _, guide := range guides {
		text, err := os.ReadFile(guide)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`hotpath_\w+(\{[^}]*\})?`).FindAllString(string(text), -1) {
			if named++; !series[name] {
				t.Errorf("%s names %s, which is not exported", filepath.Base(guide), name)
			}
		}
	}
	if named < 100 {
		t.Errorf("%d series are named", named)
	}
}
