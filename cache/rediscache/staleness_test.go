package rediscache_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/rediscache"
)

const (
	bound     = time.Second
	tolerance = time.Second // of the machine: timers and goroutines that come late
)

// versions is a source whose values are numbers that grow, and when each was changed.
type versions struct {
	mu      sync.Mutex
	changed map[string][]time.Time // of version i+1
	removed map[string][]time.Time // when everybody had been told of it; zero: not yet
}

func (v *versions) load(_ context.Context, key string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return strconv.Itoa(len(v.changed[key])), nil
}

// change makes a new version, and returns what to call when it was told.
func (v *versions) change(key string) (told func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.changed[key] = append(v.changed[key], time.Now())
	v.removed[key] = append(v.removed[key], time.Time{})
	i := len(v.changed[key]) - 1
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.removed[key][i] = time.Now()
	}
}

// age returns for how long a value was outdated at t by changes that were told, and by changes
// since a moment, told or not.
func (v *versions) age(key, value string, t, since time.Time) (told, any time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n, _ := strconv.Atoi(value)
	for i := n; i < len(v.changed[key]); i++ {
		if at := v.removed[key][i]; !at.IsZero() {
			told = max(told, t.Sub(at))
		}
		if at := v.changed[key][i]; !since.IsZero() && at.After(since) {
			any = max(any, t.Sub(at))
		}
	}
	return told, any
}

// No node serves a value that was changed more than MaxStaleness ago, whatever happens to Redis or
// to its connection. Measured: a writer with a connection of its own changes values all the time,
// readers note how old what they get is.
func TestMaxStaleness(t *testing.T) {
	type scene struct {
		s *server
		p *proxy
	}
	for _, tc := range []struct {
		name  string
		begin func(x scene)
		end   func(x scene)
		away  bool // of Redis, for the writer too
	}{
		{"nothing happens", func(scene) {}, func(scene) {}, false},
		{"the connection stands still", func(x scene) { x.p.stall() }, func(x scene) { x.p.resume() }, false},
		{"the connection is cut", func(x scene) { x.p.cut() }, func(x scene) { x.p.resume() }, false},
		{"SIGSTOP", func(x scene) { x.s.stop() }, func(x scene) { x.s.cont() }, true},
		{"killed, and restarted empty", func(x scene) { x.s.kill() }, func(x scene) { x.s.start() }, true},
		{"FLUSHALL", func(x scene) { x.s.do("FLUSHALL") }, func(x scene) { x.s.do("FLUSHALL") }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			p := startProxy(t, s.addr())
			src := &versions{changed: map[string][]time.Time{}, removed: map[string][]time.Time{}}
			short := func(tc *rediscache.Config[string], cc *cache.Config[string, string]) {
				tc.MaxStaleness = bound
				cc.Tags = func(key, _ string) []string { return []string{"of " + key} }
				cc.StaleWhileRevalidate = time.Hour
				cc.StaleIfError = time.Hour
			}
			writer := newNode(t, s.addr(), src.load, short)
			reader, quiet := newNode(t, p.addr(), src.load, short), newNode(t, p.addr(), src.load, short)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var wg sync.WaitGroup
			keys := []string{"a", "b", "c", "d"}
			var outage atomic.Pointer[time.Time] // since when Redis is away for the writer too
			for i, key := range keys {
				src.change(key)()
				wg.Go(func() {
					for ctx.Err() == nil {
						told := src.change(key)
						for ctx.Err() == nil {
							var err error
							if i%2 == 0 {
								err = writer.tier.Remove(ctx, key)
							} else {
								err = writer.tier.RemoveTags(ctx, "of "+key)
							}
							if err == nil {
								told()
								break
							}
							time.Sleep(5 * time.Millisecond)
						}
						time.Sleep(250 * time.Millisecond)
					}
				})
			}
			var gets, slowest atomic.Int64
			var worst, worstAway, values [2]time.Duration
			for i, n := range []*node{reader, quiet} {
				wg.Go(func() {
					seen := map[string]bool{}
					for j := 0; ctx.Err() == nil; j++ {
						key := keys[j%len(keys)]
						since := time.Time{}
						if at := outage.Load(); at != nil {
							since = *at
						}
						begin := time.Now()
						v, err := n.Get(context.Background(), key)
						if err != nil {
							t.Errorf("%s: %v", key, err)
						}
						took := int64(time.Since(begin))
						for old := slowest.Load(); took > old && !slowest.CompareAndSwap(old, took); old = slowest.Load() {
						}
						told, away := src.age(key, v, begin, since)
						worst[i] = max(worst[i], told)
						if outage.Load() != nil {
							worstAway[i] = max(worstAway[i], away)
						}
						seen[key+v] = true
						gets.Add(1)
						time.Sleep(time.Duration(1+i*20) * time.Millisecond)
					}
					values[i] = time.Duration(len(seen))
				})
			}
			x := scene{s, p}
			time.Sleep(time.Second)
			shared := func() uint64 { return reader.Stats().RemoteHits + quiet.Stats().RemoteHits }
			before := reader.Stats()
			began := time.Now()
			tc.begin(x)
			if tc.away {
				outage.Store(&began)
			}
			time.Sleep(4 * time.Second)
			outage.Store(nil)
			during, then := reader.Stats(), shared()
			tc.end(x)
			eventually(t, "shared values are taken again", func() bool { return shared() > then+3 })
			time.Sleep(500 * time.Millisecond)
			cancel()
			wg.Wait()
			for i := range worst {
				if worst[i] > bound+tolerance || worstAway[i] > bound+tolerance {
					t.Errorf("reader %d: a value was outdated for %v (for %v while Redis was away), more than %v", i, worst[i], worstAway[i], bound)
				}
			}
			if d := time.Duration(slowest.Load()); d > bound/3+tolerance {
				t.Errorf("a Get took %v", d)
			}
			if values[0] < 20 {
				t.Errorf("only %d values were seen: nothing was tested", values[0])
			}
			t.Logf("%d gets, worst age %v, away %v, slowest %v; hits %d, loads %d while it lasted; %+v", gets.Load(), worst, worstAway,
				time.Duration(slowest.Load()), during.Hits-before.Hits, during.Loads-before.Loads, reader.tier.Stats())
		})
	}
}

