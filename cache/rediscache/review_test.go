package rediscache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/rediscache"
)

// CRITICAL: a fill that is lost has changed the time limit of a tag (PERSIST), which ends this
// connection's tracking of it without a message (NOLOOP); the script returns before it reads the tag
// again. What is in L1 with that tag is not told of purges any more.
func TestReview_ALostFillUntracksATag(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	loading, gate := make(chan bool, 9), make(chan struct{})
	var second atomic.Int64
	load := func(ctx context.Context, key string) (string, error) {
		if key == "v1" {
			cache.AddTags(ctx, "x")
			return "old", nil
		}
		if second.Add(1) > 1 {
			return "", errors.New("down")
		}
		cache.SetTTL(ctx, -1)
		cache.AddTags(ctx, "y", "x")
		loading <- true
		<-gate
		return "k2", nil
	}
	a, b := newNode(t, s.addr(), load), newNode(t, s.addr(), load)
	a.must(t, "v1", "old")
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = a.Get(t.Context(), "k2") })
	<-loading
	b.PurgeTags("y")
	close(gate)
	wg.Wait()
	if _, here := a.Peek("v1"); !here {
		t.Skip("v1 is not there any more")
	}
	b.PurgeTags("x")
	eventually(t, "a has dropped v1, whose tag b has purged", func() bool { _, here := a.Peek("v1"); return !here })
}

// CRITICAL: one key of a GetMany cannot be shared (MaxValueBytes, Encode), another is to be loaded alone in
// the same round: it is never loaded, and its caller gets the zero value without an error.
func TestReview_AnUnshareableKeyMakesAZeroValue(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	load := func(_ context.Context, key string) (string, error) {
		if key == "big" {
			return strings.Repeat("x", 100), nil
		}
		return "v", nil
	}
	n := newNode(t, s.addr(), load, func(tc *rediscache.Config[string], _ *cache.Config[string, string]) { tc.MaxValueBytes = 10 })
	s.do("SET", "{test}l::big", "x", "PX", "100000")
	s.do("SET", "{test}l::k", "h1", "PX", "100000")
	var wg sync.WaitGroup
	wg.Go(func() {
		m, err := n.GetMany(t.Context(), []string{"big", "k"})
		if m["k"] != "v" || err != nil {
			t.Errorf("k = %q, %v, want v", m["k"], err)
		}
	})
	for i := 1; i <= 4; i++ {
		eventually(t, fmt.Sprint("round ", i), func() bool { return n.tier.Stats().Waits == uint64(2*i) })
		if i < 4 {
			s.do("EVAL", "redis.call('SET', KEYS[1], ARGV[1], 'PX', 100000); redis.call('SET', KEYS[2], 'x', 'PX', 100000)", "2", "{test}l::k", "{test}l::big", fmt.Sprint("h", i+1))
		} else {
			s.do("EVAL", "redis.call('SET', KEYS[1], ARGV[1], 'PX', 100000); redis.call('DEL', KEYS[2])", "2", "{test}l::k", "{test}l::big", "h5")
		}
	}
	wg.Wait()
}

// HIGH: the renewal of a lease (PEXPIRE) ends the holder's tracking of it (NOLOOP, no second reading): a
// Delete after the first renewal does not reach him, and newcomers wait for the load from before it.
func TestReview_ADeleteEndsARenewedLease(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	var loads atomic.Int64
	gate := make(chan struct{})
	load := func(context.Context, string) (string, error) {
		n := loads.Add(1)
		if n == 1 {
			<-gate
		}
		return fmt.Sprint(n), nil
	}
	a, b := newNode(t, s.addr(), load, lease(300*time.Millisecond)), newNode(t, s.addr(), load, lease(300*time.Millisecond))
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = a.Get(t.Context(), "k") })
	eventually(t, "loading", func() bool { return loads.Load() == 1 })
	time.Sleep(500 * time.Millisecond) // renewed
	b.Delete("k")
	time.Sleep(200 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if v, err := a.Get(ctx, "k"); v != "2" || err != nil {
		t.Errorf("a newcomer, after the Delete: %q, %v", v, err)
	}
	close(gate)
	wg.Wait()
}

