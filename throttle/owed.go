package throttle

import (
	"context"
	"errors"
)

// What Peek, Refund and Settle ask of a Remote.

// peek is admit, and changes nothing.
func (l *core) peek(ctx context.Context, s *state, cs []charge, enforced int) ruling {
	if s.cfg.Remote == nil {
		return judge(cs[:enforced], &l.clock, 0)
	}
	now := l.clock.now()
	var ops []Op
	rule := passes
	for i := range cs[:enforced] {
		c := &cs[i]
		if c.begin(); c.ruling >= never {
			return over
		}
		if c.shielded(now) {
			c.ruling, rule = over, over
			continue
		}
		c.debt = uint64(c.cost) * c.p.law.token
		if tokens, _ := c.p.holding(c.fp, now); c.cost > 0 && tokens >= c.cost {
			c.claim.by = byLease
			c.holds(tokens)
			continue
		}
		ops = append(ops, c.p.op(c.claim.key))
	}
	if len(ops) == 0 || rule != passes {
		return rule
	}
	if l.isOpen(s, now) || !l.breaker.enter() || l.trip(ctx, s, ops) != nil {
		switch {
		case s.cfg.OnDown == "open":
			return waived
		case s.cfg.OnDown == "closed" || useTwins(cs[:enforced], enforced):
			return down
		}
		return judge(cs[:enforced], &l.clock, 0)
	}
	for i, k := 0, 0; i < enforced; i++ {
		c := &cs[i]
		if c.claim.by == byLease {
			continue
		}
		op := &ops[k]
		k++
		law := &c.p.law
		c.claim.by, c.ahead = byStore, law.owes(op)
		held, _ := c.p.holding(c.fp, now) // Take gives it back first
		c.ahead -= min(uint64(held)*law.token, c.ahead)
		if c.cost > op.Remaining+held {
			c.ruling, rule = over, over
			c.wait = c.ahead + c.debt - law.tau
		}
	}
	return rule
}

// giveBack gives n tokens back to the buckets of key in the Remote. false: that could not be said.
func (l *core) giveBack(ctx context.Context, s *state, ps []*policy, key Key, n int64) bool {
	ops := make([]Op, 0, len(ps))
	for _, p := range ps {
		ops = append(ops, p.backOp(key, n))
	}
	return l.tell(ctx, s, ops) == nil
}

func (p *policy) backOp(key Key, n int64) Op {
	op := p.op(key)
	op.Back = min(n, 2*op.Burst) // no bucket owes more
	return op
}

func (p *policy) forceOp(key Key, n int64) Op {
	op := p.op(key)
	op.Cost, op.Force = min(n, 2*op.Burst), true
	return op
}

// errUnsent says of a trip that it was not made.
var errUnsent = errors.New("throttle: the Remote was not asked")

// tell makes a trip that decides nothing. What it gives back ends the shield of its key, once it may be there:
// one who was refused a moment before may have made that meanwhile.
func (l *core) tell(ctx context.Context, s *state, ops []Op) error {
	if len(ops) == 0 || s.cfg.Remote == nil || l.isOpen(s, l.clock.now()) || !l.breaker.enter() {
		return errUnsent
	}
	err := l.trip(ctx, s, ops)
	for i := range ops {
		op := &ops[i]
		if p := s.policy(op.Policy); op.Back > 0 && p != nil {
			p.unshield(l.seeds.fingerprint(&op.Key))
		}
	}
	return err
}
