package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A Plan says what [Open] sends.
type Plan struct {
	Rate        float64       // actions a second; must be above 0
	For         time.Duration // how long actions become due; must be above 0
	Seed        uint64        // of the moments
	MaxInFlight int           // what is due beyond that is not sent, which is a failure; 0: 2,000
	Timeout     time.Duration // of one action, all its requests together; 0: 10 s
}

const (
	defaultMaxInFlight = 2_000
	defaultTimeout     = 10 * time.Second

	attention = 100 * time.Millisecond // how long the pacing thread may miss that ctx has ended
)

// An Action is what one user does at a time.
type Action struct {
	Kind     string // samples are kept apart by it
	Consumer string // who does it; for the caller's own use
	// Do does it. Any error makes it a failure; [Fail] gives the cause a name.
	Do func(context.Context, *Client) error
}

// environment is what tests replace: connections in memory, and a clock that is not real.
type environment struct {
	dial  func(ctx context.Context, addr string) (net.Conn, error)
	sleep func(until time.Time)
}

func realEnvironment() environment {
	var d net.Dialer
	return environment{
		dial:  func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) },
		sleep: sleepUntil,
	}
}

// Open starts actions at the moments of a Poisson process, whatever became of those before.
// A latency counts from the moment that an action was due. Open returns when all have ended;
// its error joins everything that is wrong with p, or is that of a ctx which was cancelled.
func Open(ctx context.Context, p Plan, next func(i int) Action) (*Result, error) {
	return open(ctx, realEnvironment(), p, next)
}

func open(ctx context.Context, env environment, p Plan, next func(i int) Action) (*Result, error) {
	p, err := p.withDefaults()
	if err != nil {
		return nil, err
	}
	r := newRun(ctx, env, p.Timeout)
	defer r.end()
	// The pacing thread sleeps in the system: nothing else may run on it meanwhile.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	var flying atomic.Int64
	moments := newSchedule(p.Rate, p.Seed)
	due := moments.next()
	for i := 0; due < p.For && ctx.Err() == nil; i++ {
		a := next(i) // made before its moment, not in it
		intended := r.start.Add(due)
		for time.Until(intended) > attention && ctx.Err() == nil {
			env.sleep(time.Now().Add(attention))
		}
		if ctx.Err() != nil {
			break
		}
		env.sleep(intended)
		if flying.Load() >= int64(p.MaxInFlight) {
			r.failed(a, Fail(NotSent, fmt.Errorf("%d actions are in flight", p.MaxInFlight)))
		} else {
			flying.Add(1)
			r.wg.Go(func() {
				defer flying.Add(-1)
				r.act(ctx, a, intended)
			})
		}
		due = moments.next()
	}
	r.wg.Wait()
	return r.finish(ctx, p.Rate)
}

func (p Plan) withDefaults() (Plan, error) {
	var problems []error
	bad := func(field string, value any, rule string) {
		problems = append(problems, fmt.Errorf("load: %s is %v: %s", field, value, rule))
	}
	if !(p.Rate > 0) || math.IsInf(p.Rate, 0) {
		bad("Rate", p.Rate, "must be above 0 and finite")
	}
	if p.For <= 0 {
		bad("For", p.For, "must be above 0")
	}
	if p.MaxInFlight < 0 {
		bad("MaxInFlight", p.MaxInFlight, "must not be negative (0 means 2000)")
	}
	if p.Timeout < 0 {
		bad("Timeout", p.Timeout, "must not be negative (0 means 10s)")
	}
	if p.MaxInFlight == 0 {
		p.MaxInFlight = defaultMaxInFlight
	}
	if p.Timeout == 0 {
		p.Timeout = defaultTimeout
	}
	return p, errors.Join(problems...)
}

// Closed lets clients do one action after the other until so many have been started; 0: no
// bound. At the deadline of ctx no more are started and those under way are finished; if ctx is
// cancelled they are cut, and its error is returned. A latency counts from an action's start.
func Closed(ctx context.Context, clients, actions int, next func(i int) Action) (*Result, error) {
	return closed(ctx, realEnvironment(), clients, actions, next)
}

func closed(ctx context.Context, env environment, clients, actions int, next func(i int) Action) (*Result, error) {
	var problems []error
	if clients < 1 {
		problems = append(problems, fmt.Errorf("load: clients is %d: must be at least 1", clients))
	}
	if _, ends := ctx.Deadline(); actions < 0 || actions == 0 && !ends {
		problems = append(problems, fmt.Errorf("load: actions is %d: must be above 0, or 0 with a deadline in ctx", actions))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	r := newRun(ctx, env, defaultTimeout)
	defer r.end()
	var mu sync.Mutex // next is called by one at a time, in order
	taken := 0
	take := func() (a Action, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if actions > 0 && taken >= actions || ctx.Err() != nil {
			return a, false
		}
		taken++
		return next(taken - 1), true
	}
	for range clients {
		r.wg.Go(func() {
			for a, ok := take(); ok; a, ok = take() {
				r.act(ctx, a, time.Now())
			}
		})
	}
	r.wg.Wait()
	return r.finish(ctx, 0)
}

// A run is one Open or Closed under way.
type run struct {
	client  *Client
	timeout time.Duration
	start   time.Time
	cpu     time.Duration // of the process at start
	stop    func() bool   // ends the watch over ctx
	wg      sync.WaitGroup
	mu      sync.Mutex
	result  *Result
}

func newRun(ctx context.Context, env environment, timeout time.Duration) *run {
	r := &run{client: newClient(env.dial), timeout: timeout, result: newResult(), cpu: cpuTime(), start: time.Now()}
	// A deadline ends the starting only; somebody who cancels wants it to end.
	r.stop = context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			r.client.Close()
		}
	})
	return r
}

func (r *run) end() {
	r.stop()
	r.client.Close()
}

// act does an action that was due at the intended moment.
func (r *run) act(ctx context.Context, a Action, intended time.Time) {
	lag := max(time.Since(intended), 0)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timeout)
	defer cancel()
	err := a.Do(ctx, r.client)
	took := time.Since(intended)

	r.mu.Lock()
	r.result.lags = append(r.result.lags, lag)
	if err == nil {
		r.result.samples[a.Kind] = append(r.result.samples[a.Kind], took)
	}
	r.mu.Unlock()
	if err != nil {
		r.failed(a, err)
	}
}

func (r *run) failed(a Action, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Failures[CauseOf(err)]++
	if r.result.FirstErr == nil {
		r.result.FirstErr = fmt.Errorf("%s: %w", a.Kind, err)
	}
}

func (r *run) finish(ctx context.Context, rate float64) (*Result, error) {
	if err := ctx.Err(); errors.Is(err, context.Canceled) {
		return nil, err
	}
	res := r.result
	res.Offered, res.Took, res.CPU = rate, time.Since(r.start), cpuTime()-r.cpu
	res.Requests, res.In, res.Out = r.client.Counts()
	res.sort()
	return res, nil
}

// A schedule is the moments of a Poisson process, drawn one by one.
type schedule struct {
	rate float64
	rng  *rand.Rand
	at   float64 // seconds
}

func newSchedule(rate float64, seed uint64) *schedule {
	return &schedule{rate: rate, rng: rand.New(rand.NewPCG(seed, 0x10ad))}
}

// next returns how long after the start the next action is due.
func (s *schedule) next() time.Duration {
	s.at += s.rng.ExpFloat64() / s.rate
	return time.Duration(min(s.at, 1e9) * float64(time.Second))
}
