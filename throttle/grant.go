package throttle

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/hotpath-go/hotpath/internal/rw"
)

// A grant is the writer of a request that was let in: it carries the charge, writes the fields
// when the header passes, and lets the parts of a batch pay.
type grant struct {
	rw.Writer
	core *core
	plan *plan // nil: exempt
	account

	values room
	shares map[*http.Request]*account // of parts; under the account's mutex
}

func newGrant(l *core, d *door) *grant {
	g := &grant{core: l, plan: d.plan}
	g.open(d)
	return g
}

// OnHeader adds the fields, from what the buckets say now: costs settled until here are in them.
func (g *grant) OnHeader(int) {
	var levels [maxApplicable]level
	n := 0
	var chosen *policy
	least := int64(0)
	for i := range g.paid[:g.plan.enforced] {
		p, ahead, known := g.level(g.core, &g.paid[i])
		if !known {
			continue
		}
		levels[n] = level{p, ahead}
		if left := p.law.left(ahead); chosen == nil || left < least {
			chosen, least = p, left
		}
		n++
	}
	if g.plan.enforced > 0 {
		g.state.headers.write(g.Thaw(), &report{plan: g.plan, levels: levels[:n], chosen: chosen, retry: time.Duration(g.retry.Load())}, &g.values)
	}
	g.Pass()
}

// The other events do not come, for OnHeader passes.

func (g *grant) OnWrite(p []byte) (int, error) { return g.Unwrap().Write(p) }
func (g *grant) OnFlush() error                { return g.FlushInner() }
func (g *grant) OnReturn()                     {}

// Charge lets a part of a batch in, or says how it is refused. What the envelope has paid under
// the same key pays for the parts, as far as it goes.
func (g *grant) Charge(part *http.Request) http.Handler {
	var d door
	g.core.ask(&d, part, g)
	switch d.rule {
	case exempt, waived:
		return nil
	case passes:
		share := new(account)
		share.open(&d)
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.shares == nil {
			g.shares = make(map[*http.Request]*account)
		}
		g.shares[part] = share
		return nil
	}
	if d.plan != nil {
		for i := range d.charges() {
			c := &d.charges()[i]
			g.takeBack(c.p, c.fp, c.lent)
		}
	}
	f := d.refusal(true)
	f.charges = slices.Clone(f.charges)
	return &f
}

// Return gives back what Charge took for part, for another throttle refused it.
func (g *grant) Return(part *http.Request) {
	g.mu.Lock()
	share := g.shares[part]
	delete(g.shares, part)
	g.mu.Unlock()
	if share == nil {
		return
	}
	var ops []Op // to a Remote
	for i := range share.paid {
		own := &share.paid[i]
		// What a table that was replaced meanwhile had of it is not known: it lapses.
		if n := own.taken - own.lent; own.claim.remote() {
			if n > 0 && !own.claim.p.payBack(own.fp, g.core.clock.now(), own.claim.held, n) {
				ops = append(ops, own.claim.p.backOp(own.claim.key, n))
			}
		} else if own.bucket(g.core, share.state) == own.p {
			c := charge{p: own.p, fp: own.fp, word: own.word}
			c.setCost(own.taken - own.lent)
			c.giveBack(&g.core.clock)
		}
		g.takeBack(own.p, own.fp, own.lent)
	}
	_ = g.core.tell(context.WithoutCancel(part.Context()), share.state, ops)
}

// lend moves what the envelope has paid to a part's charge.
func (g *grant) lend(c *charge) {
	g.mu.Lock()
	defer g.mu.Unlock()
	own := g.find(c.p, c.fp)
	if own == nil || c.ruling != passes {
		return
	}
	c.lent = min(own.taken, c.cost)
	own.taken -= c.lent
	own.out += c.lent
	c.setCost(c.cost - c.lent)
}

func (g *grant) takeBack(p *policy, fp uint64, n int64) {
	if n == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if own := g.find(p, fp); own != nil {
		own.taken += n
		own.out -= n
	}
}
