package main

import (
	"fmt"
	"strings"
)

// An oracle counts what a perfect cache would have to ask the database: it has every page in
// memory for ever and drops exactly what a write has changed. It is the honest bound of what
// any cache can save.
type oracle struct {
	categories int
	pages      map[string]bool
}

func newOracle(products int) *oracle {
	return &oracle{categoriesOf(products), map[string]bool{}}
}

// queries returns how many queries an action needs. The products that a home screen misses are two
// queries for all of them.
func (o *oracle) queries(a Action) (n int) {
	missed := false
	for _, r := range a.Requests {
		switch {
		case r.Method == "POST":
			n++
		case r.Method == "PUT":
			n++
			o.drop(r.Path)
		case !o.pages[r.Path]:
			o.pages[r.Path] = true
			if a.Kind == Home && missed {
				continue
			}
			missed = true
			n += 2
			if strings.HasSuffix(r.Path, "/top") {
				n++
			}
		}
	}
	return n
}

// drop takes what shows the price of the product in a path like /products/7/price.
func (o *oracle) drop(path string) {
	var product int
	if _, err := fmt.Sscanf(path, "/products/%d/price", &product); err != nil {
		panic(err)
	}
	category := product % o.categories
	delete(o.pages, fmt.Sprintf("/products/%d", product))
	delete(o.pages, fmt.Sprintf("/categories/%d/top", category))
	for page := range 2 {
		delete(o.pages, fmt.Sprintf("/categories/%d/products?page=%d", category, page))
	}
}
