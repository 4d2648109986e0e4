package throttle

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hotpath-go/hotpath/internal/stat"
)

// A Limiter holds the buckets of its policies. Make one with [New]; it is safe for concurrent use.
type Limiter struct {
	*core
	tier string
}

// core is what a Limiter shares with its views.
type core struct {
	clock    clock
	seeds    seeds
	state    atomic.Pointer[state]
	changing sync.Mutex // of Reconfigure

	counters stat.Striped[counters]
	waiting  atomic.Int64
	waits    stat.Durations
	lines    lines // with a Remote

	breaker   breaker
	tripTimes stat.Durations
}

// New returns the limiter that cfg describes. Its error joins everything that is wrong with cfg,
// one line a problem: `throttle: Policies[1].Burst is -3: must be at least 1 (0 means Rate.N)`.
func New(cfg Config) (*Limiter, error) {
	whole, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &core{seeds: newSeeds(), clock: clock{start: time.Now()}}
	c.state.Store(newState(cfg, whole, nil))
	return &Limiter{core: c}, nil
}

// Config returns what the limiter was made with, or last reconfigured to.
func (l *Limiter) Config() Config {
	s := l.state.Load()
	given := s.given
	given.Policies = append([]Policy(nil), given.Policies...)
	given.TrustedProxies = append([]netip.Prefix(nil), given.TrustedProxies...)
	return given
}

// ClientAddr returns the address of whoever sent r, as the limiter sees it: without zone, 4-in-6
// as IPv4. The error says that there is none to be trusted; such a request is refused with 403.
func (l *Limiter) ClientAddr(r *http.Request) (netip.Addr, error) {
	return l.state.Load().proxies.client(r)
}

// For returns a view of l whose Take, Peek, Refund and Wait charge the policies of tier besides
// those of none. It shares everything with l.
func (l *Limiter) For(tier string) *Limiter { return &Limiter{core: l.core, tier: tier} }

// Take takes n tokens from each bucket of key, or none from any of them.
func (l *Limiter) Take(ctx context.Context, key Key, n int64) (d Decision) {
	s := l.state.Load()
	pl := s.plan(l.tier)
	if pl.only == nil || key.kind == noKey || !l.takeKnown(pl.only, l.seeds.fingerprint(&key), n, &d) {
		l.takeAny(ctx, s, pl, &key, n, &d)
	}
	return d
}

// takeKnown is Take for what is decided most: one policy, and a key that has a record. In every
// other case, and if others are faster, it returns false and has changed nothing.
func (l *Limiter) takeKnown(p *policy, fp uint64, n int64, d *Decision) bool {
	law := &p.law
	if n < 1 || n > law.burst {
		return false
	}
	owes := uint64(0)
	for taken, try := false, 0; !taken; try++ {
		at, v := p.table.find(fp)
		if at == nil || try == 4 {
			return false
		}
		now := l.clock.units(law)
		ahead := law.ahead(v, now)
		if owes = ahead + uint64(n)*law.token; owes > law.tau {
			if p.Shadow {
				return false
			}
			l.counters.Here().outcome[over].Add(1)
			p.counts.Here().denied.Add(1)
			d.Status, d.Policy, d.Limit, d.Remaining = statusOf[over], p.Name, law.burst, law.left(ahead)
			d.RetryAfter, d.ResetAfter = law.duration(owes-law.tau), law.duration(ahead)
			return true
		}
		taken = at.word.CompareAndSwap(v, add(now, owes))
	}
	l.counters.Here().outcome[passes].Add(1)
	d.Allowed = true
	if !p.Shadow {
		d.Policy, d.Limit, d.Remaining, d.ResetAfter = p.Name, law.burst, law.whole(law.tau-owes), law.duration(owes)
	}
	return true
}

func (l *Limiter) takeAny(ctx context.Context, s *state, pl *plan, key *Key, n int64, d *Decision) {
	switch k := len(pl.policies); {
	case s.cfg.Remote != nil:
		l.takeShared(ctx, s, pl, key, n, d)
	case k <= fewPolicies:
		var some [fewPolicies]charge
		l.takeHere(pl, some[:k], key, n, d)
	default:
		var all [maxApplicable]charge
		l.takeHere(pl, all[:k], key, n, d)
	}
}

