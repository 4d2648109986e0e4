package rediscache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/sync/semaphore"

	"github.com/hotpath-go/hotpath/cache"
)

// A Tier is a cache.Remote on Redis or Valkey, for one Cache. Make one with New, and Close it.
type Tier[K comparable, V any] struct {
	cfg      Config[V]
	base     string // of all keys
	patience time.Duration
	sums     map[script]string
	client   atomic.Pointer[rueidis.Client] // nil: Redis was never there

	made  time.Time
	ahead atomic.Int64 // the clock of Redis, in us since 1970, of ours since made

	up       atomic.Bool         // trips are made
	trusted  atomic.Bool         // the cache may have what it believes to hear the changes of
	away     atomic.Bool         // what is logged
	underWay *semaphore.Weighted // commands
	kick     chan struct{}

	drop     atomic.Pointer[func(keys []K, tags []string, all bool)]
	watched  atomic.Bool // by more than one Cache
	waiters  waiters
	counters counters

	debts sync.Mutex
	owed  []call // leases to be given back
	held  map[*hold]struct{}

	running sync.WaitGroup
	first   chan struct{} // closed when Redis was tried once
	tried   sync.Once
	closed  chan struct{}
	closing sync.Once
}

var errShared = errors.New("rediscache: two caches have the same Tier")

var _ cache.Remote[string, []byte] = (*Tier[string, []byte])(nil)

// New returns a Tier and connects it. Its error joins everything that is wrong with cfg; that
// Redis is not there is none: the cache works without it, and it is tried again until it is.
func New[K comparable, V any](cfg Config[V]) (*Tier[K, V], error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	t := &Tier[K, V]{
		cfg:      cfg,
		made:     time.Now(),
		base:     "{" + cfg.Prefix + "}",
		patience: cfg.MaxStaleness / 3,
		sums:     sums(),
		underWay: semaphore.NewWeighted(maxUnderWay),
		kick:     make(chan struct{}, 1),
		first:    make(chan struct{}),
		closed:   make(chan struct{}),
		held:     make(map[*hold]struct{}),
	}
	t.running.Add(1)
	go t.pingLoop()
	<-t.first // the service shall not begin with loads that others have made
	return t, nil
}

// Watch is for the Cache that has the Tier.
func (t *Tier[K, V]) Watch(dropped func(keys []K, tags []string, all bool)) (alone time.Duration) {
	if !t.drop.CompareAndSwap(nil, &dropped) {
		// What one cache writes another of the same process is not told.
		t.watched.Store(true)
		t.cfg.Logger.Error("rediscache: two caches have the same Tier, which does not work: each needs its own", "prefix", t.cfg.Prefix)
	}
	return t.cfg.MaxStaleness
}

func (t *Tier[K, V]) dropped(keys []K, tags []string, all bool) {
	if drop := t.drop.Load(); drop != nil {
		(*drop)(keys, tags, all)
	}
}

// usable says why the tier is not.
func (t *Tier[K, V]) usable() error {
	select {
	case <-t.closed:
		return errClosed
	default:
	}
	if t.watched.Load() {
		return errShared
	}
	return nil
}

// gap is called when something may have been missed.
func (t *Tier[K, V]) gap() {
	t.counters.gaps.Add(1)
	t.dropped(nil, nil, true)
	t.waiters.wakeAll()
}

// Close gives back what this process has leases of, ends the connection and everything that the tier
// runs. The cache goes on without it. It returns ctx.Err() if ctx ends first; what is left ends by
// itself then.
func (t *Tier[K, V]) Close(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.closing.Do(func() {
			t.giveBackAll()
			close(t.closed)
			t.up.Store(false)
			t.gap()
		})
		first := t.client.Load()
		if first != nil {
			(*first).Close() // which ends a ping that waits
		}
		t.running.Wait()
		if c := t.client.Load(); c != nil && c != first {
			(*c).Close()
		}
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
