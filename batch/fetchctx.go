package batch

import (
	"context"
	"sync"
	"time"

	"github.com/hotpath-go/hotpath/internal/flight"
)

// A fetchContext is the context of a fetch: it has the values of the scope, no caller's
// cancellation, and the latest deadline of all callers, none if one of them has none.
type fetchContext struct {
	values context.Context // nil: none
	task   task            // of those who load inside of the fetch
	node   node

	mu       sync.Mutex
	deadline time.Time   // zero, once somebody is there: none
	admitted bool        // somebody is
	flying   bool        // the timer matters
	timer    *time.Timer // nil: none is needed
	done     chan struct{}
	err      error
	after    map[*func()]struct{}
}

// admit makes room for the deadline of a caller: later than it was, never earlier.
func (c *fetchContext) admit(ctx context.Context) {
	at, has := ctx.Deadline()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !has:
		at = time.Time{}
	case c.admitted && (c.deadline.IsZero() || !at.After(c.deadline)):
		return
	}
	c.admitted, c.deadline = true, at
}

// depart starts the timer, if there is a deadline.
func (c *fetchContext) depart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flying = true; !c.deadline.IsZero() && c.err == nil {
		c.timer = time.AfterFunc(time.Until(c.deadline), c.expire)
	}
}

// expire is called at what was the deadline when the timer was set.
func (c *fetchContext) expire() {
	c.mu.Lock()
	if c.deadline.IsZero() || c.err != nil {
		c.mu.Unlock()
		return
	}
	if left := time.Until(c.deadline); left > 0 {
		c.timer.Reset(left)
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	c.cancel(context.DeadlineExceeded)
}

// end ends what is derived from c: the fetch is over.
func (c *fetchContext) end() { c.cancel(context.Canceled) }

func (c *fetchContext) cancel(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	if c.done != nil {
		close(c.done)
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	after := c.after
	c.after = nil
	c.mu.Unlock()
	for f := range after {
		go (*f)()
	}
}

// Deadline is the latest of the callers'.
func (c *fetchContext) Deadline() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deadline, !c.deadline.IsZero()
}

// Done is made when somebody asks: many fetches never do.
func (c *fetchContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	return c.done
}

func (c *fetchContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// AfterFunc saves every context that is derived from c a goroutine (context.AfterFunc looks for it).
func (c *fetchContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	if c.after == nil {
		c.after = make(map[*func()]struct{})
	}
	key := &f
	c.after[key] = struct{}{}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, there := c.after[key]
		delete(c.after, key)
		return there
	}
}

// Value has what the scope has, but that a Fetch is no task: who waits for it does.
func (c *fetchContext) Value(key any) any {
	switch key.(type) {
	case taskKey:
		return &c.task
	case flight.TaskKey:
		return nil
	}
	if c.values == nil {
		return nil
	}
	return c.values.Value(key)
}
