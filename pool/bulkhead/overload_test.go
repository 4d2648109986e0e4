//go:build !race

package bulkhead_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	"github.com/hotpath-go/hotpath/pool/bulkhead"
)

// The overload scenarios run in virtual time, on the one default configuration: Limit is the
// number of servers and Patience that of the clients. This file is the world of the scenarios;
// what they are, and what must hold in them, is in scenarios_test.go.

// A setting is a service and its clients.
type setting struct {
	servers  int
	service  time.Duration // mean; exponential, cut at 8 x
	patience time.Duration
	seed     uint64
}

// written gate; drawn are reported.
var written = [...]setting{
	{3, 30 * time.Millisecond, 180 * time.Millisecond, 1},
	{4, 10 * time.Millisecond, 100 * time.Millisecond, 2},
	{8, 50 * time.Millisecond, 500 * time.Millisecond, 3},
	{16, 20 * time.Millisecond, 400 * time.Millisecond, 4},
	{32, 40 * time.Millisecond, time.Second, 5},
}

func drawn(from uint64) (all []setting) {
	r := rand.New(rand.NewPCG(from, 0))
	for range 5 {
		service := time.Duration(15+r.IntN(46)) * time.Millisecond
		all = append(all, setting{2 + r.IntN(63), service, time.Duration(6+r.IntN(20)) * service, r.Uint64()})
	}
	return all
}

// capacity is how many calls a second are as much as the service can do.
func (s setting) capacity() float64 { return float64(s.servers) / s.service.Seconds() }

// lasting is how long a run at load x capacity takes: some 25,000 calls, but long enough for the
// limit to do what it would.
func (s setting) lasting(load float64) time.Duration {
	return min(max(time.Duration(25_000/load/s.capacity())*time.Second, 10*time.Second), 3*time.Minute)
}

// A call is one request of a scenario.
type call struct {
	at, service time.Duration
	class       bulkhead.Class
	reads       time.Duration // so long it takes to read the answer
}

// An outcome is what became of one attempt of a call.
type outcome struct {
	call
	served, late bool
	wait, took   time.Duration
	inFlight     int
	err          error
}

func (o outcome) inTime() bool { return o.served && !o.late }

// load draws the calls of a Poisson stream at factor x capacity. more may be nil.
func (s setting) load(r *rand.Rand, factor func(at time.Duration) float64, lasting time.Duration, more func(*call)) (calls []call) {
	for at := time.Duration(0); ; {
		at += time.Duration(r.ExpFloat64() / (factor(at) * s.capacity()) * 1e9)
		if at >= lasting {
			return calls
		}
		c := call{at: at, service: time.Duration(min(8, r.ExpFloat64()) * float64(s.service))}
		if more != nil {
			more(&c)
		}
		calls = append(calls, c)
	}
}

func always(f float64) func(time.Duration) float64 { return func(time.Duration) float64 { return f } }

// A gate runs work, or says why not.
type gate func(ctx context.Context, c call, work func()) error

func (s setting) bulkhead(limit int) gate {
	b, err := bulkhead.New(bulkhead.Config{Limit: limit, Patience: s.patience})
	if err != nil {
		panic(err)
	}
	return func(ctx context.Context, c call, work func()) error {
		release, err := b.Acquire(ctx, c.class)
		if err == nil {
			work()
			release()
		}
		return err
	}
}

// A reader is a client that takes its time to read an answer, if it gets one.
type reader struct {
	*httptest.ResponseRecorder
	reads time.Duration
}

func (r reader) Write(p []byte) (int, error) {
	if r.Code == http.StatusOK {
		time.Sleep(r.reads)
	}
	return r.ResponseRecorder.Write(p)
}

type retryAfter string

func (retryAfter) Error() string { return "refused" }

// handler is the middleware as a gate, with clients that read slowly.
func (s setting) handler() gate {
	b, err := bulkhead.New(bulkhead.Config{Limit: s.servers, Patience: s.patience})
	if err != nil {
		panic(err)
	}
	type key struct{}
	h := b.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Context().Value(key{}).(func())()
		_, _ = w.Write([]byte("answer"))
	}))
	return func(ctx context.Context, c call, work func()) error {
		w := reader{httptest.NewRecorder(), c.reads}
		h.ServeHTTP(w, httptest.NewRequestWithContext(context.WithValue(ctx, key{}, work), "GET", "/", nil))
		switch w.Code {
		case http.StatusOK:
			return nil
		case http.StatusServiceUnavailable:
			return retryAfter(w.Header().Get("Retry-After"))
		}
		return errors.New(w.Result().Status)
	}
}

