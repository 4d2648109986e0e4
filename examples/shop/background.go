package main

import (
	"context"
	"net/http"
	"time"

	"github.com/hotpath-go/hotpath/pool"
	"github.com/hotpath-go/hotpath/pool/bulkhead"
)

// sideWork is what an order entails and its customer need not wait for: mail, analytics.
func (s *Store) sideWork(context.Context) error {
	time.Sleep(s.SideWork)
	s.sideDone.Add(1)
	return nil
}

// SideDone is how many orders have had their side work.
func (s *Store) SideDone() int64 { return s.sideDone.Load() }

// A handOver has side work done: at once, or when the answer is on its way.
type handOver func(ctx context.Context, work func(context.Context) error) error

func inline(ctx context.Context, work func(context.Context) error) error { return work(ctx) }

// behind hands over to p. The order is stored by then: if p is full its side work is done while
// the customer waits, as it was before, and not left out.
func behind(p *pool.Pool) handOver {
	return func(ctx context.Context, work func(context.Context) error) error {
		if p.After(ctx, work) == nil {
			return nil
		}
		return work(ctx)
	}
}

// background puts the pool of the side work around h, and tells how to drain it.
func (l *Layers) background(h http.Handler) http.Handler {
	l.Close = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := l.Later.Close(ctx); err != nil {
			panic(err) // a shop that lost side work is not to be measured
		}
	}
	return l.Later.Handler(h)
}

// beforeDatabase lets as many requests work at a time as the database has connections, and with a
// batch ten times that: the ten parts of a home screen share their queries, and must all have come for
// that. What waits does so here, where the oldest and the hopeless count, and not in database/sql, which wakes its
// waiters in any order.
func beforeDatabase(on Switches) *bulkhead.Bulkhead {
	limit := poolSize
	if on.Has("batch") {
		limit *= 10
	}
	return must(bulkhead.New(bulkhead.Config{Limit: limit, Fixed: true, Patience: 5 * time.Second}))
}
