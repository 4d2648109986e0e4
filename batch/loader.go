package batch

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"
)

// LoaderConfig describes a Loader. Only Fetch is required.
type LoaderConfig[K comparable, V any] struct {
	// Fetch loads keys, each of them once, in a goroutine of its own. A key that is absent from the
	// map is ErrNotFound. An error fails the whole batch; an Errors[K], alone or wrapped, only its
	// keys, if they are all among those of the batch. keys belongs to Fetch.
	//
	// ctx has the values of the context in which the scope was opened, and none without a scope. It
	// ends when nobody waits any more, and at the latest deadline of those who do.
	Fetch func(ctx context.Context, keys []K) (map[K]V, error)

	// MaxKeys is how many keys one fetch may have. 0: 1000, below the usual databases' limits.
	MaxKeys int

	// MaxConcurrent is how many fetches run at a time in a scope, and for all callers without one.
	// 0: 16.
	MaxConcurrent int

	// MaxWait is for how long a batch waits for tasks of its scope that are busy elsewhere and may
	// still ask for keys. 0: 2 ms; negative: it does not wait.
	MaxWait time.Duration

	// MaxMemo is how many answers are remembered in a scope. More are not remembered, none is
	// evicted. 0: 10,000; negative: none, and what is in flight is not joined either: no answer is
	// older than its question, which is what a loader behind a cache needs.
	MaxMemo int
}

const (
	defaultMaxKeys       = 1000
	defaultMaxConcurrent = 16
	defaultMaxWait       = 2 * time.Millisecond // timers of an idle Linux server are that coarse: with 1 ms staggered levels fall apart
	defaultMaxMemo       = 10_000
)

func (cfg LoaderConfig[K, V]) withDefaults() (LoaderConfig[K, V], error) {
	var problems []error
	if cfg.Fetch == nil {
		problems = append(problems, errors.New("batch: Fetch is nil: must be set"))
	}
	positive := func(field string, v *int, otherwise int) {
		if *v < 0 {
			problems = append(problems, fmt.Errorf("batch: %s is %d: must be at least 1 (0 means %d)", field, *v, otherwise))
		}
		if *v == 0 {
			*v = otherwise
		}
	}
	positive("MaxKeys", &cfg.MaxKeys, defaultMaxKeys)
	positive("MaxConcurrent", &cfg.MaxConcurrent, defaultMaxConcurrent)
	if cfg.MaxWait == 0 {
		cfg.MaxWait = defaultMaxWait
	}
	if cfg.MaxMemo == 0 {
		cfg.MaxMemo = defaultMaxMemo
	}
	return cfg, errors.Join(problems...)
}

// A Loader turns loads of single keys into fetches of many. Make one per query, with NewLoader, for
// the life of the process; it is safe for concurrent use.
type Loader[K comparable, V any] struct {
	cfg      LoaderConfig[K, V]
	anything bool      // a K may hold a value that cannot be compared
	unscoped set[K, V] // of all callers without a scope
	loaderCounters
}

// NewLoader returns the Loader that cfg describes. Its error joins everything that is wrong with
// cfg, one line a field.
func NewLoader[K comparable, V any](cfg LoaderConfig[K, V]) (*Loader[K, V], error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Loader[K, V]{cfg: cfg, anything: holdsInterface(reflect.TypeFor[K]())}
	l.unscoped.l = l
	return l, nil
}

