package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hotpath-go/hotpath/examples/internal/load"
)

// Documents looks at every answer of a measured phase: a wrong body with status 200 is a
// failure. To decode each one would make the generator slower than the servers, so it remembers
// the hashes of those that it has found right: an answer is decoded when it is new.
type Documents struct {
	products int
	seed     maphash.Seed

	mu    sync.RWMutex
	right map[uint64]struct{}
}

// maxRight bounds what is remembered: 8 times all pages of the shop at its default size.
const maxRight = 1 << 15

// NewDocuments returns the check for a shop of that size.
func NewDocuments(products int) *Documents {
	return &Documents{products: products, seed: maphash.MakeSeed(), right: map[uint64]struct{}{}}
}

// Check returns a failure if the answer is not one to the request.
func (d *Documents) Check(want Request, a load.Answer) error {
	if err := load.Expect(a, want.Status); err != nil {
		return err
	}
	if want.Method != "GET" && want.Path != "/batch" {
		if len(a.Body) > 0 {
			return load.Fail(load.Document, fmt.Errorf("%s %s: a body of %d bytes, want none", want.Method, want.Path, len(a.Body)))
		}
		return nil
	}
	var h maphash.Hash
	h.SetSeed(d.seed)
	_, _ = h.WriteString(want.Path)
	_, _ = h.WriteString(want.Body)
	_, _ = h.WriteString(a.Coding)
	_, _ = h.WriteString(a.Type)
	_, _ = h.Write(a.Body)
	sum := h.Sum64()
	d.mu.RLock()
	_, known := d.right[sum]
	d.mu.RUnlock()
	if known {
		return nil
	}
	if err := d.look(want, a); err != nil {
		return load.Fail(load.Document, fmt.Errorf("%s %s: %w", want.Method, want.Path, err))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.right) >= maxRight {
		clear(d.right)
	}
	d.right[sum] = struct{}{}
	return nil
}

func (d *Documents) look(want Request, a load.Answer) error {
	if a.Type != "application/json" {
		return fmt.Errorf("Content-Type is %q", a.Type)
	}
	body, err := decoded(a.Coding, a.Body)
	if err != nil {
		return err
	}
	if want.Path == "/batch" {
		ids := want.idsOf()
		list, err := parts(body)
		if err != nil || len(list) != len(ids) {
			return fmt.Errorf("%d parts, want %d: %v", len(list), len(ids), err)
		}
		for i, part := range list {
			if err := rightProduct(part, ids[i], strings.HasPrefix(want.Body, "{")); err != nil {
				return err
			}
		}
		return nil
	}
	if id, found := strings.CutPrefix(want.Path, "/products/"); found {
		id, _, onPhone := strings.Cut(id, "?")
		return rightProduct(body, id, onPhone)
	}
	_, rest, _ := strings.Cut(want.Path, "/categories/")
	number, page, _ := strings.Cut(rest, "/")
	category, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	return d.rightItems(body, category, page == "top")
}

// rightProduct checks a product. One that was asked for by a phone may have the fields of phoneFields
// alone, for shops that know of ?fields=, or all, for those that do not.
func rightProduct(body []byte, id string, onPhone bool) error {
	var p Product
	if err := strict(body, &p); err != nil {
		return err
	}
	short := Product{ID: p.ID, Name: p.Name, Price: p.Price, Rating: p.Rating}
	switch {
	case strconv.Itoa(p.ID) != id:
		return fmt.Errorf("it is product %d", p.ID)
	case onPhone && reflect.DeepEqual(p, short) && p.Name != "" && p.Price > 0 && p.Rating >= 1 && p.Rating <= 5:
		return nil
	case p.Name == "" || p.Description == "" || p.Specifications == "" || p.Price < 1 || p.Rating < 1 || p.Rating > 5:
		return errors.New("a field is missing")
	case len(p.Reviews) != reviewsPerProduct:
		return fmt.Errorf("it has %d reviews", len(p.Reviews))
	}
	for _, r := range p.Reviews {
		if r.Author == "" || r.Body == "" || r.Stars < 1 {
			return errors.New("a field of a review is missing")
		}
	}
	return nil
}

func (d *Documents) rightItems(body []byte, category int, top bool) error {
	var items []Item
	if err := strict(body, &items); err != nil {
		return err
	}
	want, order := pageSize, func(a, b Item) int {
		if a.Price != b.Price {
			return int(a.Price - b.Price)
		}
		return a.ID - b.ID
	}
	if top {
		want, order = bestSold, func(a, b Item) int {
			if a.Sales != b.Sales {
				return b.Sales - a.Sales
			}
			return a.ID - b.ID
		}
	}
	if len(items) != want || !slices.IsSortedFunc(items, order) {
		return fmt.Errorf("%d items, want %d in order", len(items), want)
	}
	for _, it := range items {
		if it.Name == "" || it.Price < 1 || it.Rating < 1 || it.Rating > 5 || it.ID%categoriesOf(d.products) != category {
			return fmt.Errorf("item %d is wrong, or not of category %d", it.ID, category)
		}
	}
	return nil
}

// strict decodes what has no field too many.
func strict(body []byte, to any) error {
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	return dec.Decode(to)
}
