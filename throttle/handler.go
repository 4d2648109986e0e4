package throttle

import (
	"net/http"
	"net/netip"
	"time"
)

// Handler returns next behind the limiter: a request pays before next runs, or is refused. It
// panics if next is nil.
func (l *Limiter) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("throttle: Handler(nil)")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var d door
		if l.core.ask(&d, r, nil); !d.letsIn() {
			f := d.refusal(true)
			f.ServeHTTP(w, r)
			return
		}
		g := newGrant(l.core, &d)
		if d.rule == passes && d.s.headers != off {
			g.Wrap(w, g)
		} else {
			g.Wrap(w, nil)
		}
		g.Serve(g, next, r)
	})
}

// A door is where one request is decided.
type door struct {
	s    *state
	plan *plan
	rule ruling
	gone bool // its client, while it waited
	few  [fewPolicies]charge
	many []charge // instead, if the plan has more
}

// fewPolicies are those that cost no allocation: clearing room for all that may apply takes as long
// as to decide.
const fewPolicies = 3

// open makes room for the charges of pl.
func (d *door) open(pl *plan) []charge {
	d.plan = pl
	if n := len(pl.policies); n > fewPolicies {
		d.many = make([]charge, n)
	}
	return d.charges()
}

func (d *door) charges() []charge {
	if d.many != nil {
		return d.many
	}
	return d.few[:len(d.plan.policies)]
}

func (d *door) enforced() []charge { return d.charges()[:d.plan.enforced] }

func (d *door) refusal(fields bool) refusal {
	f := refusal{s: d.s, plan: d.plan, rule: d.rule, fields: fields}
	if d.rule == over || d.rule == full {
		f.charges = d.enforced()
	}
	return f
}

// letsIn reports whether the request is to be served, paid for or not.
func (d *door) letsIn() bool { return d.rule == passes || d.rule == exempt || d.rule == waived }

// ask decides about r. If r is a part of a batch, what envelope has paid is not taken again.
func (l *core) ask(d *door, r *http.Request, envelope *grant) {
	d.s = l.state.Load()
	switch d.rule = l.rule(d, r, envelope); {
	case d.gone:
	case d.plan == nil:
		l.count(d.rule, nil)
	default:
		l.count(d.rule, d.enforced())
	}
}

func (l *core) rule(d *door, r *http.Request, envelope *grant) ruling {
	cfg := &d.s.cfg
	if cfg.Exempt != nil && cfg.Exempt(r) {
		return exempt
	}
	tier := ""
	if cfg.Tier != nil {
		tier = cfg.Tier(r)
	}
	cs := d.open(d.s.plan(tier))
	if len(cs) == 0 {
		return unkeyed // a misspelt tier must not be free
	}
	a := asked{l: l, s: d.s, r: r}
	for i, p := range d.plan.policies {
		if rule := a.assemble(p, &cs[i]); rule != passes {
			if !p.Shadow {
				return rule
			}
			cs[i].ruling = rule // a dry run refuses nothing
		} else if envelope != nil {
			envelope.lend(&cs[i])
		}
	}
	if cfg.MaxWait == 0 {
		return l.admit(r.Context(), d.s, cs, d.plan.enforced)
	}
	patience := cfg.MaxWait
	if deadline, ok := r.Context().Deadline(); ok {
		patience = max(min(patience, time.Until(deadline)-1), 0)
	}
	rule, err := l.reserve(r.Context(), d.s, cs, d.plan.enforced, patience)
	d.gone = err != nil && err != errCrowd
	return rule
}

// asked keeps what a request has answered, so that nobody is asked twice.
type asked struct {
	l *core
	s *state
	r *http.Request

	hasKey, hasAddr, hasCost bool
	key                      Key // of Config.Key
	addr                     netip.Addr
	keyErr, addrErr          error
	cost                     int64 // of Config.Cost

	last Key // and its fingerprint: policies mostly share a key
	fp   uint64
}

func (a *asked) assemble(p *policy, c *charge) ruling {
	c.p = p
	if p.local != nil {
		c.claim = &claim{p: p}
	}
	key, err := a.keyOf(p)
	if err != nil || key.kind == noKey {
		return unkeyed
	}
	if a.fp == 0 || key != a.last {
		a.last, a.fp = key, a.l.seeds.fingerprint(&key)
	}
	if c.fp = a.fp; c.claim != nil {
		c.claim.key = key
	}
	n := a.costOf(p)
	if n < 0 {
		return invalid
	}
	c.setCost(n)
	return passes
}

func (a *asked) keyOf(p *policy) (key Key, err error) {
	switch {
	case p.Key != nil:
		key, err = p.Key(a.r)
	case a.s.cfg.Key != nil:
		if !a.hasKey {
			a.hasKey = true
			a.key, a.keyErr = a.s.cfg.Key(a.r)
		}
		key, err = a.key, a.keyErr
	}
	if err != nil || key.kind != noKey {
		return key, err
	}
	if !a.hasAddr {
		a.hasAddr = true
		if a.addr, a.addrErr = a.s.proxies.client(a.r); a.addrErr == nil {
			a.addr = unmapped(a.addr)
		}
	}
	if a.addrErr != nil {
		return Key{}, a.addrErr
	}
	if a.addr.Is4() {
		return cutKey(a.addr, p.IPv4Bits+96), nil
	}
	return cutKey(a.addr, p.IPv6Bits), nil
}

func (a *asked) costOf(p *policy) int64 {
	switch {
	case p.Cost != nil:
		return p.Cost(a.r)
	case a.s.cfg.Cost == nil:
		return 1
	}
	if !a.hasCost {
		a.hasCost, a.cost = true, a.s.cfg.Cost(a.r)
	}
	return a.cost
}
