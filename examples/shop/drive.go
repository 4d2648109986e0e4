package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hotpath-go/hotpath/examples/internal/load"
)

const (
	saturating  = 16 // clients of the closed loop
	rest        = 200 * time.Millisecond
	defaultRate = 150   // actions a second, where Before is not there to say
	ownShare    = 0.70  // of its own capacity Before is offered
	tenfold     = 10.0  // the others are offered so much more
	maxRate     = 5_000 // actions a second that are offered at most
)

// A side is one shop that takes part in the measurement.
type side struct {
	*Child
	actions *Workload
	docs    *Documents
	probe   *Probe
	rate    float64
	report  *VariantReport
	opens   []*load.Result
}

// next returns the side's next action for the load generator.
func (s *side) next(i int) load.Action {
	a := s.actions.Next()
	addr := s.at(uint64(i))
	wanted := a.via(s.Home)
	bytes := make([][]byte, len(wanted))
	for i, r := range wanted {
		bytes[i] = r.bytes(addr, a.Consumer)
	}
	return load.Action{Kind: string(a.Kind), Consumer: a.Consumer, Do: func(ctx context.Context, c *load.Client) error {
		for i, r := range wanted {
			if err := c.Do(ctx, addr, bytes[i], func(got load.Answer) error { return s.docs.Check(r, got) }); err != nil {
				return err
			}
		}
		return nil
	}}
}

// A drive is one run of the demonstration.
type drive struct {
	o        Options
	cores    Cores
	progress *Progress
	report   *Report
	seeded   string
}

// sides starts the shops that are measured, on fresh data.
func (d *drive) sides(ctx context.Context, names []string) (all []*side, stop func(), err error) {
	stop = func() {
		for _, s := range all {
			s.probe.Close()
			s.Close()
		}
	}
	for _, name := range names {
		c, err := startChild(ctx, d.o, d.cores, d.seeded, name)
		if err != nil {
			stop()
			return nil, nil, err
		}
		all = append(all, &side{
			Child: c, actions: NewWorkload(d.o.products, d.o.seed+1), docs: NewDocuments(d.o.products),
			probe: NewProbe(ctx, c.Target, d.o.products), report: &VariantReport{Name: name},
		})
	}
	return all, stop, nil
}

// warmUp is by count, not by time, and ends with a rest: no backlog leaks into what follows.
func (d *drive) warmUp(ctx context.Context, all []*side) error {
	for _, s := range all {
		n := warmUpActions(s.Name)
		if d.o.warm > 0 {
			n = min(n, d.o.warm)
		}
		if _, err := load.Closed(ctx, saturating, n, s.next); err != nil {
			return err
		}
		if err := pause(ctx, rest); err != nil {
			return err
		}
	}
	return nil
}

// warmUpActions bring a variant to its pace.
func warmUpActions(name string) int {
	switch name {
	case "before":
		return 30
	case "tuned":
		return 500
	}
	return 10_000
}

// offer sets the rates of the open loop. Before cannot carry the load of the others: it gets
// 70 % of its own capacity and they ten times more, which flatters it.
func (d *drive) offer(ctx context.Context, all []*side) error {
	rate := d.o.rate
	for _, s := range all {
		if s.Name != "before" {
			continue
		}
		if rate > 0 {
			s.rate = rate / tenfold
			continue
		}
		within, cancel := context.WithTimeout(ctx, d.o.length/2)
		r, err := load.Closed(within, saturating, 0, s.next)
		cancel()
		if err != nil {
			return err
		}
		capacity := math.Max(float64(r.Done())/r.Took.Seconds(), 1)
		s.rate = math.Round(10*ownShare*capacity) / 10
		rate = math.Min(math.Round(tenfold*s.rate), maxRate)
		if err := pause(ctx, rest); err != nil {
			return err
		}
	}
	if rate == 0 {
		rate = defaultRate
	}
	for _, s := range all {
		if s.rate == 0 {
			s.rate = rate
		}
	}
	return nil
}

// rounds measures every side in turn, again and again: a machine that changes its pace changes
// it for all.
func (d *drive) rounds(ctx context.Context, all []*side) error {
	for round := range d.o.rounds {
		for _, s := range all {
			d.progress.Next("round %d of %d: %s, %.4g actions/s", round+1, d.o.rounds, s.Name, s.rate)
			open, result, err := d.phase(ctx, s, 2*round, func(ctx context.Context) (*load.Result, error) {
				return load.Open(ctx, load.Plan{Rate: s.rate, For: d.o.length, Seed: d.o.seed + uint64(round)}, s.next)
			})
			if err != nil {
				return err
			}
			s.opens = append(s.opens, result)
			saturated, _, err := d.phase(ctx, s, 2*round+1, func(ctx context.Context) (*load.Result, error) {
				ctx, cancel := context.WithTimeout(ctx, d.o.length/2)
				defer cancel()
				return load.Closed(ctx, saturating, 0, s.next)
			})
			if err != nil {
				return err
			}
			s.report.Rounds = append(s.report.Rounds, RoundReport{open, saturated})
			d.progress.Done(fmt.Sprintf("%s ms p50, %s actions/s", millis(open.Kinds[allKinds].P50), group(saturated.Throughput)))
		}
	}
	for _, s := range all {
		s.report.finish(s.opens)
		d.report.Variants = append(d.report.Variants, *s.report)
	}
	return nil
}

// phase measures one load on one side, with the probe beside it, and rests. Every side begins the
// phase of a number with the same actions, however many it got through in those before.
func (d *drive) phase(ctx context.Context, s *side, number int, run func(ctx context.Context) (*load.Result, error)) (PhaseReport, *load.Result, error) {
	before, err := s.ask(ctx, "counters")
	if err != nil {
		return PhaseReport{}, nil, err
	}
	s.actions = NewWorkload(d.o.products, d.o.seed+2+uint64(number)) // the warm-up had d.o.seed+1
	wasProbed := s.probe.counts()
	stop := s.probe.Watch(ctx)
	r, err := run(ctx)
	seen, actions, probeErr := stop()
	if err = errors.Join(err, ctx.Err()); err != nil {
		return PhaseReport{}, nil, err
	}
	if probeErr != nil {
		return PhaseReport{}, nil, fmt.Errorf("%s: while looking for old prices: %w", s.Name, probeErr)
	}
	after, err := s.ask(ctx, "counters")
	if err != nil {
		return PhaseReport{}, nil, err
	}
	nowProbed := s.probe.counts()
	d.report.Checks.Stale.add(seen)
	p := newPhase(r, before, after, actions)
	p.Unexplained = after.Requests - before.Requests - r.Requests - (nowProbed - wasProbed)
	p.GeneratorShare = r.CPU.Seconds() / r.Took.Seconds() / float64(max(len(d.cores.Generator), 1))
	s.report.Layers = after.Layers
	return p, r, pause(ctx, rest)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
