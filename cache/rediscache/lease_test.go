package rediscache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/rediscache"
)

// within is a Get that waits for nobody's lease to run out, which takes 10 s.
func within(t *testing.T, n *node, key, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	if v, err := n.Get(ctx, key); v != want || err != nil {
		t.Errorf("nobody else loads %s, and yet: %q, %v, want %q", key, v, err, want)
	}
}

func staleness(d time.Duration) option {
	return func(tc *rediscache.Config[string], _ *cache.Config[string, string]) { tc.MaxStaleness = d }
}

func lease(d time.Duration) option {
	return func(tc *rediscache.Config[string], _ *cache.Config[string, string]) { tc.Lease = d }
}

// A slow source is one whose first load lasts until the gate is closed, whatever its ctx says. The n-th
// load returns n.
type slow struct {
	gate  chan struct{}
	loads atomic.Int64
}

func newSlow() *slow { return &slow{gate: make(chan struct{})} }

func (s *slow) load(context.Context, string) (string, error) {
	n := s.loads.Add(1)
	if n == 1 {
		<-s.gate
	}
	return fmt.Sprint(n), nil
}

func (s *slow) begun() bool { return s.loads.Load() == 1 }

// A load that takes longer than the lease keeps it; a process that is gone loses it.
func TestLease(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	var loads atomic.Int64
	gate := make(chan struct{})
	load := func(context.Context, string) (string, error) {
		if loads.Add(1) == 1 {
			<-gate
		}
		return "v", nil
	}
	a, b := newNode(t, s.addr(), load, lease(300*time.Millisecond)), newNode(t, s.addr(), load, lease(300*time.Millisecond))
	var wg sync.WaitGroup
	wg.Go(func() { a.must(t, "k", "v") })
	eventually(t, "a loads", func() bool { return loads.Load() == 1 })
	wg.Go(func() { b.must(t, "k", "v") })
	eventually(t, "b has been woken by five renewals", func() bool { return b.tier.Stats().Waits > 5 })
	close(gate)
	wg.Wait()
	if loads.Load() != 1 {
		t.Errorf("%d loads", loads.Load())
	}
	// Somebody who died with the lease.
	s.do("SET", "{test}l::dead", "nobody", "PX", "300")
	b.must(t, "dead", "v")
	s.do("SET", "{test}l::gone", "nobody", "PX", "100000")
	wg.Go(func() { b.must(t, "gone", "v") })
	eventually(t, "b waits", func() bool { return b.tier.Stats().Leases == 1 && b.Stats().Misses >= 2 })
	s.do("DEL", "{test}l::gone")
	wg.Wait()
}

// Redis has given a lease to a caller who has left before he heard of it.
func TestLease_OfACallerWhoLeft(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	p := startProxy(t, s.addr())
	var src source
	a, b := newNode(t, p.addr(), src.load), newNode(t, s.addr(), src.load)
	a.must(t, "warm", "warm#1") // the scripts are known
	p.stall()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _ = a.Get(ctx, "k")
	p.resume()
	time.Sleep(100 * time.Millisecond) // now Redis has given it
	within(t, b, "k", "k#1")
}

// Redis stood still, and has done later what nobody waited for any more.
func TestLease_OfATripThatTookTooLong(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	var src source
	a, b := newNode(t, s.addr(), src.load, staleness(bound)), newNode(t, s.addr(), src.load, staleness(bound))
	a.must(t, "warm", "warm#1")
	s.stop()
	a.must(t, "k", "k#1") // alone
	s.cont()
	eventually(t, "up", func() bool { return a.tier.Stats().Up == 1 && b.tier.Stats().Up == 1 })
	within(t, b, "k", "k#2")
}

// A fill is lost with its connection.
func TestLease_OfALostFill(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	p := startProxy(t, s.addr())
	loading, gate := make(chan bool, 9), make(chan struct{})
	a := newNode(t, p.addr(), func(context.Context, string) (string, error) { loading <- true; <-gate; return "v", nil }, staleness(bound))
	b := newNode(t, s.addr(), func(context.Context, string) (string, error) { return "v", nil }, staleness(bound))
	var wg sync.WaitGroup
	wg.Go(func() { a.must(t, "k", "v") })
	<-loading
	p.cut()
	close(gate)
	wg.Wait()
	p.resume()
	eventually(t, "up", func() bool { return a.tier.Stats().Up == 1 })
	within(t, b, "k", "v")
}

