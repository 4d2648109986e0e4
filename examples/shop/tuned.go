package main

import (
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// Tuned is what a good engineer does without any library: indexes, joins and IN, only the
// columns that are needed, one pool, a bounded heap. All SQL of the good kind is in this file.
func Tuned(s *Store) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products/{id}", func(w http.ResponseWriter, r *http.Request) { answerPage(w, r, s.encoded, productPage) })
	mux.HandleFunc("GET /categories/{id}/products", func(w http.ResponseWriter, r *http.Request) { answerPage(w, r, s.encoded, listPage) })
	mux.HandleFunc("GET /categories/{id}/top", func(w http.ResponseWriter, r *http.Request) { answerPage(w, r, s.encoded, topPage) })
	mux.HandleFunc("PUT /products/{id}/price", func(w http.ResponseWriter, r *http.Request) { setPrice(w, r, s, nil) })
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) { takeOrder(w, r, s, inline) })
	return mux
}

// tunedIndexes are the composite indexes of the queries below.
var tunedIndexes = []string{
	"CREATE INDEX IF NOT EXISTS products_by_price ON products (category, price, id, name)",
	"CREATE INDEX IF NOT EXISTS products_by_sales ON products (category, sales DESC, id)",
	"CREATE INDEX IF NOT EXISTS reviews_by_product ON reviews (product_id, id, stars)",
	"ANALYZE products",
	"ANALYZE product_details",
	"ANALYZE reviews",
	"ANALYZE users",
}

// A pageKey names a page of the shop.
type pageKey struct {
	kind pageKind
	id   int // of the product or the category
	page int
}

type pageKind uint8

const (
	productPage pageKind = iota
	listPage
	topPage
)

