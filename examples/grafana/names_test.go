package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/examples/internal/catalogue"
)

// expressions returns those of every panel and of the rules.
func expressions(t *testing.T) (all []string) {
	t.Helper()
	rules, err := os.ReadFile("rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range strings.Split(string(rules), "\n      - ")[1:] {
		_, rule, ok := strings.Cut(rule, "expr:")
		if !ok {
			t.Fatalf("a rule without expr: %s", rule)
		}
		expr, _, _ := strings.Cut(rule, "\n        for:")
		expr, _, _ = strings.Cut(expr, "\n      #")
		expr, _, _ = strings.Cut(expr, "\n  - name:")
		all = append(all, expr)
	}
	if len(all) != 8 {
		t.Fatalf("%d rules", len(all))
	}
	for _, p := range panels() {
		for _, q := range p.queries {
			all = append(all, q.expr)
		}
	}
	return all
}

// exported returns the values of each label of each metric: those in tags, and those of a fresh process.
func exported(t *testing.T) map[string]map[string][]string {
	t.Helper()
	all := map[string]map[string][]string{}
	for _, m := range catalogue.All() {
		all[m.Name] = map[string][]string{"name": nil, "job": nil, "instance": nil}
		for _, l := range m.Labels {
			all[m.Name][l.Name] = l.Values
		}
		if m.Type == "histogram" {
			all[m.Name]["le"] = nil
		}
	}
	reg, end, err := catalogue.Fresh()
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			for _, l := range m.Label {
				labels := all[f.GetName()]
				labels[l.GetName()] = append(labels[l.GetName()], l.GetValue())
			}
		}
	}
	return all
}

// Every name in a query or rule is exported by somebody, with the labels that it selects and groups by and the
// values that it selects.
func TestNames(t *testing.T) {
	all := exported(t)
	selector := regexp.MustCompile(`\b(hotpath_[a-z_]+)(\{[^}]*\})?`)
	matcher := regexp.MustCompile(`([a-z_]+)(=~|=|!=|!~)"([^"]*)"`)
	by := regexp.MustCompile(`\bby \(([^)]*)\)`)
	found, values, groups := 0, 0, 0
	for _, expr := range expressions(t) {
		labels := map[string]bool{}
		for _, m := range selector.FindAllStringSubmatch(expr, -1) {
			found++
			metric, there := all[m[1]]
			if !there {
				metric = all[regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(m[1], "")]
				if _, histogram := metric["le"]; !histogram {
					t.Errorf("nobody exports %s", m[1])
					continue
				}
			}
			for label := range metric {
				labels[label] = true
			}
			for _, m := range matcher.FindAllStringSubmatch(m[2], -1) {
				label, value := m[1], m[3]
				have, there := metric[label]
				if !there {
					t.Errorf("%s has no label %s", expr, label)
				}
				if strings.HasPrefix(value, "$") {
					continue
				}
				wanted := []string{regexp.QuoteMeta(value)}
				if strings.HasSuffix(m[2], "~") {
					wanted = strings.Split(value, "|")
				}
				for _, one := range wanted {
					values++
					if is := regexp.MustCompile("^(?:" + one + ")$"); !slices.ContainsFunc(have, is.MatchString) {
						t.Errorf("%s: no %s is %q, only %q", expr, label, one, have)
					}
				}
			}
		}
		if len(labels) == 0 {
			continue // the runtime's, the database's, or up
		}
		for _, m := range by.FindAllStringSubmatch(expr, -1) {
			for _, label := range strings.Split(m[1], ", ") {
				groups++
				if !labels[label] {
					t.Errorf("%s: nothing here has the label %s", expr, label)
				}
			}
		}
	}
	if found < 40 || values < 25 || groups < 40 {
		t.Errorf("only %d names, %d values and %d groups", found, values, groups)
	}
}

// Where Prometheus stores native histograms the classic series are gone: rules ask in both forms, as panels do.
func TestRules_BothFormsOfAHistogram(t *testing.T) {
	for _, expr := range expressions(t) {
		classic := regexp.MustCompile(`_(?:count|sum)(?:\{[^}]*\})?\[`).FindAllString(expr, -1)
		native := regexp.MustCompile(`or sum by \([^)]*\) \(histogram_(?:count|sum)\(`).FindAllString(expr, -1)
		if strings.Contains(expr, "$__rate_interval") {
			continue // TestDashboard_Conventions
		}
		if len(classic) != len(native) {
			t.Errorf("%d series of classic histograms, %d of native ones in %s", len(classic), len(native), expr)
		}
	}
}
