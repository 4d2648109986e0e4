package partial

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Columns names the columns to load for what m selects of a T, which is a struct or a pointer to
// one: of every field whose JSON name m selects the text of tag, up to a comma, in the order of
// the fields, after always and without repeats. Embedded structs are looked through as
// encoding/json does; fields without the tag, or with "-", are left out. The text comes from
// struct tags and always, never from a client. It panics if T is no struct.
func Columns[T any](m *Mask, tag string, always ...string) []string {
	t := reflect.TypeFor[T]()
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("partial: Columns of %v: must be a struct", t))
	}
	columns := slices.Clone(always)
	for _, f := range membersOf(t) {
		if !m.everything() && m.find([]byte(f.name), wordOf(f.name)) == nil {
			continue
		}
		column, _, _ := strings.Cut(f.field.Tag.Get(tag), ",")
		if column != "" && column != "-" && !slices.Contains(columns, column) {
			columns = append(columns, column)
		}
	}
	return columns
}