// encoded returns a page as JSON.
func (s *Store) encoded(ctx context.Context, key pageKey) ([]byte, error) {
	var answer any
	var err error
	switch key.kind {
	case productPage:
		answer, err = s.product(ctx, key.id)
	case listPage:
		answer, err = s.list(ctx, key.id, key.page)
	default:
		answer, err = s.top(ctx, key.id)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

// answerPage answers with the page that r asks for, wherever get has it from.
func answerPage(w http.ResponseWriter, r *http.Request, get func(context.Context, pageKey) ([]byte, error), kind pageKind) {
	key := pageKey{kind: kind}
	var err error
	if key.id, err = pathID(r); err == nil && kind == listPage {
		key.page, err = queryPage(r)
	}
	if err != nil {
		fail(w, err)
		return
	}
	body, err := get(r.Context(), key)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// setPrice writes, then drops what shows the price, and only then answers: from here on
// everybody sees the new one. drop is nil where nothing is remembered.
func setPrice(w http.ResponseWriter, r *http.Request, s *Store, drop func(product, category int)) {
	id, err := pathID(r)
	price, priceErr := bodyNumber(r, "price")
	if err = errors.Join(err, priceErr); err != nil {
		fail(w, err)
		return
	}
	category, err := s.Write(r.Context(), "UPDATE products SET price = ? WHERE id = ? RETURNING category", price, id)
	if err != nil {
		fail(w, noRows(err))
		return
	}
	if drop != nil {
		drop(id, int(category))
	}
	w.WriteHeader(http.StatusNoContent)
}

func takeOrder(w http.ResponseWriter, r *http.Request, s *Store, side handOver) {
	id, err := bodyNumber(r, "product")
	if err == nil {
		_, err = s.Write(r.Context(), "INSERT INTO orders (product_id) VALUES (?) RETURNING id", id)
	}
	if err == nil {
		err = side(r.Context(), s.sideWork)
	}
	if err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusCreated)
}

const (
	queryProduct = `SELECT p.id, p.category, p.name, p.price, d.description, d.specifications
		FROM products p JOIN product_details d ON d.product_id = p.id WHERE p.id = ?`
	queryReviews = `SELECT u.name, r.stars, r.body FROM reviews r JOIN users u ON u.id = r.user_id
		WHERE r.product_id = ? ORDER BY r.id`
	queryList  = `SELECT id, name, price FROM products WHERE category = ? ORDER BY price, id LIMIT ? OFFSET ?`
	querySales = `SELECT id, sales FROM products WHERE category = ?`
	queryItems = `SELECT id, name, price, sales FROM products WHERE id IN (?)`
	queryStars = `SELECT product_id, COUNT(*), SUM(stars) FROM reviews WHERE product_id IN (?) GROUP BY product_id`
)

func (s *Store) product(ctx context.Context, id int) (p Product, err error) {
	found := false
	err = s.each(ctx, queryProduct, []any{id}, func(scan scanner) error {
		found = true
		return scan(&p.ID, &p.Category, &p.Name, &p.Price, &p.Description, &p.Specifications)
	})
	if err == nil && !found {
		err = errNotFound
	}
	if err != nil {
		return p, err
	}
	p.Reviews, p.Rating, err = s.reviews(ctx, id)
	return p, err
}

// reviews returns those of a product, and the rating that they make.
func (s *Store) reviews(ctx context.Context, product int) (list []Review, average float64, err error) {
	sum := int64(0)
	err = s.each(ctx, queryReviews, []any{product}, func(scan scanner) error {
		var r Review
		err := scan(&r.Author, &r.Stars, &r.Body)
		sum += int64(r.Stars)
		list = append(list, r)
		return err
	})
	return list, rating(sum, int64(len(list))), err
}

func (s *Store) list(ctx context.Context, category, page int) (items []Item, err error) {
	err = s.each(ctx, queryList, []any{category, pageSize, page * pageSize}, func(scan scanner) error {
		var it Item
		err := scan(&it.ID, &it.Name, &it.Price)
		items = append(items, it)
		return err
	})
	return s.rated(ctx, items, err)
}

// top takes the ten best out of a category with a heap of ten: n log k instead of a sort, and
// the names of ten products instead of all.
func (s *Store) top(ctx context.Context, category int) ([]Item, error) {
	best := newBest(bestSold, better)
	err := s.each(ctx, querySales, []any{category}, func(scan scanner) error {
		var it Item
		err := scan(&it.ID, &it.Sales)
		best.offer(it)
		return err
	})
	if err != nil || len(best.items) == 0 {
		return nil, errors.Join(err, errNotFound)
	}
	query, args := in(queryItems, best.items)
	var items []Item
	err = s.each(ctx, query, args, func(scan scanner) error {
		var it Item
		err := scan(&it.ID, &it.Name, &it.Price, &it.Sales)
		items = append(items, it)
		return err
	})
	slices.SortFunc(items, func(a, b Item) int {
		if better(a, b) {
			return -1
		}
		return 1
	})
	return s.rated(ctx, items, err)
}

// rated gives every item its rating, with one query for all.
func (s *Store) rated(ctx context.Context, items []Item, err error) ([]Item, error) {
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, errNotFound
	}
	ratings := make(map[int]float64, len(items))
	query, args := in(queryStars, items)
	err = s.each(ctx, query, args, func(scan scanner) error {
		var id int
		var count, sum int64
		err := scan(&id, &count, &sum)
		ratings[id] = rating(sum, count)
		return err
	})
	for i := range items {
		items[i].Rating = ratings[items[i].ID]
	}
	return items, err
}

type scanner func(dest ...any) error

// each calls f for every row of a query.
func (s *Store) each(ctx context.Context, query string, args []any, f func(scan scanner) error) error {
	rows, err := s.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	for err == nil && rows.Next() {
		err = f(rows.Scan)
	}
	return errors.Join(err, rows.Err(), rows.Close())
}

// in makes IN (?) as long as items.
func in(query string, items []Item) (string, []any) {
	args := make([]any, len(items))
	for i, it := range items {
		args[i] = it.ID
	}
	return strings.Replace(query, "(?)", "(?"+strings.Repeat(", ?", len(items)-1)+")", 1), args
}

// best keeps the k best items that it was offered. The root of the heap is the worst of them,
// which a newcomer has to beat.
type best struct {
	k      int
	better func(a, b Item) bool
	items  []Item
}

func newBest(k int, better func(a, b Item) bool) *best { return &best{k: k, better: better} }

func (b *best) offer(it Item) {
	if len(b.items) < b.k {
		heap.Push(b, it)
	} else if b.better(it, b.items[0]) {
		b.items[0] = it
		heap.Fix(b, 0)
	}
}

func (b *best) Len() int           { return len(b.items) }
func (b *best) Less(i, j int) bool { return b.better(b.items[j], b.items[i]) }
func (b *best) Swap(i, j int)      { b.items[i], b.items[j] = b.items[j], b.items[i] }
func (b *best) Push(x any)         { b.items = append(b.items, x.(Item)) }
func (b *best) Pop() any           { panic("never popped") }
