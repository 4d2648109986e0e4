package pool

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hotpath-go/hotpath/internal/stat"
)

var (
	// ErrFull says that there was no room in the queue. Who waited for it in vain gets it
	// joined with the cause of the end of the context.
	ErrFull = errors.New("pool: the queue is full")

	// ErrClosed says that Close was called. It is also the cause of the end of the contexts
	// of tasks that Close had to cancel.
	ErrClosed = errors.New("pool: closed")

	errNil   = errors.New("pool: the function is nil")
	errNoCtx = errors.New("pool: the context is nil")
)

// A Pool runs tasks on at most Config.Workers goroutines. Make one with [New]; it is safe for
// concurrent use.
type Pool struct {
	cfg     Config
	base    context.Context // ends at the cut
	cancel  context.CancelCauseFunc
	cutted  atomic.Bool
	pressed atomic.Bool // see pressure; written with the lock held
	_       [64]byte    // what is above is only read, or hardly ever written

	mu   mutex     // never held while a task runs
	cond sync.Cond // parked workers
	queue

	all      []*worker
	busy     int  // workers that have a batch
	idle     int  // parked ones that nobody has claimed
	minIdle  int  // the least idle since the last trim
	quit     int  // parked ones that have been told to end
	waking   bool // a worker is on its way: the next one is its business
	batched  int  // workers whose batch may have a rest for others
	trimming *time.Timer
	trims    bool // trimming is armed
	overdue  *time.Timer
	watching bool // overdue is armed

	first, last *submitter
	blocked     int
	admitted    *submitter // who has got room and is to be told so, as soon as the lock is free
	submitters  sync.Pool  // of this Pool alone: a channel of one synctest bubble is of no use in another

	requests int // inside Handler
	reserved int // places of After tasks whose requests have not been handled
	scopes   map[*scope]struct{}

	closing bool
	over    bool // it was closed and nothing is left: nobody is inside any more
	closers map[*closer]struct{}
	lent    int // workers whose tasks wait in Close
	report  []named
	cause   error // of the cut

	tally
	wait, run stat.Durations
	lastLog   atomic.Int64
}

// A mutex is for what takes less than a microsecond: who finds it locked looks again for about that
// long. sync.Mutex does so only where no goroutine waits for the processor. Else it parks, which for
// who hands tasks over means to come behind the workers, 10 ms each if their tasks are short: seen,
// a burst of 100,000 held its caller for four times as long.
type mutex struct{ sync.Mutex }

func (m *mutex) Lock() {
	for range 20 {
		if m.TryLock() {
			return
		}
		for range 100 { // the cache line is the owner's meanwhile
		}
	}
	m.Mutex.Lock()
}

// New returns the Pool that cfg describes. Its error joins everything that is wrong with cfg,
// one line a field.
func New(cfg Config) (*Pool, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Pool{cfg: cfg}
	p.born = time.Now()
	p.submitters.New = func() any { return &submitter{told: make(chan struct{}, 1)} }
	p.cond.L = &p.mu
	p.base, p.cancel = context.WithCancelCause(context.Background())
	return p, nil
}

// Go hands f over: f outlives the caller. It sees the values of ctx and not its end; ctx bounds
// only the wait for room in the queue. In a task of p nobody waits for room, for it might be
// that very task that has to make it: a full queue is ErrFull at once.
func (p *Pool) Go(ctx context.Context, f func(ctx context.Context) error) error {
	if err := check(ctx, f == nil); err != nil {
		return err
	}
	return p.add(ctx, entry{f, ctx}, waits)
}

// TryGo is Go that never waits: without room it returns ErrFull at once.
func (p *Pool) TryGo(ctx context.Context, f func(ctx context.Context) error) error {
	if err := check(ctx, f == nil); err != nil {
		return err
	}
	return p.add(ctx, entry{f, ctx}, tries)
}

// check refuses what no task can be made of.
func check(ctx context.Context, noFunction bool) error {
	switch {
	case noFunction:
		return errNil
	case ctx == nil:
		return errNoCtx
	}
	return nil
}

// A submitter waits for room. It is used again, with its channel. One without stands for an offer,
// which nobody waits for: a worker that comes free finds it there, however long the calls of its job take.
type submitter struct {
	e          entry
	next, prev *submitter
	told       chan struct{} // that it is settled
	err        error
	settled    bool // accepted, or refused with err
}

// asking says how a task is handed over.
type asking int

const (
	waits  asking = iota // for room
	tries                // takes a refusal for an answer
	offers               // the help of a runner, now or when there is room
)

// add accepts e or says why not. ctx tells who asks, and bounds the wait.
func (p *Pool) add(ctx context.Context, e entry, how asking) error {
	p.mu.Lock()
	if !p.closing && p.room() {
		p.push(e)
		p.wakeAndUnlock()
		return nil
	}
	p.mu.Unlock()
	// The rest asks ctx, whose methods may be anybody's: never under the lock.
	w, inside, ended := workerOf(ctx, p), scopeOf(ctx, p), ctx.Err() != nil
	p.mu.Lock()
	if p.closing && !p.mayStill(w, inside) {
		if how != offers {
			p.refusedClosed++
		}
		p.mu.Unlock()
		return ErrClosed
	}
	if p.room() {
		p.push(e)
		p.wakeAndUnlock()
		return nil
	}
	if how == offers {
		p.offer(e.c.(*runner))
		p.mu.Unlock()
		return nil
	}
	if how != waits || ended || w != nil {
		p.refusedFull++
		p.mu.Unlock()
		if how == waits && ended {
			return errors.Join(ErrFull, context.Cause(ctx))
		}
		return ErrFull
	}
	s := p.submitters.Get().(*submitter)
	s.e = e
	p.link(s)
	p.blocked++
	p.unlock()
	return p.await(ctx, s)
}

