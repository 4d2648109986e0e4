package throttle

import (
	"context"
	"time"
)

// A claim is a charge on a bucket that a Remote keeps. Once its twin here has decided instead,
// the charge's policy is that.
type claim struct {
	p    *policy
	key  Key
	cost int64 // as asked
	by   source
	held int64 // until when the lease holds that has paid

	// Of what was paid, under the account's mutex: what the bucket owes there, as far as the Remote
	// has said, and how much was paid elsewhere than at first, to the twin or to the Remote.
	ahead uint64
	other int64
	renewal
}

// claimed makes c a charge on the Remote's bucket of key.
func (c *charge) claimed(key *Key) { c.claim = &claim{p: c.p, key: *key} }

// known reports whether it is known what the bucket of c holds: of a lease that is not.
func (c *charge) known() bool {
	return c.claim == nil || c.claim.by != byLease && c.claim.by != byNobody
}

// admit decides about cs, here or by the Remote.
func (l *core) admit(ctx context.Context, s *state, cs []charge, enforced int) ruling {
	if s.cfg.Remote == nil || len(cs) > 0 && cs[0].claim == nil {
		return l.decide(cs, enforced)
	}
	for i := range cs {
		cs[i].begin()
		if i < enforced && cs[i].ruling >= never {
			return over
		}
	}
	rule, by := l.share(ctx, s, cs, enforced)
	if by != byNobody {
		l.counters.Here().remote[by].Add(1)
	}
	return rule
}

// begin makes c ready to be decided, for the first time or again.
func (c *charge) begin() {
	cl := c.claim
	c.p, cl.by, cl.held, cl.renewal = cl.p, byNobody, 0, renewal{}
	if c.ruling < unkeyed { // a shadow's may be
		c.ruling = passes
		c.setCost(cl.cost)
	}
	c.debt, c.wait = 0, 0
	c.holds(0)
}

// holds notes that n tokens are to be had here; more may be elsewhere.
func (c *charge) holds(n int64) {
	c.ahead = uint64(c.p.law.burst-min(n, c.p.law.burst)) * c.p.law.token
}

// share decides about cs: from leases and shields, else in one trip, else as OnDown says.
func (l *core) share(ctx context.Context, s *state, cs []charge, enforced int) (ruling, source) {
	now := l.clock.now()
	open := l.breaker.open.Load()
	if !open {
		for i := range cs[:enforced] {
			if cs[i].shielded(now) {
				cs[i].ruling = over
				return over, byShield
			}
		}
	}
	asks, paid := 0, byNobody
	for i := range cs {
		switch c := &cs[i]; {
		case c.cost == 0:
		case c.payFromLease(&l.clock):
			paid = byLease
		case i >= enforced && c.shielded(now):
			c.ruling = over
		default:
			asks++
		}
	}
	if asks == 0 {
		countShadows(cs[enforced:])
		return passes, paid
	}
	by := byFallback
	if !l.isOpen(s, now) {
		if by = byBusy; l.breaker.enter() {
			if rule, err := l.askRemote(ctx, s, cs, enforced, asks); err == nil {
				return rule, byStore
			}
			by = byFallback
		}
	}
	if !anyAsks(cs[:enforced]) {
		l.shadowsDown(s, cs[enforced:])
		return passes, by
	}
	l.payBack(cs)
	return l.down(s, cs, enforced), by
}

// shielded refuses c if nothing was left of its bucket a moment ago.
func (c *charge) shielded(now int64) bool {
	if c.cost == 0 {
		return false
	}
	_, due := c.claim.p.holding(c.fp, now)
	if due == 0 {
		return false
	}
	law := &c.p.law
	c.claim.by = byShield
	c.ahead = law.tau - law.token + law.span(time.Duration(due-now))
	c.wait = c.ahead + uint64(c.cost)*law.token - law.tau
	return true
}

func (c *charge) payFromLease(clock *clock) bool {
	left, until, ok := c.p.pay(c.fp, clock, c.cost)
	if ok {
		c.claim.by, c.claim.held = byLease, until
		c.holds(left)
	}
	return ok
}

// payBack puts back what cs took from leases.
func (l *core) payBack(cs []charge) {
	now := l.clock.now()
	for i := range cs {
		if c := &cs[i]; c.claim.by == byLease {
			c.claim.p.payBack(c.fp, now, c.claim.held, c.cost)
		}
	}
}

