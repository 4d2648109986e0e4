package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"
)

// Config of a Cache. Only Load is usually set. The zero value is a plain cache of 64 MiB
// whose entries are fresh for a minute.
type Config[K comparable, V any] struct {
	// Load gets the value of a key from its source. It may call SetTTL and AddTags. Its ctx
	// has the values of the caller that started it and none of its ends: it ends when
	// LoadTimeout is over or nobody waits any more. An error that Is ErrNotFound says "there is
	// no such thing", any other error is a failure. nil: a miss is ErrNotFound.
	Load func(ctx context.Context, key K) (V, error)

	// LoadMany gets several values at once, for GetMany; Get uses it too if Load is nil. A key
	// that is missing in the map is ErrNotFound.
	LoadMany func(ctx context.Context, keys []K) (map[K]V, error)

	// MaxBytes bounds the memory of keys, values and what the cache needs besides, in bytes.
	// 0: 64 MiB; at least 4096; negative: no bound but MaxItems.
	MaxBytes int64

	// MaxItems bounds the number of entries. 0: no bound but MaxBytes.
	MaxItems int

	// Weigh returns the bytes of a key and its value, all that they point to included. A
	// negative weight says that the value must not be stored. nil: measured by a walk through
	// the value that is compiled once per type. A value that somebody may change meanwhile, one
	// with a map and a lock of its own for instance, needs a Weigh that takes the lock.
	Weigh func(key K, value V) int64

	// TTL is how long an entry is fresh. 0: 1 minute; negative: for ever; like all durations here
	// at least a millisecond.
	TTL time.Duration

	// Jitter shortens each TTL by a random share between 0 and Jitter, so that what was loaded
	// together does not expire together. 0: none; 0.1 is a good value; at most 0.9.
	Jitter float64

	// StaleWhileRevalidate is for how long after its TTL an entry is still returned, while one
	// load behind refreshes it (RFC 5861 section 3). 0: off.
	StaleWhileRevalidate time.Duration

	// StaleIfError is for how long after its TTL an entry is returned if loading it anew fails
	// (RFC 5861 section 4). 0: off.
	StaleIfError time.Duration

	// NegativeTTL is how long an ErrNotFound is remembered. 0: not at all.
	NegativeTTL time.Duration

	// EarlyRefresh refreshes entries behind before they expire: the nearer the end and the
	// dearer the load, the likelier. It is the beta of XFetch (Vattani et al., VLDB 2015): 1 as
	// in the paper, more is earlier. 0: off.
	EarlyRefresh float64

	// LoadTimeout is how long a load may take. 0: as long as somebody waits for it; 30 s for
	// refreshes behind. A loader that ignores its context goes on, and its result is dropped.
	LoadTimeout time.Duration

	// MaxRefreshes bounds the loads behind at a time; further ones are put off to the next Get
	// of their key. A loader that ignores its context keeps its place until it returns. 0: 64.
	MaxRefreshes int

	// Tags returns the tags of an entry; the loader can add more with AddTags. nil: none.
	Tags func(key K, value V) []string

	// Clone copies a value, so that nobody shares it with the cache. nil: all callers get the
	// same value and must not change what it points to.
	Clone func(V) V

	// Store is the engine. nil: the built-in one with MaxBytes and MaxItems; with a Store, such
	// as that of cache/ristrettostore, these must be 0, for it has its own bound.
	Store Store[K, V]

	// Remote is a second tier that processes share, such as cache/rediscache: a miss takes the
	// shared value, or loads it in one process for all, and what one process changes is gone in the
	// others. nil: none.
	Remote Remote[K, V]

	// Logger gets background failures, never a caller's own. nil: slog.Default().
	Logger *slog.Logger
}

const (
	defaultMaxBytes       = 64 << 20
	defaultTTL            = time.Minute
	defaultMaxRefreshes   = 64
	defaultRefreshTimeout = 30 * time.Second
	maxJitter             = 0.9

	// What is less was meant in another unit: TTL: 60 in seconds, MaxBytes: 64 in MiB.
	leastDuration = time.Millisecond
	leastMaxBytes = 4 << 10
)

// withDefaults returns cfg with zero fields filled in, or every problem at once.
func (cfg Config[K, V]) withDefaults() (Config[K, V], error) {
	var problems []error
	bad := func(field string, value any, rule string) {
		problems = append(problems, fmt.Errorf("cache: %s is %v%s", field, value, rule))
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"TTL", cfg.TTL},
		{"StaleWhileRevalidate", cfg.StaleWhileRevalidate},
		{"StaleIfError", cfg.StaleIfError},
		{"NegativeTTL", cfg.NegativeTTL},
		{"LoadTimeout", cfg.LoadTimeout},
	} {
		switch {
		case d.value > 0 && d.value < leastDuration:
			bad(d.field, d.value, ": must be at least 1ms (a number without a unit is in nanoseconds)")
		case d.field == "TTL":
		case d.value < 0:
			bad(d.field, d.value, ": must not be negative")
		case d.value > 0 && cfg.Load == nil && cfg.LoadMany == nil:
			bad(d.field, d.value, " without Load and LoadMany: nothing is ever loaded")
		}
	}
	if !(cfg.Jitter >= 0 && cfg.Jitter <= maxJitter) {
		bad("Jitter", cfg.Jitter, ": must be between 0 and 0.9")
	}
	if !(cfg.EarlyRefresh >= 0 && !math.IsInf(cfg.EarlyRefresh, 1)) {
		bad("EarlyRefresh", cfg.EarlyRefresh, ": must be a number that is not negative (0 means off)")
	} else if cfg.EarlyRefresh > 0 && cfg.Load == nil && cfg.LoadMany == nil {
		bad("EarlyRefresh", cfg.EarlyRefresh, " without Load and LoadMany: nothing is ever loaded")
	}
	if cfg.MaxRefreshes < 0 {
		bad("MaxRefreshes", cfg.MaxRefreshes, ": must be at least 1 (0 means 64)")
	}
	if cfg.MaxItems < 0 {
		bad("MaxItems", cfg.MaxItems, ": must not be negative (0 means no bound but MaxBytes)")
	}
	switch {
	case cfg.Store != nil && cfg.MaxBytes != 0:
		bad("MaxBytes", cfg.MaxBytes, " with a Store: the Store has its own bound")
	case cfg.Store == nil && cfg.MaxBytes < 0 && cfg.MaxItems == 0:
		bad("MaxBytes", cfg.MaxBytes, " without MaxItems: one of them must bound the cache")
	case cfg.MaxBytes > 0 && cfg.MaxBytes < leastMaxBytes:
		bad("MaxBytes", cfg.MaxBytes, ": must be at least 4096 bytes (0 means 64 MiB)")
	}
	if cfg.Store != nil && cfg.MaxItems > 0 {
		bad("MaxItems", cfg.MaxItems, " with a Store: the Store has its own bound")
	}
	if len(problems) > 0 {
		return Config[K, V]{}, errors.Join(problems...)
	}

	if cfg.Store == nil && cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	if cfg.TTL == 0 {
		cfg.TTL = defaultTTL
	}
	if cfg.MaxRefreshes == 0 {
		cfg.MaxRefreshes = defaultMaxRefreshes
	}
	if cfg.Weigh == nil {
		cfg.Weigh = newWeigh[K, V]()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg, nil
}
