package migrate

import (
	"context"
	"time"

	"github.com/dgraph-io/ristretto/v2"
	"golang.org/x/sync/singleflight"

	"github.com/hotpath-go/hotpath/cache"
)

type user struct{ Name string }

func singleflightOld(load func(context.Context, string) (user, error)) (func(context.Context, string) (user, error), error) {
	// old:singleflight
	store, err := ristretto.NewCache(&ristretto.Config[string, user]{NumCounters: 1e6, MaxCost: 64 << 20, BufferItems: 64})
	if err != nil {
		return nil, err
	}
	var once singleflight.Group
	get := func(ctx context.Context, id string) (user, error) {
		if u, ok := store.Get(id); ok {
			return u, nil
		}
		v, err, _ := once.Do(id, func() (any, error) {
			u, err := load(ctx, id) // the first caller's ctx: when he leaves all fail
			if err == nil {
				store.SetWithTTL(id, u, 100, time.Minute) // a guess of bytes; asynchronous, may be dropped
			}
			return u, err
		})
		if err != nil {
			return user{}, err
		}
		return v.(user), nil
	}
	return get, nil
	// end
}

func singleflightNew(load func(context.Context, string) (user, error)) (func(context.Context, string) (user, error), error) {
	// new:singleflight
	users, err := cache.New(cache.Config[string, user]{Load: load, TTL: time.Minute, MaxBytes: 64 << 20})
	if err != nil {
		return nil, err
	}
	return users.Get, nil
	// end
}
