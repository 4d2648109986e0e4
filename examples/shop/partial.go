package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hotpath-go/hotpath/partial"
)

// phoneFields is what a list and a home screen show of a product.
const phoneFields = "id,name,price,rating"

// project cuts answers to ?fields=, such as those that a phone shows. A name that no page has is
// answered 400 with the nearest one.
func project() *partial.Filter {
	return must(partial.New(partial.Config{Allow: partial.For[pageFields]()}))
}

// pageFields are those of all pages: a list has the ones of a product but the long ones, and
// its sales.
type pageFields struct {
	Product
	Sales int `json:"sales"`
}

// A productRow says from which column a field of a Product is read. Rating and reviews have a
// query of their own.
type productRow struct {
	ID             int    `json:"id" sql:"p.id"`
	Category       int    `json:"category" sql:"p.category"`
	Name           string `json:"name" sql:"p.name"`
	Price          int64  `json:"price" sql:"p.price"`
	Description    string `json:"description" sql:"d.description"`
	Specifications string `json:"specifications" sql:"d.specifications"`
}

// An itemRow is a productRow of a list.
type itemRow struct {
	ID    int    `json:"id" sql:"p.id"`
	Name  string `json:"name" sql:"p.name"`
	Price int64  `json:"price" sql:"p.price"`
}

// into is where each column is scanned to.
func (p *Product) into(columns []string) (into []any) {
	of := map[string]any{
		"p.id": &p.ID, "p.category": &p.Category, "p.name": &p.Name, "p.price": &p.Price,
		"d.description": &p.Description, "d.specifications": &p.Specifications,
	}
	for _, column := range columns {
		into = append(into, of[column])
	}
	return into
}

// projected returns a page as JSON with what the mask of ctx selects, and maybe more: the
// database is asked for no more columns than that; without a mask it is that of whole. Whoever shares
// pages between requests must load them with whole.
func (s *Store) projected(whole getPage) getPage {
	return func(ctx context.Context, key pageKey) ([]byte, error) {
		if m := partial.FromContext(ctx); m != nil && key.kind != topPage { // the best of a category need all of its sales anyway
			return s.project(ctx, m, key)
		}
		return whole(ctx, key)
	}
}

func (s *Store) project(ctx context.Context, m *partial.Mask, key pageKey) ([]byte, error) {
	var answer any
	var err error
	switch key.kind {
	case productPage:
		answer, err = s.projectedProduct(ctx, m, key.id)
	case listPage:
		answer, err = s.projectedList(ctx, m, key.id, key.page)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

func (s *Store) projectedProduct(ctx context.Context, m *partial.Mask, id int) (p Product, err error) {
	columns := partial.Columns[productRow](m, "sql", "p.id")
	into := p.into(columns)
	from := "products p"
	if slices.ContainsFunc(columns, func(c string) bool { return strings.HasPrefix(c, "d.") }) {
		from += " JOIN product_details d ON d.product_id = p.id"
	}
	found := false
	err = s.each(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE p.id = ?", strings.Join(columns, ", "), from), []any{id}, func(scan scanner) error {
		found = true
		return scan(into...)
	})
	if err == nil && !found {
		err = errNotFound
	}
	if err != nil || !m.Has("rating") && !m.Has("reviews") {
		return p, err
	}
	if !m.Has("reviews") {
		items, err := s.rated(ctx, []Item{{ID: id}}, nil)
		if err == nil {
			p.Rating = items[0].Rating
		}
		return p, err
	}
	p.Reviews, p.Rating, err = s.reviews(ctx, id)
	return p, err
}

func (s *Store) projectedList(ctx context.Context, m *partial.Mask, category, page int) (items []Item, err error) {
	var p Product
	columns := partial.Columns[itemRow](m, "sql", "p.id")
	into := p.into(columns)
	query := fmt.Sprintf("SELECT %s FROM products p WHERE category = ? ORDER BY price, id LIMIT ? OFFSET ?", strings.Join(columns, ", "))
	err = s.each(ctx, query, []any{category, pageSize, page * pageSize}, func(scan scanner) error {
		err := scan(into...)
		items = append(items, Item{ID: p.ID, Name: p.Name, Price: p.Price})
		return err
	})
	if err == nil && len(items) == 0 {
		err = errNotFound
	}
	if err != nil || !m.Has("rating") {
		return items, err
	}
	return s.rated(ctx, items, nil)
}
