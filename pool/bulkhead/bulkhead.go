package bulkhead

import (
	"context"
	"errors"
	"hash/maphash"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hotpath-go/hotpath/internal/flight"
	"github.com/hotpath-go/hotpath/internal/problem"
	"github.com/hotpath-go/hotpath/internal/rw"
	"github.com/hotpath-go/hotpath/internal/stat"
)

// ErrFull says that there is no slot in useful time. The error of Acquire also has a method
// RetryAfter() time.Duration, for errors.As.
var ErrFull = errors.New("bulkhead: overloaded")

// A Bulkhead bounds how many handlers run at a time. Make one with [New]; it is safe for
// concurrent use. There is nothing to close: everything in it belongs to a caller's goroutine.
type Bulkhead struct {
	cfg     Config
	seed    maphash.Seed
	refusal problem.Made

	mu       sync.Mutex // never held while a handler runs
	limiter             // the limit, and what it learns from
	queues              // who waits
	inFlight int
	ticks    uint      // of the clock's sample
	alarm    time.Time // while requests wait
	tally

	kept      atomic.Int64 // bytes of responses
	longLived atomic.Int64
	queued    stat.Durations
	service   stat.Durations
}

// New returns the Bulkhead that cfg describes. Its error joins everything that is wrong with
// cfg, one line a field.
func New(cfg Config) (*Bulkhead, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	full := problem.Make(problem.Problem{Type: reduced, Status: http.StatusServiceUnavailable})
	b := &Bulkhead{cfg: cfg, seed: maphash.MakeSeed(), refusal: full}
	b.limiter.init(cfg)
	return b, nil
}

// A slot is one handler that may run. It stands on the stack of who holds it.
type slot struct {
	began time.Time // zero: it is not timed
	w     *waiter   // nil: it did not wait
	held  bool
}

// Acquire takes a slot for work that is no request of Handler, and waits for it by the same rules.
// The error is the cause of ctx's end, or wraps ErrFull. release may be called twice.
func (b *Bulkhead) Acquire(ctx context.Context, c Class) (release func(), err error) {
	if c.Exempt {
		b.count(func(t *tally) { t.exempt++ })
		return func() {}, nil
	}
	h := &hold{b: b, ctx: ctx}
	if err := b.enter(ctx, c, &h.slot); err != nil {
		return nil, err
	}
	return h.release, nil
}

// A hold is a slot of Acquire.
type hold struct {
	b    *Bulkhead
	ctx  context.Context
	slot slot
	once sync.Once
}

func (h *hold) release() {
	h.once.Do(func() {
		h.b.free(&h.slot, h.ctx.Err() == nil)
		h.b.count(func(t *tally) { t.served++ })
	})
}

// enter gets s a slot.
func (b *Bulkhead) enter(ctx context.Context, c Class, s *slot) error {
	level := levelOf(c.Priority)
	if rw.IsBackground(ctx) {
		level = min(level+1, levels-1) // nobody's request never displaces one
	}
	b.mu.Lock()
	if b.startAtOnce(level, s) {
		b.mu.Unlock()
		return nil
	}
	b.mu.Unlock()
	now := time.Now()
	patience := b.cfg.Patience
	if end, ok := ctx.Deadline(); ok { // it may be anybody's method: not under the lock
		patience = min(patience, end.Sub(now))
	}
	b.mu.Lock()
	if b.overdue(now, b.inFlight) {
		b.dispatch(now)
	}
	if b.startAtOnce(level, s) {
		b.mu.Unlock()
		return nil
	}
	w, err := b.line(patience, c.Tenant, level, now)
	b.setAlarm(now)
	b.mu.Unlock()
	if err != nil {
		return err
	}
	unblock := flight.Blocked(ctx)
	timer := time.NewTimer(w.until.Sub(now))
	select {
	case err = <-w.ready:
	case <-timer.C:
		err = b.leave(w, nil)
	case <-ctx.Done():
		err = b.leave(w, context.Cause(ctx))
	}
	timer.Stop()
	unblock()
	b.queued.Observe(time.Since(now))
	if err != nil {
		return err
	}
	s.held, s.began, s.w = true, w.began, w
	if ctx.Err() != nil { // it left while it was called
		b.free(s, false)
		b.count(func(t *tally) { t.left++ })
		return context.Cause(ctx)
	}
	return nil
}

// setAlarm has somebody look, while requests wait, for what samples cannot tell as there are none:
// see overdue. b.mu is held.
func (b *Bulkhead) setAlarm(now time.Time) {
	if left := b.alarm.Sub(now); b.fixed || b.waiting == 0 || left > 0 && left <= fullWindow {
		return
	}
	b.alarm = now.Add(fullWindow)
	time.AfterFunc(fullWindow, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		now := time.Now()
		if b.overdue(now, b.inFlight) {
			b.dispatch(now)
		}
		b.setAlarm(now)
	})
}

