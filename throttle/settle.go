package throttle

import "context"

// A settling is what a Remote is to be told of a share.
type settling struct {
	own   *paid
	more  int64 // tokens it is to take, as far as the bucket can owe them
	back  int64 // tokens it is to give back
	other bool  // back is of what the share was charged more since it was the twin's
}

// settle makes cost what has been paid to the policies of that name.
func (a *account) settle(l *core, name string, cost int64) {
	var ops []Op // to a Remote
	var sets []settling
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
				ops, sets = append(ops, op), append(sets, settling{own: own, more: max(due-own.taken, 0), back: op.Back})
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
				ops, sets = append(ops, own.claim.p.backOp(own.claim.key, n)), append(sets, settling{own: own, back: n, other: true})
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
	err := l.tell(context.Background(), l.state.Load(), ops)
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range sets {
		sets[i].told(&ops[i], err)
	}
}

// told notes what came of a settling. What is lost on the way counts as done if it was to be given back,
// and as not done if it was to be taken: by neither does a token come into being. Only what was not sent is
// still there for the next settlement to give back.
func (s *settling) told(op *Op, err error) {
	own, granted := s.own, int64(0)
	switch err {
	case nil:
		own.claim.ahead, granted = own.claim.p.law.owes(op), op.Granted
	case errUnsent:
		own.taken += s.back
		if s.other {
			own.claim.other += s.back
		}
	}
	owed := s.more - granted
	own.taken -= owed
	own.uncollected(own.claim.p, owed)
}

// settleOp is what the Remote must be told for a share to be due; false: nothing, a lease has paid.
func (p *paid) settleOp(l *core, b *policy, due int64) (Op, bool) {
	key := p.claim.key
	n := due - p.taken
	if here := min(-n, p.claim.other); here > 0 { // what the twin was paid while the Remote was down
		b.local.refund(p.fp, &l.clock, here)
		p.claim.other, n = p.claim.other-here, n+here
	}
	switch {
	case n > 0:
		if _, _, ok := b.pay(p.fp, &l.clock, n); ok {
			return Op{}, false
		}
		return b.forceOp(key, n), true
	case n < 0:
		return b.backOp(key, -n), true
	}
	return Op{}, false
}

// uncollected notes that n settled tokens are beyond what the bucket could owe, or could not be
// told to a Remote.
func (p *paid) uncollected(b *policy, n int64) {
	if n > p.owed {
		b.counts.Here().uncollected.Add(uint64(n - p.owed))
		p.owed = n
	}
}
