package flight

import (
	"context"
	"sync/atomic"
	"time"
)

// Shared is the context of work that several wait for: it has the values of its parent and
// none of its ends. It ends when nobody holds a reference any more, or after its timeout.
type Shared struct {
	context.Context
	cancel context.CancelFunc
	refs   atomic.Int64 // 0: ended, for good
	load   load         // whose context it is; nil: of something else
}

// Share returns a Shared that holds one reference. timeout 0: none.
func Share(parent context.Context, timeout time.Duration) *Shared {
	s := new(Shared)
	s.begin(parent, timeout)
	return s
}

func (s *Shared) begin(parent context.Context, timeout time.Duration) {
	s.refs.Store(1)
	if parent.Done() != nil {
		parent = context.WithoutCancel(parent)
	}
	if timeout > 0 {
		s.Context, s.cancel = context.WithTimeout(parent, timeout)
	} else {
		s.Context, s.cancel = context.WithCancel(parent)
	}
}

type loadKey struct{}

// Value finds the load, without a context of its own for it, and what the parent has.
func (s *Shared) Value(key any) any {
	if s.load != nil && key == (loadKey{}) {
		return s.load
	}
	return s.Context.Value(key)
}

// loadOf returns the load that ctx belongs to; nil: none.
func loadOf(ctx context.Context) load {
	l, _ := ctx.Value(loadKey{}).(load)
	return l
}

// Join takes a reference, until leave is called or ctx ends. ok is false if s has ended.
func (s *Shared) Join(ctx context.Context) (leave func(), ok bool) {
	if s.Err() != nil || !s.hold() {
		return nil, false
	}
	var left atomic.Bool
	once := func() {
		if left.CompareAndSwap(false, true) {
			s.release(1)
		}
	}
	stop := context.AfterFunc(ctx, once)
	return func() { stop(); once() }, true
}

// hold takes a reference, unless the last one has gone.
func (s *Shared) hold() bool {
	for {
		refs := s.refs.Load()
		if refs <= 0 {
			return false
		}
		if s.refs.CompareAndSwap(refs, refs+1) {
			return true
		}
	}
}

func (s *Shared) release(n int64) {
	if s.refs.Add(-n) == 0 {
		s.cancel()
	}
}

// Leave gives back the reference that Share made, once.
func (s *Shared) Leave() { s.release(1) }

// End ends s whoever holds it: the work is done.
func (s *Shared) End() { s.end() }

// end ends s whoever holds it: the work is done, its timer and its children can go.
func (s *Shared) end() { s.cancel() }
