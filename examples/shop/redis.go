package main

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/cache/rediscache"
)

// redisName is After in two processes that share their pages on Redis: a page is loaded by one of
// them, and a new price is seen by both. The table has it where REDIS_URL is set.
const redisName = "after+redis"

// sharedStaleness is how much later than the one a price is changed in the other process may show it. It
// is a few milliseconds as a rule; this is the bound while Redis hangs, or its connection is cut.
const sharedStaleness = time.Second

// Shared is the pages that processes have in common.
type Shared = cache.Remote[pageKey, []byte]

// newShared returns what the shops with the same data share, and how to end that.
func newShared(data string) (s Shared, end func(), err error) {
	client, err := rueidis.ParseURL(redisURL())
	if err != nil {
		return nil, nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	tier, err := rediscache.New[pageKey](rediscache.Config[[]byte]{Client: client, Prefix: redisPrefix(data), MaxStaleness: sharedStaleness})
	if err != nil {
		return nil, nil, err
	}
	return tier, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = tier.Close(ctx)
	}, nil
}

// redisPrefix is that of the shops with the same data.
func redisPrefix(data string) string { return "hotpath:shop:" + filepath.Base(data) }

// forgetShared removes what the shops with the same data have left on Redis.
func forgetShared(data string) error {
	option, err := rueidis.ParseURL(redisURL())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	client, err := rueidis.NewClient(option)
	if err != nil {
		return err
	}
	defer client.Close()
	for cursor := uint64(0); ; {
		found, err := client.Do(ctx, client.B().Scan().Cursor(cursor).Match("{"+redisPrefix(data)+"}*").Count(1_000).Build()).AsScanEntry()
		if err != nil {
			return err
		}
		for _, name := range found.Elements {
			if err := client.Do(ctx, client.B().Unlink().Key(name).Build()).Error(); err != nil {
				return err
			}
		}
		if cursor = found.Cursor; cursor == 0 {
			return nil
		}
	}
}

func redisURL() string { return os.Getenv("REDIS_URL") }

// checkRedisURL says what is wrong with it, or with the server there, without the password that may stand in it.
func checkRedisURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix" {
		return errors.New("REDIS_URL: must be like redis://127.0.0.1:6379; empty: without Redis")
	}
	option, err := rueidis.ParseURL(address)
	if err != nil {
		return errors.New("REDIS_URL: must be like redis://user:password@127.0.0.1:6379/0")
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		return fmt.Errorf("REDIS_URL is %s: %w", u.Redacted(), err)
	}
	client.Close()
	return nil
}

// A teller tells the answers too what others have changed: an answer is made of pages.
type teller struct {
	Shared
	answers atomic.Pointer[httpcache.Cache]
}

// remote is nil if nothing is shared.
func (t *teller) remote() Shared {
	if t.Shared == nil {
		return nil
	}
	return t
}

func (t *teller) Watch(dropped func(keys []pageKey, tags []string, all bool)) (alone time.Duration) {
	return t.Shared.Watch(func(keys []pageKey, tags []string, all bool) {
		dropped(keys, tags, all) // first what answers are made of
		answers := t.answers.Load()
		if answers == nil {
			return
		}
		if all {
			answers.PurgeAll()
			return
		}
		for _, key := range keys {
			tags = append(tags, pageTags(key, nil)...)
		}
		answers.PurgeTags(tags...)
	})
}

// A pageKey in Redis is like "0/17/0".
var (
	_ encoding.TextMarshaler   = pageKey{}
	_ encoding.TextUnmarshaler = (*pageKey)(nil)
)

func (k pageKey) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%d/%d/%d", k.kind, k.id, k.page), nil
}

func (k *pageKey) UnmarshalText(text []byte) error {
	_, err := fmt.Sscanf(strings.TrimSpace(string(text)), "%d/%d/%d", &k.kind, &k.id, &k.page)
	return err
}
