package throttle

import (
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
	owed  int64 // settled, and beyond what the bucket could owe
	lent  int64 // how much of taken the envelope had paid
	out   int64 // tokens that were lent to parts, and are no more in taken
	word  uint64
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
			a.paid = append(a.paid, paid{p: c.p, fp: c.fp, taken: c.cost + c.lent, lent: c.lent, word: c.word})
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

// current is the policy as it is now: the table that was charged may have been replaced.
func (p *paid) current(l *core, s *state) *policy {
	if now := l.state.Load(); now != s {
		if changed := now.policy(p.p.Name); changed != nil {
			return changed
		}
	}
	return p.p
}

// more takes n tokens more from the policies of that name, all if it is "".
func (a *account) more(l *core, name string, n int64, d *door) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d.s, d.plan = a.state, new(plan)
	d.many = make([]charge, 0, len(a.paid))
	var shares [maxApplicable]*paid
	for i := range a.paid {
		own := &a.paid[i]
		if name != "" && own.p.Name != name {
			continue
		}
		p := own.current(l, a.state)
		k := len(d.plan.policies)
		d.plan.policies = append(d.plan.policies, p)
		if i < a.enforced {
			d.plan.enforced++
		}
		c := charge{p: p, fp: own.fp}
		c.setCost(n)
		d.many, shares[k] = append(d.many, c), own
	}
	if d.rule = l.decide(d.many, d.plan.enforced); d.rule != passes {
		l.count(d.rule, d.enforced())
		a.retry.Store(int64(slowest(d.enforced()).retryAfter()))
		return
	}
	for i, c := range d.many {
		shares[i].taken += c.cost
	}
}

// settle makes cost what has been paid to the policies of that name.
func (a *account) settle(l *core, name string, cost int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.paid {
		own := &a.paid[i]
		if name != "" && own.p.Name != name {
			continue
		}
		p := own.current(l, a.state)
		owed, due := int64(0), max(cost-own.out, 0) // what parts have used of it was paid
		if due < own.taken {
			p.refund(own.fp, &l.clock, own.taken-due)
			own.taken = due
		} else {
			own.taken += p.force(own.fp, &l.clock, due-own.taken)
			owed = due - own.taken
		}
		if owed > own.owed {
			p.counts.Here().uncollected.Add(uint64(owed - own.owed))
		}
		own.owed = owed
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
		a.more(l.core, policy, n, &d)
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
