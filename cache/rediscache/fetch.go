package rediscache

import (
	"context"
	"crypto/rand"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/cache"
)

// maxHolders is how many others a Fetch sees have the lease and make no value of it, before it loads
// for itself: with a source that is down, values that must not be stored, or a key that is written all
// the time, that would go on, one after the other.
const maxHolders = 3

type loader[K comparable, V any] = func(ctx context.Context, keys []K) ([]cache.Shared[V], error)

// A wish is one key of a Fetch on its way.
type wish[K comparable] struct {
	key     K
	text    string
	at      int           // among the keys of the Fetch
	oldest  time.Duration // how long before the Fetch the load of the shared value may have begun
	garbled bool          // what is shared cannot be read
	token   string        // of our lease
	born    string        // when we took it, or when the value was
	holder  string        // who has the lease, as far as we know
	holders int           // how many had it while we waited
	left    time.Duration // of that lease
	woken   <-chan struct{}
}

// Fetch is for the Cache that has the Tier. The cache hears of every change, also of one to what is
// on its way, and does not keep that. So it is with a value that was loaded here, or that was waited
// for: the cache keeps it when it is asked for next.
func (t *Tier[K, V]) Fetch(ctx context.Context, keys []K, maxAge time.Duration, load func(ctx context.Context, keys []K) ([]cache.Shared[V], error)) ([]cache.Shared[V], error) {
	if err := t.usable(); err != nil {
		return nil, err
	}
	f := fetch[K, V]{Tier: t, began: time.Now(), load: load, values: make([]cache.Shared[V], len(keys))}
	wishes := make([]*wish[K], len(keys))
	for i, key := range keys {
		text, err := keyText(key)
		if err != nil {
			return nil, err
		}
		wishes[i] = &wish[K]{key: key, text: text, at: i, oldest: maxAge, token: rand.Text()}
	}
	for len(wishes) > 0 {
		left, err := f.round(ctx, wishes)
		if err != nil {
			return nil, err
		}
		wishes = left
	}
	return f.values, f.problem
}

// A fetch is one call of Fetch.
type fetch[K comparable, V any] struct {
	*Tier[K, V]
	began   time.Time
	load    loader[K, V]
	values  []cache.Shared[V]
	problem error // of a value that cannot be shared for what it is; the rest goes on
}

// answers is what Redis said of wishes.
type answers[K comparable] struct {
	leased []*wish[K] // to us
	held   []*wish[K] // by others; we have entered as waiters
	alone  []*wish[K] // by too many, one after the other
	again  []*wish[K]
}

// round asks for wishes, loads those that nobody else loads, and waits until the others have a
// chance; it returns these.
func (f *fetch[K, V]) round(ctx context.Context, wishes []*wish[K]) (left []*wish[K], err error) {
	a, err := f.ask(ctx, wishes)
	if err != nil {
		return nil, err
	}
	defer f.leave(a.held) // also if load panics
	again, err := f.lead(ctx, a.leased)
	if err != nil {
		return nil, err
	}
	if err := f.loadInto(ctx, a.alone); err != nil {
		return nil, err
	}
	for _, w := range a.alone {
		f.values[w.at].TTL = 0 // without a lease nobody says what becomes of its tags
	}
	for _, w := range a.held {
		if err := w.await(ctx); err != nil {
			return nil, err
		}
	}
	return slices.Concat(a.again, again, a.held), nil
}

func (f *fetch[K, V]) leave(wishes []*wish[K]) {
	for _, w := range wishes {
		f.waiters.leave(w.text)
	}
}