// await returns when s is settled, or when ctx ends.
func (p *Pool) await(ctx context.Context, s *submitter) (err error) {
	if done := ctx.Done(); done == nil {
		<-s.told
		err = s.err
	} else {
		select {
		case <-s.told:
			err = s.err
		case <-done:
			err = p.giveUp(ctx, s)
		}
	}
	*s = submitter{told: s.told}
	p.submitters.Put(s)
	return err
}

// giveUp ends the wait of s with that of ctx, unless it was settled at the same moment.
func (p *Pool) giveUp(ctx context.Context, s *submitter) error {
	p.mu.Lock()
	if s.settled {
		p.mu.Unlock()
		<-s.told
		return s.err
	}
	p.unlink(s)
	p.blocked--
	p.refusedFull++
	p.mu.Unlock()
	return errors.Join(ErrFull, context.Cause(ctx))
}

// mayStill reports whether who asks was inside when Close came, in a task or a request: half of
// a job would fail in every deploy if they could not finish what they began.
func (p *Pool) mayStill(w *worker, s *scope) bool {
	if p.cutted.Load() || p.over {
		return false
	}
	return w != nil || s != nil && !s.ended
}

// putBack has a worker's own task go to the end of the queue. It had a slot, so there is no question
// of room; after the cut it is false.
func (p *Pool) putBack(e entry) bool {
	p.mu.Lock()
	if p.cutted.Load() {
		p.mu.Unlock()
		return false
	}
	if p.first != nil { // behind those who wait for room
		p.offer(e.c.(*runner))
		p.unlock()
		return true
	}
	p.push(e)
	p.wakeAndUnlock()
	return true
}

// room: a task that a free worker will take at once does not wait, nor for what is reserved: that may
// be by requests which wait for it.
func (p *Pool) room() bool {
	return p.living() < p.slots()-p.busy || p.roomLater()
}

// roomLater: there is room for one more, when all that is reserved has come.
func (p *Pool) roomLater() bool {
	return p.living()+p.reserved < p.cfg.Queue+p.slots()-p.busy
}

// slots is how many workers there may be: a task that waits in Close has lent its own away, or
// what is in the queue would wait for it.
func (p *Pool) slots() int { return p.cfg.Workers + p.lent }

func (p *Pool) link(s *submitter) {
	s.prev = p.last
	if p.last == nil {
		p.first = s
	} else {
		p.last.next = s
	}
	p.last = s
}

func (p *Pool) unlink(s *submitter) {
	if s.prev == nil {
		p.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		p.last = s.prev
	} else {
		s.next.prev = s.prev
	}
}

// admit moves submitters into the queue while there is room, in order. Whoever makes room calls
// it under the same lock, so nobody can overtake them; they are told by unlock.
func (p *Pool) admit() {
	for p.first != nil && p.room() && !p.cutted.Load() {
		s := p.first
		p.unlink(s)
		p.push(s.e)
		if s.told != nil {
			p.settle(s, nil)
		}
	}
}

// refuse tells those who wait for room that there will be none. Offers stay until their jobs end.
func (p *Pool) refuse() {
	for s := p.first; s != nil; {
		next := s.next
		if s.told != nil {
			p.unlink(s)
			p.refusedClosed++
			p.settle(s, ErrClosed)
		}
		s = next
	}
}

// settle is for a submitter that has been unlinked.
func (p *Pool) settle(s *submitter, err error) {
	p.blocked--
	s.e, s.err, s.settled = entry{}, err, true
	s.next, s.prev = p.admitted, nil
	p.admitted = s
}

// unlock gives up the lock, and only then wakes those who wait no more: to wake one takes as long
// as the lock is held for many tasks.
func (p *Pool) unlock() {
	if pressed := p.closing || p.crowded(); pressed != p.pressed.Load() {
		p.pressed.Store(pressed)
	}
	first := p.admitted
	p.admitted = nil
	p.mu.Unlock()
	for s := first; s != nil; {
		next := s.next // it is another's as soon as it is told
		s.told <- struct{}{}
		s = next
	}
}

// wakeAndUnlock sees to it that somebody will come for what is in the queue. At most one worker
// is on its way; it wakes the next one if there is more.
func (p *Pool) wakeAndUnlock() {
	signal := false
	var started *worker
	if !p.waking {
		switch {
		case p.idle > 0:
			p.idle--
			p.minIdle = min(p.minIdle, p.idle)
			p.waking, signal = true, true
		case len(p.all) < p.slots():
			p.waking = true
			started = newWorker(p)
			p.all = append(p.all, started)
		}
	}
	p.unlock()
	if signal {
		p.cond.Signal()
	}
	if started != nil {
		go started.loop()
	}
}