// CRITICAL: what was loaded is lost, so it is asked for again, and another has the newer value: the cache
// takes what it loaded first all the same, since results has the key.
func TestReview_ALostLoadIsServedInsteadOfTheNewerValue(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	bound := 300 * time.Millisecond
	loading, gate := make(chan bool, 9), make(chan struct{})
	tags := func(_ *rediscache.Config[string], cc *cache.Config[string, string]) {
		cc.Tags = func(string, string) []string { return []string{"t"} }
	}
	a := newNode(t, s.addr(), func(context.Context, string) (string, error) { loading <- true; <-gate; return "old", nil }, tags, staleness(bound))
	b := newNode(t, s.addr(), func(context.Context, string) (string, error) { return "new", nil }, tags, staleness(bound))
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = a.Get(t.Context(), "k") })
	<-loading
	b.PurgeTags("t")
	// b's load has the lease and shares a value, while a's loads: as if a's had run out.
	s.do("DEL", "{test}l::k") // who takes it away is told to a: so the newcomer begins his own load, see next test
	b.must(t, "k", "new")
	time.Sleep(2 * bound)
	wg.Go(func() {
		if v, err := a.Get(t.Context(), "k"); v != "new" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
	})
	time.Sleep(100 * time.Millisecond)
	close(gate)
	wg.Wait()
}

// The same without a message: after a purge of a tag that is not known here.
func TestReview_JoinedAfterAPurge(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	bound := 300 * time.Millisecond
	var version atomic.Int64
	tags := func(_ *rediscache.Config[string], cc *cache.Config[string, string]) {
		cc.Tags = func(string, string) []string { return []string{"t"} }
	}
	for i := range 20 {
		version.Store(1)
		key := fmt.Sprint("k", i)
		loading, gate := make(chan bool, 99), make(chan struct{})
		load := func(context.Context, string) (string, error) {
			v := version.Load()
			loading <- true
			<-gate
			return fmt.Sprint("v", v), nil
		}
		var nodes []*node
		for range 4 {
			nodes = append(nodes, newNode(t, s.addr(), load, tags, staleness(bound)))
		}
		a := nodes[0]
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = a.Get(t.Context(), key) })
		<-loading
		for _, n := range nodes[1:] {
			wg.Go(func() { _, _ = n.Get(t.Context(), key) })
			eventually(t, "waits", func() bool { return n.tier.Stats().Waits > 0 })
		}
		version.Store(2)
		nodes[1].PurgeTags("t")
		time.Sleep(2 * bound)
		before := a.Stats().Coalesced
		wg.Go(func() {
			if v, err := a.Get(t.Context(), key); v != "v2" || err != nil {
				t.Errorf("%d: asked %v after the purge, MaxStaleness is %v: %q, %v (coalesced %d)", i, 2*bound, bound, v, err, a.Stats().Coalesced-before)
			}
		})
		time.Sleep(50 * time.Millisecond)
		close(gate)
		wg.Wait()
		if v, here := a.Peek(key); here && v != "v2" {
			t.Errorf("%d: and a keeps %q", i, v)
		}
		if t.Failed() {
			return
		}
	}
}

// MEDIUM/HIGH: a load that began while Redis was away may be joined for as long as it goes on: MaxStaleness
// bounds what is kept, not what is joined.
func TestReview_JoinedAloneBeyondMaxStaleness(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	p := startProxy(t, s.addr())
	bound := 300 * time.Millisecond
	loading, gate := make(chan bool, 9), make(chan struct{})
	var version atomic.Int64
	version.Store(1)
	load := func(context.Context, string) (string, error) {
		v := version.Load()
		loading <- true
		<-gate
		return fmt.Sprint("v", v), nil
	}
	a := newNode(t, p.addr(), load, staleness(bound))
	b := newNode(t, s.addr(), load, staleness(bound))
	p.cut()
	eventually(t, "away", func() bool { return a.tier.Stats().Up == 0 })
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = a.Get(t.Context(), "k") })
	<-loading
	p.resume()
	eventually(t, "up", func() bool { return a.tier.Stats().Up == 1 })
	version.Store(2)
	if err := b.tier.Remove(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * bound)
	wg.Go(func() {
		if v, err := a.Get(t.Context(), "k"); v != "v2" || err != nil {
			t.Errorf("asked %v after the Remove, MaxStaleness is %v, Redis is there: %q, %v", 3*bound, bound, v, err)
		}
	})
	time.Sleep(50 * time.Millisecond)
	close(gate)
	wg.Wait()
}

// HIGH: a Set whose connection stood still, and was given up, arrives in Redis after a newer Set (what the
// kernel or a middlebox still has of a closed connection): it overwrites it, for the whole TTL. A fill has
// its token, a Put has nothing.
func TestReview_ALatePutOverwritesANewerOne(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	p := startLateProxy(t, s.addr())
	bound := 300 * time.Millisecond
	a, b := newNode(t, p.l.Addr().String(), nil, staleness(bound)), newNode(t, s.addr(), nil, staleness(bound))
	a.Set("warm", "w")  // the scripts are known
	release := p.hold() // what the connections of now have sent is under way
	a.Set("k", "old")   // fails
	eventually(t, "a has another connection", func() bool { return p.accepted.Load() > 1 && a.tier.Stats().Up == 1 })
	time.Sleep(7 * time.Second) // what is owed is paid
	b.Set("k", "new")
	b.must(t, "k", "new")
	release()
	time.Sleep(2 * time.Second)
	b.must(t, "k", "new")
	a.must(t, "k", "new")
}

