package batch

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hotpath-go/hotpath/internal/flight"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// A scope is what one caller does together: its tasks, and what each loader holds for it. Nothing
// but the contexts of its tasks refers to it.
type scope struct {
	values context.Context // as they were when the scope was opened, without any end
	outer  *task           // of the scope around this one; nil: none
	epoch  atomic.Uint64   // remembered answers of an earlier one are gone
	sets   atomic.Pointer[[]member]

	mu      sync.Mutex // after a set's; that of an inner scope before that of an outer one
	running int        // tasks that may still ask for keys
}

// A member is what one loader holds in a scope.
type member struct {
	loader any
	set    interface {
		waitedFor() bool
		quiet()
	}
}

// WithScope opens a scope: batches and remembered answers live in it, are shared by all who hold
// its context, and end with it. Fetches see the values that ctx has here, not what is added later:
// open it after authentication, and a new one inside a transaction.
func WithScope(ctx context.Context) context.Context {
	c, _ := openScope(ctx)
	return c
}

func openScope(ctx context.Context) (*taskContext, *scope) {
	s := &scope{values: context.WithoutCancel(ctx), outer: taskOf(ctx), running: 1}
	c := &taskContext{Context: ctx, task: task{scope: s, counted: true}}
	if s.outer != nil {
		c.task.node = s.outer.node
	}
	return c, s
}

// Scoped gives every request a scope. Authentication stands outside of it, or Fetch does not see
// who is calling; an Endpoint stands inside, or every part has a scope of its own.
func Scoped(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, _ := openScope(r.Context())
		inner := r.WithContext(ctx)
		defer func() {
			rw.CopyBack(r, inner)
			ctx.task.end(nil)
		}()
		next.ServeHTTP(w, inner)
	})
}

// setOf returns what l holds in s, and makes it on first use.
func setOf[K comparable, V any](s *scope, l *Loader[K, V]) *set[K, V] {
	if held := s.find(l); held != nil {
		return held.(*set[K, V])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if held := s.find(l); held != nil {
		return held.(*set[K, V])
	}
	held := &set[K, V]{l: l, scope: s}
	var all []member
	if before := s.sets.Load(); before != nil {
		all = slices.Clone(*before)
	}
	all = append(all, member{l, held})
	s.sets.Store(&all)
	return held
}

// find is a linear search: a request uses a handful of loaders.
func (s *scope) find(loader any) any {
	if all := s.sets.Load(); all != nil {
		for i := range *all {
			if (*all)[i].loader == loader {
				return (*all)[i].set
			}
		}
	}
	return nil
}

// quiet lets go what is open: nobody is left who could add a key. What was only deferred goes
// along with what somebody waits for, so that one wait can serve several loaders.
func (s *scope) quiet() {
	all := s.sets.Load()
	if all == nil || !slices.ContainsFunc(*all, func(m member) bool { return m.set.waitedFor() }) {
		return
	}
	for _, m := range *all {
		m.set.quiet()
	}
}

// forget ends what is remembered, and what is in flight as far as it would be, also in the scopes
// around s: a write is a write for them, too.
func (s *scope) forget() {
	for ; s != nil; s = s.outer.scope {
		s.epoch.Add(1)
		if s.outer == nil {
			return
		}
	}
}

// begin counts n tasks more that run.
func (s *scope) begin(n int) {
	s.mu.Lock()
	s.add(n)
	s.mu.Unlock()
}

// add counts n tasks more that run. A scope with one that runs runs in the scope around it.
// s.mu is held.
func (s *scope) add(n int) {
	if s.running += n; s.running == n && s.outer != nil {
		s.outer.leave()
	}
}

// A calm is what has to be done, when no lock is held any more, since somebody began to wait.
type calm struct {
	from, to *scope // these and all between have become quiet; nil: none
	feed     feeder // its place can go to another one; nil: it has none
}

func (c calm) act() {
	if c.feed != nil {
		c.feed.feed()
	}
	for s := c.from; s != nil; s = s.outer.scope {
		s.quiet()
		if s == c.to {
			return
		}
	}
}

// drop counts one task less that runs, and says what has become quiet by that. s.mu is held.
func (s *scope) drop() (c calm) {
	if s.running--; s.running > 0 {
		return calm{}
	}
	c = calm{from: s, to: s}
	if s.outer != nil {
		around := s.outer.enter()
		if c.feed = around.feed; around.to != nil {
			c.to = around.to
		}
	}
	return c
}

// taskOf returns the task of ctx; nil: there is none.
func taskOf(ctx context.Context) *task {
	t, _ := ctx.Value(taskKey{}).(*task)
	return t
}

type taskKey struct{}

// A taskContext is the context of a task, and the task.
type taskContext struct {
	context.Context
	task task
}

func (c *taskContext) Value(key any) any {
	switch key.(type) {
	case taskKey:
		return &c.task
	case flight.TaskKey:
		return flight.Task(&c.task)
	}
	return c.Context.Value(key)
}
