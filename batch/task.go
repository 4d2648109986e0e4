package batch

import (
	"context"
	"sync"
)

// A task is a goroutine that its scope knows of. It waits or it runs as one, however many other
// goroutines have its context.
type task struct {
	scope   *scope // nil: of a fetch for callers without a scope
	node    *node  // the fetch that it works for; nil: none
	counted bool   // among those that run; false: it is a fetch, which those who wait for it are counted for

	// Guarded by scope.mu.
	waits   int // calls that wait
	ended   bool
	started *group
	feed    feeder // told once, when the task first waits; nil: nobody

	// Of a task that Go started.
	of    *group
	index int
}

// A feeder gives the place of a task that waits to another one.
type feeder interface{ feed() }

// A group is the tasks that a task has started since it last waited for all of them.
type group struct {
	starter *task
	size    int
	pending int
	failed  int // index of the first that failed, in start order
	err     error
	waiting int // calls of Wait
	done    chan struct{}
}

// enter says that a call waits. Also if t has been waiting or has ended: when its scope is quiet,
// what it waits for has to leave.
func (t *task) enter() (c calm) {
	if t == nil || !t.counted {
		return calm{}
	}
	t.scope.mu.Lock()
	defer t.scope.mu.Unlock()
	return t.pause()
}

// pause is enter with scope.mu held.
func (t *task) pause() (c calm) {
	if !t.counted {
		return calm{}
	}
	t.waits++
	if t.waits == 1 && !t.ended {
		c = t.scope.drop()
	} else if t.scope.running == 0 {
		c = calm{from: t.scope, to: t.scope}
	}
	if t.feed != nil {
		c.feed, t.feed = t.feed, nil
	}
	return c
}

// leave undoes enter.
func (t *task) leave() {
	if t == nil || !t.counted {
		return
	}
	t.scope.mu.Lock()
	t.resume()
	t.scope.mu.Unlock()
}

func (t *task) resume() {
	if t.waits--; t.waits == 0 && !t.ended {
		t.scope.add(1)
	}
}

// Blocked says that t waits for the work of others, until done is called (flight.Blocked).
func (t *task) Blocked() (done func()) {
	t.enter().act()
	var once sync.Once
	return func() { once.Do(t.leave) }
}

// Go runs f as a task of the scope of ctx, in a goroutine of its own. A panic in f ends the
// process, as it does in any goroutine. Go panics if ctx has no scope.
func Go(ctx context.Context, f func(ctx context.Context) error) {
	starter := inScope(ctx, "Go")
	c := &taskContext{Context: ctx, task: task{scope: starter.scope, node: starter.node, counted: true}}
	t, s := &c.task, starter.scope
	s.mu.Lock()
	g := starter.started
	if g == nil {
		g = &group{starter: starter}
		starter.started = g
	}
	t.of, t.index = g, g.size
	g.size++
	g.pending++
	s.add(1)
	s.mu.Unlock()
	go t.run(c, f)
}

func (t *task) run(ctx context.Context, f func(ctx context.Context) error) {
	returned := false
	defer func() {
		if !returned { // a panic, which must not wait for anybody, or Goexit
			go func() { t.wait(); t.end(errTaskGoexit) }()
		}
	}()
	err := f(ctx)
	returned = true
	t.wait()
	t.end(err)
}

// Wait waits for the tasks that the caller's task has started, with its context or one derived
// from it, and not yet waited for. It returns the error of the first of them, in start order, that
// failed. Cancelling ctx does not end it: tasks have that context, too. Wait panics if ctx has no scope.
func Wait(ctx context.Context) error {
	return inScope(ctx, "Wait").wait()
}

func inScope(ctx context.Context, caller string) *task {
	t := taskOf(ctx)
	if t == nil || t.scope == nil {
		panic("batch: " + caller + ": the context has no scope; open one with WithScope or Scoped")
	}
	return t
}

func (t *task) wait() error {
	s := t.scope
	s.mu.Lock()
	g := t.started
	if g == nil {
		s.mu.Unlock()
		return nil
	}
	if g.pending == 0 {
		t.started = nil
		s.mu.Unlock()
		return g.err
	}
	if g.done == nil {
		g.done = make(chan struct{})
	}
	g.waiting++
	c := t.pause()
	s.mu.Unlock()
	c.act()
	<-g.done
	return g.err
}

// end says that t asks for nothing any more. Who waits for it runs before it counts as ended, or
// the scope would look quiet in between.
func (t *task) end(err error) {
	s := t.scope
	s.mu.Lock()
	var c calm
	if t.of != nil {
		t.of.left(t.index, err)
	}
	if !t.ended {
		t.ended = true
		if t.waits == 0 {
			c = s.drop()
		}
	}
	s.mu.Unlock()
	c.act()
}

// left takes a task out of g. The scope's mu is held.
func (g *group) left(index int, err error) {
	if err != nil && (g.err == nil || index < g.failed) {
		g.failed, g.err = index, err
	}
	if g.pending--; g.pending > 0 || g.done == nil {
		return
	}
	for range g.waiting {
		if g.starter.counted {
			g.starter.resume()
		}
	}
	g.starter.started = nil
	close(g.done)
}
