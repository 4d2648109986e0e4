package cache

import (
	"math/bits"
	"reflect"
	"sync"
	"time"
)

// The walk through a value ends at this depth and after this many visits; what is behind is
// extrapolated from what was seen.
const (
	maxDepth  = 8
	maxVisits = 1_000
)

// newWeigh returns the default of Config.Weigh: flat types are a constant, others get a
// walker that is put together here, once, and runs on fills only.
func newWeigh[K comparable, V any]() func(K, V) int64 {
	w := &walkers{known: make(map[reflect.Type]*walker)}
	key, value := w.of(reflect.TypeFor[K]()), w.of(reflect.TypeFor[V]())
	flat := size[K]() + size[V]()
	if key == nil && value == nil {
		return func(K, V) int64 { return flat }
	}
	return func(k K, v V) int64 {
		b := &budget{visits: maxVisits}
		n := flat
		// By way of a pointer, or interface types would lose what they are.
		if key != nil {
			n += key(reflect.ValueOf(&k).Elem(), b)
		}
		if value != nil {
			n += value(reflect.ValueOf(&v).Elem(), b)
		}
		return n
	}
}

// newWeighMissing returns the weight of a key that has an ErrNotFound in the place of a value.
func newWeighMissing[K comparable, V any]() func(K, error) int64 {
	weigh := newWeigh[K, error]()
	return func(key K, err error) int64 { return weigh(key, err) + size[V]() }
}

// A walker returns the bytes behind a value: what the Size of its type does not count.
type walker func(v reflect.Value, b *budget) int64

// A budget is what is left of a walk.
type budget struct{ visits, depth int }

// enter takes a visit and reports whether the walk may go behind what is visited. After a
// true, leave.
func (b *budget) enter() bool {
	b.visits--
	if b.visits < 0 || b.depth >= maxDepth {
		return false
	}
	b.depth++
	return true
}

func (b *budget) leave() { b.depth-- }

// walkers are the walkers of types, nil for flat ones, which have nothing behind them.
type walkers struct {
	mu    sync.Mutex // types that stand in interfaces are met later
	known map[reflect.Type]*walker
}

func (w *walkers) of(t reflect.Type) walker {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.compile(t)
}

func (w *walkers) compile(t reflect.Type) walker {
	if known := w.known[t]; known != nil {
		if *known != nil {
			return *known
		}
		if w.flat(t) {
			return nil
		}
		// The type contains itself, and is being compiled further up.
		return func(v reflect.Value, b *budget) int64 { return (*known)(v, b) }
	}
	place := new(walker)
	w.known[t] = place
	*place = w.build(t)
	return *place
}

// flat is for a type whose walker is nil: known to be flat, or not known yet. Only what has a
// pointer in it can contain itself.
func (w *walkers) flat(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice, reflect.Pointer, reflect.Map, reflect.Interface:
		return false
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return true
		}
		for i := range t.NumField() {
			if !w.flat(t.Field(i).Type) {
				return false
			}
		}
		return true
	case reflect.Array:
		return w.flat(t.Elem())
	}
	return true
}

func (w *walkers) build(t reflect.Type) walker {
	switch t.Kind() {
	case reflect.String:
		return func(v reflect.Value, b *budget) int64 {
			b.visits--
			return allocated(int64(v.Len()))
		}
	case reflect.Slice:
		return walkSlice(t, w.compile(t.Elem()))
	case reflect.Array:
		if elem := w.compile(t.Elem()); elem != nil {
			return func(v reflect.Value, b *budget) int64 { return walkElems(v, elem, b) }
		}
	case reflect.Struct:
		return w.walkStruct(t)
	case reflect.Pointer:
		return walkPointer(t, w.compile(t.Elem()))
	case reflect.Map:
		return walkMap(t, w.compile(t.Key()), w.compile(t.Elem()))
	case reflect.Interface:
		return w.walkInterface
	}
	return nil
}