// plain is the twin: a gate of so many slots, newest first, each dropped at its slack. Priorities
// are strict.
type plain struct {
	mu     sync.Mutex
	free   int
	slack  time.Duration
	stacks [3][]chan struct{} // urgent, normal, low
}

func (s setting) twin() gate {
	p := &plain{free: s.servers, slack: max(s.patience-2*s.service, s.patience/2)}
	return func(ctx context.Context, c call, work func()) error {
		if err := p.enter(ctx, 1-c.class.Priority); err != nil {
			return err
		}
		work()
		p.leave()
		return nil
	}
}

func (p *plain) enter(ctx context.Context, priority int) error {
	p.mu.Lock()
	if p.free > 0 {
		p.free--
		p.mu.Unlock()
		return nil
	}
	called := make(chan struct{}, 1)
	stack := &p.stacks[priority]
	*stack = append(*stack, called)
	p.mu.Unlock()
	timer := time.NewTimer(p.slack)
	defer timer.Stop()
	select {
	case <-called:
		return nil
	case <-ctx.Done():
	case <-timer.C:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(*stack, called)
	if i < 0 {
		return nil
	}
	*stack = slices.Delete(*stack, i, i+1)
	return bulkhead.ErrFull
}

func (p *plain) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, stack := range p.stacks {
		if n := len(stack); n > 0 {
			stack[n-1] <- struct{}{}
			p.stacks[i] = stack[:n-1]
			return
		}
	}
	p.free++
}

// A world is what the calls of a run meet besides the gate.
type world struct {
	setting
	silent  bool                           // clients do not leave: their context has no end
	slower  func(at time.Duration) float64 // what then begins takes so many times as long; nil: 1
	inside  chan struct{}                  // what the service works on at a time, first come, first served; nil: everything
	retries int                            // how often a client that got no answer in time comes back at once
}

// run sends the calls through g.
func (w world) run(g gate, calls []call) (all []outcome) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	inFlight := 0
	began := time.Now()
	attempt := func(c call) outcome {
		ctx, cancel := context.Background(), func() {}
		if !w.silent {
			ctx, cancel = context.WithTimeout(ctx, w.patience)
		}
		defer cancel()
		came := time.Now()
		o := outcome{call: c}
		o.at = came.Sub(began)
		o.err = g(ctx, c, func() {
			o.wait = time.Since(came)
			mu.Lock()
			inFlight++
			o.inFlight = inFlight
			mu.Unlock()
			if w.inside != nil {
				w.inside <- struct{}{}
			}
			takes := c.service
			if w.slower != nil {
				takes = time.Duration(float64(takes) * w.slower(time.Since(began)))
			}
			time.Sleep(takes)
			if w.inside != nil {
				<-w.inside
			}
			mu.Lock()
			inFlight--
			mu.Unlock()
			o.took = time.Since(came)
			o.served, o.late = true, o.took > w.patience
		})
		if o.err != nil {
			o.wait = time.Since(came)
		}
		return o
	}
	for _, c := range calls {
		time.Sleep(time.Until(began.Add(c.at)))
		wg.Go(func() {
			for again := 0; ; again++ {
				o := attempt(c)
				mu.Lock()
				all = append(all, o)
				mu.Unlock()
				if o.inTime() || again == w.retries {
					return
				}
				time.Sleep(w.patience / 10)
			}
		})
	}
	wg.Wait()
	return all
}

// goodput is the work served in time, in seconds of service, of those that are asked for.
func goodput(all []outcome, which func(outcome) bool) (sum float64) {
	for _, o := range all {
		if o.inTime() && (which == nil || which(o)) {
			sum += o.service.Seconds()
		}
	}
	return sum
}

// share of those of whom a thing is true.
func share(all []outcome, which, holds func(outcome) bool) float64 {
	n, of := 0.0, 0.0
	for _, o := range all {
		if which == nil || which(o) {
			of++
			if holds(o) {
				n++
			}
		}
	}
	return n / math.Max(of, 1)
}

func between(from, to time.Duration) func(outcome) bool {
	return func(o outcome) bool { return o.at >= from && o.at < to }
}
