package metrics

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A tag is what the struct tags of one field say.
type tag struct {
	metric string  // "": the field only holds others
	fixed  []label // label=value, in the order of the tag
	key    string  // the label whose values are the keys of a map
	help   string
}

// A label of a series: its value is fixed, or the key of one of the maps on the way to it.
type label struct {
	name, value string
	level       int // 1 the outermost map; 0: the value is fixed
}

// readTag returns false for a field that is not exported: without a tag, or with "-".
func readTag(f reflect.StructField) (t tag, exported bool, mistakes []error) {
	// What reflect does not find in a tag would just be missing.
	if err := malformed(f.Tag); err != nil {
		return tag{}, false, []error{err}
	}
	text, tagged := f.Tag.Lookup("metric")
	t.key, t.help = f.Tag.Get("label"), f.Tag.Get("help")
	isMap := f.Type.Kind() == reflect.Map
	switch {
	case text == "-":
		return tag{}, false, nil
	case !tagged && t.key != "" && !isMap:
		return tag{}, false, []error{fmt.Errorf("has a tag label:%q but is no map, and no tag metric", t.key)}
	case !tagged && t.key == "" && t.help != "":
		return tag{}, false, []error{fmt.Errorf("has a tag help:%q but no tag metric: must be metric:\"name\", or \"-\" to leave it out", t.help)}
	case !tagged && f.Anonymous && f.Type.Kind() == reflect.Pointer && hasTags(f.Type.Elem(), nil):
		return tag{}, false, []error{fmt.Errorf("embeds %v, and pointers are not followed: embed the struct itself, or leave it out with metric:\"-\"", f.Type)}
	case !tagged && (t.key == "" || !isMap) && !holdsFields(f):
		return tag{}, false, nil
	case !f.IsExported() && !holdsFields(f): // of an unexported embedded struct the fields can be read
		return tag{}, false, []error{errors.New("has a tag, but Go lets nobody read it: the field must begin with a capital letter")}
	}
	t.metric, text, _ = strings.Cut(text, ",")
	for text != "" {
		var one string
		one, text, _ = strings.Cut(text, ",")
		name, value, _ := strings.Cut(one, "=")
		if value == "" || value != clean(value) {
			mistakes = append(mistakes, fmt.Errorf("label %q has the value %q: must be label=value with 1 to %d bytes of UTF-8", name, value, maxLabelValue))
		}
		t.fixed = append(t.fixed, label{name: name, value: value})
	}
	return t, true, mistakes
}

// malformed says where a tag speaks of metrics and reflect does not hear it: behind a key that is followed
// by a space, a comma or a tab between two keys, and the like.
func malformed(t reflect.StructTag) error {
	bad := func(how string) error {
		return fmt.Errorf("the tag `%s` is malformed%s: must be `metric:\"...\"`", t, how)
	}
	seen := map[string]bool{}
	rest := string(t)
	for {
		rest = strings.TrimLeft(rest, " ")
		key, after, _ := strings.Cut(rest, ":")
		end := closing(after)
		if key == "" || end < 0 || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f }) {
			break
		}
		switch word := strings.Trim(strings.ToLower(key), ",;."); {
		case key == "metric" || key == "label" || key == "help":
			if _, err := strconv.Unquote(after[:end]); err != nil || seen[key] {
				return bad(" at the key " + key)
			}
			seen[key] = true
		case word == "metric" || word == "metrics" || word != key && (word == "label" || word == "help"):
			return bad(fmt.Sprintf(" at the key %q", key))
		}
		rest = after[end:]
	}
	if strings.Contains(rest, "metric") || strings.Contains(rest, "label:") || strings.Contains(rest, "help:") {
		return bad("")
	}
	return nil
}