// While Redis is away each process loads a key once for all who ask, and keeps it for at most
// MaxStaleness.
func TestAway_OneLoadAndAShortLife(t *testing.T) {
	s := startServer(t)
	var loads atomic.Int64
	gate := make(chan struct{})
	n := newNode(t, s.addr(), func(context.Context, string) (string, error) {
		<-gate
		return fmt.Sprint(loads.Add(1)), nil
	}, func(tc *rediscache.Config[string], cc *cache.Config[string, string]) {
		tc.MaxStaleness = bound
		cc.StaleIfError = time.Hour
	})
	s.kill()
	eventually(t, "the tier knows", func() bool { return n.tier.Stats().Up == 0 })
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() { n.must(t, "k", "1") })
	}
	eventually(t, "all wait", func() bool { return n.Stats().InFlight == 1 })
	close(gate)
	wg.Wait()
	if got := n.Stats(); got.Loads != 1 || got.RemoteErrors == 0 {
		t.Errorf("%d loads, %d errors of the Remote", got.Loads, got.RemoteErrors)
	}
	eventually(t, "k has gone", func() bool { _, here := n.Peek("k"); return !here })
	n.must(t, "k", "2")
}

func TestNew_WithoutRedis(t *testing.T) {
	startServer(t).kill() // to skip where there is none
	addr := "127.0.0.1:" + strconv.Itoa(freePort(t))
	n := newNode(t, addr, func(context.Context, string) (string, error) { return "v", nil })
	n.must(t, "k", "v")
	if err := n.tier.Remove(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), "rediscache: ") {
		t.Errorf("Remove: %v", err)
	}
}

// What Delete could not tell is told when Redis is there again, and until then not taken from it.
func TestDelete_IsToldLater(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.addr())
	var src source
	short := func(tc *rediscache.Config[string], _ *cache.Config[string, string]) { tc.MaxStaleness = bound }
	a, b := newNode(t, p.addr(), src.load, short), newNode(t, s.addr(), src.load, short)
	a.must(t, "k", "k#1")
	b.must(t, "k", "k#1")
	p.cut()
	a.Delete("k")
	a.must(t, "k", "k#2")
	p.resume()
	eventually(t, "b has heard", func() bool { v, _ := b.Get(t.Context(), "k"); return v != "k#1" })
	for range 100 {
		if v, err := a.Get(t.Context(), "k"); v == "k#1" || err != nil {
			t.Fatalf("after Delete: %q, %v", v, err)
		}
	}
}

