package rediscache_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/rediscache"
)

func within(t *testing.T, d time.Duration, n *node, key string) (string, error, time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	began := time.Now()
	v, err := n.Get(ctx, key)
	return v, err, time.Since(began)
}

// A caller that leaves while the trip is under way orphans the lease for its full length.
func TestReview_CancelledTripOrphansTheLease(t *testing.T) {
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
	time.Sleep(100 * time.Millisecond)
	if v, err, took := within(t, 3*time.Second, b, "k"); err != nil {
		t.Errorf("nobody loads k, and yet: %q, %v after %v; lease %s", v, err, took, s.do("PTTL", "{test}l::k"))
	}
}

func TestReview_AHiccupOfRedisOrphansLeases(t *testing.T) {
	s := startServer(t)
	var src source
	short := func(tc *rediscache.Config[string], _ *cache.Config[string, string]) { tc.MaxStaleness = bound }
	a, b := newNode(t, s.addr(), src.load, short), newNode(t, s.addr(), src.load, short)
	a.must(t, "warm", "warm#1") // the scripts are known
	s.stop()
	a.must(t, "k", "k#1") // alone
	s.cont()
	eventually(t, "up", func() bool { return a.tier.Stats().Up == 1 && b.tier.Stats().Up == 1 })
	if v, err, took := within(t, 3*time.Second, b, "k"); err != nil {
		t.Errorf("nobody loads k, and yet: %q, %v after %v; lease %s", v, err, took, s.do("PTTL", "{test}l::k"))
	}
}

// A fill that is lost with its connection leaves the lease.
func TestReview_ALostFillOrphansTheLease(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.addr())
	loading, gate := make(chan bool, 9), make(chan struct{})
	short := func(tc *rediscache.Config[string], _ *cache.Config[string, string]) { tc.MaxStaleness = bound }
	a := newNode(t, p.addr(), func(context.Context, string) (string, error) { loading <- true; <-gate; return "v", nil }, short)
	b := newNode(t, s.addr(), func(context.Context, string) (string, error) { return "v", nil }, short)
	got := make(chan bool)
	go func() { _, _ = a.Get(context.Background(), "k"); close(got) }()
	<-loading
	p.cut()
	close(gate)
	<-got
	p.resume()
	eventually(t, "up", func() bool { return a.tier.Stats().Up == 1 })
	if v, err, took := within(t, 3*time.Second, b, "k"); err != nil {
		t.Errorf("nobody loads k, and yet: %q, %v after %v; lease %s", v, err, took, s.do("PTTL", "{test}l::k"))
	}
}

// G4, X9: a load that nobody waits for any more is not joined.
func TestReview_AbandonedLoadBlocksTheKeyEverywhere(t *testing.T) {
	s := startServer(t)
	gate := make(chan struct{})
	var loads atomic.Int64
	load := func(context.Context, string) (string, error) { // ignores ctx, the first hangs
		if loads.Add(1) == 1 {
			<-gate
		}
		return "v", nil
	}
	lease := func(tc *rediscache.Config[string], _ *cache.Config[string, string]) {
		tc.Lease = 300 * time.Millisecond
	}
	a, b := newNode(t, s.addr(), load, lease), newNode(t, s.addr(), load, lease)
	t.Cleanup(func() { close(gate) })
	_, _, _ = within(t, 100*time.Millisecond, a, "k")
	for name, n := range map[string]*node{"a": a, "b": b} {
		if v, err, took := within(t, 3*time.Second, n, "k"); err != nil {
			t.Errorf("%s: %q, %v after %v: waits for a load that was given up, though the lease is 300 ms", name, v, err, took)
		}
	}
}

func TestReview_LoadTimeoutStuckLoaderBlocksEverywhere(t *testing.T) {
	s := startServer(t)
	gate := make(chan struct{})
	var loads atomic.Int64
	load := func(context.Context, string) (string, error) {
		if loads.Add(1) == 1 {
			<-gate
		}
		return "v", nil
	}
	lease := func(tc *rediscache.Config[string], cc *cache.Config[string, string]) {
		tc.Lease = 300 * time.Millisecond
		cc.LoadTimeout = 500 * time.Millisecond
	}
	a, b := newNode(t, s.addr(), load, lease), newNode(t, s.addr(), load, lease)
	t.Cleanup(func() { close(gate) })
	_, err := a.Get(t.Context(), "k")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	for i := range 4 {
		if _, err := b.Get(t.Context(), "k"); err != nil {
			t.Errorf("b, try %d: %v", i, err)
		}
	}
}