// A lateProxy can hold what was sent on the connections there are; new ones pass.
type lateProxy struct {
	l        net.Listener
	to       string
	accepted atomic.Int64
	mu       sync.Mutex
	gates    []*atomic.Pointer[chan struct{}]
	wg       sync.WaitGroup
}

func startLateProxy(t *testing.T, to string) *lateProxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &lateProxy{l: l, to: to}
	p.wg.Go(func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", p.to)
			if err != nil {
				a.Close()
				continue
			}
			gate := new(atomic.Pointer[chan struct{}])
			p.mu.Lock()
			p.gates = append(p.gates, gate)
			p.mu.Unlock()
			p.accepted.Add(1)
			pipe := func(from, to net.Conn) {
				defer to.Close()
				buf := make([]byte, 64<<10)
				for {
					n, err := from.Read(buf)
					if g := gate.Load(); g != nil {
						<-*g
					}
					if n > 0 {
						_, _ = to.Write(buf[:n])
					}
					if err != nil {
						return
					}
				}
			}
			p.wg.Go(func() { pipe(a, b) })
			p.wg.Go(func() { pipe(b, a) })
		}
	})
	t.Cleanup(func() { l.Close() })
	return p
}

func (p *lateProxy) hold() (release func()) {
	g := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, gate := range p.gates {
		gate.Store(&g)
	}
	return func() { close(g) }
}

// What Redis evicts while it does a command of this process is not told to it (NOLOOP looks at the current client):
// the value is in L1 and not tracked any more.
func TestReview_AnEvictionByOurOwnCommand(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	s.do("CONFIG", "SET", "maxmemory-samples", "64")
	var version atomic.Int64
	version.Store(1)
	filler := strings.Repeat("x", 100_000)
	load := func(_ context.Context, key string) (string, error) {
		if strings.HasPrefix(key, "k") {
			return fmt.Sprint("v", version.Load()), nil
		}
		return filler, nil
	}
	a, b := newNode(t, s.addr(), load), newNode(t, s.addr(), load)
	for i := range 20 {
		a.must(t, fmt.Sprint("k", i), "v1")
	}
	s.do("CONFIG", "SET", "maxmemory", "12mb")
	evicted := func() (n int) {
		for i := range 20 {
			if s.text("EXISTS", fmt.Sprint("{test}v::k", i)) == "0" {
				n++
			}
		}
		return n
	}
	for i := 0; i < 2000; i++ {
		_, _ = a.Get(t.Context(), fmt.Sprint("fill", i))
		if i%50 == 49 && evicted() >= 10 {
			break
		}
	}
	t.Logf("%d of 20 evicted; errors %d, %+v", evicted(), a.Stats().RemoteErrors, a.tier.Stats())
	version.Store(2)
	for i := range 20 {
		b.Delete(fmt.Sprint("k", i))
	}
	time.Sleep(500 * time.Millisecond)
	stale := 0
	for i := range 20 {
		if v, here := a.Peek(fmt.Sprint("k", i)); here && v == "v1" {
			stale++
		}
	}
	if stale > 0 {
		t.Errorf("a keeps %d values that b has deleted", stale)
	}
}

// The same for the table of tracked keys: it has 1,000,000 places by default, and each value takes two (its
// lease is tracked too). What Redis forgets of it while it does a command of ours we are not told.
func TestReview_TheTrackingTableIsFull(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.do("CONFIG", "SET", "tracking-table-max-keys", "50")
	load := func(_ context.Context, key string) (string, error) { return "v1", nil }
	a, b := newNode(t, s.addr(), load), newNode(t, s.addr(), load)
	const n = 500
	for i := range n {
		a.must(t, fmt.Sprint("k", i), "v1")
	}
	time.Sleep(500 * time.Millisecond)
	for i := range n {
		b.Delete(fmt.Sprint("k", i))
	}
	time.Sleep(500 * time.Millisecond)
	stale := 0
	for i := range n {
		if _, here := a.Peek(fmt.Sprint("k", i)); here {
			stale++
		}
	}
	if stale > 0 {
		t.Errorf("a keeps %d of %d values that b has deleted", stale, n)
	}
}