// A load that nobody waits for any more is not waited for by others either, here or elsewhere.
func TestG4_AnAbandonedLoadHoldsNobody(t *testing.T) {
	t.Parallel()
	s, src := startServer(t), newSlow()
	a, b := newNode(t, s.addr(), src.load), newNode(t, s.addr(), src.load)
	t.Cleanup(func() { close(src.gate) })
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = a.Get(ctx, "k") })
	eventually(t, "loading", src.begun)
	wg.Go(func() { within(t, b, "k", "2") })
	eventually(t, "b waits", func() bool { return b.tier.Stats().Waits > 0 })
	cancel()
	wg.Wait()
	within(t, a, "k", "2")
}

func TestX9_ALoadThatIsTooLateHoldsNobody(t *testing.T) {
	t.Parallel()
	s, src := startServer(t), newSlow()
	a := newNode(t, s.addr(), src.load, func(_ *rediscache.Config[string], cc *cache.Config[string, string]) {
		cc.LoadTimeout = 200 * time.Millisecond
	})
	b := newNode(t, s.addr(), src.load)
	t.Cleanup(func() { close(src.gate) })
	if _, err := a.Get(t.Context(), "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	within(t, b, "k", "2")
}

// Who asks after a Delete does not wait for a load from before it, also if the lease for that has been
// renewed since. Between the Delete there and its message here is the time of a trip.
func TestW1_ADeleteEndsTheLease(t *testing.T) {
	for _, renewals := range []int{0, 3} {
		t.Run(fmt.Sprint(renewals), func(t *testing.T) {
			t.Parallel()
			s, src := startServer(t), newSlow()
			a, b := newNode(t, s.addr(), src.load, lease(300*time.Millisecond)), newNode(t, s.addr(), src.load)
			var wg sync.WaitGroup
			wg.Go(func() { a.must(t, "k", "2") })
			eventually(t, "loading", src.begun)
			eventually(t, "renewed", func() bool { return a.tier.Stats().Trips > uint64(renewals) })
			b.Delete("k")
			eventually(t, "a has been told", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				v, _ := a.Get(ctx, "k")
				return v == "2"
			})
			within(t, b, "k", "2")
			close(src.gate)
			wg.Wait()
			if v, here := a.Peek("k"); here && v != "2" {
				t.Errorf("a keeps %q", v)
			}
		})
	}
}

// Who asks after a purge, and joins a load from before it that nobody could know to be purged, gets
// what is new: from another process if that has loaded it.
func TestT6_WhoJoinsAPurgedLoad(t *testing.T) {
	for _, other := range []bool{false, true} {
		t.Run(fmt.Sprint(other), func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			gate := make(chan struct{})
			var loads atomic.Int64
			load := func(ctx context.Context, _ string) (string, error) {
				cache.AddTags(ctx, "t")
				n := loads.Add(1)
				if n == 1 {
					<-gate
				}
				return fmt.Sprint(n), nil
			}
			a, b := newNode(t, s.addr(), load), newNode(t, s.addr(), load)
			var wg sync.WaitGroup
			defer wg.Wait()
			wg.Go(func() { _, _ = a.Get(t.Context(), "k") })
			eventually(t, "loading", func() bool { return loads.Load() == 1 })
			if err := b.tier.RemoveTags(t.Context(), "t"); err != nil {
				t.Error(err)
			}
			wg.Go(func() { a.must(t, "k", "2") })
			if other { // the lease of a is taken away, and b has what a will find
				if err := b.tier.Remove(t.Context(), "k"); err != nil {
					t.Error(err)
				}
				b.must(t, "k", "2")
			}
			time.Sleep(50 * time.Millisecond) // for the one who joins
			close(gate)
			wg.Wait()
			a.must(t, "k", "2")
		})
	}
}

