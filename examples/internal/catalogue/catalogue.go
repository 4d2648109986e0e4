// Package catalogue lists every metric that hotpath exports, from the struct tags of its Stats.
package catalogue

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hotpath-go/hotpath/batch"
	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/cache/rediscache"
	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/metrics"
	"github.com/hotpath-go/hotpath/partial"
	"github.com/hotpath-go/hotpath/pool"
	"github.com/hotpath-go/hotpath/pool/bulkhead"
	"github.com/hotpath-go/hotpath/throttle"
)

// A Metric is one name in /metrics.
type Metric struct {
	Package string // of the Stats, by its path in the repository
	Name    string
	Type    string // counter, gauge, histogram
	Labels  []Label
	Help    string
}

// A Label is one besides name, which all have.
type Label struct {
	Name   string
	Values []string // as far as they stand in the tags; nil: the keys of a map
}

// A Room is a package with Stats.
type Room struct {
	Package string
	Stats   reflect.Type
}

// Rooms returns all of them, in the order of the README.
func Rooms() []Room {
	return []Room{
		{"cache", reflect.TypeFor[cache.Stats]()},
		{"cache/httpcache", reflect.TypeFor[httpcache.Stats]()},
		{"cache/rediscache", reflect.TypeFor[rediscache.Stats]()},
		{"compress", reflect.TypeFor[compress.Stats]()},
		{"compress", reflect.TypeFor[compress.DecompressorStats]()},
		{"batch", reflect.TypeFor[batch.LoaderStats]()},
		{"batch", reflect.TypeFor[batch.Stats]()},
		{"partial", reflect.TypeFor[partial.Stats]()},
		{"throttle", reflect.TypeFor[throttle.Stats]()},
		{"pool", reflect.TypeFor[pool.Stats]()},
		{"pool/bulkhead", reflect.TypeFor[bulkhead.Stats]()},
		{"metrics", reflect.TypeFor[metrics.Stats]()},
	}
}

// All returns every metric, each once.
func All() (all []Metric) {
	for _, room := range Rooms() {
		r := reader{room: room.Package}
		r.fields(room.Stats, "", nil)
		all = append(all, r.all...)
	}
	return all
}

type reader struct {
	room string
	all  []Metric
}

func (r *reader) fields(t reflect.Type, prefix string, around []Label) {
	for i := range t.NumField() {
		f := t.Field(i)
		text, tagged := f.Tag.Lookup("metric")
		key := f.Tag.Get("label")
		if text == "-" || !tagged && key == "" && !f.Anonymous {
			continue
		}
		labels := slices.Clone(around)
		name, rest, _ := strings.Cut(text, ",")
		for one := range strings.SplitSeq(rest, ",") {
			if label, value, ok := strings.Cut(one, "="); ok {
				labels = append(labels, Label{label, []string{value}})
			}
		}
		of := f.Type
		if key != "" {
			labels, of = append(labels, Label{key, nil}), of.Elem()
		}
		if name == "" {
			r.fields(of, prefix, labels)
			continue
		}
		r.add(Metric{Package: r.room, Name: name, Type: kind(name, of), Labels: labels, Help: f.Tag.Get("help")})
	}
}

// kind is how metrics.Collector exports it.
func kind(name string, t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[metrics.Histogram]():
		return "histogram"
	case strings.HasSuffix(name, "_total"):
		return "counter"
	}
	return "gauge"
}

// add joins the fields that are series of one metric.
func (r *reader) add(m Metric) {
	i := slices.IndexFunc(r.all, func(have Metric) bool { return have.Name == m.Name })
	if i < 0 {
		r.all = append(r.all, m)
		return
	}
	have := &r.all[i]
	if have.Help == "" {
		have.Help = m.Help
	}
	for _, l := range m.Labels {
		for j := range have.Labels {
			if own := &have.Labels[j]; own.Name == l.Name {
				for _, v := range l.Values {
					if !slices.Contains(own.Values, v) {
						own.Values = append(own.Values, v)
					}
				}
			}
		}
	}
}

// Markdown is docs/metrics.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(intro)
	last := ""
	for _, m := range All() {
		if m.Package != last {
			fmt.Fprintf(&b, "\n## %s\n\n| metric | type | labels | |\n| --- | --- | --- | --- |\n", m.Package)
			last = m.Package
		}
		var labels []string
		for _, l := range m.Labels {
			if len(l.Values) == 0 {
				labels = append(labels, "`"+l.Name+"`")
			} else {
				labels = append(labels, fmt.Sprintf("`%s`: %s", l.Name, strings.Join(l.Values, ", ")))
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, strings.Join(labels, "; "), strings.ReplaceAll(m.Help, "|", "\\|"))
	}
	return b.String()
}

const intro = `# Metrics

What ` + "`metrics.Collector`" + ` exports of each package, from the tags of its ` + "`Stats`" + `. Every series also has the label ` + "`name`" + `, which you give:

` + "```go" + `
reg.MustRegister(metrics.Collector("catalog", catalog.Stats))
` + "```" + `

Label values come from the code or its configuration, never from a request. Counters end in _total; durations are in seconds; histograms
have buckets at powers of two; in Go a histogram of Stats has Count, Sum, Mean, Quantile and Buckets, and Sub of an earlier one. Pools of
connections: collectors.NewDBStatsCollector of client_golang for database/sql, [examples/frameworks/pgx](../examples/frameworks/pgx) for pgx. [examples/grafana](../examples/grafana) has a dashboard and alerts. This page is written by ` + "`go test ./internal/catalogue -write`" + ` in ` + "`examples`" + `, and a test compares it.
`
