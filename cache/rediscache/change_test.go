package rediscache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/rediscache"
)

// A value in memory is there as long as Redis watches it for us: each way in which it can cease to.

// The fill of another value with the same tag is lost.
func TestTold_AfterALostFill(t *testing.T) {
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
	a.keeps(t, "v1", "old")
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = a.Get(t.Context(), "k2") })
	<-loading
	b.PurgeTags("y")
	close(gate)
	wg.Wait()
	if _, here := a.Peek("v1"); !here {
		t.Error("v1 is not there any more")
	}
	b.PurgeTags("x")
	eventually(t, "a has dropped v1, whose tag b has purged", func() bool { _, here := a.Peek("v1"); return !here })
}

// Redis evicts it while it does something for us.
func TestTold_OfWhatIsEvicted(t *testing.T) {
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
		a.keeps(t, fmt.Sprint("k", i), "v1")
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
	if evicted() == 0 {
		t.Error("nothing was evicted")
	}
	version.Store(2)
	for i := range 20 {
		b.Delete(fmt.Sprint("k", i))
	}
	for i := range 20 {
		key := fmt.Sprint("k", i)
		eventually(t, "a has dropped "+key, func() bool { v, here := a.Peek(key); return !here || v != "v1" })
	}
}

// A tag is evicted, and with it perhaps a purge that nobody here has heard of.
func TestTold_OfALostTag(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	var src source
	a := newNode(t, s.addr(), src.load, tagged("t"))
	a.keeps(t, "k", "k#1")
	s.do("DEL", "{test}t:t")
	b := newNode(t, s.addr(), src.load, tagged("t"))
	b.must(t, "k", "k#2")
	eventually(t, "a has dropped it", func() bool { v, _ := a.Get(t.Context(), "k"); return v == "k#2" })
}

// A purge comes between the trip that takes a value and the one that has its tags watched.
func TestT6_APurgeBetweenTwoTrips(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	var src source
	a := newNode(t, s.addr(), src.load, tagged("t"))
	a.must(t, "k", "k#1")
	purge := sync.OnceFunc(func() { a.PurgeTags("t") })
	b := newNode(t, s.addr(), src.load, tagged("t"), func(tc *rediscache.Config[string], _ *cache.Config[string, string]) {
		tc.Encode = func(v string) ([]byte, error) { return []byte(v), nil }
		tc.Decode = func(text []byte) (string, error) { purge(); return string(text), nil }
	})
	b.must(t, "k", "k#2")
}

// Redis has more to watch than it has room for.
func TestTold_WhenTheTrackingTableIsFull(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.do("CONFIG", "SET", "tracking-table-max-keys", "50")
	load := func(context.Context, string) (string, error) { return "v", nil }
	a, b := newNode(t, s.addr(), load), newNode(t, s.addr(), load)
	for i := range 500 {
		for range 2 {
			a.must(t, fmt.Sprint("k", i), "v")
		}
	}
	for i := range 500 {
		b.Delete(fmt.Sprint("k", i))
	}
	for i := range 500 {
		key := fmt.Sprint("k", i)
		eventually(t, "a has dropped "+key, func() bool { _, here := a.Peek(key); return !here })
	}
}

// One key of a GetMany cannot be shared, another is to be loaded alone in the same round.
func TestG9_AKeyThatCannotBeSharedHarmsNoOther(t *testing.T) {
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
	for i := 1; i <= 3; i++ {
		eventually(t, fmt.Sprint("round ", i), func() bool { return n.tier.Stats().Waits >= uint64(2*i) })
		if i < 3 {
			s.do("EVAL", "redis.call('SET', KEYS[1], ARGV[1], 'PX', 100000); redis.call('SET', KEYS[2], 'x', 'PX', 100000)", "2", "{test}l::k", "{test}l::big", fmt.Sprint("h", i+1))
		} else {
			s.do("EVAL", "redis.call('SET', KEYS[1], ARGV[1], 'PX', 100000); redis.call('DEL', KEYS[2])", "2", "{test}l::k", "{test}l::big", "h4")
		}
	}
	wg.Wait()
}

// Who asks after a purge of a tag that is not known here joins the load, and gets what is new.
func TestMaxStaleness_OfWhatIsJoined(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	const bound = 300 * time.Millisecond
	var version atomic.Int64
	for i := range 3 {
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
			nodes = append(nodes, newNode(t, s.addr(), load, tagged("t"), staleness(bound)))
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

// A load that began while Redis was away is not joined for ever.
func TestMaxStaleness_OfALoadThatBeganAlone(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	p := startProxy(t, s.addr())
	const bound = 300 * time.Millisecond
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

// A Set whose connection stood still, and was given up, arrives in Redis after a newer one.
func TestW3_ALateSetReplacesNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	p := startLateProxy(t, s.addr())
	load := func(context.Context, string) (string, error) { return "new", nil }
	const bound = 300 * time.Millisecond
	a, b := newNode(t, p.l.Addr().String(), load, staleness(bound)), newNode(t, s.addr(), load, staleness(bound))
	a.Set("warm", "w")  // the scripts are known
	release := p.hold() // what the connections of now have sent is under way
	a.Set("k", "old")   // fails
	eventually(t, "a has another connection", func() bool { return p.accepted.Load() > 1 && a.tier.Stats().Up == 1 })
	b.Set("k", "new")
	b.must(t, "k", "new")
	time.Sleep(bound)
	release()
	time.Sleep(bound)
	b.must(t, "k", "new")
	a.must(t, "k", "new")
}

func TestClose_WhileAPingComesBack(t *testing.T) {
	s := startServer(t)
	for i := range 60 {
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

// Whatever is done in whatever order on three nodes: when it is over, and MaxStaleness too, all have what
// the source has.
func TestAtTheEndAllAgree(t *testing.T) {
	for _, trouble := range []string{"none", "cut", "flush", "stop"} {
		t.Run(trouble, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			const bound = 500 * time.Millisecond
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
			end := time.Now().Add(3 * time.Second)
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
			// When what is owed has been paid, and MaxStaleness is over, and then for ever.
			agree := func() (ok bool) {
				ok = true
				for i := range cells {
					for _, n := range nodes {
						got, err := n.Get(t.Context(), fmt.Sprint("k", i))
						ok = ok && (err != nil || got == fmt.Sprint(cells[i].v.Load())) // the source is down at times
					}
				}
				return ok
			}
			eventually(t, "all agree", agree)
			for range 20 {
				time.Sleep(time.Millisecond)
				if !agree() {
					t.Error("and then do not any more")
				}
			}
		})
	}
}