// askRemote makes the trip for those of cs that have paid nothing. An error: none of it is known to
// have happened.
func (l *core) askRemote(ctx context.Context, s *state, cs []charge, enforced, asks int) (ruling, error) {
	ops := make([]Op, 0, asks)
	for i := range cs {
		c := &cs[i]
		if !c.asks() {
			continue
		}
		op := c.p.op(c.claim.key)
		op.Cost, op.Soft = c.cost, i >= enforced
		if s.cfg.Lease > 0 {
			c.claim.renewal = l.renew(s, c.p, c.fp)
			op.Back, op.Ahead = c.claim.rest, leaseSize(c.claim.level)
		}
		ops = append(ops, op)
	}
	sent := l.clock.now() // the store decides later, so what it lends is spent in time
	if err := l.trip(ctx, s, ops); err != nil {
		for i := range cs {
			cs[i].claim.finish(leaseWord(sent, 0, cs[i].claim.level, leased))
		}
		return over, err
	}
	rule := passes
	for i, k := 0, 0; i < enforced; i++ {
		if cs[i].asks() {
			if ops[k].Granted < ops[k].Cost {
				rule = over
			}
			k++
		}
	}
	if rule != passes {
		l.payBack(cs)
	}
	violated := 0
	for i, k := 0, 0; i < len(cs); i++ {
		if c := &cs[i]; c.asks() {
			l.answered(s, c, &ops[k], rule, sent)
			if c.ruling != passes && i < enforced {
				violated++
			}
			k++
		}
	}
	if rule != passes {
		if violated == 0 { // a store that does not say which
			for i := range cs[:enforced] {
				if c := &cs[i]; c.claim.by == byStore {
					c.ruling, c.wait = over, c.p.law.span(time.Millisecond)
					break
				}
			}
		}
		return rule, nil
	}
	countShadows(cs[enforced:])
	return passes, nil
}

// asks reports whether c is one of a trip's.
func (c *charge) asks() bool {
	return c.cost > 0 && c.claim.by != byLease && c.claim.by != byShield
}

// answered notes what the Remote said of c, and makes of it a lease or a shield.
func (l *core) answered(s *state, c *charge, op *Op, rule ruling, sent int64) {
	law, cl := &c.p.law, c.claim
	held := max(op.Granted-op.Cost, 0)
	c.ahead = law.owes(op)
	next := law.next(c.ahead, op.Remaining)
	c.ahead -= min(uint64(held)*law.token, c.ahead)
	if op.Granted < op.Cost && (rule == passes || op.RetryAfter > 0) {
		c.ruling = over
		c.wait = law.span(min(op.RetryAfter, law.duration(3*law.tau)))
	}
	cl.by = byStore
	if op.Remaining == 0 && (rule == passes || op.RetryAfter > 0) { // else it has got it back
		due := law.duration(next)
		if op.RetryAfter > 0 { // the store's own word
			due = min(due, op.RetryAfter)
		}
		l.shield(c.p, c.fp, &cl.renewal, sent, due)
		return
	}
	if op.Granted < op.Cost { // who is refused uses nothing up: the lease does not grow
		cl.finish(leaseWord(sent, held, min(cl.level, cl.was), leased))
		return
	}
	if held < op.Ahead { // near the limit: no more than there was
		for cl.level > 0 && leaseSize(cl.level-1) >= held {
			cl.level--
		}
	}
	cl.finish(leaseWord(sent+int64(s.cfg.Lease), held, cl.level, leased))
}

// countShadows counts what shadows would have refused, and takes their charges off.
func countShadows(cs []charge) {
	for i := range cs {
		if c := &cs[i]; c.ruling != passes {
			c.p.counts.Here().shadowDenied.Add(1)
			c.cost = 0
		}
	}
}

// anyAsks reports whether any of cs was for the Remote to decide.
func anyAsks(cs []charge) bool {
	for i := range cs {
		if cs[i].asks() {
			return true
		}
	}
	return false
}

// shadowsDown decides what only shadows have asked in vain: a dry run refuses nothing.
func (l *core) shadowsDown(s *state, cs []charge) {
	for i := range cs {
		switch c := cs[i : i+1]; {
		case !c[0].asks():
			countShadows(c)
		case s.cfg.OnDown == "local":
			useTwins(c, 0)
			l.commit(c, 0, 0)
		default:
			c[0].cost, c[0].debt = 0, 0
		}
	}
}

// down decides without the Remote, as OnDown says.
func (l *core) down(s *state, cs []charge, enforced int) ruling {
	switch s.cfg.OnDown {
	case "open":
		return waived
	case "closed":
		return down
	}
	if useTwins(cs, enforced) {
		return down
	}
	return l.decide(cs, enforced)
}

// useTwins makes cs charges on the buckets here. It reports whether one costs more than its
// bucket here holds, though not more than that of the Remote.
func useTwins(cs []charge, enforced int) (tooMuch bool) {
	for i := range cs {
		c := &cs[i]
		c.p, c.claim.by = c.claim.p.local, byFallback
		if c.ruling >= never { // a shadow's
			continue
		}
		c.ruling = passes
		c.setCost(c.claim.cost)
		tooMuch = tooMuch || i < enforced && c.ruling == never
	}
	return tooMuch
}
