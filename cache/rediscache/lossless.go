package rediscache

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// loss says what encoding/json would lose of a value of t, "" if nothing that its type tells. A value
// that another process gets with less in it is worse than none. What marshals itself is believed.
func loss(t reflect.Type) string { return lossOf(t, map[reflect.Type]bool{}) }

func lossOf(t reflect.Type, seen map[reflect.Type]bool) string {
	p := reflect.PointerTo(t)
	if seen[t] || p.Implements(reflect.TypeFor[json.Marshaler]()) || p.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return ""
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return lossOf(t.Elem(), seen)
	case reflect.Map:
		return lossOf(t.Elem(), seen) // what it cannot have for a key is an error of encoding
	case reflect.Struct:
		for i := range t.NumField() {
			if why := lossOfField(t, t.Field(i), seen); why != "" {
				return why
			}
		}
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return fmt.Sprintf("a value of the interface %v cannot be decoded", t)
		}
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return fmt.Sprintf("a %v cannot be encoded", t)
	}
	return ""
}

func lossOfField(t reflect.Type, f reflect.StructField, seen map[reflect.Type]bool) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case f.Name == "_":
		return ""
	case f.Tag.Get("json") == "-":
		return fmt.Sprintf("%v.%s would be lost: it has the tag json:\"-\"", t, f.Name)
	case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct: // its exported fields are fields of t
	case !f.IsExported():
		return fmt.Sprintf("%v.%s would be lost: it is not exported", t, f.Name)
	}
	return lossOf(f.Type, seen)
}
