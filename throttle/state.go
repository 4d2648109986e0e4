package throttle

import (
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/hotpath-go/hotpath/internal/problem"
	"github.com/hotpath-go/hotpath/internal/stat"
)

// A state is what a Config comes to: complete, checked and never changed.
type state struct {
	cfg      Config // with defaults
	given    Config // as given
	proxies  proxies
	policies []*policy
	everyone *plan            // the policies of no tier
	tiers    map[string]*plan // those and a tier's
	headers  headers
}

// A plan is the policies that apply together: the enforced ones in their order, then the
// shadows, which see only what those admit.
type plan struct {
	policies []*policy
	only     *policy // of one policy without a Remote: that
	enforced int     // how many of them
	limits   string  // the value of RateLimit-Policy
}

// A policy is a Policy with its table.
type policy struct {
	Policy
	law    law
	table  *table // nil: a Remote keeps the buckets
	counts *stat.Striped[policyCounters]

	local  *policy // with a Remote: its twin, the share of this process while that is down
	leases *table  // with a Remote: what is held ahead of it

	name    string          // as a structured field's String
	limit   string          // its member of RateLimit-Policy
	refused problem.Problem // of the limit, if it is the only one violated
}

// newState makes the state of a Config; policies of before whose limits have not changed keep
// their tables.
func newState(given, cfg Config, before *state) *state {
	s := &state{cfg: cfg, given: given, proxies: newProxies(cfg), tiers: map[string]*plan{}}
	s.given.Policies = slices.Clone(given.Policies)
	s.given.TrustedProxies = slices.Clone(given.TrustedProxies)
	s.headers = headers(slices.Index(headerWords[:], cfg.Headers))
	for _, p := range cfg.Policies {
		s.policies = append(s.policies, s.newPolicy(p, before))
	}
	s.everyone = s.newPlan("")
	for _, p := range s.policies {
		if p.Tier != "" && s.tiers[p.Tier] == nil {
			s.tiers[p.Tier] = s.newPlan(p.Tier)
		}
	}
	return s
}

func (s *state) newPolicy(given Policy, before *state) *policy {
	p := &policy{Policy: given, law: newLaw(given.Rate, given.Burst)}
	old := before.policy(given.Name)
	if s.cfg.Remote == nil {
		p.table = s.newTable(p.law, old, before)
	} else {
		twin := &policy{Policy: s.cfg.local(given)}
		twin.law = newLaw(twin.Rate, twin.Burst)
		twin.table = s.newTable(twin.law, old, before)
		p.local = twin
		if p.leases = newLeases(s.cfg.Capacity); old != nil && old.leases != nil && old.law == p.law &&
			before.cfg.Capacity == s.cfg.Capacity && before.cfg.Lease == s.cfg.Lease && sameRemote(before.cfg.Remote, s.cfg.Remote) {
			p.leases = old.leases
		}
	}
	if old != nil {
		p.counts = old.counts
	} else {
		p.counts = new(stat.Striped[policyCounters])
	}
	p.name = quoted(given.Name)
	p.limit = p.name + ";q=" + strconv.FormatInt(given.Burst, 10)
	if window := p.law.duration(p.law.tau); window >= time.Second {
		p.limit += ";w=" + strconv.FormatInt(seconds(window), 10)
	}
	p.refused = quotaExceeded([]string{given.Name})
	if twin := p.local; twin != nil {
		twin.counts, twin.name, twin.limit, twin.refused = p.counts, p.name, p.limit, p.refused
	}
	return p
}

// sameRemote is a == b, false if they cannot be compared.
func sameRemote(a, b Remote) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// newTable returns a table for buckets of a law: that of the policy before, if it will do.
func (s *state) newTable(l law, old *policy, before *state) *table {
	keep := s.cfg.OnFull == "refuse"
	if old != nil && old.here().law == l && before.cfg.Capacity == s.cfg.Capacity && old.here().table.keep == keep {
		return old.here().table
	}
	return newTable(l, s.cfg.Capacity, keep)
}

// here is the policy whose buckets are in this process: p, or its twin.
func (p *policy) here() *policy {
	if p.local != nil {
		return p.local
	}
	return p
}

func (s *state) newPlan(tier string) *plan {
	pl := new(plan)
	for _, shadow := range [...]bool{false, true} {
		for _, p := range s.policies {
			if p.Shadow != shadow || p.Tier != "" && p.Tier != tier {
				continue
			}
			pl.policies = append(pl.policies, p)
			if shadow {
				continue
			}
			if pl.enforced++; pl.enforced > 1 {
				pl.limits += ", "
			}
			pl.limits += p.limit
		}
	}
	if len(pl.policies) == 1 && s.cfg.Remote == nil {
		pl.only = pl.policies[0]
	}
	return pl
}

// plan returns the policies for a tier; one that nobody has named gets those of none.
func (s *state) plan(tier string) *plan {
	if tier == "" || len(s.tiers) == 0 {
		return s.everyone
	}
	if pl := s.tiers[tier]; pl != nil {
		return pl
	}
	return s.everyone
}

// policy returns the one of that name, or nil.
func (s *state) policy(name string) *policy {
	if s == nil {
		return nil
	}
	for _, p := range s.policies {
		if p.Name == name {
			return p
		}
	}
	return nil
}
