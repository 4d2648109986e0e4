//go:build !race

package bulkhead_test

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool/bulkhead"
)

// The overload scenarios run in virtual time, on the one default configuration: Limit is the
// number of servers and Patience that of the clients. Each is judged against a twin, the same
// seed through a plain gate of exactly that many slots.

// A setting is a service and its clients.
type setting struct {
	servers  int
	service  time.Duration // mean; exponential, cut at 8 x
	patience time.Duration
	seed     uint64
}

// written gate; drawn are reported.
var written = []setting{
	{3, 30 * time.Millisecond, 180 * time.Millisecond, 1},
	{4, 10 * time.Millisecond, 100 * time.Millisecond, 2},
	{8, 50 * time.Millisecond, 500 * time.Millisecond, 3},
	{16, 20 * time.Millisecond, 400 * time.Millisecond, 4},
	{32, 40 * time.Millisecond, time.Second, 5},
}

const drawnFrom = 20261

func drawn() (all []setting) {
	r := rand.New(rand.NewPCG(drawnFrom, 0))
	for i := range 5 {
		service := time.Duration(5+r.IntN(46)) * time.Millisecond
		all = append(all, setting{2 + r.IntN(63), service, time.Duration(6+r.IntN(20)) * service, uint64(100 + i)})
	}
	return all
}

// A call is one request of a scenario.
type call struct {
	at, service time.Duration
	class       bulkhead.Class
}

type outcome struct {
	call
	served bool
	late   bool
	wait   time.Duration
}

// load draws the calls of a Poisson stream at factor x capacity.
func (s setting) load(r *rand.Rand, factor func(at time.Duration) float64, lasting time.Duration, class func(*rand.Rand) bulkhead.Class) (calls []call) {
	for at := time.Duration(0); at < lasting; {
		rate := factor(at) * float64(s.servers) / s.service.Seconds()
		at += time.Duration(r.ExpFloat64() / rate * 1e9)
		took := time.Duration(min(8, r.ExpFloat64()) * float64(s.service))
		c := bulkhead.Class{}
		if class != nil {
			c = class(r)
		}
		calls = append(calls, call{at, took, c})
	}
	return calls
}

type gate interface {
	Acquire(ctx context.Context, c bulkhead.Class) (func(), error)
}

// run sends the calls through g. silent clients do not leave: their context has no end.
func (s setting) run(g gate, calls []call, silent bool) (all []outcome, most int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	inFlight := 0
	began := time.Now()
	for _, c := range calls {
		time.Sleep(time.Until(began.Add(c.at)))
		wg.Go(func() {
			ctx, cancel := context.Background(), func() {}
			if !silent {
				ctx, cancel = context.WithTimeout(ctx, s.patience)
			}
			defer cancel()
			came := time.Now()
			o := outcome{call: c}
			release, err := g.Acquire(ctx, c.class)
			o.wait = time.Since(came)
			if err == nil {
				mu.Lock()
				inFlight++
				most = max(most, inFlight)
				mu.Unlock()
				time.Sleep(c.service)
				mu.Lock()
				inFlight--
				mu.Unlock()
				release()
				o.served = true
				o.late = time.Since(came) > s.patience
			}
			mu.Lock()
			if c.at >= warm {
				all = append(all, o)
			}
			mu.Unlock()
		})
	}
	wg.Wait()
	return all, most
}

// plain is the twin: a fixed number of slots, newest first, each dropped at its slack.
type plain struct {
	mu    sync.Mutex
	free  int
	slack time.Duration
	stack []chan struct{}
}

func (p *plain) Acquire(ctx context.Context, _ bulkhead.Class) (func(), error) {
	p.mu.Lock()
	if p.free > 0 {
		p.free--
		p.mu.Unlock()
		return p.release, nil
	}
	called := make(chan struct{}, 1)
	p.stack = append(p.stack, called)
	p.mu.Unlock()
	select {
	case <-called:
		return p.release, nil
	case <-ctx.Done():
	case <-time.After(p.slack):
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.stack, called); i >= 0 {
		p.stack = slices.Delete(p.stack, i, i+1)
		return nil, bulkhead.ErrFull
	}
	return p.release, nil
}

func (p *plain) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.stack); n > 0 {
		p.stack[n-1] <- struct{}{}
		p.stack = p.stack[:n-1]
		return
	}
	p.free++
}

// goodput is the work served in time, in seconds of service.
func goodput(all []outcome, which func(outcome) bool) (sum float64) {
	for _, o := range all {
		if o.served && !o.late && (which == nil || which(o)) {
			sum += o.service.Seconds()
		}
	}
	return sum
}

// share of the calls that were served in time, and of those that nobody could serve in time.
func shareServed(all []outcome, patience time.Duration, which func(outcome) bool) (served, tail float64) {
	n := 0.0
	for _, o := range all {
		if !which(o) {
			continue
		}
		n++
		if o.served && !o.late {
			served++
		}
		if o.service > patience {
			tail++
		}
	}
	return served / n, tail / n
}

// noise is what 15 s of exponential service times and the queues' seed make of a figure.
const noise = 0.02

