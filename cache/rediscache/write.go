package rediscache

import (
	"context"
	"errors"

	"github.com/hotpath-go/hotpath/cache"
)

// Put is for the Cache that has the Tier.
func (t *Tier[K, V]) Put(ctx context.Context, key K, s cache.Shared[V]) error {
	if err := t.usable(); err != nil {
		return err
	}
	text, err := keyText(key)
	if err != nil {
		return err
	}
	c, err := t.fill(text, "", t.notAfter(), s)
	if err != nil { // what the key had is gone all the same
		return errors.Join(err, t.Drop(ctx, []K{key}, nil))
	}
	replies, err := t.trip(ctx, c)
	if err == nil {
		if stored, _ := replies[0].AsInt64(); stored == 0 {
			err = errLate
		}
	}
	return err
}

// Drop is for the Cache that has the Tier.
func (t *Tier[K, V]) Drop(ctx context.Context, keys []K, tags []string) error {
	if err := t.usable(); err != nil {
		return err
	}
	var calls []call
	for _, key := range keys {
		text, err := keyText(key)
		if err != nil {
			return err
		}
		calls = append(calls, call{dropScript, []string{t.valueKey(text), t.leaseKey(text)}, nil})
	}
	purge := []string{t.base + "s"}
	if len(keys)+len(tags) == 0 {
		purge = append(purge, t.base+"t:")
	}
	for _, tag := range tags {
		if tag != "" {
			purge = append(purge, t.base+"t:"+tag)
		}
	}
	if len(purge) > 1 {
		calls = append(calls, call{purgeScript, purge, nil})
	}
	if len(calls) == 0 {
		return nil
	}
	_, err := t.trip(ctx, calls...)
	return err
}

// Remove removes keys from Redis and from every process of the same Version, and says whether it
// did: what cache.Delete tells behind when Redis is away is an error here. It returns when this
// process has nothing of them any more; others are told at once, and at the latest have nothing
// older after MaxStaleness.
func (t *Tier[K, V]) Remove(ctx context.Context, keys ...K) error {
	if len(keys) == 0 {
		return nil
	}
	err := t.Drop(ctx, keys, nil)
	t.dropped(keys, nil, false)
	return err
}

// RemoveTags is Remove for everything that has one of tags, whatever its Version.
func (t *Tier[K, V]) RemoveTags(ctx context.Context, tags ...string) error {
	some := make([]string, 0, len(tags))
	for _, tag := range tags {
		if tag != "" {
			some = append(some, tag)
		}
	}
	if len(some) == 0 {
		return nil
	}
	err := t.Drop(ctx, nil, some)
	t.dropped(nil, some, false)
	return err
}