func walkSlice(t reflect.Type, elem walker) walker {
	elemSize := int64(t.Elem().Size())
	return func(v reflect.Value, b *budget) int64 {
		n := allocated(int64(v.Cap()) * elemSize)
		if b.enter() {
			if elem != nil {
				n += walkElems(v, elem, b)
			}
			b.leave()
		}
		return n
	}
}

// walkElems adds up the elements of a slice or array. If the visits run out it goes on with
// the mean of those it has seen.
func walkElems(v reflect.Value, elem walker, b *budget) (n int64) {
	length := v.Len()
	for i := range length {
		if b.visits <= 0 && i > 0 {
			return n / int64(i) * int64(length)
		}
		n += elem(v.Index(i), b)
	}
	return n
}

func (w *walkers) walkStruct(t reflect.Type) walker {
	if t == reflect.TypeFor[time.Time]() {
		return nil // it points to a Location that all times share
	}
	type field struct {
		index int
		walk  walker
	}
	var fields []field
	for i := range t.NumField() {
		if walk := w.compile(t.Field(i).Type); walk != nil {
			fields = append(fields, field{i, walk})
		}
	}
	if fields == nil {
		return nil
	}
	return func(v reflect.Value, b *budget) (n int64) {
		for _, f := range fields {
			n += f.walk(v.Field(f.index), b)
		}
		return n
	}
}

func walkPointer(t reflect.Type, elem walker) walker {
	elemSize := allocated(int64(t.Elem().Size()))
	return func(v reflect.Value, b *budget) int64 {
		if v.IsNil() {
			b.visits--
			return 0
		}
		n := elemSize
		if b.enter() {
			if elem != nil {
				n += elem(v.Elem(), b)
			}
			b.leave()
		}
		return n
	}
}

func (w *walkers) walkInterface(v reflect.Value, b *budget) (n int64) {
	if v.IsNil() {
		b.visits--
		return 0
	}
	elem := v.Elem()
	if elem.Kind() != reflect.Pointer && elem.Kind() != reflect.Map { // these lie in the interface itself
		n = allocated(int64(elem.Type().Size()))
	}
	if b.enter() {
		if walk := w.of(elem.Type()); walk != nil {
			n += walk(elem, b)
		}
		b.leave()
	}
	return n
}

func walkMap(t reflect.Type, key, elem walker) walker {
	const header = 6 * word
	slot := mapSlot(int64(t.Key().Size()), int64(t.Elem().Size()))
	return func(v reflect.Value, b *budget) int64 {
		if v.IsNil() {
			b.visits--
			return 0
		}
		length := int64(v.Len())
		n := header + allocated(max(length*slot, 8*slot*5/8))
		if key == nil && elem == nil || !b.enter() {
			return n
		}
		defer b.leave()
		seen, behind := int64(0), int64(0)
		for iter := v.MapRange(); iter.Next(); seen++ {
			if b.visits <= 0 && seen > 0 {
				break
			}
			if key != nil {
				behind += key(iter.Key(), b)
			}
			if elem != nil {
				behind += elem(iter.Value(), b)
			}
		}
		if seen > 0 {
			behind = behind / seen * length
		}
		return n + behind
	}
}

// mapSlot is what a Go map takes for one of its pairs: key, value and a control byte, in
// tables that are on average 5/8 full (they double at 7/8).
func mapSlot(key, value int64) int64 { return (align(key, word) + align(value, word) + 1) * 8 / 5 }

const word = bits.UintSize / 8

// allocated rounds n up to about what the allocator takes for it: its size classes are 16
// bytes apart in the beginning, and an eighth of the size later.
func allocated(n int64) int64 {
	switch {
	case n <= 8:
		return align(n, 8)
	case n <= 128:
		return align(n, 16)
	}
	step := int64(16)
	for step*16 < n && step < 8<<10 { // whole pages from 32 KiB on
		step *= 2
	}
	return align(n, step)
}

func align(n, to int64) int64 { return (n + to - 1) / to * to }
