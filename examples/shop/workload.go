package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"sort"
	"strconv"
)

// A Kind is what a user does.
type Kind string

// The kinds of actions and their shares, in percent.
const (
	Detail Kind = "detail"
	List   Kind = "list"
	Top    Kind = "top"
	Home   Kind = "home"
	Price  Kind = "price"
	Order  Kind = "order"
)

var shares = []struct {
	kind    Kind
	percent int
}{{Detail, 55}, {List, 20}, {Top, 5}, {Home, 10}, {Price, 2}, {Order, 8}}

// A Request is one request of an Action.
type Request struct {
	Method, Path, Body string
	Status             int // the right one
}

// An Action is what one user does at a time: the unit of the measurement, for batching changes
// how many requests an action needs.
type Action struct {
	Kind     Kind
	Consumer string // X-Api-Key
	Requests []Request
}

const (
	consumers    = 200
	homeProducts = 10
)

// A Workload makes the same actions for the same seed.
type Workload struct {
	products, categories int
	popular, browsed     *zipf
	reserved             map[int]bool // see probed
	rng                  *rand.Rand
}

// NewWorkload returns the actions of a shop with that many products.
func NewWorkload(products int, seed uint64) *Workload {
	categories := categoriesOf(products)
	reserved := map[int]bool{}
	for k := range probed {
		reserved[probedProduct(k, products)] = true
	}
	return &Workload{
		products: products, reserved: reserved, categories: categories,
		popular: newZipf(products, 1.0), browsed: newZipf(categories, 0.8),
		rng: rand.New(rand.NewPCG(seed, 2)),
	}
}

// Next returns the next action.
func (w *Workload) Next() Action {
	a := Action{Kind: w.kind(), Consumer: fmt.Sprintf("consumer-%03d", w.rng.IntN(consumers))}
	switch a.Kind {
	case Detail:
		a.Requests = []Request{detailRequest(w.product())}
	case List:
		page := 0
		if w.rng.IntN(4) == 3 {
			page = 1
		}
		a.Requests = []Request{listRequest(w.category(), page)}
	case Top:
		a.Requests = []Request{{http.MethodGet, fmt.Sprintf("/categories/%d/top", w.category()), "", http.StatusOK}}
	case Home:
		seen := map[int]bool{}
		for len(a.Requests) < min(homeProducts, w.products) {
			if id := w.product(); !seen[id] {
				seen[id] = true
				a.Requests = append(a.Requests, detailRequest(id))
			}
		}
	case Price:
		a.Requests = []Request{priceRequest(w.writable(), int64(100+w.rng.IntN(50_000)))}
	case Order:
		a.Requests = []Request{{http.MethodPost, "/orders", strconv.Itoa(w.product()), http.StatusCreated}}
	}
	return a
}

func (w *Workload) kind() Kind {
	n := w.rng.IntN(100)
	for _, s := range shares {
		if n -= s.percent; n < 0 {
			return s.kind
		}
	}
	panic("the shares are not 100")
}

// product scatters the popular ones over the ids, and so over categories.
func (w *Workload) product() int { return 1 + w.popular.draw(w.rng)*7919%w.products }

// probed is how many products have prices that only the probe for old prices writes.
const probed = 20

// probedProduct returns the k-th of them; they are spread over popular and unpopular ones.
func probedProduct(k, products int) int { return 1 + (k*products/probed+2)*7919%products }

// writable is a product whose price a user may change.
func (w *Workload) writable() int {
	id := w.product()
	for w.reserved[id] {
		id = 1 + id%w.products
	}
	return id
}

func (w *Workload) category() int { return w.browsed.draw(w.rng) }

func detailRequest(product int) Request {
	return Request{http.MethodGet, fmt.Sprintf("/products/%d", product), "", http.StatusOK}
}

func listRequest(category, page int) Request {
	return Request{http.MethodGet, fmt.Sprintf("/categories/%d/products?page=%d", category, page), "", http.StatusOK}
}

func priceRequest(product int, price int64) Request {
	return Request{http.MethodPut, fmt.Sprintf("/products/%d/price", product), strconv.FormatInt(price, 10), http.StatusNoContent}
}

// zipf draws ranks from 0 on, the k-th with probability proportional to 1/(k+1)^s.
type zipf struct{ cumulative []float64 }

func newZipf(n int, s float64) *zipf {
	z := &zipf{make([]float64, n)}
	sum := 0.0
	for k := range n {
		sum += math.Pow(float64(k+1), -s)
		z.cumulative[k] = sum
	}
	return z
}

func (z *zipf) draw(rng *rand.Rand) int {
	last := len(z.cumulative) - 1
	return min(sort.SearchFloat64s(z.cumulative, rng.Float64()*z.cumulative[last]), last)
}
