package rediscache

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// lead loads what we have the lease of, and shares it. It returns what must be asked for again: what
// was written or purged meanwhile. Whoever has joined us since then must not get what is older.
func (f *fetch[K, V]) lead(ctx context.Context, wishes []*wish[K]) (again []*wish[K], err error) {
	if len(wishes) == 0 {
		return nil, nil
	}
	l := f.hold(ctx, wishes)
	defer f.stop(l)
	defer l.end() // if load panics
	if err := f.loadInto(ctx, wishes); err != nil {
		return nil, err
	}
	var calls []call
	var filled, failed []*wish[K]
	for _, w := range wishes {
		if f.values[w.at].TTL == 0 {
			failed = append(failed, w)
		} else if c, err := f.fill(w.text, w.token, w.born, f.values[w.at]); err != nil {
			failed, f.problem = append(failed, w), err
		} else {
			calls, filled = append(calls, c), append(filled, w)
		}
	}
	if !l.take() {
		return nil, cmp.Or(ctx.Err(), errClosed) // nobody wants it any more, or it came too late
	}
	f.giveBack(failed)
	if len(calls) == 0 {
		return nil, nil
	}
	replies, err := f.trip(context.WithoutCancel(ctx), calls...)
	if err != nil {
		f.owe(filled)
		return nil, err
	}
	for i, w := range filled {
		if stored, _ := replies[i].AsInt64(); stored != 0 {
			continue
		}
		f.counters.lost.Add(1)
		f.values[w.at].TTL = 0
		if w.holders++; w.holders < maxHolders {
			again = append(again, w)
		}
	}
	return again, nil
}

// loadInto loads wishes into values.
func (f *fetch[K, V]) loadInto(ctx context.Context, wishes []*wish[K]) error {
	if len(wishes) == 0 {
		return nil
	}
	keys := make([]K, len(wishes))
	for i, w := range wishes {
		keys[i] = w.key
	}
	loaded, err := f.load(ctx, keys)
	if err != nil {
		return err
	}
	if len(loaded) != len(keys) {
		return fmt.Errorf("rediscache: load returned %d values for %d keys", len(loaded), len(keys))
	}
	for i, w := range wishes {
		f.values[w.at] = loaded[i]
	}
	return nil
}

// A hold is leases that are renewed, until they are taken or given back.
type hold struct {
	over atomic.Bool
	done chan struct{}
	back func()
}

// hold renews the leases of wishes while their load goes on, and gives them back when ctx ends: a
// load that goes on although nobody waits for it must not keep others from theirs.
func (f *fetch[K, V]) hold(ctx context.Context, wishes []*wish[K]) *hold {
	l := &hold{done: make(chan struct{}), back: func() { f.giveBack(wishes) }}
	f.debts.Lock()
	f.held[l] = struct{}{}
	f.debts.Unlock()
	calls := make([]call, len(wishes))
	for i, w := range wishes {
		calls[i] = f.leaseCall(w.text, w.token, f.leaseTime())
	}
	go func() {
		renewal := time.NewTicker(f.cfg.Lease / 3)
		defer renewal.Stop()
		for !l.over.Load() {
			select {
			case <-l.done:
				return
			case <-ctx.Done():
				l.end()
			case <-renewal.C:
				_, _ = f.trip(ctx, calls...) // lost: then the fill will find that
			}
		}
	}()
	return l
}

// stop ends what still runs of l.
func (f *fetch[K, V]) stop(l *hold) {
	close(l.done)
	f.debts.Lock()
	defer f.debts.Unlock()
	delete(f.held, l)
}

// take ends the renewals; false: the leases have been given back.
func (l *hold) take() (ours bool) { return l.over.CompareAndSwap(false, true) }

// end gives the leases back, if nobody has taken them.
func (l *hold) end() {
	if l.take() {
		l.back()
	}
}

// giveBackAll gives back every lease that this process has.
func (t *Tier[K, V]) giveBackAll() {
	t.debts.Lock()
	all := slices.Collect(maps.Keys(t.held))
	t.debts.Unlock()
	for _, l := range all {
		l.end()
	}
	t.pay()
}

// giveBack ends leases without a value.
func (t *Tier[K, V]) giveBack(wishes []*wish[K]) {
	if len(wishes) == 0 {
		return
	}
	calls := make([]call, len(wishes))
	for i, w := range wishes {
		calls[i] = t.leaseCall(w.text, w.token, "0")
	}
	if _, err := t.trip(context.Background(), calls...); err != nil {
		t.owe(wishes)
	}
}

// maxOwed bounds the leases to be given back; more end by themselves.
const maxOwed = 4_096

// owe notes leases that could not be given back, or of which we do not know whether we have them.
// They are given back as soon as Redis answers, or they would keep everybody from loading for as
// long as they last.
func (t *Tier[K, V]) owe(wishes []*wish[K]) {
	t.debts.Lock()
	for _, w := range wishes {
		if len(t.owed) < maxOwed {
			t.owed = append(t.owed, t.leaseCall(w.text, w.token, "0"))
		}
	}
	t.debts.Unlock()
	t.pingNow() // whose answer comes after what Redis has not answered yet
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

// leaseCall keeps our lease for so many ms from now on; "0": gives it back.
func (t *Tier[K, V]) leaseCall(text, token, ms string) call {
	return call{leaseScript, []string{t.leaseKey(text)}, []string{token, ms}}
}

func (t *Tier[K, V]) leaseTime() string { return strconv.FormatInt(t.cfg.Lease.Milliseconds(), 10) }