// A write during a load costs one more load, however many wait.
func TestOneLoad_AWriteMakesOneMore(t *testing.T) {
	for name, write := range map[string]func(n *node){
		"Delete":    func(n *node) { n.Delete("k") },
		"PurgeAll":  func(n *node) { n.PurgeAll() },
		"PurgeTags": func(n *node) { n.PurgeTags("t") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			var loads atomic.Int64
			gate := make(chan struct{})
			load := func(ctx context.Context, _ string) (string, error) {
				loads.Add(1)
				cache.AddTags(ctx, "t")
				<-gate
				return "v", nil
			}
			writer := newNode(t, s.addr(), load)
			var nodes []*node
			for range 6 {
				nodes = append(nodes, newNode(t, s.addr(), load))
			}
			var wg sync.WaitGroup
			for i, n := range nodes {
				wg.Go(func() { n.must(t, "k", "v") })
				if i == 0 {
					eventually(t, "loading", func() bool { return loads.Load() == 1 })
				} else {
					eventually(t, "waiting", func() bool { return n.tier.Stats().Waits > 0 })
				}
			}
			write(writer)
			if name == "Delete" {
				eventually(t, "loading again", func() bool { return loads.Load() == 2 })
			}
			close(gate)
			wg.Wait()
			if n := loads.Load(); n != 2 {
				t.Errorf("%d loads of one key, want 2", n)
			}
		})
	}
}

// When the source is down those who wait do not try it one after the other: after a few failures all do.
func TestAFailedLoadMakesNoQueue(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	down := errors.New("down")
	var under, ended atomic.Int64
	gate := make(chan struct{})
	load := func(context.Context, string) (string, error) {
		under.Add(1)
		<-gate
		return "", down
	}
	const n = 12
	var nodes []*node
	for range n {
		nodes = append(nodes, newNode(t, s.addr(), load))
	}
	var wg sync.WaitGroup
	for _, x := range nodes {
		wg.Go(func() {
			if _, err := x.Get(t.Context(), "k"); err != down {
				t.Errorf("%v", err)
			}
			ended.Add(1)
		})
	}
	for _, x := range nodes {
		eventually(t, "one loads, the others wait", func() bool { st := x.tier.Stats(); return st.Leases+st.Waits > 0 })
	}
	eventually(t, "one loads", func() bool { return under.Load() == 1 })
	rounds := 0
	for ended.Load() < n && !t.Failed() {
		eventually(t, "somebody loads", func() bool { return under.Load() > 0 || ended.Load() == n })
		time.Sleep(100 * time.Millisecond) // and all who want to
		for range under.Swap(0) {
			gate <- struct{}{}
		}
		rounds++
	}
	if rounds > 8 {
		t.Errorf("%d loads one after the other", rounds)
	}
	close(gate)
	wg.Wait()
	for _, x := range nodes { // and what has failed holds nobody up
		if _, err := x.Get(t.Context(), "k"); err != down {
			t.Errorf("%v", err)
		}
	}
}

// What must not be stored is loaded by each, and is no reason to wait.
func TestWhatIsNotStoredHoldsNobody(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	load := func(ctx context.Context, _ string) (string, error) {
		cache.SetTTL(ctx, 0)
		return "v", nil
	}
	a, b := newNode(t, s.addr(), load), newNode(t, s.addr(), load)
	for range 5 {
		within(t, a, "k", "v")
		within(t, b, "k", "v")
	}
}

// A key that is written all the time is not waited for all the time.
func TestHolders_AreNotCountedForEver(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	n := newNode(t, s.addr(), func(context.Context, string) (string, error) { return "v", nil })
	s.do("SET", "{test}l::k", "0", "PX", "100000")
	done := make(chan struct{})
	go func() {
		defer close(done)
		within(t, n, "k", "v")
	}()
	for i := 1; ; i++ {
		select {
		case <-done:
			if _, here := n.Peek("k"); here {
				t.Error("what nobody is told of is kept")
			}
			return
		default:
			s.do("SET", "{test}l::k", fmt.Sprint(i), "PX", "100000")
			time.Sleep(5 * time.Millisecond)
		}
	}
}