// Loads of two processes that need each other's keys wait for ever; what one process alone makes of it is
// for comparison.
func TestReview_AForeignMarkIsForEver(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	n := newNode(t, s.addr(), func(context.Context, string) (string, error) { return "v", nil })
	s.do("SET", "{test}l::k", "!")
	for range 5 {
		n.must(t, "k", "v")
	}
	if loads := n.Stats().Loads; loads > 2 {
		t.Errorf("%d loads of 5 Gets, because of a foreign lease", loads)
	}
}

// Close while a ping comes back: up again after it.
func TestReview_UpAfterClose(t *testing.T) {
	s := startServer(t)
	for i := range 300 {
		n := newNode(t, s.addr(), nil, staleness(30*time.Millisecond))
		time.Sleep(time.Duration(i%20) * time.Millisecond)
		if err := n.tier.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n.tier.Stats().Up != 0 {
			t.Fatalf("%d: up after Close", i)
		}
	}
}

// Whatever is done in whatever order on three nodes: when it is over, and MaxStaleness too, all have what the source has.
func TestReview_AtTheEndAllAgree(t *testing.T) {
	for _, trouble := range []string{"none", "cut", "flush", "stop"} {
		t.Run(trouble, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			bound := 500 * time.Millisecond
			const keys = 6
			type cell struct {
				mu sync.Mutex // of writers
				v  atomic.Int64
			}
			var cells [keys]cell
			index := func(key string) int { var i int; fmt.Sscanf(key, "k%d", &i); return i }
			load := func(_ context.Context, key string) (string, error) {
				v := cells[index(key)].v.Load()
				time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
				if rand.IntN(20) == 0 {
					return "", errors.New("down")
				}
				return fmt.Sprint(v), nil
			}
			opts := func(tc *rediscache.Config[string], cc *cache.Config[string, string]) {
				tc.MaxStaleness = bound
				tc.Lease = 100 * time.Millisecond
				cc.StaleWhileRevalidate = time.Hour
				cc.Tags = func(key, _ string) []string { return []string{"t" + key, fmt.Sprint("g", index(key)%2)} }
			}
			var nodes []*node
			var proxies []*proxy
			for range 3 {
				p := startProxy(t, s.addr())
				proxies = append(proxies, p)
				nodes = append(nodes, newNode(t, p.addr(), load, opts))
			}
			end := time.Now().Add(6 * time.Second)
			var wg sync.WaitGroup
			for _, n := range nodes {
				for range 6 {
					wg.Go(func() {
						for time.Now().Before(end) {
							key := fmt.Sprint("k", rand.IntN(keys))
							c := &cells[index(key)]
							ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(20))*time.Millisecond)
							switch r := rand.IntN(40); r {
							case 0, 1, 2, 3, 4, 5:
								c.mu.Lock()
								v := c.v.Add(1)
								switch r {
								case 0:
									n.Set(key, fmt.Sprint(v))
								case 1:
									n.PurgeTags("t" + key)
								case 2:
									n.PurgeTags(fmt.Sprint("g", index(key)%2))
								case 3:
									n.PurgeAll()
								default:
									n.Delete(key)
								}
								c.mu.Unlock()
							case 6, 7:
								n.Refresh(key)
							case 8, 9, 10:
								_, _ = n.GetMany(ctx, []string{"k0", "k1", "k2", "k3"})
							case 11, 12, 13:
								_, _ = n.Get(ctx, key)
							default:
								_, _ = n.Get(t.Context(), key)
							}
							cancel()
							time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
						}
					})
				}
			}
			for time.Now().Before(end.Add(-time.Second)) {
				time.Sleep(time.Duration(rand.IntN(700)) * time.Millisecond)
				switch p := proxies[rand.IntN(3)]; trouble {
				case "cut":
					p.cut()
					time.Sleep(20 * time.Millisecond)
					p.resume()
				case "flush":
					s.do([][]string{{"FLUSHALL"}, {"SCRIPT", "FLUSH"}}[rand.IntN(2)]...)
				case "stop":
					s.stop()
					time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
					s.cont()
				}
			}
			wg.Wait()
			eventually(t, "all are up", func() bool {
				for _, n := range nodes {
					if n.tier.Stats().Up == 0 {
						return false
					}
				}
				return true
			})
			time.Sleep(8 * time.Second) // what is owed has been paid
			for i := range cells {
				want := fmt.Sprint(cells[i].v.Load())
				for j, n := range nodes {
					var got string
					var err error
					for range 20 {
						if got, err = n.Get(t.Context(), fmt.Sprint("k", i)); err == nil {
							break
						}
					}
					if got != want || err != nil {
						t.Errorf("node %d, key %d: %q, %v, want %q", j, i, got, err, want)
					}
				}
			}
		})
	}
}
