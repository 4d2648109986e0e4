package throttle

import (
	"sync/atomic"

	"github.com/hotpath-go/hotpath/internal/stat"
)

// Stats is a snapshot of what a Limiter has decided since it was made. The keys of its maps are
// names of policies, but for Requests, Remote (store, lease, shield, busy, fallback) and Trips (ok,
// error).
type Stats struct {
	Requests     map[string]uint64 `metric:"hotpath_throttle_requests_total" label:"outcome" help:"Requests and calls decided, by outcome."`
	Denied       map[string]uint64 `metric:"hotpath_throttle_denied_total" label:"policy" help:"Refusals, by policy; every violated one counts."`
	ShadowDenied map[string]uint64 `metric:"hotpath_throttle_shadow_denied_total" label:"policy" help:"What shadow policies would have refused."`
	Forgotten    map[string]uint64 `metric:"hotpath_throttle_forgotten_total" label:"policy" help:"Records with debt that were dropped for want of room: raise Capacity."`
	Uncollected  map[string]uint64 `metric:"hotpath_throttle_uncollected_tokens_total" label:"policy" help:"Settled tokens beyond what a bucket can owe."`
	Keys         map[string]int64  `metric:"hotpath_throttle_keys" label:"policy" help:"Keys with debt, estimated from 256 sets."`
	Capacity     map[string]int64  `metric:"hotpath_throttle_keys_capacity" label:"policy" help:"Keys with debt that are kept without loss."`
	Waiting      int64             `metric:"hotpath_throttle_waiting" help:"Requests and calls of Wait that wait now."`
	WaitSeconds  stat.Histogram    `metric:"hotpath_throttle_wait_seconds" help:"How long they waited."`
	Remote       map[string]uint64 `metric:"hotpath_throttle_remote_decisions_total" label:"by" help:"Decisions with a Remote, by what made them."`
	Trips        map[string]uint64 `metric:"hotpath_throttle_remote_trips_total" label:"result" help:"Round trips to the Remote, by result."`
	TripSeconds  stat.Histogram    `metric:"hotpath_throttle_remote_trip_seconds" help:"How long they took."`
	RemoteUp     bool              `metric:"hotpath_throttle_remote_up" help:"Whether the Remote is asked: it answers, or there is none."`
}

// outcomes are the values of Requests: allowed, denied (429), full and down (503), unkeyed (403),
// invalid (500), exempt.
var outcomes = [...]string{
	passes:  "allowed",
	over:    "denied",
	full:    "full",
	unkeyed: "unkeyed",
	invalid: "invalid",
	exempt:  "exempt",
	down:    "down",
}

var tripResults = [...]string{"ok", "error"}

type counters struct {
	outcome [waived]atomic.Uint64         // by ruling
	remote  [byFallback + 1]atomic.Uint64 // by source
	trips   [2]atomic.Uint64              // ok, error
}

type policyCounters struct {
	denied, shadowDenied, forgotten, uncollected atomic.Uint64
}

// Stats returns the counters. It looks at a few thousand slots per policy, and may be called
// at any rate that a person or a scraper has.
func (l *Limiter) Stats() Stats {
	s := l.state.Load()
	n := len(s.policies)
	out := Stats{
		Requests:     make(map[string]uint64, len(outcomes)),
		Denied:       make(map[string]uint64, n),
		ShadowDenied: make(map[string]uint64, n),
		Forgotten:    make(map[string]uint64, n),
		Uncollected:  make(map[string]uint64, n),
		Keys:         make(map[string]int64, n),
		Capacity:     make(map[string]int64, n),
		Waiting:      l.waiting.Load(),
		WaitSeconds:  l.waits.Read(),
		Remote:       make(map[string]uint64, len(decidedBy)),
		Trips:        make(map[string]uint64, len(tripResults)),
		TripSeconds:  l.tripTimes.Read(),
		RemoteUp:     s.cfg.Remote == nil || !l.breaker.open.Load(),
	}
	for c := range l.counters.Each() {
		for rule, name := range outcomes {
			if name != "" {
				out.Requests[name] += c.outcome[rule].Load()
			}
		}
		for by, name := range decidedBy {
			if name != "" {
				out.Remote[name] += c.remote[by].Load()
			}
		}
		for result, name := range tripResults {
			out.Trips[name] += c.trips[result].Load()
		}
	}
	for _, p := range s.policies {
		for c := range p.counts.Each() {
			out.Denied[p.Name] += c.denied.Load()
			out.ShadowDenied[p.Name] += c.shadowDenied.Load()
			out.Forgotten[p.Name] += c.forgotten.Load()
			out.Uncollected[p.Name] += c.uncollected.Load()
		}
		b := p.here()
		out.Keys[p.Name] = b.table.live(l.clock.units(&b.law))
		out.Capacity[p.Name] = int64(s.cfg.Capacity)
	}
	return out
}
