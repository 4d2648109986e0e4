package throttle

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	errNegative = errors.New("must not be negative")
	errNoKey    = errors.New("no key, or no policy that applies")
	errNever    = errors.New("more than a bucket holds")
	errTooLong  = errors.New("due in over an hour")
	errCrowd    = errors.New("MaxWaiting are waiting already")
	errFull     = errors.New("no room for the key")
	errDown     = errors.New("the Remote is down")
)

// Wait takes n tokens from each bucket of key and returns when they are due: at once, or after
// those who came before. With a Remote it asks again when they are, and there is no order between
// processes.
//
// It returns an error, without waiting, if that is at or after the deadline of ctx (it Is
// context.DeadlineExceeded) or in more than an hour, if n is more than Burst, or if MaxWaiting are
// waiting; and if ctx ends meanwhile. Then the tokens go back, unless somebody has come to wait
// behind.
func (l *Limiter) Wait(ctx context.Context, key Key, n int64) error {
	s := l.state.Load()
	pl := s.plan(l.tier)
	var all [maxApplicable]charge
	cs := all[:len(pl.policies)]
	rule := l.assemble(pl, cs, &key, n)
	err := ctx.Err()
	if rule == passes && err == nil {
		patience := maxNap
		if deadline, ok := ctx.Deadline(); ok {
			patience = min(patience, time.Until(deadline)-1)
		}
		rule, err = l.reserve(ctx, s, cs, pl.enforced, max(patience, 0))
		if err == nil || err == errCrowd { // else the caller left: nobody was refused
			l.count(rule, cs[:pl.enforced])
		}
	} else if err == nil {
		l.count(rule, nil)
	}
	switch rule {
	case over:
		due := slowest(cs[:pl.enforced]).retryAfter()
		deadline, bounded := ctx.Deadline()
		switch {
		case err != nil:
		case due < 0:
			err = errNever
		case bounded && due >= time.Until(deadline):
			err = context.DeadlineExceeded
		default:
			err = errTooLong
		}
	case full:
		err = errFull
	case down:
		err = errDown
	case unkeyed:
		err = errNoKey
	case invalid:
		err = errNegative
	}
	if err != nil {
		return fmt.Errorf("throttle: waiting for %d tokens: %w", n, err)
	}
	return nil
}

// reserve takes what cs asks for if it is due within patience, and sleeps until then. A charge
// that is due later stands in the bucket below zero: whoever comes next is due after it.
func (l *core) reserve(ctx context.Context, s *state, cs []charge, enforced int, patience time.Duration) (ruling, error) {
	if s.cfg.Remote != nil {
		return l.askAgain(ctx, s, cs, enforced, patience)
	}
	queued := false
	for {
		if rule := judge(cs[:enforced], &l.clock, patience); rule != passes {
			l.leave(queued)
			return rule, nil
		}
		within := time.Duration(0)
		if queued || longest(cs[:enforced]) > 0 {
			if !queued {
				if queued = l.queue(s); !queued {
					if rule := judge(cs[:enforced], &l.clock, 0); rule != passes {
						return rule, errCrowd
					}
					continue // it has become free meanwhile
				}
			}
			within = patience
		}
		switch rule := l.commit(cs, enforced, within); {
		case rule == over && !queued && patience > 0:
			continue // others were faster; now it has to wait
		case rule != passes || !queued:
			l.leave(queued)
			return rule, nil
		}
		defer l.leave(true)
		start := l.clock.now()
		err := sleep(ctx, left(cs[:enforced], start))
		l.waits.Observe(time.Duration(l.clock.now() - start))
		if err != nil {
			giveBack(cs, &l.clock)
			return over, err
		}
		return passes, nil
	}
}

// queue takes one of MaxWaiting.
func (l *core) queue(s *state) bool {
	if l.waiting.Add(1) > int64(s.cfg.MaxWaiting) {
		l.waiting.Add(-1)
		return false
	}
	return true
}

func (l *core) leave(queued bool) {
	if queued {
		l.waiting.Add(-1)
	}
}

// longest is until when the last of cs is due, from the reading that they were judged by.
func longest(cs []charge) (d time.Duration) {
	for i := range cs {
		d = max(d, cs[i].p.law.duration(cs[i].wait))
	}
	return d
}

// left is how much of longest there is left at ns: each charge waits from its own reading of the clock.
func left(cs []charge, ns int64) (d time.Duration) {
	for i := range cs {
		c, law := &cs[i], &cs[i].p.law
		if passed := uint64(ns)*law.unit - c.now; passed < c.wait {
			d = max(d, law.duration(c.wait-passed))
		}
	}
	return d
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