// startAtOnce starts a handler if a slot is free and nobody waits for it. b.mu is held.
func (b *Bulkhead) startAtOnce(level int, s *slot) bool {
	if b.waiting > 0 || b.inFlight >= b.inForce() {
		return false
	}
	if b.timed() {
		s.began = time.Now()
	}
	s.held = true
	b.start(level, s.began)
	return true
}

// timed reports whether the next handler is: the clock is dearer than all else here, and says
// something only where the limit matters. b.mu is held.
func (b *Bulkhead) timed() bool {
	b.ticks++
	return 2*(b.inFlight+1) > b.inForce() || b.ticks%16 == 1
}

// start counts a handler that begins. b.mu is held.
func (b *Bulkhead) start(level int, now time.Time) {
	if !now.IsZero() {
		b.window.start(now)
	}
	b.inFlight++
	b.window.peak = max(b.window.peak, b.inFlight)
	b.started[level]++
	b.share.count(level)
}

// free gives the slot back, once. sample: the handler returned, so its time says something.
func (b *Bulkhead) free(s *slot, sample bool) {
	b.mu.Lock()
	took, timed := b.give(s, sample)
	b.mu.Unlock()
	if timed && sample {
		b.service.Observe(took)
	}
}

// give is free; b.mu is held.
func (b *Bulkhead) give(s *slot, sample bool) (took time.Duration, timed bool) {
	if !s.held {
		return 0, false
	}
	s.held = false
	b.inFlight--
	timed = !s.began.IsZero()
	if !timed && b.waiting == 0 {
		return 0, false
	}
	now := time.Now()
	if timed {
		took = now.Sub(s.began)
		b.window.end(s.began, now, sample)
		if s.w != nil {
			s.w.level.use(s.w.flow, took-s.w.charged, b.memory())
		}
		if sample {
			b.learn(took, now, b.inFlight)
		}
	}
	b.dispatch(now)
	return took, timed
}

func (b *Bulkhead) count(add func(*tally)) {
	b.mu.Lock()
	add(&b.tally)
	b.mu.Unlock()
}

// Handler returns next with at most so many of its calls at a time. They run on the goroutine of
// the caller, and hold their slot until they return, also if the client has left.
func (b *Bulkhead) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var c Class
		if b.cfg.Class != nil {
			c = b.cfg.Class(r)
		}
		if c.Exempt || b.around(w) {
			b.count(func(t *tally) { t.exempt++ })
			next.ServeHTTP(w, r)
			return
		}
		var s slot // on the stack: a refusal is to be cheap
		if err := b.enter(r.Context(), c, &s); err != nil {
			b.answer(w, r, err)
			return
		}
		k := &keeper{b: b, slot: s, head: r.Method == http.MethodHead, ctx: r.Context()}
		b.serve(k, w, r, next)
	})
}

// answer tells a client that it is refused. Whose context ended in the queue has mostly left, and
// hears nothing any more; but it may have been a deadline, or the server's own context at its
// shutdown, and no answer would be an empty 200.
func (b *Bulkhead) answer(w http.ResponseWriter, r *http.Request, err error) {
	full, ok := err.(*refusal) // enter returns it as it is; errors.As would allocate
	if !ok {
		b.mu.Lock()
		full = b.full()
		b.mu.Unlock()
	}
	b.refuse(w, r, full)
}

// serve runs the handler and keeps the response. Whatever happens in it, the slot is given back once.
func (b *Bulkhead) serve(k *keeper, w http.ResponseWriter, r *http.Request, next http.Handler) {
	returned := false
	defer func() {
		b.leftHandler(&k.slot, r, returned)
		k.forget()
	}()
	if b.keeps() {
		k.Wrap(w, k)
	} else {
		k.Wrap(w, nil) // still there to see a Flush and a Hijack
	}
	k.Serve(k, next, r)
	returned = true
}

// leftHandler gives the slot back, unless that has happened, and counts how it ended.
func (b *Bulkhead) leftHandler(s *slot, r *http.Request, returned bool) {
	sample := returned && r.Context().Err() == nil
	b.mu.Lock()
	if returned {
		b.served++
	} else {
		b.panicked++
	}
	took, timed := b.give(s, sample)
	b.mu.Unlock()
	if timed && sample {
		b.service.Observe(took)
	}
}

// keeps reports whether responses are kept at all.
func (b *Bulkhead) keeps() bool { return b.cfg.Buffer > 0 && b.cfg.BufferTotal > 0 }

// around reports whether w is inside of b already: the same Bulkhead on both sides of a batch
// would wait for itself.
func (b *Bulkhead) around(w http.ResponseWriter) bool {
	for outer := range rw.WalkOut(w) {
		if k, ok := outer.(*keeper); ok && k.b == b {
			return true
		}
	}
	return false
}
