package pool

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A program is drawn: tasks, futures, Maps, Streams and requests inside of each other, contexts that
// end, panics, and Close from anywhere, in virtual time.
type program struct {
	t    *testing.T
	p    *Pool
	seed uint64

	mu  sync.Mutex
	rng *rand.Rand

	steps         atomic.Int64 // that are left
	accepted, ran atomic.Int64 // tasks of Go and After
	leaves        atomic.Int64 // that run in workers
	closes        atomic.Int64
}

func (g *program) draw(n int) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.rng.IntN(n)
}

func (g *program) wrong(format string, args ...any) {
	g.t.Helper()
	g.t.Errorf("seed %d: "+format, append([]any{g.seed}, args...)...)
}

// leaf takes time. No more of them run than there are workers, but for those lent by tasks in Close.
func (g *program) leaf(ctx context.Context) {
	if workerOf(ctx, g.p) != nil {
		if n := g.leaves.Add(1); n > int64(g.p.cfg.Workers)+g.closes.Load() {
			g.wrong("%d run at once, with %d workers", n, g.p.cfg.Workers)
		}
		defer g.leaves.Add(-1)
	}
	d := time.Duration(g.draw(50)) * time.Millisecond
	if g.draw(3) > 0 {
		time.Sleep(d)
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (g *program) act(ctx context.Context, depth int) {
	if g.steps.Add(-1) < 0 || depth > 3 {
		g.leaf(ctx)
		return
	}
	for range 1 + g.draw(2) {
		switch g.draw(10) {
		case 0, 1:
			g.leaf(ctx)
		case 2:
			g.tasks(ctx, depth+1)
		case 3:
			g.futures(ctx, depth+1)
		case 4, 5:
			g.maps(ctx, depth+1)
		case 6, 7:
			g.streams(ctx, depth+1)
		case 8:
			g.ends(ctx)
		case 9:
			g.within(ctx, depth+1)
		}
	}
}

// task is one that is to run once.
func (g *program) task(depth int) func(context.Context) error {
	var once atomic.Bool
	return func(ctx context.Context) error {
		if once.Swap(true) {
			g.wrong("a task ran twice")
		}
		g.ran.Add(1)
		g.act(ctx, depth)
		return nil
	}
}

func (g *program) tasks(ctx context.Context, depth int) {
	start := g.p.Go
	if g.draw(2) == 0 {
		start = g.p.TryGo
	}
	if start(ctx, g.task(depth)) == nil {
		g.accepted.Add(1)
	}
}

func (g *program) futures(ctx context.Context, depth int) {
	var all []*Future[int]
	for range 1 + g.draw(3) {
		all = append(all, Submit(ctx, g.p, func(ctx context.Context) (int, error) { g.act(ctx, depth); return 1, nil }))
	}
	for _, f := range all {
		if v, err := f.Wait(ctx); err == nil && v != 1 {
			g.wrong("a future is %d", v)
		}
	}
}

// An element is called at most once, and has returned when its Map or Stream has.
type calls []atomic.Int32

const returned = 100

func (c calls) once(i int) bool { n := c[i].Load(); return n == 1+returned }
func (c calls) rest(g *program) {
	for i := range c {
		if n := c[i].Load(); n != 0 && n != 1+returned {
			g.wrong("element %d: calls and returns are %d", i, n)
		}
	}
}

func (g *program) element(c calls, depth int, fails bool) func(context.Context, int) (int, error) {
	return func(ctx context.Context, v int) (int, error) {
		c[v].Add(1)
		defer c[v].Add(returned)
		g.act(ctx, depth)
		if fails && g.draw(3) == 0 {
			return v + 1, errors.New("it fails")
		}
		return v + 1, nil
	}
}

func (g *program) maps(ctx context.Context, depth int) {
	in := make([]int, 1+g.draw(8))
	for i := range in {
		in[i] = i
	}
	c := make(calls, len(in))
	out, err := Map(ctx, g.p, in, g.element(c, depth, g.draw(4) == 0))
	c.rest(g)
	for i := range c {
		if err == nil && (!c.once(i) || out[i] != i+1) {
			g.wrong("element %d of a Map is %d, without an error", i, out[i])
		}
	}
}

func (g *program) streams(ctx context.Context, depth int) {
	n, stop := 1+g.draw(8), -1
	if g.draw(3) == 0 {
		stop = g.draw(n)
	}
	c, next := make(calls, n), 0
	for v, err := range Stream(ctx, g.p, func(yield func(int) bool) {
		for v := range n {
			if g.draw(4) == 0 {
				g.leaf(ctx)
			}
			if !yield(v) {
				return
			}
		}
	}, g.element(c, depth, false)) {
		if err == nil && (v != next+1 || !c.once(next)) {
			g.wrong("element %d of a Stream is %d", next, v)
		}
		if next == stop {
			break
		}
		next++
	}
	if stop < 0 && next != n {
		g.wrong("%d of %d elements of a Stream", next, n)
	}
	c.rest(g)
}

// ends is the pool's end, or the task's.
func (g *program) ends(ctx context.Context) {
	switch {
	case g.draw(6) == 0:
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(1+g.draw(300))*time.Millisecond)
		defer cancel()
		first := g.closes.Add(1) == 1
		if err, n := g.p.Close(end), g.leaves.Load(); err == nil && first && g.closes.Load() == 1 && n != 0 {
			g.wrong("Close is nil, and %d run", n)
		}
	case g.draw(4) == 0 && workerOf(ctx, g.p) != nil:
		if g.draw(2) == 0 {
			runtime.Goexit()
		}
		panic("drawn")
	}
}

// within goes on in a shorter context, or in a request that has work for later.
func (g *program) within(ctx context.Context, depth int) {
	if g.draw(2) == 0 {
		shorter, cancel := context.WithTimeout(ctx, time.Duration(g.draw(100))*time.Millisecond)
		defer cancel()
		g.act(shorter, depth)
		return
	}
	h := g.p.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		g.act(r.Context(), depth)
		if scopeOf(ctx, g.p) != nil {
			return
		}
		for range g.draw(3) {
			if g.p.After(r.Context(), g.task(depth)) == nil {
				g.accepted.Add(1)
			}
		}
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx))
}

