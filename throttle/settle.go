package throttle

import "context"

// settle makes cost what has been paid to the policies of that name.
func (a *account) settle(l *core, name string, cost int64) {
	var ops []Op // to a Remote
	var shares []*paid
	var wanted []int64
	a.mu.Lock()
	for i := range a.paid {
		own := &a.paid[i]
		if name != "" && own.p.Name != name {
			continue
		}
		p := own.bucket(l, a.state)
		due := max(cost-own.out, 0) // what parts have used of it was paid
		if p.local != nil {
			if op, ok := own.settleOp(l, p, due); ok {
				ops, shares, wanted = append(ops, op), append(shares, own), append(wanted, max(due-own.taken, 0))
			}
			own.taken = due
			continue
		}
		owed := int64(0)
		if due < own.taken {
			n := int64(0)
			if own.claim != nil { // of what it had charged more since
				n = min(own.taken-due, own.claim.other)
				own.claim.other -= n
			}
			if n > 0 {
				ops, shares, wanted = append(ops, own.claim.p.backOp(own.claim.key, n)), append(shares, own), append(wanted, 0)
			}
			p.refund(own.fp, &l.clock, own.taken-due-n)
			own.taken = due
		} else {
			own.taken += p.force(own.fp, &l.clock, due-own.taken)
			owed = due - own.taken
		}
		own.uncollected(p, owed)
	}
	a.mu.Unlock() // a Remote takes its time
	if len(ops) == 0 {
		return
	}
	s := l.state.Load()
	told := l.tell(context.Background(), s, ops)
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, own := range shares {
		op, granted := &ops[i], int64(0)
		if told {
			own.claim.ahead, granted = own.claim.p.law.owes(op), op.Granted
		}
		owed := wanted[i] - granted
		own.taken -= owed
		own.uncollected(own.claim.p, owed)
	}
}

// settleOp is what the Remote must be told for a share to be due; false: nothing, a lease has paid.
func (p *paid) settleOp(l *core, b *policy, due int64) (Op, bool) {
	key, now := p.claim.key, l.clock.now()
	n := due - p.taken
	if here := min(-n, p.claim.other); here > 0 { // what the twin was paid while the Remote was down
		b.local.refund(p.fp, &l.clock, here)
		p.claim.other, n = p.claim.other-here, n+here
	}
	switch {
	case n > 0:
		if _, _, ok := b.pay(p.fp, now, n); ok {
			return Op{}, false
		}
		return b.forceOp(key, n), true
	case n < 0:
		b.unshield(p.fp, now)
		return b.backOp(key, -n), true
	}
	return Op{}, false
}

// uncollected notes that n settled tokens are beyond what the bucket could owe, or could not be
// told to a Remote.
func (p *paid) uncollected(b *policy, n int64) {
	if n > p.owed {
		b.counts.Here().uncollected.Add(uint64(n - p.owed))
	}
	p.owed = n
}
