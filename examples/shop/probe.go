package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Probe looks for old prices while a shop is measured. It is the only one who changes 20
// products, whose prices are versions: a read that shows one below the last acknowledged is
// stale, whatever page it is on.
type Probe struct {
	client   *Client
	looker   *Client // over connections of its own
	shopSize int
	every    time.Duration
	versions [probed]versions // acknowledged
	stale    time.Duration    // see Target
	turn     int
	seen     Staleness
}

// NewProbe returns a probe for a shop. Its cycle, a write and a read, costs what the users'
// average action costs, so that even Before, which has the capacity for a few dozen a second,
// is asked nothing unusual.
func NewProbe(ctx context.Context, t Target, shopSize int) *Probe {
	p := &Probe{client: NewClient(ctx, t), looker: NewClient(ctx, t), shopSize: shopSize, stale: t.Stale, every: 100 * time.Millisecond}
	if t.Name == "before" {
		p.every = time.Second
	}
	return p
}

// Watch runs until stop is called, which returns what was seen and how many actions it took.
func (p *Probe) Watch(ctx context.Context) (stop func() (seen Staleness, actions int, err error)) {
	end := make(chan struct{})
	var wg sync.WaitGroup
	p.seen = Staleness{}
	var failed, lookFailed error
	var looked Staleness
	wg.Go(func() { // an old page may come back after the one who wrote has seen the new one
		tick := time.NewTicker(p.every)
		defer tick.Stop()
		for i := 0; lookFailed == nil; i++ {
			select {
			case <-end:
				return
			case <-ctx.Done():
				lookFailed = ctx.Err()
			case <-tick.C:
				lookFailed = p.look(ctx, i, &looked)
			}
		}
	})
	wg.Go(func() {
		tick := time.NewTicker(p.every)
		defer tick.Stop()
		for failed == nil {
			select {
			case <-end:
				return
			case <-ctx.Done():
				failed = ctx.Err()
			case <-tick.C:
				failed = p.cycle(ctx)
			}
		}
	})
	return func() (Staleness, int, error) {
		close(end)
		wg.Wait()
		p.seen.add(looked)
		return p.seen, int(p.seen.Writes + p.seen.Reads), errors.Join(failed, lookFailed)
	}
}

// look reads a page with a product that was written some time ago: its own, its list, the ten
// best sold.
func (p *Probe) look(ctx context.Context, i int, seen *Staleness) (err error) {
	k := i * 7 % probed
	product, who := probedProduct(k, p.shopSize), fmt.Sprintf("looker-%02d", i%probed)
	least, shown := p.versions[k].least(p.stale), int64(0)
	if i%3 == 2 {
		top, err := p.looker.ask(ctx, who, Request{http.MethodGet, fmt.Sprintf("/categories/%d/top", product%categoriesOf(p.shopSize)), "", http.StatusOK})
		if err != nil {
			return err
		}
		var items []Item
		if err := json.Unmarshal(top, &items); err != nil {
			return err
		}
		at := slices.IndexFunc(items, func(it Item) bool { return it.ID == product })
		if at < 0 {
			return nil // it does not sell so well
		}
		shown = items[at].Price
	} else if shown, err = readPrice(ctx, p.looker, who, product, p.shopSize, i%3 == 1 && least > 0); err != nil {
		return err
	}
	seen.Reads++
	if shown < least {
		seen.Stale++
	}
	return nil
}

// counts are the requests of both.
func (p *Probe) counts() int64 {
	a, _, _ := p.client.client.Counts()
	b, _, _ := p.looker.client.Counts()
	return a + b
}

// cycle writes one price and reads it back from a page of a kind: product, list, home screen.
func (p *Probe) cycle(ctx context.Context) error {
	k := p.turn % probed
	product := probedProduct(k, p.shopSize)
	p.turn++
	version := max(p.versions[k].least(0), firstVersion) + 1
	who := fmt.Sprintf("probe-%02d", p.turn%probed) // or it would ask more than one consumer may
	if _, err := p.client.ask(ctx, who, priceRequest(product, version)); err != nil {
		return err
	}
	p.versions[k].acknowledge(version)
	p.seen.Writes++
	least := p.versions[k].least(p.stale)
	var seen int64
	var err error
	switch p.turn % 3 {
	case 2:
		seen, err = p.home(ctx, who, product)
	default:
		seen, err = readPrice(ctx, p.client, who, product, p.shopSize, p.turn%3 == 1)
	}
	if err != nil {
		return err
	}
	p.seen.Reads++
	if seen < least {
		p.seen.Stale++
	}
	return nil
}

// home reads a home screen with the product on it.
func (p *Probe) home(ctx context.Context, who string, product int) (price int64, err error) {
	a := Action{Kind: Home, Consumer: who}
	for i := range homeProducts {
		a.Requests = append(a.Requests, detailRequest(1+(product-1+i)%p.shopSize))
	}
	bodies, err := p.client.Do(ctx, a)
	if err != nil {
		return 0, err
	}
	var first Product
	if len(bodies) == 0 {
		return 0, errors.New("a home screen without products")
	}
	err = json.Unmarshal(bodies[0], &first)
	return first.Price, err
}

// Close drops its connections.
func (p *Probe) Close() {
	p.client.Close()
	p.looker.Close()
}

// versions are the prices of one product that were acknowledged.
type versions struct {
	mu   sync.Mutex
	list []acknowledged // the newest last; what nobody can ask for any more is dropped
}

type acknowledged struct {
	version int64
	at      time.Time
}

func (v *versions) acknowledge(version int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.list = append(v.list, acknowledged{version, time.Now()})
	if n := len(v.list); n > 10_000 {
		v.list = slices.Clone(v.list[n/2:])
	}
}

// least is the oldest version that may still be shown where one may be shown for so long after the next one;
// 0: any, also what was there before the first.
func (v *versions) least(stale time.Duration) int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	for _, a := range slices.Backward(v.list) {
		if now.Sub(a.at) >= stale {
			return a.version
		}
	}
	return 0
}
