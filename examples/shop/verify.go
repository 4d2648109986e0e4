package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
)

const (
	verifyActions       = 1_000
	verifyActionsBefore = 150 // it takes 50 ms for each
)

// verifyAlike replays the same seeded actions, writes included, one after the other on every
// variant, and compares what they answer, and what is in their databases afterwards. It
// returns how many actions were compared.
func verifyAlike(ctx context.Context, variants []*Variant, seed uint64, actions int, progress func(done int)) (compared int, err error) {
	clients := make([]*Client, len(variants))
	for i, v := range variants {
		clients[i] = NewClient(v.URL, 1)
		defer clients[i].Close()
	}
	w := NewWorkload(variants[0].Store.Products, seed)
	active := variants
	for done := range actions {
		if done == verifyActionsBefore && active[0].Name == "before" && len(active) > 1 {
			if err := sameDatabase(ctx, active); err != nil {
				return done, err
			}
			active, clients = active[1:], clients[1:] // of those that are left the others must be equal to the end
		}
		a := w.Next()
		if err := sameAnswer(ctx, active, clients, a); err != nil {
			return done, err
		}
		progress(done + 1)
	}
	return actions, sameDatabase(ctx, active)
}

func sameAnswer(ctx context.Context, variants []*Variant, clients []*Client, a Action) error {
	var first []any
	var firstRaw [][]byte
	for i, c := range clients {
		bodies, err := c.Do(ctx, a)
		if err != nil {
			return fmt.Errorf("%s: %w", variants[i].Name, err)
		}
		decoded := make([]any, len(bodies))
		for j, body := range bodies {
			if len(body) == 0 {
				continue
			}
			if err := json.Unmarshal(body, &decoded[j]); err != nil {
				return fmt.Errorf("%s: %s: %w", variants[i].Name, a.Requests[j].Path, err)
			}
		}
		if i == 0 {
			first, firstRaw = decoded, bodies
			continue
		}
		for j := range decoded {
			if !reflect.DeepEqual(first[j], decoded[j]) {
				return fmt.Errorf("%s %s: answers differ\n%s: %s\n%s: %s", a.Requests[j].Method, a.Requests[j].Path,
					variants[0].Name, bytes.TrimSpace(firstRaw[j]), variants[i].Name, bytes.TrimSpace(bodies[j]))
			}
		}
	}
	return nil
}

func sameDatabase(ctx context.Context, variants []*Variant) error {
	first := ""
	for i, v := range variants {
		digest, err := v.Store.Digest(ctx)
		if err != nil {
			return err
		}
		if i == 0 {
			first = digest
		} else if digest != first {
			return fmt.Errorf("%s and %s leave different databases behind", variants[0].Name, v.Name)
		}
	}
	return nil
}

// Staleness is what checkStale saw.
type Staleness struct{ Writes, Reads, Stale int64 }

const (
	staleProducts = 20
	staleClients  = 16
)

// checkStale lets clients read products, and lists that show them, while prices change: each
// price is a version, and a read that shows an older one than was acknowledged before the
// read began is stale.
func checkStale(ctx context.Context, v *Variant, seed uint64, operations int) (s Staleness, err error) {
	client := NewClient(v.URL, staleClients)
	defer client.Close()
	products := min(staleProducts, v.Store.Products)
	var mu sync.Mutex // one write at a time for a product, so that its versions only grow
	locks := make([]sync.Mutex, products)
	acknowledged := make([]atomic.Int64, products)
	// Versions above every price of the shop: what was never written is no version.
	const firstVersion = 1_000_000
	for i := range products {
		if _, err := client.ask(ctx, "writer", priceRequest(i+1, firstVersion)); err != nil {
			return s, err
		}
		acknowledged[i].Store(firstVersion)
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
			for next.Add(1) <= int64(operations) && ctx.Err() == nil {
				i := rng.IntN(products)
				if rng.IntN(4) == 0 {
					locks[i].Lock()
					version := acknowledged[i].Load() + 1
					_, e := client.ask(ctx, "writer", priceRequest(i+1, version))
					if e == nil {
						acknowledged[i].Store(version)
					}
					locks[i].Unlock()
					writes.Add(1)
					if e != nil {
						fail(e)
						return
					}
					continue
				}
				least := acknowledged[i].Load()
				seen, e := readPrice(ctx, client, v, i+1, rng.IntN(3) == 0)
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
func readPrice(ctx context.Context, c *Client, v *Variant, product int, fromList bool) (int64, error) {
	if !fromList {
		body, err := c.ask(ctx, "reader", detailRequest(product))
		if err != nil {
			return 0, err
		}
		var p Product
		err = json.Unmarshal(body, &p)
		return p.Price, err
	}
	// Versions are the highest prices, so the product is on the last page.
	body, err := c.ask(ctx, "reader", listRequest(product%v.Store.Categories, 1))
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
