package metrics

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics returns one metric for each name, after checking that all its fields agree.
func (b *builder) metrics() (all []*metric) {
	fields := map[string][]*leaf{}
	for _, l := range b.leaves {
		others := fields[l.name]
		if len(others) == 0 {
			all = append(all, &metric{name: l.name})
		} else {
			b.agree(others, l)
		}
		fields[l.name] = append(others, l)
	}
	for _, m := range all {
		b.describe(m, fields[m.name])
		// OpenMetrics names the family of a counter without _total.
		if family, counts := strings.CutSuffix(m.name, "_total"); counts && len(fields[family]) > 0 {
			b.mistake(fields[m.name][0].path, fmt.Errorf("%q is of the family of %q, %s, to OpenMetrics: a family has one type", m.name, family, fields[family][0].path))
		}
	}
	return all
}

// agree checks a field against the earlier ones of the same metric.
func (b *builder) agree(others []*leaf, l *leaf) {
	bad := func(format string, args ...any) {
		b.mistake(l.path, fmt.Errorf("%q "+format, append([]any{l.name}, args...)...))
	}
	first := others[0]
	if (first.value == histogram) != (l.value == histogram) {
		bad("is a number in one place and a histogram in another, %s: one metric has one type", first.path)
	}
	if one, other := names(first.labels), names(l.labels); !slices.Equal(one, other) {
		bad("has the labels %q, but %q in %s: one metric has one set of labels", other, one, first.path)
		return
	}
	for _, other := range others {
		if overlap(l, other) {
			bad("makes the same series as %s: each needs a label value of its own", other.path)
			return
		}
	}
}

// describe fills in what the fields of m say of it.
func (b *builder) describe(m *metric, fields []*leaf) {
	helped := fields[0]
	for _, l := range fields {
		if helped.help == "" {
			helped = l
		} else if l.help != "" && l.help != helped.help {
			b.mistake(l.path, fmt.Errorf("%q has another help than in %s: once per name is enough", m.name, helped.path))
		}
	}
	switch {
	case helped.help == "":
		b.mistake(fields[0].path, fmt.Errorf("%q has no tag help:\"...\": once per name is enough", m.name))
	case !utf8.ValidString(helped.help):
		b.mistake(helped.path, fmt.Errorf("%q has the help %q: must be UTF-8", m.name, helped.help))
	}
	m.help = helped.help
	m.counts = strings.HasSuffix(m.name, "_total")
	if fields[0].value == histogram {
		m.bounds = bounds(m.name)
	}
	m.desc = prometheus.NewDesc(m.name, m.help, names(fields[0].labels), prometheus.Labels{nameLabel: b.instance})
}

// names lists labels without nameLabel, which is a matter of course.
func names(labels []label) (names []string) {
	for _, l := range labels {
		if l.name != nameLabel {
			names = append(names, l.name)
		}
	}
	return names
}

// overlap reports whether two fields with the same labels can make the same series: no label
// tells them apart for sure, for the key of a map may be any value. One series twice would
// fail the scrape of everything.
func overlap(a, b *leaf) bool {
	for i := range a.labels {
		one, other := a.labels[i], b.labels[i] // sorted by name
		if one.level == 0 && other.level == 0 && one.value != other.value {
			return false
		}
	}
	return true
}
