package throttle

import (
	"net/http"
	"time"
)

// A Decision is what came of a call.
type Decision struct {
	Allowed bool

	// Status of a refusal: 429 over the limit, 503 no room for the key or the Remote is down, 403
	// no key or no policy that applies, 500 negative cost. 0: allowed.
	Status int

	// Policy is the one to wait longest for; if the call is allowed, the one with the fewest
	// tokens left.
	Policy string

	// Violated lists the violated policies of a refusal by Handler, for OnDenied: the one to wait
	// longest for first.
	Violated []string

	// Limit and Remaining are of Policy: Burst, and whole tokens left. Of a lease (Config.Lease)
	// they are those that it still holds: how many are left elsewhere is not known here.
	Limit, Remaining int64

	// RetryAfter is the time until the same call would pass. 0: allowed; negative: never, for it
	// costs more than Burst.
	RetryAfter time.Duration

	// ResetAfter is the time until the bucket of Policy is full; 0 too if that is not known.
	ResetAfter time.Duration
}

// decide takes what cs asks for: of the enforced charges, which stand first, all or nothing.
// Refusals end in the first pass, which writes nothing and so takes no cache line from anybody.
func (l *core) decide(cs []charge, enforced int) ruling {
	if rule := judge(cs[:enforced], &l.clock, 0); rule != passes {
		return rule
	}
	return l.commit(cs, enforced, 0)
}

// judge judges all of cs by one reading of the clock: what passes, or is due within patience.
func judge(cs []charge, clock *clock, patience time.Duration) ruling {
	for i := range cs {
		cs[i].find()
	}
	ns, rule := clock.now(), passes
	for i := range cs {
		c := &cs[i]
		if !c.judge(uint64(ns)*c.p.law.unit, c.p.law.span(patience)) {
			rule = over
		}
	}
	return rule
}

// commit makes the charges that judge has found possible. A racing call may be refused for
// tokens that another one is about to give back, never the reverse.
func (l *core) commit(cs []charge, enforced int, patience time.Duration) ruling {
	for i := range cs[:enforced] {
		c := &cs[i]
		if !c.take(&l.clock, c.p.law.span(patience)) {
			giveBack(cs[:i], &l.clock)
			return c.ruling
		}
	}
	for i := enforced; i < len(cs); i++ { // shadows take if there is room, and veto nothing
		c := &cs[i]
		if !c.look(&l.clock, 0) || !c.take(&l.clock, 0) {
			c.p.counts.Here().shadowDenied.Add(1)
			c.cost, c.debt = 0, 0
		}
	}
	return passes
}

func giveBack(cs []charge, clock *clock) {
	for i := range cs {
		cs[i].giveBack(clock)
	}
}

// count counts what came of cs.
func (l *core) count(rule ruling, cs []charge) {
	if rule == waived {
		rule = passes
	}
	l.counters.Here().outcome[rule].Add(1)
	if rule == over || rule == full {
		for i := range cs {
			if cs[i].violated() {
				cs[i].p.counts.Here().denied.Add(1)
			}
		}
	}
}

// put puts the enforced charges into words.
func (d *Decision) put(rule ruling, cs []charge) {
	d.Allowed, d.Status = rule == passes || rule == waived, statusOf[rule]
	switch rule {
	case passes:
		if len(cs) > 0 {
			c, left := scarcest(cs)
			d.Policy, d.Limit, d.Remaining = c.p.Name, c.p.law.burst, left
			if c.known() {
				d.ResetAfter = c.p.law.duration(c.ahead + c.debt)
			}
		}
	case down:
		d.RetryAfter = downFor
	case over, full:
		c := slowest(cs)
		d.Policy, d.Limit, d.Remaining = c.p.Name, c.p.law.burst, c.p.law.left(c.ahead)
		d.RetryAfter = c.retryAfter()
		if c.ruling != never || c.claim == nil {
			d.ResetAfter = c.p.law.duration(c.ahead)
		}
	}
}

var statusOf = [...]int{
	passes:  0,
	over:    http.StatusTooManyRequests,
	never:   http.StatusTooManyRequests,
	full:    http.StatusServiceUnavailable,
	unkeyed: http.StatusForbidden,
	invalid: http.StatusInternalServerError,
	down:    http.StatusServiceUnavailable,
	waived:  0,
}

// scarcest returns the charge whose bucket has the fewest tokens left after it. What two of them
// have in common does not depend on their order: then the one that is full later, then the name.
func scarcest(cs []charge) (*charge, int64) {
	least := &cs[0]
	left := least.p.law.left(least.ahead + least.debt)
	for i := 1; i < len(cs); i++ {
		c := &cs[i]
		n := c.p.law.left(c.ahead + c.debt)
		if c.claim != nil && c.known() != least.known() {
			if c.known() { // what a lease holds is little, and says little
				least, left = c, n
			}
			continue
		}
		if n < left || n == left && c.outlasts(least, c.ahead+c.debt, least.ahead+least.debt) {
			least, left = c, n
		}
	}
	return least, left
}

// slowest returns the violated charge to wait longest for, by the same rule.
func slowest(cs []charge) *charge {
	worst := &cs[0]
	for i := range cs {
		c := &cs[i]
		if !c.violated() {
			continue
		}
		if !worst.violated() {
			worst = c
			continue
		}
		a, b := c.retryAfter(), worst.retryAfter()
		if a != b && (a < 0 || b >= 0 && a > b) || a == b && c.outlasts(worst, c.ahead, worst.ahead) {
			worst = c
		}
	}
	return worst
}

// violated reports whether the charge cannot be made at once.
func (c *charge) violated() bool { return c.ruling != passes || c.wait > 0 }

// outlasts reports whether c, owing mine, is full later than d, owing its.
func (c *charge) outlasts(d *charge, mine, its uint64) bool {
	a, b := c.p.law.duration(mine), d.p.law.duration(its)
	return a > b || a == b && c.p.Name < d.p.Name
}

// retryAfter is when the same charge would be made; negative: never.
func (c *charge) retryAfter() time.Duration {
	if c.ruling == never {
		return -1
	}
	return c.p.law.duration(c.wait)
}