func (l *Limiter) takeHere(pl *plan, cs []charge, key *Key, n int64, d *Decision) {
	rule := l.assemble(pl, cs, key, n)
	if rule == passes {
		rule = l.decide(cs, pl.enforced)
	}
	l.count(rule, cs[:pl.enforced])
	d.put(rule, cs[:pl.enforced])
}

func (l *Limiter) takeShared(ctx context.Context, s *state, pl *plan, key *Key, n int64, d *Decision) {
	if len(pl.policies) == 1 && l.takeHeld(s, pl.policies[0], key, n, d) {
		return
	}
	var few [fewPolicies]charge
	var cs []charge
	if k := len(pl.policies); k <= fewPolicies {
		cs = few[:k]
	} else {
		cs = make([]charge, k)
	}
	rule := l.assemble(pl, cs, key, n)
	if rule == passes {
		rule = l.admit(ctx, s, cs, pl.enforced)
	}
	l.count(rule, cs[:pl.enforced])
	d.put(rule, cs[:pl.enforced])
}

// takeHeld is takeKnown with a Remote: for a key that holds a lease, and while the Remote is down.
func (l *Limiter) takeHeld(s *state, p *policy, key *Key, n int64, d *Decision) bool {
	if key.kind == noKey || n < 1 || n > p.law.burst {
		return false
	}
	fp, open, held := l.seeds.fingerprint(key), l.breaker.open.Load(), true
	if open {
		now := l.clock.now()
		open = l.isOpen(s, now)
		held = now-l.breaker.opened.Load() <= int64(s.cfg.Lease+s.cfg.Budget) // after that nothing is
	}
	if held {
		if left, _, ok := p.pay(fp, &l.clock, n); ok {
			here := l.counters.Here()
			here.outcome[passes].Add(1)
			here.remote[byLease].Add(1)
			d.Allowed = true
			if !p.Shadow {
				d.Policy, d.Limit, d.Remaining = p.Name, p.law.burst, left
			}
			return true
		}
	}
	if open && s.cfg.OnDown == "local" && l.takeKnown(p.local, fp, n, d) {
		l.counters.Here().remote[byFallback].Add(1)
		return true
	}
	return false
}

// Peek says what Take would say, and changes nothing.
func (l *Limiter) Peek(ctx context.Context, key Key, n int64) (d Decision) {
	s := l.state.Load()
	pl := s.plan(l.tier)
	var all [maxApplicable]charge
	cs := all[:len(pl.policies)]
	rule := l.assemble(pl, cs, &key, n)
	if rule == passes {
		rule = l.peek(ctx, s, cs, pl.enforced)
	}
	d.put(rule, cs[:pl.enforced])
	return d
}

// Refund gives n tokens back to each bucket of key, which never hold more than Burst. A negative
// n does nothing.
func (l *Limiter) Refund(ctx context.Context, key Key, n int64) {
	if n < 0 {
		l.counters.Here().outcome[invalid].Add(1)
		return
	}
	if key.kind == noKey {
		return
	}
	fp := l.seeds.fingerprint(&key)
	s := l.state.Load()
	pl := s.plan(l.tier)
	if s.cfg.Remote != nil && n > 0 && l.giveBack(ctx, s, pl.policies, key, n) {
		return
	}
	for _, p := range pl.policies {
		p.here().refund(fp, &l.clock, n)
	}
}

// assemble fills in cs, one charge for each policy of pl, without HTTP.
func (l *Limiter) assemble(pl *plan, cs []charge, key *Key, n int64) ruling {
	switch {
	case n < 0:
		return invalid
	case key.kind == noKey || len(pl.policies) == 0:
		return unkeyed
	}
	fp, shared := l.seeds.fingerprint(key), pl.policies[0].local != nil
	for i := range cs {
		c := &cs[i]
		c.p, c.fp = pl.policies[i], fp
		if shared {
			c.claimed(key)
		}
		c.setCost(n)
	}
	return passes
}