// W1/one load for all: a write during a load wakes all who wait.
func TestReview_WriteDuringALoadIsAStampede(t *testing.T) {
	for name, write := range map[string]func(n *node){
		"Delete":    func(n *node) { n.Delete("k") },
		"PurgeAll":  func(n *node) { n.PurgeAll() },
		"PurgeTags": func(n *node) { n.PurgeTags("t") },
		"none":      func(*node) {},
		"fails":     nil,
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			var loads atomic.Int64
			load := func(ctx context.Context, _ string) (string, error) {
				n := loads.Add(1)
				cache.AddTags(ctx, "t")
				time.Sleep(300 * time.Millisecond)
				if write == nil && n == 1 {
					return "", errors.New("down")
				}
				return fmt.Sprint(n), nil
			}
			var nodes []*node
			for range 12 {
				nodes = append(nodes, newNode(t, s.addr(), load))
			}
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = nodes[0].Get(t.Context(), "k") })
			eventually(t, "loading", func() bool { return loads.Load() == 1 })
			for _, n := range nodes[2:] {
				wg.Go(func() { _, _ = n.Get(t.Context(), "k") })
			}
			time.Sleep(100 * time.Millisecond)
			if write != nil {
				write(nodes[1])
			}
			wg.Wait()
			after := loads.Load()
			kept := 0
			for _, n := range nodes {
				if _, here := n.Peek("k"); here {
					kept++
				}
			}
			t.Logf("%d loads, kept by %d of 12", after, kept)
			if after > 2 {
				t.Errorf("%d loads of one key, want 2", after)
			}
		})
	}
}

// W1: whoever asks after the write returned loads afresh, and does not wait for what is running.
func TestReview_PurgeLeavesNewcomersWaitingForTheOldLoad(t *testing.T) {
	for name, write := range map[string]func(n *node){
		"Delete":    func(n *node) { n.Delete("k") },
		"PurgeAll":  func(n *node) { n.PurgeAll() },
		"PurgeTags": func(n *node) { n.PurgeTags("t") },
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			var loads atomic.Int64
			gate := make(chan struct{})
			load := func(ctx context.Context, _ string) (string, error) {
				cache.AddTags(ctx, "t")
				if loads.Add(1) == 1 {
					<-gate
				}
				return "v", nil
			}
			a := newNode(t, s.addr(), load)
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = a.Get(context.Background(), "k") })
			eventually(t, "loading", func() bool { return loads.Load() == 1 })
			write(a)
			if _, err, took := within(t, 2*time.Second, a, "k"); err != nil {
				t.Errorf("after %s: %v after %v, %d loads", name, err, took, loads.Load())
			}
			close(gate)
			wg.Wait()
		})
	}
}

func TestReview_ForeignGarbage(t *testing.T) {
	for name, args := range map[string][]string{
		"another type":  {"SET", "{test}v::k", "hello"},
		"half a hash":   {"HSET", "{test}v::k", "b", "99999999999999999"},
		"no msgpack":    {"HSET", "{test}v::k", "b", "9999999999999999", "l", "1", "u", "-1", "h", strings.Repeat("x", 25), "v", "x", "g", "\xc1\xc1"},
		"tags no list":  {"HSET", "{test}v::k", "b", "9999999999999999", "l", "1", "u", "-1", "h", strings.Repeat("x", 25), "v", "x", "g", "\x01"},
		"short header":  {"HSET", "{test}v::k", "b", "9999999999999999", "l", "1", "u", "-1", "h", "x", "v", "x", "g", "\x90"},
		"lease no text": {"LPUSH", "{test}l::k", "x"},
		"old born":      {"HSET", "{test}v::k", "b", "1", "l", "1", "u", "-1", "h", "x", "v", "x", "g", "\x90"},
		"s no number":   {"SET", "{test}s", "x"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			var src source
			a, b := newNode(t, s.addr(), src.load), newNode(t, s.addr(), src.load)
			s.do(args...)
			keys := []string{"x1", "x2", "k", "x3"}
			limit, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if got, err := a.GetMany(limit, keys); len(got) != 4 || err != nil {
				t.Errorf("%v, %v", got, err)
			}
			for _, key := range keys {
				if v, err, took := within(t, time.Second, b, key); v != key+"#1" || err != nil {
					t.Errorf("b: %s = %q, %v after %v", key, v, err, took)
				}
			}
			st := a.tier.Stats()
			t.Logf("unreadable %d, trip errors %d, trips %d", st.Unreadable, st.TripErrors, st.Trips)
			if n := src.loads["k"]; n > 1 {
				t.Errorf("k was loaded %d times: the garbage stays", n)
			}
		})
	}
}