// holdsInterface reports whether comparing values of t can panic (Go specification, Comparison
// operators).
func holdsInterface(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Array:
		return holdsInterface(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if holdsInterface(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}

// set returns where callers with the task t meet.
func (l *Loader[K, V]) set(t *task) *set[K, V] {
	if t == nil || t.scope == nil {
		return &l.unscoped
	}
	return setOf(t.scope, l)
}

// refuse returns why key cannot be a key: it would never be found in a map, or end the process.
func (l *Loader[K, V]) refuse(key K) error {
	if l.anything && !comparesAll(key) {
		return fmt.Errorf("batch: the key, a %T, holds a value that cannot be compared", key)
	}
	if key != key { // NaN
		return fmt.Errorf("batch: the key %v is not equal to itself", key)
	}
	return nil
}

// comparesAll is a function of its own because key escapes in it.
func comparesAll[K comparable](key K) bool { return reflect.ValueOf(&key).Elem().Comparable() }

// Load returns the value of key, fetched together with what others ask for. The error is
// ErrNotFound, the one that Fetch gave, a *PanicError, or the cause of ctx's end.
func (l *Loader[K, V]) Load(ctx context.Context, key K) (V, error) {
	var none V
	if err := l.refuse(key); err != nil {
		return none, err
	}
	if ctx.Err() != nil {
		return none, context.Cause(ctx)
	}
	t := taskOf(ctx)
	s := l.set(t)
	s.mu.Lock()
	e := s.join(ctx, t, key, 0)
	if e.known {
		v, err := e.v, e.err
		s.mu.Unlock()
		return v, err
	}
	s.want(e, t)
	return s.await(ctx, t, e)
}

// LoadAll returns the values of keys, in their order and with their repeats. Keys that failed have
// the zero value there and an error in the Errors[K] that is returned.
func (l *Loader[K, V]) LoadAll(ctx context.Context, keys []K) ([]V, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	values, failed := make([]V, len(keys)), Errors[K](nil)
	fail := func(key K, err error) {
		if failed == nil {
			failed = Errors[K]{}
		}
		failed[key] = err
	}
	if ctx.Err() != nil {
		return values, l.refuseAll(keys, context.Cause(ctx))
	}
	t := taskOf(ctx)
	s := l.set(t)
	entries := make([]*entry[K, V], len(keys))
	var strange []error
	s.mu.Lock()
	s.calls++
	for i, key := range keys {
		if err := l.refuse(key); err != nil {
			strange = append(strange, err)
			continue
		}
		e := s.join(ctx, t, key, s.calls)
		if e.known {
			values[i] = e.v
			if e.err != nil {
				fail(key, e.err)
			}
			continue
		}
		entries[i] = e
	}
	for _, e := range entries {
		if e != nil {
			s.want(e, t)
		}
	}
	s.mu.Unlock()
	for i, e := range entries {
		if e == nil {
			continue
		}
		s.mu.Lock()
		v, err := s.await(ctx, t, e)
		if values[i] = v; err != nil {
			fail(keys[i], err)
		}
	}
	switch {
	case strange != nil && failed != nil:
		return values, errors.Join(append(strange, failed)...)
	case strange != nil:
		return values, errors.Join(strange...)
	case failed != nil:
		return values, failed
	}
	return values, nil
}

// refuseAll is the error of a LoadAll whose context had ended before it began.
func (l *Loader[K, V]) refuseAll(keys []K, err error) error {
	failed := Errors[K]{}
	for _, key := range keys {
		if l.refuse(key) == nil {
			failed[key] = err
		}
	}
	if len(failed) == 0 {
		return err
	}
	return failed
}

// Defer joins a batch now; what it returns waits for the answer when called. Until somebody waits,
// for this key or another one of the scope, nothing is fetched. When ctx ends before that, the key is
// given up.
func (l *Loader[K, V]) Defer(ctx context.Context, key K) func() (V, error) {
	var none V
	err := l.refuse(key)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return func() (V, error) { return none, err }
	}
	t := taskOf(ctx)
	s := l.set(t)
	s.mu.Lock()
	e := s.join(ctx, t, key, 0)
	known := e.known
	if !known {
		e.b.letGo()
	}
	s.mu.Unlock()
	if known {
		return func() (V, error) { return e.v, e.err }
	}
	stop := context.AfterFunc(ctx, func() { s.abandon(e) })
	return sync.OnceValues(func() (V, error) {
		if !stop() { // it has left, or is about to
			return none, context.Cause(ctx)
		}
		s.mu.Lock()
		s.want(e, t)
		return s.await(ctx, t, e)
	})
}

// Prime remembers v for key in the scope of ctx, unless the key is known or asked for already, or
// the memo is full. It reports whether v is remembered; without a scope nothing is.
func (l *Loader[K, V]) Prime(ctx context.Context, key K, v V) bool {
	t := taskOf(ctx)
	if t == nil || t.scope == nil || l.refuse(key) != nil {
		return false
	}
	s := l.set(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renew()
	if s.entries[key] != nil || s.remembered >= l.cfg.MaxMemo {
		return false
	}
	s.put(key, &entry[K, V]{key: key, v: v, known: true})
	s.remembered++
	return true
}

// Forget makes the scope of ctx forget keys, all of this loader if there are none: after a write.
// Who waits for one that is being fetched still gets that value; who comes later does not.
func (l *Loader[K, V]) Forget(ctx context.Context, keys ...K) {
	t := taskOf(ctx)
	if t == nil || t.scope == nil {
		return
	}
	s := l.set(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.renew()
	if len(keys) == 0 {
		s.forgetAll()
		return
	}
	for _, key := range keys {
		if l.refuse(key) == nil {
			s.forget(s.entries[key])
		}
	}
}
