package pool

import (
	"context"
	"net/http"

	"github.com/hotpath-go/hotpath/internal/rw"
)

type scopeKey struct{ p *Pool }

// A scope is the context of a request inside Handler. Found by context and not by writer,
// After works in the domain layer, in parts of a batch and behind any foreign wrapper.
type scope struct {
	context.Context
	p     *Pool
	tasks []reservation // all guarded by p.mu
	ended bool
	late  bool // it came after Close
}

type reservation struct {
	entry
	number uint64
}

func (s *scope) Value(key any) any {
	if k, ok := key.(scopeKey); ok && k.p == s.p {
		return s
	}
	return s.Context.Value(key)
}

func scopeOf(ctx context.Context, p *Pool) *scope {
	s, _ := ctx.Value(scopeKey{p}).(*scope)
	return s
}

// Handler marks the requests of next for After, and has Close wait for them, but not for those
// that come after it: to them the pool is closed. It stands anywhere outside of who calls After.
func (p *Pool) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s := scopeOf(r.Context(), p); s != nil && s.alive() {
			next.ServeHTTP(w, r) // an outer Handler of p, or the envelope of a batch
			return
		}
		s := &scope{Context: r.Context(), p: p}
		p.mu.Lock()
		if p.closing { // Close would never end under traffic
			s.ended, s.late = true, true
		} else {
			p.requests++
		}
		p.mu.Unlock()
		marked := r.WithContext(s)
		returned := false
		defer func() {
			rw.CopyBack(r, marked)
			s.end(returned)
		}()
		next.ServeHTTP(w, marked)
		returned = true
	})
}

func (s *scope) alive() bool {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return !s.ended
}

// end starts the tasks of a request that was handled. One that panicked promised nothing.
func (s *scope) end(returned bool) {
	p := s.p
	p.mu.Lock()
	if s.late {
		p.mu.Unlock()
		return
	}
	s.ended = true
	p.requests--
	tasks := s.tasks
	s.tasks = nil
	delete(p.scopes, s)
	p.reserved -= len(tasks)
	if !returned {
		p.dropped += uint64(len(tasks))
		p.admit()
		tasks = nil
	}
	for _, t := range tasks {
		p.push(t.entry)
	}
	p.changed()
	if len(tasks) > 0 || p.living() > 0 {
		p.wakeAndUnlock()
	} else {
		p.unlock()
	}
}

// After hands f over, to start when the request that ctx belongs to has been handled: when the
// handler inside [Pool.Handler] has returned. The place in the queue is taken at once, so a full
// queue is ErrFull while the handler can still answer 503. If the handler panics f is dropped
// and counted; what must happen anyway goes by Go.
//
// Without a Handler around, as in a cron job or a test, or if the request has ended, After is
// TryGo and counts in Stats.Unwrapped. So f must not rely on what its caller does after the call.
func (p *Pool) After(ctx context.Context, f func(ctx context.Context) error) error {
	if err := check(ctx, f == nil); err != nil {
		return err
	}
	s := scopeOf(ctx, p)
	if s != nil {
		p.mu.Lock()
		if s.late {
			p.refusedClosed++
			p.mu.Unlock()
			return ErrClosed
		}
		if !s.ended {
			defer p.mu.Unlock()
			switch {
			case p.cutted.Load() || p.over:
				p.refusedClosed++
				return ErrClosed
			case !p.roomLater():
				p.refusedFull++
				return ErrFull
			}
			if s.tasks == nil {
				if p.scopes == nil {
					p.scopes = make(map[*scope]struct{})
				}
				p.scopes[s] = struct{}{}
			}
			s.tasks = append(s.tasks, reservation{entry{f, ctx}, p.taken + uint64(p.n)})
			p.reserved++
			return nil
		}
		p.mu.Unlock()
	}
	p.mu.Lock()
	p.unwrapped++
	p.mu.Unlock()
	return p.TryGo(ctx, f)
}