// closing returns where the string in quotes ends that s begins with, or -1.
func closing(s string) int {
	if s == "" || s[0] != '"' {
		return -1
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// hasTags reports whether a struct, or one that it embeds, has a tag of ours.
func hasTags(t reflect.Type, around []reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || slices.Contains(around, t) {
		return false
	}
	for i := range t.NumField() {
		f := t.Field(i)
		_, metric := f.Tag.Lookup("metric")
		_, label := f.Tag.Lookup("label")
		if metric || label || f.Anonymous && hasTags(f.Type, append(around, t)) {
			return true
		}
	}
	return false
}

// holdsFields reports whether f is embedded for its fields, which stand where it stands.
func holdsFields(f reflect.StructField) bool {
	return f.Anonymous && f.Type.Kind() == reflect.Struct && valueOf(f.Type) == none
}

// A value is what a field holds, as far as exporting goes.
type value int

const (
	none value = iota
	signed
	unsigned
	float
	boolean
	duration
	moment
	histogram
)

func valueOf(t reflect.Type) value {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return duration
	case reflect.TypeFor[time.Time]():
		return moment
	case reflect.TypeFor[Histogram]():
		return histogram
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return signed
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return unsigned
	case reflect.Float32, reflect.Float64:
		return float
	case reflect.Bool:
		return boolean
	}
	return none
}

// typeMistakes says how the name of a metric and the type of its value differ.
func typeMistakes(name string, v value) (mistakes []error) {
	bad := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("%q "+format, append([]any{name}, args...)...))
	}
	counts := strings.HasSuffix(name, "_total")
	switch {
	case v == histogram && counts:
		bad("has a histogram value: counters end in _total, histograms do not")
	case (v == boolean || v == moment) && counts:
		bad("has a value that is no count: counters end in _total, bool and time.Time are gauges")
	case v == moment && !strings.HasSuffix(name, "_seconds"):
		bad("has a time.Time value: exported in Unix seconds, its name must end in _seconds")
	case v == duration && !strings.HasSuffix(strings.TrimSuffix(name, "_total"), "_seconds"):
		bad("has a time.Duration value: exported in seconds, its name must end in _seconds or _seconds_total")
	}
	return mistakes
}

// nameMistakes says what is wrong with the name of a metric: what Prometheus refuses, and what
// its linter warns of.
func nameMistakes(name string) (mistakes []error) {
	bad := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("%q "+format, append([]any{name}, args...)...))
	}
	if !isSnakeCase(name) {
		bad("is no metric name: must be lower-case letters, digits and _, beginning with a letter")
		return mistakes
	}
	parts := strings.Split(name, "_")
	for i, part := range parts {
		switch base := baseUnit(part); {
		case base != "" && base != part:
			bad("has the unit %s: must be %s", part, base)
		case i > 0 && slices.Contains([]string{"s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"}, part):
			bad("has the abbreviation %s: units are written out", part)
		case i > 0 && slices.Contains([]string{"counter", "gauge", "histogram", "summary"}, part):
			bad("has the word %s: the type is no part of a name", part)
		}
	}
	// Of a histogram too: x_count of one would be x_count of another.
	if last := parts[len(parts)-1]; len(parts) > 1 && slices.Contains([]string{"bucket", "count", "sum"}, last) {
		bad("ends in _%s: histograms have series of that name", last)
	}
	return mistakes
}

// baseUnit returns the unit that Prometheus wants instead of unit, "" for other words.
func baseUnit(unit string) string {
	switch unit {
	case "amperes", "bytes", "celsius", "grams", "joules", "kelvin", "meters", "metres", "seconds", "volts":
		return unit
	case "minutes", "hours", "days", "weeks":
		return "seconds"
	case "bits":
		return "bytes"
	case "kelvins":
		return "kelvin"
	case "fahrenheit", "rankine":
		return "celsius"
	case "inches", "yards", "miles":
		return "meters"
	case "calories":
		return "joules"
	case "pounds", "ounces":
		return "grams"
	}
	for _, prefix := range []string{
		"pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto",
		"kilo", "kibi", "mega", "mebi", "giga", "gibi", "tera", "tebi", "peta", "pebi",
	} {
		if rest, ok := strings.CutPrefix(unit, prefix); ok && baseUnit(rest) != "" {
			return baseUnit(rest)
		}
	}
	return ""
}

// labelMistakes says what is wrong with the labels of a field, whose series have those around it too.
func labelMistakes(around, own []label) (mistakes []error) {
	taken := names(around)
	for _, l := range own {
		switch l.name {
		case nameLabel, "le", "quantile", "job", "instance":
			mistakes = append(mistakes, fmt.Errorf("label %q is reserved: name is set here, the others by Prometheus", l.name))
		}
		if !isSnakeCase(l.name) {
			mistakes = append(mistakes, fmt.Errorf("%q is no label name: must be lower-case letters, digits and _, beginning with a letter", l.name))
		}
		if slices.Contains(taken, l.name) {
			mistakes = append(mistakes, fmt.Errorf("label %q is given twice: by its tag, a struct or a map around it", l.name))
		}
		taken = append(taken, l.name)
	}
	return mistakes
}

func isSnakeCase(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('a' <= c && c <= 'z' || i > 0 && (c == '_' || '0' <= c && c <= '9')) {
			return false
		}
	}
	return s != ""
}
