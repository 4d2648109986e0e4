package rediscache_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/rediscache"
)

// A node is a process as the others see it: a cache, a tier and a connection of its own.
type node struct {
	*cache.Cache[string, string]
	tier *rediscache.Tier[string, string]
}

type option func(*rediscache.Config[string], *cache.Config[string, string])

func newNode(t testing.TB, addr string, load func(ctx context.Context, key string) (string, error), options ...option) *node {
	t.Helper()
	tc := rediscache.Config[string]{Client: rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true}, Prefix: "test", MaxStaleness: time.Minute}
	cc := cache.Config[string, string]{Load: load, TTL: time.Hour}
	for _, o := range options {
		o(&tc, &cc)
	}
	tier, err := rediscache.New[string](tc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := tier.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	cc.Remote = tier
	c, err := cache.New(cc)
	if err != nil {
		t.Fatal(err)
	}
	return &node{c, tier}
}

// tagged gives every value a tag.
func tagged(tag string) option {
	return func(_ *rediscache.Config[string], cc *cache.Config[string, string]) {
		cc.Tags = func(string, string) []string { return []string{tag} }
	}
}

func (n *node) must(t testing.TB, key, want string) {
	t.Helper()
	if got, err := n.Get(t.Context(), key); got != want || err != nil {
		t.Errorf("Get(%q) = %q, %v, want %q", key, got, err, want)
	}
}

// keeps has key in the memory of n: what n has loaded itself it keeps when it is asked for next.
func (n *node) keeps(t testing.TB, key, want string) {
	t.Helper()
	eventually(t, "it keeps "+key, func() bool {
		n.must(t, key, want)
		_ = n.tier.Remove(t.Context(), "nobody") // when this is back everything that was told before is here
		_, here := n.Peek(key)
		return here
	})
}

// eventually waits until what is told by messages has arrived.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("not in 10 s: %s", what)
}

// source counts its loads: the n-th of a key is "key#n".
type source struct {
	mu    sync.Mutex
	loads map[string]int
}

func (s *source) load(_ context.Context, key string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loads == nil {
		s.loads = map[string]int{}
	}
	s.loads[key]++
	return fmt.Sprintf("%s#%d", key, s.loads[key]), nil
}

func TestASharedValueIsLoadedOnce(t *testing.T) {
	s := startServer(t)
	var src source
	a, b := newNode(t, s.addr(), src.load), newNode(t, s.addr(), src.load)
	a.must(t, "k", "k#1")
	b.must(t, "k", "k#1")
	if got := b.Stats(); got.RemoteHits != 1 || got.Loads != 0 || got.RemoteErrors != 0 {
		t.Errorf("b: %d remote hits, %d loads, %d errors", got.RemoteHits, got.Loads, got.RemoteErrors)
	}
	trips := b.tier.Stats().Trips
	b.must(t, "k", "k#1")
	if b.tier.Stats().Trips != trips {
		t.Error("a hit makes a trip")
	}
}

func TestDeleteIsToldToOthers(t *testing.T) {
	s := startServer(t)
	var src source
	a, b := newNode(t, s.addr(), src.load), newNode(t, s.addr(), src.load)
	for i := range 20 { // each direction: who loaded it, and who took it
		want := "k#" + strconv.Itoa(i+1)
		a.keeps(t, "k", want)
		b.keeps(t, "k", want)
		if i%2 == 0 {
			a.Delete("k")
		} else {
			b.Delete("k")
		}
		eventually(t, "both have dropped k", func() bool {
			_, inA := a.Peek("k")
			_, inB := b.Peek("k")
			return !inA && !inB
		})
	}
}

func TestTags(t *testing.T) {
	s := startServer(t)
	var src source
	tagged := func(_ *rediscache.Config[string], cc *cache.Config[string, string]) {
		cc.Tags = func(key, _ string) []string { return []string{"all", "of " + key} }
	}
	a, b := newNode(t, s.addr(), src.load, tagged), newNode(t, s.addr(), src.load, tagged)
	gone := func(key string) func() bool {
		return func() bool {
			_, inA := a.Peek(key)
			_, inB := b.Peek(key)
			return !inA && !inB
		}
	}
	for i := 1; i <= 10; i++ {
		a.keeps(t, "k", "k#"+strconv.Itoa(i))
		b.keeps(t, "k", "k#"+strconv.Itoa(i))
		a.keeps(t, "other", "other#"+strconv.Itoa((i+1)/2))
		b.keeps(t, "other", "other#"+strconv.Itoa((i+1)/2))
		switch n := []*node{a, b}[i/2%2]; {
		case i%2 == 1:
			n.PurgeTags("of k")
		case i < 5:
			n.PurgeTags("all")
		default:
			n.PurgeAll()
		}
		eventually(t, "k is gone", gone("k"))
		if i%2 == 0 {
			eventually(t, "other is gone", gone("other"))
		}
	}
}

func TestSetIsShared(t *testing.T) {
	s := startServer(t)
	a, b := newNode(t, s.addr(), nil), newNode(t, s.addr(), nil)
	if _, err := b.Get(t.Context(), "k"); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("before Set: %v", err)
	}
	for i := range 10 {
		v := strconv.Itoa(i)
		a.Set("k", v)
		a.must(t, "k", v)
		eventually(t, "b sees the value", func() bool { got, _ := b.Get(t.Context(), "k"); return got == v })
	}
}

// 1,000 cold keys, asked for by two nodes at once: each is loaded once.
func TestOneLoadAcrossNodes(t *testing.T) {
	s := startServer(t)
	var src source
	var loads atomic.Int64
	load := func(ctx context.Context, key string) (string, error) {
		loads.Add(1)
		time.Sleep(time.Millisecond)
		return src.load(ctx, key)
	}
	nodes := []*node{newNode(t, s.addr(), load), newNode(t, s.addr(), load)}
	var wg sync.WaitGroup
	for i := range 1000 {
		for _, n := range nodes {
			wg.Go(func() {
				key := strconv.Itoa(i)
				if got, err := n.Get(t.Context(), key); got != key+"#1" || err != nil {
					t.Errorf("%s: %q, %v", key, got, err)
				}
			})
		}
	}
	wg.Wait()
	if loads.Load() != 1000 {
		t.Errorf("%d loads of 1,000 keys", loads.Load())
	}
	for i, n := range nodes {
		if st := n.Stats(); st.RemoteErrors != 0 {
			t.Errorf("node %d: %d errors; %+v", i, st.RemoteErrors, n.tier.Stats())
		}
	}
}
