package throttle

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// A Remote keeps the buckets of many processes: package redisthrottle is one. It is a round trip
// and no more; budget, breaker, leases and fallback are the Limiter's, for every Remote.
type Remote interface {
	// Take decides all ops, all or nothing, by the store's clock, and fills in their answers. It
	// returns when ctx ends, and never retries an op whose fate is unknown. Ops of different keys
	// may be decided apart if what was taken goes back.
	//
	// An error means that nothing can be said of any op. It may be called by many goroutines at
	// once, with at most 8 ops each; what it keeps of ops after it returned it must not write to.
	Take(ctx context.Context, ops []Op) error
}

// An Op is what a decision asks of one bucket. Buckets start full.
type Op struct {
	Policy string
	Key    Key
	Rate   Rate
	Burst  int64

	// Back is given back first, whatever comes of the rest, and never above Burst. Cost is needed;
	// 0 is always there. Ahead is wanted on top, and granted as far as it goes into a quarter of
	// what then remains.
	Back, Cost, Ahead int64

	Soft  bool // takes if all others have room and it has too, vetoes nothing (Shadow)
	Force bool // takes below zero, as far as -Burst, and vetoes nothing (Settle)

	// Granted is 0, or Cost plus what was granted ahead; of a forced op what could be taken.
	// Remaining is the whole tokens left then.
	Granted, Remaining int64

	// RetryAfter is the time until Cost is there; 0 where it was. ResetAfter is the time until the
	// bucket is full.
	RetryAfter, ResetAfter time.Duration
}

const (
	defaultBudget = 25 * time.Millisecond
	maxBudget     = 10 * time.Second
	defaultLease  = 100 * time.Millisecond
	maxLease      = time.Second
	maxNodes      = 1 << 16
	maxShield     = time.Second

	// downFor is when a call comes back that was refused because the Remote is down: when it will
	// be up nobody knows.
	downFor = time.Second
)

// source says where a decision with a Remote came from.
type source uint8

const (
	byNobody   source = iota // it costs nothing
	byStore                  // a trip
	byLease                  // tokens held ahead
	byShield                 // nothing was left, a moment ago
	byBusy                   // OnDown, for maxTrips are under way
	byFallback               // OnDown
)

// decidedBy are the values of Stats.Remote.
var decidedBy = [...]string{byStore: "store", byLease: "lease", byShield: "shield", byBusy: "busy", byFallback: "fallback"}

// trip asks the Remote, within Budget. Whoever calls it has entered the breaker. A caller who leaves
// does not end it: that would look like an outage, and OnDown would admit whoever hangs up in time.
func (l *core) trip(ctx context.Context, s *state, ops []Op) error {
	defer l.breaker.leave()
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Budget)
	defer cancel()
	closings := l.breaker.closings.Load()
	start := l.clock.now()
	err := s.cfg.Remote.Take(limited, ops)
	l.tripTimes.Observe(time.Duration(l.clock.now() - start))
	// An answer counts however late it is: tokens were taken.
	if err == nil {
		err = checkAnswers(ops)
	}
	result := &l.counters.Here().trips
	if err == nil {
		result[0].Add(1)
	} else {
		result[1].Add(1)
	}
	if opened := l.breaker.note(err, closings, l.clock.now()); opened {
		s.logger().Warn("throttle: Remote lost", slog.String("on_down", s.cfg.OnDown), slog.Any("error", err))
	}
	return err
}

var errAnswer = errors.New("throttle: the Remote's answer makes no sense")

// checkAnswers refuses what would mint tokens or go into negative times.
func checkAnswers(ops []Op) error {
	for i := range ops {
		op := &ops[i]
		if op.Granted < 0 || op.Granted > op.Cost+op.Ahead || op.Remaining < 0 || op.Remaining > op.Burst || op.RetryAfter < 0 || op.ResetAfter < 0 {
			return errAnswer
		}
	}
	return nil
}

// probe asks, behind every request, whether the Remote is back. It may take longer than a decision, but
// what takes longer is not back. It writes, for a store may be one that can only be read: it gives a
// token back and takes it again, which no bucket refuses. Who calls it has entered the breaker: one that
// hangs is one of maxTrips.
func (l *core) probe(s *state, patience time.Duration) {
	defer l.breaker.leave()
	p := s.policies[0]
	ops := []Op{{Policy: p.Name, Key: KeyOf("hotpath", "probe"), Rate: p.Rate, Burst: p.Burst, Back: 1, Cost: 1}}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	start := l.clock.now()
	err := s.cfg.Remote.Take(ctx, ops)
	now := l.clock.now()
	if err == nil {
		err = checkAnswers(ops)
	}
	if err == nil && time.Duration(now-start) > s.cfg.Budget {
		err = context.DeadlineExceeded
	}
	if l.breaker.probed(err, now) {
		s.logger().Info("throttle: Remote is back")
	}
}

func (s *state) logger() *slog.Logger {
	if s.cfg.Logger != nil {
		return s.cfg.Logger
	}
	return slog.Default()
}

// op is what p asks of the Remote for key.
func (p *policy) op(key Key) Op {
	return Op{Policy: p.Name, Key: key, Rate: p.Rate, Burst: p.Burst}
}

// owes is what a bucket owes that an op found, in units, after it. It is made from both answers:
// a time that was rounded up says one token too few.
func (l *law) owes(op *Op) uint64 {
	owes := 2 * l.tau
	if op.ResetAfter < l.duration(owes) {
		owes = l.span(op.ResetAfter)
	}
	if left := min(op.Remaining, l.burst); left > 0 {
		owes = min(owes, uint64(l.burst-left)*l.token)
	}
	return owes
}