// X10: N nodes cause one load: oldest is not moved while the Fetch waits.
func TestReview_RefreshAfterSetIsOneLoadPerNode(t *testing.T) {
	s := startServer(t)
	var loads atomic.Int64
	load := func(context.Context, string) (string, error) {
		n := loads.Add(1)
		time.Sleep(300 * time.Millisecond)
		return fmt.Sprint(n), nil
	}
	var nodes []*node
	for range 6 {
		nodes = append(nodes, newNode(t, s.addr(), load))
	}
	nodes[0].Set("k", "0")
	for _, n := range nodes {
		n.must(t, "k", "0")
	}
	time.Sleep(100 * time.Millisecond)
	for _, n := range nodes {
		n.Refresh("k")
	}
	time.Sleep(4 * time.Second)
	if n := loads.Load(); n > 1 {
		t.Errorf("%d loads for one refresh of 6 nodes", n)
	}
}

// A Set here, a Get here and a Set elsewhere, all at once: what stays must be what Redis has.
func TestReview_SetGetSetStaysStale(t *testing.T) {
	s := startServer(t)
	a, b := newNode(t, s.addr(), nil), newNode(t, s.addr(), nil)
	bad, n := 0, 0
	end := time.Now().Add(25 * time.Second)
	for ; time.Now().Before(end); n++ {
		key := fmt.Sprint("k", n)
		var wg sync.WaitGroup
		wg.Go(func() { a.Set(key, "a") })
		for range 3 {
			wg.Go(func() {
				for range 3 {
					_, _ = a.Get(context.Background(), key)
				}
			})
		}
		wg.Go(func() { b.Set(key, "b") })
		wg.Wait()
		n2 := fmt.Sprint("z", n) // a round trip of each, so that what was told has arrived
		_, _ = a.Get(t.Context(), n2)
		_, _ = b.Get(t.Context(), n2)
		for range 20 {
			runtime.Gosched()
		}
		va, hereA := a.Peek(key)
		vb, hereB := b.Peek(key)
		if hereA && hereB && va != vb {
			time.Sleep(50 * time.Millisecond)
			va, hereA = a.Peek(key)
			vb, hereB = b.Peek(key)
			if hereA && hereB && va != vb {
				bad++
				if bad < 4 {
					t.Errorf("round %d: a has %q, b has %q for ever; Redis: %s", n, va, vb, s.do("HGET", "{test}v::"+key, "v"))
				}
			}
		}
	}
	t.Logf("%d of %d", bad, n)
}

