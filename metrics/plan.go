package metrics

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// nameLabel tells two instances of one type apart.
const nameLabel = "name"

// A plan is what the tags of a struct say, read once: which fields make which series.
type plan struct {
	metrics []*metric
	top     level
	rows    *rows        // of top
	size    atomic.Int64 // samples in the last scrape
}

// A metric is what all series of one name have in common.
type metric struct {
	name, help string
	counts     bool      // a counter
	bounds     []float64 // of the buckets of a histogram; nil for numbers
	desc       *prometheus.Desc
}

// A level is a struct whose fields are read, or what a map has under each of its keys.
type level struct {
	depth  int // maps around it
	leaves []*leaf
	forks  []fork
}

// A leaf is a field that makes one series, under each key of the maps around it.
type leaf struct {
	index  []int // of the field in the struct of its level; none: the value of the map itself
	value  value
	metric *metric
	labels []label // sorted by name, nameLabel among them

	// What is checked, and shown in mistakes.
	name, help string
	path       string // cache.Stats.Hits
}

// A fork is a map: each key is a value of one label.
type fork struct {
	index []int
	below *level
}

// newPlan reads the tags of t, or returns all that is wrong with them. Values of the label
// nameLabel are name.
func newPlan(t reflect.Type, name string) (*plan, []error) {
	p := &plan{}
	if t.Kind() != reflect.Struct || valueOf(t) != none {
		return p, []error{fmt.Errorf("%v is no Stats: must be a struct", t)}
	}
	b := builder{instance: name}
	b.fields(&p.top, t, t.String(), nil, nil, []reflect.Type{t})
	if len(b.leaves) == 0 && len(b.mistakes) == 0 {
		b.mistake(t.String(), errors.New(`no field has a tag metric:"..."`))
	}
	p.metrics = b.metrics()
	if len(b.mistakes) > 0 {
		return p, b.mistakes
	}
	for _, l := range b.leaves {
		l.metric = p.metrics[slices.IndexFunc(p.metrics, func(m *metric) bool { return m.name == l.name })]
	}
	p.rows = p.top.rows(nil)
	return p, nil
}

type builder struct {
	instance string
	mistakes []error
	leaves   []*leaf // of all levels, in the order of the fields
}

func (b *builder) mistake(path string, mistakes ...error) {
	for _, err := range mistakes {
		b.mistakes = append(b.mistakes, fmt.Errorf("%s: %w", path, err))
	}
}

// fields adds the fields of a struct to a level. index and labels lead to the struct; around
// are the types on the way to it.
func (b *builder) fields(into *level, t reflect.Type, path string, index []int, labels []label, around []reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, exported, mistakes := readTag(f)
		b.mistake(path+"."+f.Name, mistakes...)
		if exported {
			b.field(into, f.Type, tag, path+"."+f.Name, append(slices.Clip(index), i), labels, around)
		}
	}
}

func (b *builder) field(into *level, t reflect.Type, tag tag, path string, index []int, labels []label, around []reflect.Type) {
	bad := func(format string, args ...any) { b.mistake(path, fmt.Errorf(format, args...)) }
	own := tag.fixed
	if t.Kind() == reflect.Map {
		if tag.key == "" {
			bad("is a map without a tag label:\"...\": which label are its keys?")
			return
		}
		if t.Key().Kind() != reflect.String {
			bad("is a map with keys of type %v: must be strings", t.Key())
			return
		}
		below := &level{depth: into.depth + 1}
		into.forks = append(into.forks, fork{index, below})
		own = append(own, label{name: tag.key, level: below.depth})
		// The values of a map stand at no field of their own.
		into, t, index = below, t.Elem(), nil
	} else if tag.key != "" {
		bad("has a tag label:%q but is no map: a fixed label is metric:\"name,%s=value\"", tag.key, tag.key)
		return
	}
	b.mistake(path, labelMistakes(labels, own)...)
	labels = slices.Concat(labels, own)
	v := valueOf(t)
	switch {
	case v == none && t.Kind() == reflect.Struct && tag.metric == "":
		if slices.Contains(around, t) {
			bad("%v contains itself: its series have no end", t)
			return
		}
		if tag.help != "" {
			bad("has a tag help:%q but is a struct: help stands at its fields", tag.help)
		}
		b.fields(into, t, path, index, labels, append(around, t))
	case v == none && t.Kind() == reflect.Struct:
		bad("%q has a value of type %v: a struct has no name, only labels: metric:\",label=value\"", tag.metric, t)
	case v == none:
		bad("%q has a value of type %v: must be a number, bool, time.Duration, time.Time or Histogram, or a struct or map of them", tag.metric, t)
	case tag.metric == "":
		bad("has a value but no name: must be metric:\"name\"")
	default:
		l := &leaf{index: index, value: v, name: tag.metric, path: path, help: tag.help}
		b.mistake(path, nameMistakes(tag.metric)...)
		b.mistake(path, typeMistakes(tag.metric, v)...)
		l.labels = append(labels, label{name: nameLabel, value: b.instance})
		slices.SortFunc(l.labels, func(a, b label) int { return strings.Compare(a.name, b.name) })
		into.leaves = append(into.leaves, l)
		b.leaves = append(b.leaves, l)
	}
}
