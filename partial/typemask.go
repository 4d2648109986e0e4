package partial

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// For returns every field that encoding/json writes of a T, for [Config.Allow]: a request for
// any other is then a 400. Pointers, slices and arrays are looked through; maps have every name.
// Below an interface, a json.RawMessage and a json.Marshaler all names are accepted, below other
// values that are no objects none; a type within itself is open.
func For[T any]() *Mask {
	t := reflect.TypeFor[T]()
	m := maskOf(t, nil)
	if m.scalar {
		return &Mask{scalar: true} // it has no fields
	}
	return m.public()
}

// maskOf is the mask of a type within others.
func maskOf(t reflect.Type, within []reflect.Type) *Mask {
	kind := t.Kind()
	switch {
	case kind == reflect.Interface, marshals[json.Marshaler](t):
		return &Mask{whole: true}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return &Mask{whole: true, scalar: true} // a string
	case marshals[encoding.TextMarshaler](t):
		return &Mask{whole: true} // a string where it is addressable, else what its kind says
	case kind == reflect.Pointer:
		return maskOf(t.Elem(), within)
	case kind == reflect.Slice && t.Elem().Kind() == reflect.Uint8 && !marshals[json.Marshaler](t.Elem()) && !marshals[encoding.TextMarshaler](t.Elem()):
		return &Mask{whole: true, scalar: true} // base64
	}
	// A type may get back to itself by way of slices and maps alone.
	if t.Name() != "" && slices.Contains(within, t) {
		return &Mask{whole: true}
	}
	within = append(within, t)
	switch kind {
	case reflect.Slice, reflect.Array:
		return maskOf(t.Elem(), within)
	case reflect.Map:
		return &Mask{wild: maskOf(t.Elem(), within)}
	case reflect.Struct:
		m := &Mask{}
		members := membersOf(t)
		slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
		for _, f := range members {
			m.add(f.name, maskOf(f.field.Type, within))
		}
		if m.kids != nil {
			return m
		}
	}
	return &Mask{whole: true, scalar: true}
}

// marshals reports whether t, where it is addressable at least, marshals itself.
func marshals[I any](t reflect.Type) bool {
	i := reflect.TypeFor[I]()
	return t.Implements(i) || reflect.PointerTo(t).Implements(i)
}
