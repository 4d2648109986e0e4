package cache_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hotpath-go/hotpath/cache"
)

var errRemote = errors.New("the Remote is down")

// A hub is what Redis would be: a map with a lock, leases, and a number for each purge. It tells
// the other caches of a change before the change returns.
type hub struct {
	mu     sync.Mutex
	values map[string]hubValue
	leases map[string]*hubLease
	purges map[string]uint64 // "": of everything
	last   uint64
	views  []*view
}

type hubValue struct {
	cache.Shared[int]
	born   uint64
	began  time.Time
	loaded time.Time
}

type hubLease struct {
	born  uint64
	began time.Time
	over  chan struct{}
}

func newHub() *hub {
	return &hub{values: map[string]hubValue{}, leases: map[string]*hubLease{}, purges: map[string]uint64{}}
}

// A view is the Remote of one cache.
type view struct {
	hub     *hub
	down    atomic.Bool
	alone   time.Duration
	dropped func(keys []string, tags []string, all bool)
	fetches atomic.Int64
	pause   func() // between what a trip does and what is told of it; nil: none
}

var _ cache.Remote[string, int] = (*view)(nil)

func (h *hub) view() *view {
	v := &view{hub: h, alone: time.Second}
	h.views = append(h.views, v)
	return v
}

func (v *view) Watch(dropped func(keys, tags []string, all bool)) time.Duration {
	v.dropped = dropped
	return v.alone
}

func (v *view) yield() {
	if v.pause != nil {
		v.pause()
	}
}

func (h *hub) good(x hubValue, maxAge time.Duration) bool {
	if x.TTL >= 0 && time.Since(x.loaded) >= x.TTL || time.Since(x.began) >= maxAge || h.purges[""] > x.born {
		return false
	}
	return !slices.ContainsFunc(x.Tags, func(tag string) bool { return h.purges[tag] > x.born })
}

func (v *view) Fetch(ctx context.Context, keys []string, maxAge time.Duration, load func(context.Context, []string) ([]cache.Shared[int], error)) ([]cache.Shared[int], error) {
	v.fetches.Add(1)
	h := v.hub
	values := make([]cache.Shared[int], len(keys))
	todo := make([]int, len(keys))
	for i := range keys {
		todo[i] = i
	}
	for len(todo) > 0 {
		v.yield()
		if v.down.Load() {
			return nil, errRemote
		}
		var mine, others []int
		var wait []chan struct{}
		leases := map[int]*hubLease{}
		h.mu.Lock()
		for _, i := range todo {
			x, found := h.values[keys[i]]
			lease := h.leases[keys[i]]
			switch {
			case found && h.good(x, maxAge):
				values[i] = x.Shared
				values[i].Age = time.Since(x.loaded)
			case lease != nil:
				others, wait = append(others, i), append(wait, lease.over)
			default:
				leases[i] = &hubLease{h.last, time.Now(), make(chan struct{})}
				h.leases[keys[i]] = leases[i]
				mine = append(mine, i)
			}
		}
		h.mu.Unlock()
		v.yield()
		if len(mine) > 0 {
			if err := v.lead(ctx, keys, mine, leases, values, load); err != nil {
				return nil, err
			}
		}
		for _, over := range wait {
			select {
			case <-over:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		todo = others
	}
	return values, nil
}

// lead loads what v has the leases of.
func (v *view) lead(ctx context.Context, keys []string, mine []int, leases map[int]*hubLease, values []cache.Shared[int], load func(context.Context, []string) ([]cache.Shared[int], error)) error {
	h := v.hub
	defer func() { // also if load panics
		h.mu.Lock()
		defer h.mu.Unlock()
		for i, lease := range leases {
			if h.leases[keys[i]] == lease {
				h.end(keys[i])
			}
		}
	}()
	asked := make([]string, len(mine))
	for j, i := range mine {
		asked[j] = keys[i]
	}
	loaded, err := load(ctx, asked)
	if err != nil {
		return err
	}
	v.yield()
	if v.down.Load() {
		return errRemote
	}
	var told []string
	h.mu.Lock()
	for j, i := range mine {
		s, lease := loaded[j], leases[i]
		x := hubValue{s, lease.born, lease.began, time.Now()}
		if h.leases[keys[i]] != lease || !h.good(x, 1<<62) {
			s.TTL = 0
		}
		values[i] = s
		if s.TTL != 0 {
			x.Loaded = false
			h.values[keys[i]] = x
			told = append(told, keys[i])
		}
	}
	h.mu.Unlock()
	v.tell(told, nil, false)
	return nil
}

// end takes a lease away, with h locked.
func (h *hub) end(key string) {
	if lease := h.leases[key]; lease != nil {
		close(lease.over)
		delete(h.leases, key)
	}
}

func (v *view) tell(keys, tags []string, all bool) {
	v.yield()
	for _, other := range v.hub.views {
		if other != v && other.dropped != nil {
			other.dropped(keys, tags, all)
		}
	}
}

func (v *view) Put(_ context.Context, key string, s cache.Shared[int]) error {
	v.yield()
	if v.down.Load() {
		return errRemote
	}
	h := v.hub
	h.mu.Lock()
	h.values[key] = hubValue{s, h.last, time.Now(), time.Now()}
	h.end(key)
	h.mu.Unlock()
	v.tell([]string{key}, nil, false)
	return nil
}

func (v *view) Drop(_ context.Context, keys, tags []string) error {
	v.yield()
	if v.down.Load() {
		return errRemote
	}
	h := v.hub
	h.mu.Lock()
	for _, key := range keys {
		delete(h.values, key)
		h.end(key)
	}
	all := len(keys)+len(tags) == 0
	if all {
		tags = []string{""}
	}
	h.last++
	for _, tag := range tags {
		h.purges[tag] = h.last
	}
	h.mu.Unlock()
	v.tell(keys, tags, all)
	return nil
}