// ask makes one trip for all. What is there is put into values.
func (f *fetch[K, V]) ask(ctx context.Context, wishes []*wish[K]) (a answers[K], err error) {
	calls := make([]call, len(wishes))
	for i, w := range wishes {
		calls[i] = f.question(w)
		w.woken = f.waiters.enter(w.text)
	}
	replies, err := f.trip(ctx, calls...)
	if err != nil {
		f.leave(wishes)
		f.owe(wishes) // Redis may have given us leases, and we have not heard of it
		return a, err
	}
	var tagged []*wish[K]
	for i, w := range wishes {
		kind, reply := "", []rueidis.RedisMessage(nil)
		if reply, err = replies[i].ToArray(); err == nil && len(reply) > 0 {
			kind, _ = reply[0].ToString()
		}
		switch {
		case kind == "held" && len(reply) == 3:
			if !w.holds(reply) {
				a.alone = append(a.alone, w)
				break
			}
			f.counters.waits.Add(1)
			a.held = append(a.held, w)
			continue
		case kind == "value" && len(reply) == 6:
			s, err := f.shared(reply)
			switch {
			case err != nil: // as if it were not there
				f.unreadable(err)
				w.garbled = true
				a.again = append(a.again, w)
			case len(s.Tags) > 0:
				w.born, _ = reply[5].ToString()
				tagged = append(tagged, w)
			default:
				f.counters.hits.Add(1)
			}
			f.values[w.at] = s
		case kind == "lease" && len(reply) == 2:
			w.born, _ = reply[1].ToString()
			f.counters.leases.Add(1)
			a.leased = append(a.leased, w)
		default: // not what our script says
			a.alone = append(a.alone, w)
		}
		f.waiters.leave(w.text)
	}
	purged, err := f.checkTags(ctx, tagged)
	if err != nil {
		f.giveBack(a.leased)
		f.leave(a.held)
		return answers[K]{}, err
	}
	a.again = append(a.again, purged...)
	return a, nil
}

// question is the call that asks for w.
func (f *fetch[K, V]) question(w *wish[K]) call {
	oldest := "-1" // any
	switch {
	case w.garbled:
		oldest = "0" // none
	case w.oldest != anyAge: // before the Fetch: what we have waited for is newer
		oldest = strconv.FormatInt(max((w.oldest+time.Since(f.began)).Microseconds(), 1), 10)
	}
	keys := []string{f.valueKey(w.text), f.leaseKey(w.text), f.base + "s", f.base + "t:"}
	return call{getScript, keys, []string{f.base + "t:", w.token, f.leaseTime(), oldest}}
}

// holds notes who has the lease that w wants. false: too many had it.
func (w *wish[K]) holds(reply []rueidis.RedisMessage) bool {
	holder, _ := reply[1].ToString()
	ms, _ := reply[2].AsInt64()
	if w.holder != holder {
		w.holders++
	}
	w.holder, w.left = holder, time.Duration(ms)*time.Millisecond
	return w.holders <= maxHolders
}

// checkTags has this connection told of the tags of values, and returns those that were purged
// since they were read.
func (f *fetch[K, V]) checkTags(ctx context.Context, wishes []*wish[K]) (purged []*wish[K], err error) {
	if len(wishes) == 0 {
		return nil, nil
	}
	calls := make([]call, len(wishes))
	for i, w := range wishes {
		calls[i] = call{script: tagsScript}
		for _, tag := range f.values[w.at].Tags {
			calls[i].keys = append(calls[i].keys, f.base+"t:"+tag)
		}
	}
	replies, err := f.trip(ctx, calls...)
	if err != nil {
		return nil, err
	}
	for i, w := range wishes {
		numbers, _ := replies[i].ToArray()
		born, err := strconv.ParseInt(w.born, 10, 64)
		good := err == nil && len(numbers) == len(calls[i].keys)
		for _, m := range numbers {
			text, _ := m.ToString()
			n, err := strconv.ParseInt(text, 10, 64)
			good = good && err == nil && n <= born
		}
		if good {
			f.counters.hits.Add(1)
		} else {
			purged = append(purged, w)
		}
	}
	return purged, nil
}

// await returns when w's lease has changed, or is over by what we know of it.
func (w *wish[K]) await(ctx context.Context) error {
	over := time.NewTimer(w.left + time.Millisecond)
	defer over.Stop()
	select {
	case <-w.woken:
		return nil
	case <-over.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
