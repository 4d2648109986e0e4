package throttle

import (
	"context"
	"sync"
	"time"
)

// With a Remote a wait cannot be reserved: whoever was refused asks again when that is due. Of
// those who wait here for one key only the first asks, or a hundred would make five thousand
// trips. Between processes there is no order.
type lines struct {
	mu    sync.Mutex
	byKey map[uint64]*line // by fingerprint
}

type line struct {
	turn  chan struct{} // held by the first
	count int
}

// join returns the line of fp, and how many stand in it.
func (ls *lines) join(fp uint64) (ln *line, before int) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ln = ls.byKey[fp]; ln == nil {
		if ls.byKey == nil {
			ls.byKey = make(map[uint64]*line)
		}
		ln = &line{turn: make(chan struct{}, 1)}
		ls.byKey[fp] = ln
	}
	ln.count++
	return ln, ln.count - 1
}

func (ls *lines) leave(fp uint64, ln *line) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ln.count--; ln.count == 0 {
		delete(ls.byKey, fp)
	}
}

// await waits for the first place; false: not within patience.
func (ln *line) await(ctx context.Context, patience time.Duration) (bool, error) {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case ln.turn <- struct{}{}:
		return true, nil
	case <-t.C:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// askAgain is reserve with a Remote.
func (l *core) askAgain(ctx context.Context, s *state, cs []charge, enforced int, patience time.Duration) (ruling, error) {
	start := l.clock.now()
	rule, due, err := l.askOnce(ctx, s, cs, enforced)
	if due < 0 || err != nil {
		return rule, err
	}
	left := func() time.Duration { return patience - time.Duration(l.clock.now()-start) }
	worst := slowest(cs[:enforced])
	fp := worst.fp
	ln, before := l.lines.join(fp)
	defer l.lines.leave(fp, ln)
	// As far as is known here, it is due after those who came before; more may be waiting elsewhere.
	worst.wait += min(uint64(before)*worst.p.law.token*uint64(worst.cost), worst.p.law.span(2*maxNap))
	if due = worst.retryAfter(); due > left() {
		return rule, nil
	}
	if !l.queue(s) {
		return over, errCrowd
	}
	defer l.leave(true)
	begin := l.clock.now()
	defer func() { l.waits.Observe(time.Duration(l.clock.now() - begin)) }()
	if first, err := ln.await(ctx, left()); !first {
		return over, err
	}
	defer func() { <-ln.turn }()
	if before > 0 { // what it was told then is of the past
		if rule, due, err = l.askOnce(ctx, s, cs, enforced); due < 0 || err != nil {
			return rule, err
		}
	}
	for due <= left() {
		if err := sleep(ctx, due); err != nil {
			return over, err
		}
		if rule, due, err = l.askOnce(ctx, s, cs, enforced); due < 0 || err != nil {
			return rule, err
		}
	}
	return rule, nil
}

// askOnce decides about cs; if they are to be had later due says when, else it is negative. What a
// caller gets who has left meanwhile goes back.
func (l *core) askOnce(ctx context.Context, s *state, cs []charge, enforced int) (rule ruling, due time.Duration, err error) {
	if rule = l.admit(ctx, s, cs, enforced); ctx.Err() != nil {
		if rule == passes {
			l.undo(ctx, s, cs)
		}
		return over, -1, ctx.Err()
	}
	if rule == over {
		return rule, slowest(cs[:enforced]).retryAfter(), nil
	}
	return rule, -1, nil
}

// undo gives back what cs have taken, wherever that was.
func (l *core) undo(ctx context.Context, s *state, cs []charge) {
	var ops []Op
	for i := range cs {
		switch c := &cs[i]; {
		case c.cost == 0 || c.ruling != passes:
		case !c.claim.remote():
			c.giveBack(&l.clock)
		case !c.claim.p.payBack(c.fp, l.clock.now(), c.claim.held, c.cost):
			ops = append(ops, c.claim.p.backOp(c.claim.key, c.cost))
		}
	}
	_ = l.tell(ctx, s, ops)
}
