package rediscache_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/rediscache"
)

func TestNew_EveryProblemAtOnce(t *testing.T) {
	_, err := rediscache.New[string](rediscache.Config[string]{
		Client:       rueidis.ClientOption{DisableCache: true, OnInvalidations: func([]rueidis.RedisMessage) {}},
		Prefix:       "a{b}",
		Version:      "1:2",
		MaxStaleness: time.Millisecond,
		Lease:        -1,
		Encode:       func(string) ([]byte, error) { return nil, nil },
	})
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{
		"rediscache: Client.InitAddress is empty: must have an address",
		"rediscache: Client.OnInvalidations is set: must not be, for it is the tier's own",
		"rediscache: Client.DisableCache is set: must not be, for without tracking nothing tells of changes",
		`rediscache: Prefix is "a{b}": must name the cache, without braces`,
		`rediscache: Version is "1:2": must not have a colon`,
		"rediscache: MaxStaleness is 1ms: must be at least 30ms (0 means 1s)",
		"rediscache: Lease is -1ns: must be at least 100ms (0 means 10s)",
		"rediscache: one of Encode and Decode is set: must be both or none",
	}
	if got := strings.Split(err.Error(), "\n"); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s", err)
	}
	_, err = rediscache.New[string](rediscache.Config[string]{Client: rueidis.ClientOption{InitAddress: []string{"redis://user:secret@127.0.0.1:6379"}}, Prefix: "x"})
	if err == nil || !strings.Contains(err.Error(), "Client.InitAddress[0] is a URL: must be host:port") || strings.Contains(err.Error(), "secret") {
		t.Errorf("a URL for an address: %v", err)
	}
}

// What comes back from Redis with less in it than was put there would be a wrong answer.
func TestNew_RefusesValuesThatJSONWouldCut(t *testing.T) {
	type inner struct {
		Name string
		//lint:ignore U1000 it is what would be lost
		secret string
	}
	type list struct {
		Next *list
		inner
	}
	type embedded struct{ Name string }
	type whole struct {
		embedded
		_     int
		At    time.Time
		Any   any
		Next  *whole
		Pages map[int][]embedded
		Empty string `json:",omitempty"`
	}
	at := rediscache.Config[int]{Client: rueidis.ClientOption{InitAddress: []string{"127.0.0.1:1"}}, Prefix: "x"}
	for want, err := range map[string]error{
		"inner.secret would be lost: it is not exported": newError[map[string][]*list](at),
		`struct { A int "json:\"-\"" }.A would be lost`: newError[struct {
			A int `json:"-"`
		}](at),
		"a func() cannot be encoded":                          newError[func()](at),
		"a value of the interface error cannot be decoded":    newError[[]error](at),
		"Encode and Decode are nil, and by encoding/json a c": newError[struct{ C chan int }](at),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := newError[whole](at); err != nil {
		t.Error(err)
	}
}

func newError[V any](at rediscache.Config[int]) error {
	tier, err := rediscache.New[string](rediscache.Config[V]{Client: at.Client, Prefix: at.Prefix})
	if err == nil {
		_ = tier.Close(context.Background())
	}
	return err
}

// pair is two caches of any types on one Redis.
func pair[K comparable, V any](t *testing.T, s *server, cfg cache.Config[K, V], configs ...func(*rediscache.Config[V])) (a, b *cache.Cache[K, V]) {
	t.Helper()
	make := func(i int) *cache.Cache[K, V] {
		tc := rediscache.Config[V]{Client: rueidis.ClientOption{InitAddress: []string{s.addr()}, ForceSingleClient: true}, Prefix: "pair", MaxStaleness: time.Minute}
		if i < len(configs) {
			configs[i](&tc)
		}
		tier, err := rediscache.New[K](tc)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tier.Close(context.Background()) })
		cfg.Remote = tier
		c, err := cache.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return make(0), make(1)
}

func travels[K comparable, V any](t *testing.T, s *server, key K, value V) {
	t.Helper()
	a, b := pair(t, s, cache.Config[K, V]{})
	a.Set(key, value)
	if got, err := b.Get(t.Context(), key); err != nil || !reflect.DeepEqual(got, value) {
		t.Errorf("%T, %T: %v, %v", key, value, got, err)
	}
	b.Delete(key)
	eventually(t, fmt.Sprintf("%T: a has heard", key), func() bool { _, here := a.Peek(key); return !here })
}

func TestKeysAndValuesTravel(t *testing.T) {
	type name string
	type pt struct{ X, Y int }
	s := startServer(t)
	travels(t, s, "a:b}{ \x00\xff", []byte("\x00\xff"))
	travels(t, s, "", "")
	travels(t, s, name("n"), "s")
	travels(t, s, int8(-5), pt{1, 2})
	travels(t, s, uint64(1<<63), map[string]int{"a": 1})
	travels(t, s, pt{3, 4}, &pt{5, 6})
	travels(t, s, true, []pt{{7, 8}})
}

