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
// values that are no objects none; a type within itself is open, and so is what comes after some
// thousand structs, of types that are linked to each other in every way.
func For[T any]() *Mask {
	m := new(types).maskOf(reflect.TypeFor[T](), nil)
	if m.scalar {
		return &Mask{scalar: true} // it has no fields
	}
	return m.public()
}

// types are what For has found out. Types that are linked to each other in every way have a number of
// paths that no memory holds: after maxTypes the rest is open.
type types struct {
	made  int
	known map[reflect.Type]*Mask // of structs that do not get back to what they are within
	open  int                    // types within themselves, so far
}

const maxTypes = 4096

// maskOf is the mask of a type within others.
func (ts *types) maskOf(t reflect.Type, within []reflect.Type) *Mask {
	kind := t.Kind()
	switch {
	case kind == reflect.Interface, marshals[json.Marshaler](t):
		return &Mask{whole: true}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return &Mask{whole: true, scalar: true} // a string
	case marshals[encoding.TextMarshaler](t):
		return &Mask{whole: true} // a string where it is addressable, else what its kind says
	case kind == reflect.Pointer:
		return ts.maskOf(t.Elem(), within)
	case kind == reflect.Slice && t.Elem().Kind() == reflect.Uint8 && !marshals[json.Marshaler](t.Elem()) && !marshals[encoding.TextMarshaler](t.Elem()):
		return &Mask{whole: true, scalar: true} // base64
	}
	// A type may get back to itself by way of slices and maps alone.
	if t.Name() != "" && slices.Contains(within, t) || ts.made > maxTypes {
		ts.open++
		return &Mask{whole: true}
	}
	if m := ts.known[t]; m != nil {
		return m
	}
	within = append(within, t)
	switch kind {
	case reflect.Slice, reflect.Array:
		return ts.maskOf(t.Elem(), within)
	case reflect.Map:
		return &Mask{wild: ts.maskOf(t.Elem(), within)}
	case reflect.Struct:
		m, open := &Mask{}, ts.open
		ts.made++
		members := membersOf(t)
		slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
		for _, f := range members {
			m.add(f.name, ts.maskOf(f.field.Type, within))
		}
		if m.kids != nil {
			if ts.open == open { // it is the same wherever it stands
				if ts.known == nil {
					ts.known = map[reflect.Type]*Mask{}
				}
				ts.known[t] = m
			}
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
