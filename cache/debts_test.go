package cache_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache"
)

// A script is a Remote that has what it is told to have: a Fetch each.
type script struct {
	down    atomic.Bool // a Drop fails
	fetches []func(maxAge time.Duration) cache.Shared[int]
	n       int
}

func (s *script) Watch(func([]string, []string, bool)) time.Duration { return time.Minute }

func (s *script) Put(context.Context, string, cache.Shared[int]) error { return nil }

func (s *script) Drop(context.Context, []string, []string) error {
	if s.down.Load() {
		return errRemote
	}
	return nil
}

func (s *script) Fetch(_ context.Context, _ []string, maxAge time.Duration, _ func(context.Context, []string) ([]cache.Shared[int], error)) ([]cache.Shared[int], error) {
	s.n++
	return []cache.Shared[int]{s.fetches[s.n-1](maxAge)}, nil
}

// A purge that the Remote was not told of is minded however long a Fetch takes that began after it.
func TestT6_AnOwedTagDuringASlowFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(script)
		old := func(value int, age time.Duration, tag string) cache.Shared[int] {
			return cache.Shared[int]{Value: value, TTL: time.Second, Age: age, Tags: []string{tag}}
		}
		s.fetches = []func(time.Duration) cache.Shared[int]{
			func(time.Duration) cache.Shared[int] { return old(1, 0, "other") },
			func(maxAge time.Duration) cache.Shared[int] {
				if maxAge > 2*time.Second {
					t.Errorf("may be %v old, though it is to replace one of 2s", maxAge)
				}
				s.down.Store(true)
				time.Sleep(5 * time.Second)
				return old(2, 6*time.Second, "t")
			},
			func(maxAge time.Duration) cache.Shared[int] {
				if maxAge > 5*time.Second {
					t.Errorf("may be %v old, the purge is 5s ago", maxAge)
				}
				return old(3, 0, "t")
			},
		}
		c := newCache(t, cache.Config[string, int]{Remote: s, TTL: time.Second, Logger: new(logbook).logger()})
		mustGet(t, c, "k", 1)
		time.Sleep(2 * time.Second)
		s.down.Store(true)
		c.PurgeTags("t")
		mustGet(t, c, "k", 3)
		s.down.Store(false)
		time.Sleep(time.Minute)
	})
}

// What is owed may be paid during any Fetch, also during one that is a second try: then the Remote
// had not heard of it when it answered, and nobody here remembers it but as a purge.
func TestT6_PaidDuringTheSecondFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(script)
		s.down.Store(true)
		tagged := func(value int, age time.Duration, tag string) cache.Shared[int] {
			return cache.Shared[int]{Value: value, TTL: time.Minute, Age: age, Tags: []string{tag}}
		}
		s.fetches = []func(time.Duration) cache.Shared[int]{
			func(time.Duration) cache.Shared[int] { return tagged(1, time.Hour, "x") },
			func(maxAge time.Duration) cache.Shared[int] {
				if maxAge != time.Second {
					t.Errorf("may be %v old, the purge of x is 1s ago", maxAge)
				}
				s.down.Store(false)
				time.Sleep(10 * time.Second)
				return tagged(2, 10*time.Second+time.Second/2, "y") // between the purges
			},
			func(maxAge time.Duration) cache.Shared[int] {
				if maxAge != 0 {
					t.Errorf("may be %v old after two that were purged", maxAge)
				}
				return cache.Shared[int]{Value: 3, TTL: time.Minute}
			},
		}
		c := newCache(t, cache.Config[string, int]{Remote: s, TTL: time.Minute, Logger: new(logbook).logger()})
		c.PurgeTags("x")
		time.Sleep(time.Second)
		c.PurgeTags("y")
		mustGet(t, c, "k", 3)
	})
}
