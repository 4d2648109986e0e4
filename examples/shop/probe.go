package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Probe looks for old prices while a shop is measured. It is the only one who changes 20
// products, whose prices are versions: a read that shows one below the last acknowledged is
// stale, whatever page it is on.
type Probe struct {
	client   *Client
	shopSize int
	every    time.Duration
	versions [probed]int64
	turn     int
	seen     Staleness
}

// NewProbe returns a probe for a shop. Its cycle, a write and a read, costs what the users'
// average action costs, so that even Before, which has the capacity for a few dozen a second,
// is asked nothing unusual.
func NewProbe(ctx context.Context, t Target, shopSize int) *Probe {
	p := &Probe{client: NewClient(ctx, t), shopSize: shopSize, every: 100 * time.Millisecond}
	if t.Name == "before" {
		p.every = time.Second
	}
	for k := range p.versions {
		p.versions[k] = firstVersion
	}
	return p
}

// Watch runs until stop is called, which returns what was seen and how many actions it took.
func (p *Probe) Watch(ctx context.Context) (stop func() (seen Staleness, actions int, err error)) {
	end := make(chan struct{})
	var wg sync.WaitGroup
	p.seen = Staleness{}
	var failed error
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
		return p.seen, int(p.seen.Writes + p.seen.Reads), failed
	}
}

// cycle writes one price and reads it back from a page of a kind: product, list, home screen.
func (p *Probe) cycle(ctx context.Context) error {
	k := p.turn % probed
	product := probedProduct(k, p.shopSize)
	p.turn++
	version := p.versions[k] + 1
	who := fmt.Sprintf("probe-%02d", p.turn%probed) // or it would ask more than one consumer may
	if _, err := p.client.ask(ctx, who, priceRequest(product, version)); err != nil {
		return err
	}
	p.versions[k] = version
	p.seen.Writes++
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
	if seen < version {
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
func (p *Probe) Close() { p.client.Close() }
