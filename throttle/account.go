package throttle

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/hotpath-go/hotpath/internal/rw"
)

// An account is what one request, or one part of a batch, has paid.
type account struct {
	state    *state
	mu       sync.Mutex // parts and handlers ask at the same time
	paid     []paid     // the enforced policies first
	inline   [2]paid
	enforced int
	retry    atomic.Int64 // ns; of a Charge that was refused
}

// paid is one policy's share. Policy and key never change; the rest is under the mutex.
type paid struct {
	p     *policy
	fp    uint64
	taken int64 // tokens
	owed  int64 // settled, and beyond what the bucket could owe: the most of it
	lent  int64 // how much of taken the envelope had paid
	out   int64 // tokens that were lent to parts, and are no more in taken
	word  uint64
	claim *claim // with a Remote
}

// open notes the charges of d. A shadow that would have refused has no share.
func (a *account) open(d *door) {
	a.state = d.s
	if d.rule != passes {
		return
	}
	a.enforced = d.plan.enforced
	a.paid = a.inline[:0]
	for i := range d.charges() {
		if c := &d.charges()[i]; c.ruling == passes {
			a.paid = append(a.paid, paid{p: c.p, fp: c.fp, taken: c.cost + c.lent, lent: c.lent, word: c.word, claim: c.claim})
			if c.claim != nil {
				c.claim.ahead = c.ahead
			}
		}
	}
}

// find is called with the mutex held.
func (a *account) find(p *policy, fp uint64) *paid {
	for i := range a.paid {
		if a.paid[i].p.Name == p.Name && a.paid[i].fp == fp {
			return &a.paid[i]
		}
	}
	return nil
}

// current is the policy as it is now.
func (p *paid) current(now, s *state) *policy {
	if now != s {
		if changed := now.policy(p.p.Name); changed != nil {
			return changed
		}
	}
	if p.claim != nil {
		return p.claim.p
	}
	return p.p
}

// bucket is current, or its twin if it was that which was charged: the table may have been
// replaced.
func (p *paid) bucket(l *core, s *state) *policy {
	now := p.current(l.state.Load(), s)
	if !p.claim.remote() {
		return now.here()
	}
	return now
}

// remote reports whether the Remote was charged.
func (c *claim) remote() bool { return c != nil && c.by != byFallback && c.by != byBusy }

// level is what a bucket owes; of a lease it is not known.
func (a *account) level(l *core, own *paid) (p *policy, ahead uint64, known bool) {
	if p = own.bucket(l, a.state); p.local != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		return p, own.claim.ahead, own.claim.by == byStore
	}
	if at, v := p.table.find(own.fp); at != nil {
		ahead = p.law.ahead(v, l.clock.units(&p.law))
	}
	return p, ahead, true
}

// more takes n tokens more from the policies of that name, all if it is "".
func (a *account) more(ctx context.Context, l *core, name string, n int64, d *door) {
	a.mu.Lock()
	now := l.state.Load()
	d.s, d.plan = a.state, new(plan)
	d.many = make([]charge, 0, len(a.paid))
	var shares [maxApplicable]*paid
	for i := range a.paid {
		own := &a.paid[i]
		if name != "" && own.p.Name != name {
			continue
		}
		p := own.current(now, a.state)
		if own.claim == nil || now.cfg.Remote == nil {
			p = p.here() // a Remote is new, and nobody has kept the key; or it is no more
		}
		k := len(d.plan.policies)
		d.plan.policies = append(d.plan.policies, p)
		if i < a.enforced {
			d.plan.enforced++
		}
		c := charge{p: p, fp: own.fp}
		if p.local != nil {
			c.claimed(&own.claim.key)
		}
		c.setCost(n)
		d.many, shares[k] = append(d.many, c), own
	}
	a.mu.Unlock() // a Remote takes its time
	if d.rule = l.admit(ctx, now, d.many, d.plan.enforced); d.rule == waived {
		d.rule = passes
		l.count(passes, nil)
		return
	} else if d.rule != passes {
		l.count(d.rule, d.enforced())
		a.retry.Store(int64(slowest(d.enforced()).retryAfter()))
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, c := range d.many {
		shares[i].taken += c.cost
		if c.claim != nil && shares[i].claim != nil && c.claim.remote() != shares[i].claim.remote() {
			shares[i].claim.other += c.cost
		}
		if c.claim != nil && c.claim.by == byStore {
			shares[i].claim.ahead = c.ahead
		}
	}
}

// account finds what w has paid to l: w itself, or the part of a batch that it answers. nil: l
// did not charge it.
func (l *Limiter) account(w http.ResponseWriter) *account {
	for outer, part := range rw.WalkOut(w) {
		g, ok := outer.(*grant)
		if !ok || g.core != l.core {
			continue
		}
		if part == nil {
			return &g.account
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.shares[part]
	}
	return nil
}

// Charge takes n tokens more for the request of w, all or nothing, from the policy of that name,
// or from every policy that has charged it if policy is "". If they are not there it answers w
// with a refusal and returns false; what was paid before stays paid. An unknown policy or a
// negative n is answered with 500. A request that l has not charged, an exempt one for instance,
// is free of it.
func (l *Limiter) Charge(w http.ResponseWriter, r *http.Request, policy string, n int64) bool {
	s := l.state.Load()
	d := door{s: s}
	if policy != "" && s.policy(policy) == nil || n < 0 {
		d.rule = invalid
		l.count(invalid, nil)
	} else if a := l.account(w); a != nil && n > 0 {
		a.more(r.Context(), l.core, policy, n, &d)
	}
	if d.rule == passes {
		return true
	}
	f := d.refusal(false) // the grant writes the fields, as of any answer
	f.ServeHTTP(w, r)
	return false
}

// Settle sets what the request of w costs in all, at once and any number of times: to the policy
// of that name, or to every one that has charged it if policy is "". The difference is given
// back or taken, below zero if need be, down to -Burst; what is beyond counts as uncollected. It
// may be called while the response is sent, also by another goroutine, and does nothing to a
// request that l has not charged. The error says that there is no such policy, or that cost is
// negative.
func (l *Limiter) Settle(w http.ResponseWriter, policy string, cost int64) error {
	if policy != "" && l.state.Load().policy(policy) == nil {
		return fmt.Errorf("throttle: Settle: policy is %q: must be the name of one", policy)
	}
	if cost < 0 {
		return fmt.Errorf("throttle: Settle: cost is %d: must not be negative", cost)
	}
	if a := l.account(w); a != nil {
		a.settle(l.core, policy, cost)
	}
	return nil
}
