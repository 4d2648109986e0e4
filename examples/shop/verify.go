package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hotpath-go/hotpath/partial"
)

const (
	verifyActions       = 1_000
	verifyActionsBefore = 150 // it takes 50 ms for each
)

// verifyAlike replays the same seeded actions, writes included, one after the other on every
// shop, and compares what they answer, and what is in their databases afterwards. It returns
// how many actions were compared: by two shops at least.
func verifyAlike(ctx context.Context, shops []Target, products int, seed uint64, actions int) (compared int, err error) {
	clients := make([]*Client, len(shops))
	for i, t := range shops {
		clients[i] = NewClient(ctx, t)
		defer clients[i].Close()
	}
	w := NewWorkload(products, seed)
	active := shops
	for done := range actions {
		if done == verifyActionsBefore && active[0].Name == "before" && len(active) > 1 {
			if err := sameDatabase(ctx, active); err != nil {
				return compared, err
			}
			active, clients = active[1:], clients[1:] // of those that are left the others must be equal to the end
		}
		if len(active) < 2 {
			return compared, nil
		}
		a, began := w.Next(), time.Now()
		err := sameAnswer(ctx, active, clients, a)
		for err != nil && a.reads() && time.Since(began) < stalest(active) { // what one process has not heard of yet
			time.Sleep(time.Millisecond)
			err = sameAnswer(ctx, active, clients, a)
		}
		if err != nil {
			return compared, err
		}
		compared++
	}
	return compared, sameDatabase(ctx, active)
}

// reads reports whether a may be done again.
func (a Action) reads() bool {
	return !slices.ContainsFunc(a.Requests, func(r Request) bool { return r.Method != http.MethodGet })
}

// stalest is for how long one of shops may show what was changed.
func stalest(shops []Target) (d time.Duration) {
	for _, t := range shops {
		d = max(d, t.Stale)
	}
	return d
}

func sameAnswer(ctx context.Context, shops []Target, clients []*Client, a Action) error {
	bodies, errs := make([][][]byte, len(shops)), make([]error, len(shops))
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() { bodies[i], errs[i] = c.Do(ctx, a) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("%s: %w", shops[i].Name, err)
		}
	}
	phone := partial.MustParse(phoneFields) // some shops have cut to it what others send whole
	for j, r := range a.Requests {
		var first any
		for i, t := range shops {
			if len(bodies[i]) != len(a.Requests) {
				return fmt.Errorf("%s: %d answers, want %d", t.Name, len(bodies[i]), len(a.Requests))
			}
			var decoded any
			if body := bodies[i][j]; len(body) > 0 {
				if a.Kind == List || a.Kind == Home {
					var err error
					if body, err = phone.Append(nil, body); err != nil {
						return fmt.Errorf("%s: %s: %w", t.Name, r.Path, err)
					}
				}
				if err := json.Unmarshal(body, &decoded); err != nil {
					return fmt.Errorf("%s: %s: %w", t.Name, r.Path, err)
				}
			}
			if i == 0 {
				first = decoded
			} else if !reflect.DeepEqual(first, decoded) {
				return fmt.Errorf("%s %s: answers differ\n%s: %s\n%s: %s", r.Method, r.Path,
					shops[0].Name, bytes.TrimSpace(bodies[0][j]), t.Name, bytes.TrimSpace(bodies[i][j]))
			}
		}
	}
	return nil
}

func sameDatabase(ctx context.Context, shops []Target) error {
	first := ""
	for i, t := range shops {
		digest, err := t.Digest(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		if i == 0 {
			first = digest
		} else if digest != first {
			return fmt.Errorf("%s and %s leave different databases behind", shops[0].Name, t.Name)
		}
	}
	return nil
}

// Staleness is what was seen of prices that change.
type Staleness struct {
	Writes int64 `json:"writes"`
	Reads  int64 `json:"reads"`
	Stale  int64 `json:"stale"`
}

func (s *Staleness) add(more Staleness) {
	s.Writes += more.Writes
	s.Reads += more.Reads
	s.Stale += more.Stale
}

const (
	staleProducts = 20
	staleClients  = 16

	firstVersion = 1_000_000 // above every price of the shop: what was never written is no version
)

// checkStale lets clients read products, and lists that show them, while prices change: each
// price is a version, and a read that shows an older one than was acknowledged before the
// read began is stale.
func checkStale(ctx context.Context, t Target, shopSize int, seed uint64, operations int) (s Staleness, err error) {
	client := NewClient(ctx, t)
	defer client.Close()
	products := min(staleProducts, shopSize)
	var mu sync.Mutex // one write at a time for a product, so that its versions only grow
	locks := make([]sync.Mutex, products)
	known, began := make([]versions, products), time.Now()
	for i := range products {
		if _, err := client.ask(ctx, "writer", priceRequest(i+1, firstVersion)); err != nil {
			return s, err
		}
		known[i].acknowledge(firstVersion)
	}
	var next, writes, reads, stale atomic.Int64
	fail := func(e error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			err = e
		}
	}
	var wg sync.WaitGroup
	for worker := range staleClients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(worker)))
			for (next.Add(1) <= int64(operations) || time.Since(began) < 3*t.Stale) && ctx.Err() == nil {
				i := rng.IntN(products)
				if rng.IntN(4) == 0 {
					locks[i].Lock()
					version := known[i].least(0) + 1
					_, e := client.ask(ctx, fmt.Sprint("writer-", rng.IntN(200)), priceRequest(i+1, version))
					if e == nil {
						known[i].acknowledge(version)
					}
					locks[i].Unlock()
					writes.Add(1)
					if e != nil {
						fail(e)
						return
					}
					continue
				}
				least := known[i].least(t.Stale)
				seen, e := readPrice(ctx, client, fmt.Sprint("reader-", rng.IntN(200)), i+1, shopSize, rng.IntN(3) == 0)
				reads.Add(1)
				if e != nil {
					fail(e)
					return
				}
				if seen < least {
					stale.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return Staleness{writes.Load(), reads.Load(), stale.Load()}, err
}

// readPrice returns the price of a product as its page says, or as its category's list says.
func readPrice(ctx context.Context, c *Client, consumer string, product, shopSize int, fromList bool) (int64, error) {
	if !fromList {
		body, err := c.ask(ctx, consumer, detailRequest(product))
		if err != nil {
			return 0, err
		}
		var p Product
		err = json.Unmarshal(body, &p)
		return p.Price, err
	}
	// Versions are the highest prices, so the product is on the last page.
	body, err := c.ask(ctx, consumer, listRequest(product%categoriesOf(shopSize), 1))
	if err != nil {
		return 0, err
	}
	var items []Item
	if err := json.Unmarshal(body, &items); err != nil {
		return 0, err
	}
	for _, it := range items {
		if it.ID == product {
			return it.Price, nil
		}
	}
	return 0, nil // the list is older than its first version
}