// short are scenarios that fall short of what is asked, with 3 servers and a patience of 6
// services, and by how much at most: there is a slot every 10 ms and room for 12 turns.
var short = map[string]float64{"priorities": 0.1, "hog": 0.08}

func always(f float64) func(time.Duration) float64 { return func(time.Duration) float64 { return f } }

const (
	lasting = 20 * time.Second
	warm    = 5 * time.Second // the limit starts at 16 and is learnt; what is judged begins after it
)

func TestOverload(t *testing.T) {
	type result struct {
		figure, must float64
		what         string
	}
	newGates := func(s setting) (*bulkhead.Bulkhead, *plain) {
		b, _ := bulkhead.New(bulkhead.Config{Limit: s.servers, Patience: s.patience})
		return b, &plain{free: s.servers, slack: max(s.patience-2*s.service, s.patience/2)}
	}
	againstTwin := func(s setting, r *rand.Rand, must float64, silent bool, factor func(time.Duration) float64) []result {
		calls := s.load(r, factor, lasting, nil)
		b, twin := newGates(s)
		all, most := s.run(b, calls, silent)
		alike, _ := s.run(twin, calls, silent)
		out := []result{{goodput(all, nil) / goodput(alike, nil), must, "of the twin's goodput"}}
		if most > s.servers {
			out = append(out, result{0, 1, "in flight beyond Limit"})
		}
		return out
	}
	for name, scenario := range map[string]func(s setting, r *rand.Rand) []result{
		"calm": func(s setting, r *rand.Rand) []result {
			return againstTwin(s, r, 0.98, false, always(0.3+0.3*r.Float64()))
		},
		"busy": func(s setting, r *rand.Rand) []result {
			return againstTwin(s, r, 0.98, false, always(0.85+0.07*r.Float64()))
		},
		"overload, clients leave": func(s setting, r *rand.Rand) []result {
			return againstTwin(s, r, 0.97, false, always(1.5+1.5*r.Float64()))
		},
		"overload, silent": func(s setting, r *rand.Rand) []result {
			return againstTwin(s, r, 0.97, true, always(1.5+1.5*r.Float64()))
		},
		"flood": func(s setting, r *rand.Rand) []result {
			return againstTwin(s, r, 0.96, true, always(6+6*r.Float64()))
		},
		"bursts": func(s setting, r *rand.Rand) []result {
			high, low := 3+3*r.Float64(), 0.2+0.2*r.Float64()
			burst := time.Duration((0.5 + 1.5*r.Float64()) * float64(s.patience))
			return againstTwin(s, r, 0.97, true, func(at time.Duration) float64 {
				if at%(8*burst) < burst {
					return high
				}
				return low
			})
		},
		"priorities": func(s setting, r *rand.Rand) []result {
			load := 1.5 + 1.5*r.Float64()
			b, _ := newGates(s)
			calls := s.load(r, always(load), lasting, func(r *rand.Rand) bulkhead.Class {
				switch u := r.Float64() * load; {
				case u < 0.2:
					return bulkhead.Class{Priority: 1}
				case u < 0.75:
					return bulkhead.Class{}
				}
				return bulkhead.Class{Priority: -1}
			})
			all, _ := s.run(b, calls, true)
			of := func(p int) func(outcome) bool { return func(o outcome) bool { return o.class.Priority == p } }
			urgent, tail := shareServed(all, s.patience, of(1))
			normal, _ := shareServed(all, s.patience, of(0))
			return []result{{urgent, 0.998 - tail, "of urgent served"}, {normal, 0.97, "of normal served"}, {goodput(all, nil) / (lasting - warm).Seconds() / float64(s.servers), 0.96, "of capacity"}}
		},
		"hog": func(s setting, r *rand.Rand) []result {
			load, small := 2+3*r.Float64(), 6+r.IntN(10)
			b, _ := newGates(s)
			calls := s.load(r, always(load+0.45), lasting, func(r *rand.Rand) bulkhead.Class {
				if r.Float64()*(load+0.45) < load {
					return bulkhead.Class{Tenant: "hog"}
				}
				return bulkhead.Class{Tenant: string(rune('a' + r.IntN(small)))}
			})
			all, _ := s.run(b, calls, true)
			served, tail := shareServed(all, s.patience, func(o outcome) bool { return o.class.Tenant != "hog" })
			return []result{{served, 0.99 - tail, "of small tenants served"}, {goodput(all, nil) / (lasting - warm).Seconds() / float64(s.servers), 0.96, "of capacity"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i, s := range append(slices.Clone(written), drawn()...) {
				synctest.Test(t, func(t *testing.T) {
					r := rand.New(rand.NewPCG(s.seed, uint64(len(name))))
					for _, got := range scenario(s, r) {
						switch {
						case got.figure >= got.must:
						case i < len(written) && got.figure < got.must-cmp.Or(short[name], noise):
							t.Errorf("%+v: %.3f %s, must %.3f", s, got.figure, got.what, got.must)
						default:
							t.Logf("settings drawn from %d: %+v: %.3f %s, below %.3f", drawnFrom, s, got.figure, got.what, got.must)
						}
					}
				})
			}
		})
	}
}