// A key that would be another one after its way through JSON is not shared, and nothing breaks.
func TestKeys_ThatJSONLoses(t *testing.T) {
	type hidden struct{ x int }
	s := startServer(t)
	a, b := pair(t, s, cache.Config[hidden, int]{Load: func(_ context.Context, k hidden) (int, error) { return k.x, nil }})
	for i := range 3 {
		for _, c := range []*cache.Cache[hidden, int]{a, b} {
			if v, err := c.Get(t.Context(), hidden{i}); v != i || err != nil {
				t.Errorf("%d, %v", v, err)
			}
		}
	}
	if a.Stats().RemoteErrors == 0 {
		t.Error("not counted")
	}
}

func TestVersion_KeepsEncodingsApart(t *testing.T) {
	s := startServer(t)
	src := new(source)
	a, b := pair(t, s, cache.Config[string, string]{Load: src.load, Tags: func(string, string) []string { return []string{"t"} }},
		func(tc *rediscache.Config[string]) { tc.Version = "1" },
		func(tc *rediscache.Config[string]) {
			tc.Version = "2"
			tc.Encode = func(v string) ([]byte, error) { return []byte("2" + v), nil }
			tc.Decode = func(text []byte) (string, error) {
				v, ok := strings.CutPrefix(string(text), "2")
				if !ok {
					return "", errors.New("of another version")
				}
				return v, nil
			}
		})
	for i, c := range []*cache.Cache[string, string]{a, b} {
		if v, err := c.Get(t.Context(), "k"); v != fmt.Sprintf("k#%d", i+1) || err != nil {
			t.Errorf("%q, %v", v, err)
		}
	}
	a.PurgeTags("t")
	eventually(t, "a purge reaches all versions", func() bool { _, here := b.Peek("k"); return !here })
}

func TestWhatCannotBeReadIsLoaded(t *testing.T) {
	s := startServer(t)
	src := new(source)
	var broken atomic.Bool
	a, b := pair(t, s, cache.Config[string, string]{Load: src.load}, nil2, func(tc *rediscache.Config[string]) {
		tc.Encode = func(v string) ([]byte, error) {
			if broken.Load() {
				return nil, errors.New("cannot")
			}
			return []byte(v), nil
		}
		tc.Decode = func(text []byte) (string, error) {
			if strings.HasSuffix(string(text), "#1") {
				return "", errors.New("cannot")
			}
			return string(text), nil
		}
	})
	if v, err := a.Get(t.Context(), "k"); v != "k#1" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	if v, err := b.Get(t.Context(), "k"); v != "k#2" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	eventually(t, "a has b's", func() bool { v, _ := a.Get(t.Context(), "k"); return v == "k#2" })
	broken.Store(true)
	if v, err := b.Get(t.Context(), "other"); v != "other#1" || err != nil || b.Stats().RemoteErrors != 1 {
		t.Errorf("%q, %v, %d errors", v, err, b.Stats().RemoteErrors)
	}
	if v, err := a.Get(t.Context(), "other"); v != "other#2" || err != nil { // and the lease is back
		t.Errorf("%q, %v", v, err)
	}
}

func nil2(*rediscache.Config[string]) {}

// Whoever waits for a load of a process that is closed in good order does not wait for its lease.
func TestClose_GivesLeasesBack(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	loading, gate := make(chan bool, 9), make(chan struct{})
	a := newNode(t, s.addr(), func(context.Context, string) (string, error) { loading <- true; <-gate; return "v", nil })
	b := newNode(t, s.addr(), func(context.Context, string) (string, error) { return "v", nil })
	var wg sync.WaitGroup
	wg.Go(func() { a.must(t, "k", "v") })
	<-loading
	if err := a.tier.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	within(t, b, "k", "v")
	close(gate)
	wg.Wait()
}

// -0 and 0 are one key in Go.
func TestKeys_MinusZero(t *testing.T) {
	s := startServer(t)
	tier, err := rediscache.New[float64](rediscache.Config[string]{Client: rueidis.ClientOption{InitAddress: []string{s.addr()}, ForceSingleClient: true}, Prefix: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tier.Close(t.Context()) }()
	if err := tier.Put(t.Context(), math.Copysign(0, -1), cache.Shared[string]{Value: "v", TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if s.text("EXISTS", "{test}v::0") != "1" {
		t.Error("-0 is another key than 0")
	}
}

func TestClose(t *testing.T) {
	s := startServer(t)
	src := new(source)
	n := newNode(t, s.addr(), src.load)
	n.must(t, "k", "k#1")
	if err := n.tier.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.must(t, "k", "k#2")
	if err := n.tier.Remove(t.Context(), "k"); err == nil {
		t.Error("Remove after Close says that it was told")
	}
	s.stop()
	defer s.cont()
	hung := newNodeHung(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := hung.Close(ctx); err != nil {
		t.Errorf("Close with a Redis that hangs: %v", err)
	}
}

func newNodeHung(t *testing.T, s *server) *rediscache.Tier[string, string] {
	tier, err := rediscache.New[string](rediscache.Config[string]{
		Client: rueidis.ClientOption{InitAddress: []string{s.addr()}, ForceSingleClient: true}, Prefix: "hung", MaxStaleness: 300 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return tier
}
