package rediscache

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/cache"
)

var errShared = errors.New("rediscache: two caches have the same Tier")

// What a value is of besides its bytes: written once, read as it is.
const headerSize = 1 + 3*8

func header[V any](s cache.Shared[V]) []byte {
	h := make([]byte, 0, headerSize)
	if s.Missing {
		h = append(h, 1)
	} else {
		h = append(h, 0)
	}
	for _, d := range []time.Duration{s.TTL, s.Linger, s.Cost} {
		h = binary.BigEndian.AppendUint64(h, uint64(d))
	}
	return h
}

type loader[K comparable, V any] = func(ctx context.Context, keys []K) ([]cache.Shared[V], error)

// A wish is one key of a Fetch on its way.
type wish[K comparable] struct {
	key     K
	text    string
	at      int           // among the keys of the Fetch
	oldest  time.Duration // how long ago the load of the shared value may have begun
	token   string        // of our lease
	born    string        // when we took it
	holder  string        // who has the lease, as far as we know
	left    time.Duration // of that lease
	ticket  ticket
	changes int // of the holder, while we waited
}

// Fetch is for the Cache that has the Tier.
func (t *Tier[K, V]) Fetch(ctx context.Context, keys []K, maxAge time.Duration, load func(ctx context.Context, keys []K) ([]cache.Shared[V], error)) ([]cache.Shared[V], error) {
	if err := t.usable(); err != nil {
		return nil, err
	}
	values := make([]cache.Shared[V], len(keys))
	wishes := make([]*wish[K], len(keys))
	for i, key := range keys {
		text, err := keyText(key)
		if err != nil {
			return nil, err
		}
		wishes[i] = &wish[K]{key: key, text: text, at: i, oldest: maxAge, token: rand.Text()}
	}
	var failed error
	for len(wishes) > 0 {
		left, err := t.round(ctx, wishes, values, load)
		if unencodable := (*codecError)(nil); errors.As(err, &unencodable) {
			failed = err // the rest goes on
		} else if err != nil {
			return nil, err
		}
		wishes = left
	}
	return values, failed
}

// round asks for wishes, loads those that nobody else loads, and waits until the others have a
// chance; it returns these.
func (t *Tier[K, V]) round(ctx context.Context, wishes []*wish[K], values []cache.Shared[V], load loader[K, V]) (left []*wish[K], err error) {
	leased, held, left, err := t.ask(ctx, wishes, values)
	if err != nil {
		return nil, err
	}
	defer func() { // also if load panics
		for _, w := range held {
			t.waiters.leave(w.text, w.ticket)
		}
	}()
	var alone, wait []*wish[K]
	for _, w := range held {
		if w.changes > 1 {
			alone = append(alone, w)
		} else {
			wait = append(wait, w)
		}
	}
	if err := t.loadLeased(ctx, leased, values, load); err != nil {
		return append(left, held...), err
	}
	if len(alone) > 0 {
		// Two who had the lease have failed, and somebody else has it now. When a source is down
		// that would go on, one after the other. One alone may have lost it to a Delete.
		if err := t.loadAlone(ctx, alone, values, load); err != nil {
			return nil, err
		}
	}
	for _, w := range wait {
		if err := w.await(ctx); err != nil {
			return nil, err
		}
	}
	return append(left, wait...), nil
}

// ask makes one trip for all: what is there is put into values, what is not we have the lease of, or
// somebody else has; again is to be asked for once more. Those held by others are still entered as
// waiters.
func (t *Tier[K, V]) ask(ctx context.Context, wishes []*wish[K], values []cache.Shared[V]) (leased, held, again []*wish[K], err error) {
	calls := make([]call, len(wishes))
	lease := strconv.FormatInt(t.cfg.Lease.Milliseconds(), 10)
	for i, w := range wishes {
		oldest := "-1"
		if w.oldest != anyAge {
			oldest = strconv.FormatInt(w.oldest.Microseconds(), 10)
		}
		calls[i] = call{getScript, []string{t.valueKey(w.text), t.leaseKey(w.text), t.base + "s", t.base + "t:"}, []string{t.base + "t:", w.token, lease, oldest}}
		w.ticket = t.waiters.enter(w.text)
	}
	replies, err := t.trip(ctx, calls...)
	if err != nil {
		for _, w := range wishes {
			t.waiters.leave(w.text, w.ticket)
		}
		t.owe(wishes) // Redis may have given us leases, and we have not heard of it
		return nil, nil, nil, err
	}
	var tagged []*wish[K]
	for i, w := range wishes {
		reply, err := replies[i].ToArray()
		if err != nil || len(reply) < 2 { // not what our script says
			reply = make([]rueidis.RedisMessage, 2)
		}
		kind, _ := reply[0].ToString()
		switch {
		case kind == "value" && len(reply) == 6:
			values[w.at], err = t.shared(reply)
			switch {
			case err != nil: // as if it were not there
				t.counters.unreadable.Add(1)
				w.oldest = 0
				again = append(again, w)
				t.waiters.leave(w.text, w.ticket)
			case len(values[w.at].Tags) > 0:
				w.born, _ = reply[5].ToString()
				tagged = append(tagged, w)
			case t.waiters.leave(w.text, w.ticket):
				t.counters.hits.Add(1)
			default: // changed while it was on its way
				again = append(again, w)
			}
		case kind == "held" && len(reply) == 3:
			holder, _ := reply[1].ToString()
			ms, _ := reply[2].AsInt64()
			if w.holder != "" && w.holder != holder {
				w.changes++
			}
			w.holder, w.left = holder, time.Duration(max(ms, 1))*time.Millisecond
			held = append(held, w)
			t.counters.waits.Add(1)
		default: // "lease"
			w.born, _ = reply[1].ToString()
			leased = append(leased, w)
			t.waiters.leave(w.text, w.ticket)
			t.counters.leases.Add(1)
		}
	}
	purged, err := t.checkTags(ctx, tagged, values)
	if err != nil {
		t.giveBack(leased)
		for _, w := range held {
			t.waiters.leave(w.text, w.ticket)
		}
		return nil, nil, nil, err
	}
	return leased, held, append(again, purged...), nil
}