// A Set here, a Get here and a Set elsewhere, all at once: what stays anywhere is what Redis has.
func TestW3_WhatStaysIsWhatRedisHas(t *testing.T) {
	s := startServer(t)
	a, b := newNode(t, s.addr(), nil), newNode(t, s.addr(), nil)
	rounds := 2000
	if testing.Short() {
		rounds = 200
	}
	for n := range rounds {
		key := "k" + strconv.Itoa(n)
		var wg sync.WaitGroup
		wg.Go(func() { a.Set(key, "a") })
		for range 3 {
			wg.Go(func() {
				for range 3 {
					_, _ = a.Get(t.Context(), key)
				}
			})
		}
		wg.Go(func() { b.Set(key, "b") })
		wg.Wait()
		same := func() bool {
			va, hereA := a.Peek(key)
			vb, hereB := b.Peek(key)
			return !hereA || !hereB || va == vb
		}
		if !same() { // the message may be on its way
			eventually(t, "both have the same of "+key, same)
		}
	}
}

// N nodes that refresh the same key cause one load.
func TestX10_OneLoadForTheRefreshesOfAll(t *testing.T) {
	s := startServer(t)
	var loads atomic.Int64
	gate := make(chan struct{})
	load := func(context.Context, string) (string, error) {
		<-gate
		return fmt.Sprint(loads.Add(1)), nil
	}
	var nodes []*node
	for range 6 {
		nodes = append(nodes, newNode(t, s.addr(), load))
	}
	nodes[0].Set("k", "0")
	for _, n := range nodes {
		n.must(t, "k", "0")
	}
	// It is to be replaced by something newer than itself, which clocks of several processes can only
	// say of what is older than a trip.
	time.Sleep(300 * time.Millisecond)
	for _, n := range nodes {
		n.Refresh("k")
	}
	fetches := func(what func(rediscache.Stats) uint64) (n uint64) {
		for _, x := range nodes {
			n += what(x.tier.Stats())
		}
		return n
	}
	eventually(t, "one loads, five wait", func() bool {
		return fetches(func(st rediscache.Stats) uint64 { return st.Leases }) == 1 && fetches(func(st rediscache.Stats) uint64 { return st.Waits }) >= 5
	})
	// Longer than the value was old when they asked: what they wait for is newer all the same.
	time.Sleep(400 * time.Millisecond)
	close(gate)
	for _, n := range nodes {
		eventually(t, "all have it", func() bool { v, _ := n.Get(t.Context(), "k"); return v != "0" })
	}
	if n := loads.Load(); n != 1 {
		t.Errorf("%d loads for one refresh of 6 nodes", n)
	}
}

// GetMany asks of no key more than of that key.
func TestG9_AnOldKeyIsNoOthers(t *testing.T) {
	s := startServer(t)
	var src source
	a, b := newNode(t, s.addr(), src.load), newNode(t, s.addr(), src.load)
	a.must(t, "shared", "shared#1")
	b.SetFor("mine", "x", time.Millisecond)
	time.Sleep(5 * time.Millisecond) // its TTL is over
	if got, err := b.GetMany(t.Context(), []string{"mine", "shared"}); got["shared"] != "shared#1" || got["mine"] != "mine#1" || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// However many call while Redis hangs, none waits for much longer than the one trip that finds it out.
func TestAway_ThousandsOfCallers(t *testing.T) {
	s := startServer(t)
	n := newNode(t, s.addr(), func(_ context.Context, k string) (string, error) { return k, nil }, staleness(bound))
	s.stop()
	var wg sync.WaitGroup
	var late atomic.Int64
	began := time.Now()
	for i := range 5000 {
		wg.Go(func() {
			n.must(t, fmt.Sprint(i), fmt.Sprint(i))
			if time.Since(began) > bound/3+tolerance {
				late.Add(1)
			}
		})
	}
	wg.Wait()
	if late.Load() > 0 {
		t.Errorf("%d of 5,000 calls took longer than %v", late.Load(), bound/3+tolerance)
	}
	if trips := n.tier.Stats().Trips; trips > 896 {
		t.Errorf("%d trips to a Redis that hangs", trips)
	}
	s.cont()
}