// look checks what holds whenever nothing moves.
func (g *program) look() {
	p := g.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cutted.Load() {
		return
	}
	if p.first != nil && (p.room() || p.busy < p.slots() && p.reserved == 0) {
		g.wrong("somebody waits for room, and there is some")
	}
	rest := 0
	for _, w := range p.all {
		w.mu.Lock()
		rest += w.waiting()
		w.mu.Unlock()
	}
	if n := p.living() + rest; n > 0 && p.busy < p.slots() {
		g.wrong("%d wait, and %d of %d workers are busy", n, p.busy, p.slots())
	}
	blocked, seen := 0, map[*runner]bool{}
	for i := range p.n {
		e := p.ring[(p.head+i)&(len(p.ring)-1)]
		if r, is := e.c.(*runner); is && e.f == nil {
			if seen[r] || r.offered.Load() != nil || !r.inQueue {
				g.wrong("a runner is in the queue, and twice or an offer as well")
			}
			seen[r] = true
		}
	}
	for s := p.first; s != nil; s = s.next {
		if s.told != nil {
			blocked++
			continue
		}
		r := s.e.c.(*runner)
		if seen[r] || r.offered.Load() != s || r.inQueue {
			g.wrong("a runner is an offer, and twice or in the queue as well")
		}
		seen[r] = true
	}
	if blocked != p.blocked {
		g.wrong("%d wait for room, and %d are counted", blocked, p.blocked)
	}
}

// run runs the program to its end, and looks at the pool all the time.
func (g *program) run() {
	var callers sync.WaitGroup
	for range 1 + g.draw(4) {
		callers.Go(func() {
			ctx := context.Background()
			if g.draw(2) == 0 {
				shorter, cancel := context.WithTimeout(ctx, time.Duration(g.draw(500))*time.Millisecond)
				defer cancel()
				ctx = shorter
			}
			for range 1 + g.draw(3) {
				g.act(ctx, 0)
			}
		})
	}
	var ended atomic.Bool
	go func() {
		if g.draw(2) == 0 {
			time.Sleep(time.Duration(g.draw(300)) * time.Millisecond)
			end, cancel := context.WithTimeout(context.Background(), time.Duration(1+g.draw(400))*time.Millisecond)
			_ = g.p.Close(end)
			cancel()
		}
		callers.Wait()
		ended.Store(true)
	}()
	for !ended.Load() {
		time.Sleep(3*time.Millisecond + time.Microsecond)
		synctest.Wait()
		g.look()
	}
}

// settled checks that all that was accepted ran or is named, and that nothing is left.
func (g *program) settled() {
	p := g.p
	time.Sleep(time.Hour)
	err := p.Close(context.Background())
	synctest.Wait()
	named := int64(0)
	if ce := (*CloseError)(nil); errors.As(err, &ce) {
		for _, task := range ce.Tasks {
			if task.State == "waiting" && task.Do != nil {
				named++
			}
		}
	}
	s := p.Stats()
	if accepted, ran := g.accepted.Load(), g.ran.Load(); accepted != ran+named && s.Tasks["dropped"] == 0 {
		g.wrong("%d accepted, %d ran, %d named", accepted, ran, named)
	}
	if s.Waiting != 0 || s.Running != 0 || s.Blocked != 0 {
		g.wrong("%+v", s)
	}
	if p.first != nil || p.last != nil || p.busy != 0 || p.batched != 0 || len(p.all) != 0 || p.lent != 0 || p.n != 0 || p.requests != 0 || p.reserved != 0 || len(p.closers) != 0 || !p.over {
		g.wrong("something is left: busy %d, batched %d, workers %d, lent %d, queue %d, requests %d, reserved %d", p.busy, p.batched, len(p.all), p.lent, p.n, p.requests, p.reserved)
	}
}

func TestP1_DrawnPrograms(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			cfg := Config{Workers: 1 + rng.IntN(3), Queue: []int{-1, 0, 1, 4}[rng.IntN(4)], Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
			if rng.IntN(4) == 0 {
				cfg.TaskTimeout = time.Duration(1+rng.IntN(100)) * time.Millisecond
			}
			g := &program{t: t, p: mustNew(t, cfg), seed: seed, rng: rng}
			g.steps.Store(int64(20 + rng.IntN(200)))
			g.run()
			g.settled()
		})
	}
}