func TestReviewChild(t *testing.T) {
	addr := os.Getenv("REVIEW_CHILD")
	if addr == "" {
		t.Skip()
	}
	n := newNode(t, addr, func(context.Context, string) (string, error) { return "child", nil }, func(tc *rediscache.Config[string], _ *cache.Config[string, string]) {
		tc.MaxStaleness = bound
	})
	go func() { // serves all the time, as a service does
		old := time.Now()
		last := ""
		for {
			at := time.Now()
			v, _ := n.Get(context.Background(), "k")
			if at.Sub(old) > time.Second || v != last {
				fmt.Printf("SEEN %d %s\n", at.UnixMilli(), v)
			}
			last, old = v, at
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// A process that was stopped serves what was changed long ago when it goes on.
func TestReview_StoppedNode(t *testing.T) {
	s := startServer(t)
	p := startProxy(t, s.addr())
	a := newNode(t, s.addr(), func(context.Context, string) (string, error) { return "new", nil })
	a.Set("k", "old")
	cmd := exec.Command(os.Args[0], "-test.run=^TestReviewChild$")
	cmd.Env = append(os.Environ(), "REVIEW_CHILD="+p.addr())
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	next := func() string {
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "SEEN") {
				return lines.Text()
			}
		}
		return ""
	}
	t.Log(next())
	time.Sleep(200 * time.Millisecond)
	_ = cmd.Process.Signal(syscall.SIGSTOP)
	p.stall() // and its connection is dead when it goes on
	time.Sleep(100 * time.Millisecond)
	a.Set("k", "new")
	time.Sleep(4 * time.Second)
	_ = cmd.Process.Signal(syscall.SIGCONT)
	if got := next(); strings.HasSuffix(got, "old") {
		t.Errorf("4 s after the change: %s", got)
		t.Logf("then %s", next())
	}
	in.Close()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func TestReview_HangAnd10000Callers(t *testing.T) {
	s := startServer(t)
	var loads atomic.Int64
	a := newNode(t, s.addr(), func(_ context.Context, k string) (string, error) { loads.Add(1); return k, nil }, func(tc *rediscache.Config[string], cc *cache.Config[string, string]) {
		tc.MaxStaleness = bound
	})
	s.stop()
	defer s.cont()
	var wg sync.WaitGroup
	var slow atomic.Int64
	peak := 0
	for i := range 10000 {
		wg.Go(func() {
			began := time.Now()
			a.must(t, fmt.Sprint(i), fmt.Sprint(i))
			d := int64(time.Since(began))
			for o := slow.Load(); d > o && !slow.CompareAndSwap(o, d); o = slow.Load() {
			}
		})
	}
	peak = runtime.NumGoroutine()
	wg.Wait()
	t.Logf("slowest %v, goroutines %d then %d, loads %d, %+v", time.Duration(slow.Load()), peak, runtime.NumGoroutine(), loads.Load(), a.tier.Stats())
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := a.tier.Close(ctx)
	t.Logf("Close with Redis stopped: %v after %v", err, time.Since(began))
	time.Sleep(4 * time.Second)
	buf := make([]byte, 1<<20)
	if st := string(buf[:runtime.Stack(buf, true)]); strings.Contains(st, "rediscache.(*Tier") {
		t.Error("4 s after Close something of the tier runs still")
		for _, g := range strings.Split(st, "\n\n") {
			if strings.Contains(g, "rediscache.(*Tier") {
				t.Log(g[:min(600, len(g))])
				break
			}
		}
	}
}

func TestReview_64MiB(t *testing.T) {
	s := startServer(t)
	big := strings.Repeat("x", 64<<20)
	opt := func(tc *rediscache.Config[string], cc *cache.Config[string, string]) {
		tc.MaxStaleness = bound
		cc.MaxBytes = 256 << 20
	}
	load := func(_ context.Context, k string) (string, error) {
		if k == "big" {
			return big, nil
		}
		return k, nil
	}
	a, b := newNode(t, s.addr(), load, opt), newNode(t, s.addr(), load, opt)
	a.must(t, "small", "small")
	b.must(t, "small", "small")
	v, err, took := within(t, 20*time.Second, a, "big")
	t.Logf("a: %d, %v, %v; %+v", len(v), err, took, a.tier.Stats())
	v, err, took = within(t, 20*time.Second, b, "big")
	t.Logf("b: %d, %v, %v; %+v", len(v), err, took, b.tier.Stats())
	time.Sleep(700 * time.Millisecond)
	if a.tier.Stats().Gaps+b.tier.Stats().Gaps > 0 {
		t.Errorf("one large value dropped everything: gaps %d, %d", a.tier.Stats().Gaps, b.tier.Stats().Gaps)
	}
	if _, here := a.Peek("big"); !here {
		t.Error("a does not keep it")
	}
}

func TestReview_FailingLoader(t *testing.T) {
	s := startServer(t)
	var loads atomic.Int64
	load := func(context.Context, string) (string, error) {
		loads.Add(1)
		time.Sleep(20 * time.Millisecond)
		return "", errors.New("down")
	}
	var nodes []*node
	for range 6 {
		nodes = append(nodes, newNode(t, s.addr(), load))
	}
	var wg sync.WaitGroup
	began := time.Now()
	for _, n := range nodes {
		for i := range 200 {
			wg.Go(func() { _, _ = n.Get(t.Context(), fmt.Sprint(i)) })
		}
	}
	wg.Wait()
	t.Logf("%v, %d loads for 200 keys on 6 nodes", time.Since(began), loads.Load())
}

// GetMany: the age of one key is asked of all.
func TestReview_GetManyOneOldKeySpoilsTheRest(t *testing.T) {
	s := startServer(t)
	var src source
	a, b := newNode(t, s.addr(), src.load), newNode(t, s.addr(), src.load)
	a.must(t, "shared", "shared#1")
	time.Sleep(50 * time.Millisecond)
	b.SetFor("mine", "x", 20*time.Millisecond)
	time.Sleep(30 * time.Millisecond) // its TTL is over
	if _, err := b.GetMany(t.Context(), []string{"mine", "shared"}); err != nil {
		t.Error(err)
	}
	if n := src.loads["shared"]; n != 1 {
		t.Errorf("shared is in Redis, fresh, and was loaded %d times", n)
	}
}

var _ = rueidis.IsRedisNil