// checkTags has this connection told of the tags of values, and returns those that were purged
// since they were read.
func (t *Tier[K, V]) checkTags(ctx context.Context, wishes []*wish[K], values []cache.Shared[V]) (purged []*wish[K], err error) {
	if len(wishes) == 0 {
		return nil, nil
	}
	calls := make([]call, len(wishes))
	for i, w := range wishes {
		calls[i] = call{script: tagsScript}
		for _, tag := range values[w.at].Tags {
			calls[i].keys = append(calls[i].keys, t.base+"t:"+tag)
		}
	}
	replies, err := t.trip(ctx, calls...)
	if err != nil {
		for _, w := range wishes {
			t.waiters.leave(w.text, w.ticket)
		}
		return nil, err
	}
	for i, w := range wishes {
		numbers, _ := replies[i].ToArray()
		born, err := strconv.ParseInt(w.born, 10, 64)
		good := err == nil && len(numbers) == len(calls[i].keys)
		for _, m := range numbers {
			text, err := m.ToString()
			n, notNumber := strconv.ParseInt(text, 10, 64)
			good = good && err == nil && notNumber == nil && n <= born
		}
		w.born = ""
		if t.waiters.leave(w.text, w.ticket) && good {
			t.counters.hits.Add(1)
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
	case <-w.ticket.woken:
		return nil
	case <-over.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// loadLeased loads what we have the lease of, and shares it.
func (t *Tier[K, V]) loadLeased(ctx context.Context, wishes []*wish[K], values []cache.Shared[V], load loader[K, V]) error {
	if len(wishes) == 0 {
		return nil
	}
	shared := false
	stop := t.renew(wishes)
	// A load that goes on although nobody waits for it any more must not keep others from theirs.
	gone := context.AfterFunc(ctx, func() {
		stop()
		t.giveBack(wishes)
	})
	defer func() { // also if load panics
		gone()
		stop()
		if !shared {
			t.giveBack(wishes)
		}
	}()
	if err := t.loadAlone(ctx, wishes, values, load); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err() // nobody wants it any more, or it came too late
	}
	var calls []call
	var filled, failed []*wish[K]
	var problem error
	for _, w := range wishes {
		if values[w.at].TTL == 0 {
			failed = append(failed, w)
			continue
		}
		c, err := t.fill(w.text, w.token, w.born, values[w.at])
		if err != nil {
			values[w.at].TTL = 0
			failed, problem = append(failed, w), err
			continue
		}
		calls, filled = append(calls, c), append(filled, w)
	}
	shared = true
	if gone(); ctx.Err() != nil {
		t.giveBack(wishes)
		return ctx.Err()
	}
	stop()
	t.giveBack(failed)
	if len(calls) == 0 {
		return problem
	}
	for _, w := range filled {
		w.ticket = t.waiters.enter(w.text)
	}
	replies, err := t.trip(context.WithoutCancel(ctx), calls...)
	for i, w := range filled {
		stored := int64(0)
		if err == nil {
			stored, _ = replies[i].AsInt64()
		}
		if stored == 0 && err == nil {
			t.counters.lost.Add(1)
			values[w.at].TTL = 0
		}
		t.waiters.leave(w.text, w.ticket)
		t.waiters.wake(w.text) // our own doings are not told us
	}
	if err != nil {
		t.owe(filled)
		return err
	}
	return problem
}

// loadAlone loads, and shares nothing.
func (t *Tier[K, V]) loadAlone(ctx context.Context, wishes []*wish[K], values []cache.Shared[V], load loader[K, V]) error {
	keys := make([]K, len(wishes))
	for i, w := range wishes {
		keys[i] = w.key
	}
	loaded, err := load(ctx, keys)
	if err != nil {
		return err
	}
	if len(loaded) != len(keys) {
		return fmt.Errorf("rediscache: load returned %d values for %d keys", len(loaded), len(keys))
	}
	for i, w := range wishes {
		values[w.at] = loaded[i]
		if w.born == "" {
			values[w.at].TTL = 0
		}
	}
	return nil
}

// renew keeps leases as long as their load goes on.
func (t *Tier[K, V]) renew(wishes []*wish[K]) (stop func()) {
	calls := make([]call, len(wishes))
	for i, w := range wishes {
		calls[i] = call{leaseScript, []string{t.leaseKey(w.text)}, []string{w.token, strconv.FormatInt(t.cfg.Lease.Milliseconds(), 10)}}
	}
	ended := make(chan struct{})
	var timer *time.Timer
	ready := make(chan struct{})
	timer = time.AfterFunc(t.cfg.Lease/3, func() {
		<-ready
		select {
		case <-ended:
		case <-t.closed:
		default:
			_, _ = t.trip(context.Background(), calls...) // lost: then the fill will find that
			timer.Reset(t.cfg.Lease / 3)                  // and finds ended, if it has meanwhile
		}
	})
	close(ready)
	return sync.OnceFunc(func() {
		close(ended)
		timer.Stop()
	})
}

// giveBack ends leases without a value.
func (t *Tier[K, V]) giveBack(wishes []*wish[K]) {
	if len(wishes) == 0 {
		return
	}
	calls := make([]call, len(wishes))
	for i, w := range wishes {
		calls[i] = call{leaseScript, []string{t.leaseKey(w.text)}, []string{w.token, "0"}}
	}
	if _, err := t.trip(context.Background(), calls...); err != nil {
		t.owe(wishes)
	}
	for _, w := range wishes {
		t.waiters.wake(w.text)
	}
}

// owe notes leases that could not be given back, or of which we do not know whether we have them. They
// are given back as soon as Redis answers, or they would keep everybody from loading for as long as they last.
func (t *Tier[K, V]) owe(wishes []*wish[K]) {
	t.debts.Lock()
	defer t.debts.Unlock()
	for _, w := range wishes {
		if len(t.owed) < maxOwed {
			t.owed = append(t.owed, call{leaseScript, []string{t.leaseKey(w.text)}, []string{w.token, "0"}})
		}
	}
}

// pay gives back what is owed.
func (t *Tier[K, V]) pay() {
	t.debts.Lock()
	owed := t.owed
	t.owed = nil
	t.debts.Unlock()
	if len(owed) == 0 {
		return
	}
	if _, err := t.trip(context.Background(), owed...); err != nil {
		t.debts.Lock()
		t.owed = append(owed, t.owed...)
		t.debts.Unlock()
	}
}

// codecError is a value that cannot be shared for what it is.
type codecError struct{ error }

func (e *codecError) Unwrap() error { return e.error }

// fill is the call that stores s; token "": of a Put.
func (t *Tier[K, V]) fill(text, token, born string, s cache.Shared[V]) (call, error) {
	var body []byte
	if !s.Missing {
		var err error
		if body, err = t.cfg.Encode(s.Value); err != nil {
			return call{}, &codecError{fmt.Errorf("rediscache: Encode: %w", err)}
		}
	}
	fresh, keep := "-1", "-1"
	if s.TTL >= 0 {
		fresh = strconv.FormatInt(max(s.TTL.Microseconds(), 1), 10)
		keep = strconv.FormatInt((s.TTL + s.Linger + time.Millisecond - 1).Milliseconds(), 10)
	}
	keys := []string{t.valueKey(text), t.leaseKey(text), t.base + "s", t.base + "t:"}
	args := []string{t.base + "t:", token, born, fresh, keep, rueidis.BinaryString(header(s)), rueidis.BinaryString(body), ""}
	for _, tag := range s.Tags {
		if tag != "" {
			keys, args = append(keys, t.base+"t:"+tag), append(args, tag)
		}
	}
	return call{setScript, keys, args}, nil
}

// shared reads what getScript returned.
func (t *Tier[K, V]) shared(reply []rueidis.RedisMessage) (s cache.Shared[V], err error) {
	age, _ := reply[1].AsInt64()
	h, _ := reply[2].ToString()
	body, _ := reply[3].AsBytes()
	tags, _ := reply[4].AsStrSlice()
	if len(h) != headerSize {
		return s, errors.New("rediscache: a header of another length")
	}
	number := func(i int) time.Duration {
		return time.Duration(binary.BigEndian.Uint64([]byte(h[1+8*i:])))
	}
	s = cache.Shared[V]{Missing: h[0] == 1, Age: time.Duration(age) * time.Microsecond, TTL: number(0), Linger: number(1), Cost: number(2)}
	if len(tags) > 1 {
		s.Tags = tags[1:] // the first is that of everything
	}
	if !s.Missing {
		s.Value, err = t.cfg.Decode(body)
	}
	return s, err
}

func (t *Tier[K, V]) valueKey(text string) string { return t.base + "v:" + t.cfg.Version + ":" + text }

func (t *Tier[K, V]) leaseKey(text string) string { return t.base + "l:" + t.cfg.Version + ":" + text }
