package batch

import (
	"runtime/debug"
	"time"
)

// fly fetches b, and then what has been waiting for its end.
func (s *set[K, V]) fly(b *batch[K, V]) {
	for b != nil {
		b = s.fetch(b)
	}
}

// fetch fetches b and returns the batch that goes next; nil: none.
func (s *set[K, V]) fetch(b *batch[K, V]) (next *batch[K, V]) {
	keys, l := b.keys(), s.l
	if len(keys) == 0 { // all have left
		return s.land(b, nil, nil, nil)
	}
	now := time.Now()
	l.waits.Observe(now.Sub(b.opened))
	l.sizes.Observe(int64(len(keys)))
	l.counters.Here().fetches[b.reason].Add(1)
	l.inFlight.Add(1)
	b.ctx.depart()

	returned := false
	defer func() {
		if returned {
			return
		}
		l.flown(now)
		// recover gives a *runtime.PanicNilError for panic(nil), and nil for Goexit.
		if value := recover(); value != nil {
			next = s.land(b, nil, nil, &PanicError{Value: value, Stack: debug.Stack()})
		} else if after := s.land(b, nil, nil, errGoexit); after != nil {
			go s.fly(after) // this goroutine ends
		}
	}()
	values, err := l.cfg.Fetch(&b.ctx, keys)
	some := perKey[K](err) // an error of the user's can panic here, too
	returned = true
	l.flown(now)
	return s.land(b, values, some, err)
}

func (l *Loader[K, V]) flown(since time.Time) {
	l.times.Observe(time.Since(since))
	l.inFlight.Add(-1)
}

// land delivers, and returns the batch that goes next.
func (s *set[K, V]) land(b *batch[K, V], values map[K]V, some Errors[K], err error) (next *batch[K, V]) {
	b.ctx.end()
	if some != nil && b.names(some) {
		err = nil
	}
	var found, missing, failed, unasked int
	unasked = len(values)
	s.mu.Lock()
	for e := range b.entries() {
		v, ok := values[e.key]
		if ok {
			unasked--
		}
		switch {
		case err != nil:
			e.err = err
			failed++
		case some[e.key] != nil:
			e.err = some[e.key]
			failed++
		case ok:
			e.v = v
			found++
		default:
			e.err = ErrNotFound
			missing++
		}
		s.remember(e)
	}
	// The tasks of all run before the first of them is woken, or that one would find a quiet scope
	// and take off with one key.
	for _, t := range b.tasks {
		t.leave()
	}
	b.tasks = nil
	b.state = landed
	s.flying--
	if b.deserted {
		s.deserted--
	}
	next = s.next()
	deserted := b.callers == 0
	s.mu.Unlock()

	c := s.l.counters.Here()
	switch {
	case deserted:
		c.left.Add(uint64(found + missing + failed))
	case isPanic(err):
		c.panicked.Add(uint64(failed))
	default:
		c.found.Add(uint64(found))
		c.missing.Add(uint64(missing))
		c.failed.Add(uint64(failed))
	}
	c.unasked.Add(uint64(unasked))
	close(b.done)
	return next
}

func isPanic(err error) bool {
	_, is := err.(*PanicError)
	return is
}

// names reports whether b has all keys of some. One that it has not shows that the errors are not of
// this fetch, but those of another loader that it has used.
func (b *batch[K, V]) names(some Errors[K]) bool {
	n := 0
	for e := range b.entries() {
		if _, has := some[e.key]; has {
			n++
		}
	}
	return n == len(some)
}

// remember keeps the answer of e for the scope, if it is one: a value, or that there is none.
func (s *set[K, V]) remember(e *entry[K, V]) {
	if s.entries[e.key] != e {
		return // forgotten meanwhile
	}
	if s.scope != nil && s.epoch == s.scope.epoch.Load() && s.remembered < s.l.cfg.MaxMemo && (e.err == nil || e.err == ErrNotFound) {
		e.known = true
		s.remembered++
		return
	}
	s.remove(e)
}
