package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
)

// Before is what the articles start from, and nothing sillier: no index, SELECT *, a query for
// each product's reviews and one for each author, a connection for each query, a quadratic
// sort over a whole category, side work inside the request.
func Before(s *Store) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := pathID(r)
		if err != nil {
			fail(w, err)
			return
		}
		p, err := beforeProduct(r.Context(), s, id)
		beforeAnswer(w, p, err)
	})
	mux.HandleFunc("GET /categories/{id}/products", func(w http.ResponseWriter, r *http.Request) {
		id, err := pathID(r)
		page, pageErr := queryPage(r)
		if err = errors.Join(err, pageErr); err != nil {
			fail(w, err)
			return
		}
		items, err := beforeItems(r.Context(), s, "SELECT * FROM products WHERE category = ? ORDER BY price, id LIMIT ? OFFSET ?", id, pageSize, page*pageSize)
		for i := range items {
			if err == nil {
				err = beforeRating(r.Context(), s, &items[i])
			}
			items[i].Sales = 0
		}
		beforeAnswer(w, items, err)
	})
	mux.HandleFunc("GET /categories/{id}/top", func(w http.ResponseWriter, r *http.Request) {
		id, err := pathID(r)
		if err != nil {
			fail(w, err)
			return
		}
		items, err := beforeItems(r.Context(), s, "SELECT * FROM products WHERE category = ?", id)
		sortQuadratic(items, better)
		items = items[:min(len(items), bestSold)]
		for i := range items {
			if err == nil {
				err = beforeRating(r.Context(), s, &items[i])
			}
		}
		beforeAnswer(w, items, err)
	})
	mux.HandleFunc("PUT /products/{id}/price", func(w http.ResponseWriter, r *http.Request) {
		id, err := pathID(r)
		price, priceErr := bodyNumber(r, "price")
		if err = errors.Join(err, priceErr); err == nil {
			_, err = s.WriteFresh(r.Context(), "UPDATE products SET price = ? WHERE id = ? RETURNING category", price, id)
		}
		if err != nil {
			fail(w, noRows(err))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		id, err := bodyNumber(r, "product")
		if err == nil {
			_, err = s.WriteFresh(r.Context(), "INSERT INTO orders (product_id) VALUES (?) RETURNING id", id)
		}
		if err != nil {
			fail(w, err)
			return
		}
		_ = s.sideWork(r.Context())
		w.WriteHeader(http.StatusCreated)
	})
	return mux
}

func beforeAnswer[T any](w http.ResponseWriter, answer T, err error) {
	if items, ok := any(answer).([]Item); ok && err == nil && len(items) == 0 {
		err = errNotFound
	}
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func noRows(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return errNotFound
	}
	return err
}

func beforeProduct(ctx context.Context, s *Store, id int) (p Product, err error) {
	rows, err := s.QueryFresh(ctx, "SELECT * FROM products JOIN product_details ON product_id = products.id WHERE products.id = ?", id)
	if err != nil {
		return p, err
	}
	err = errNotFound
	if rows.Next() {
		var supplier, created, manual, notes string
		var sales, detail int
		err = rows.Scan(&p.ID, &p.Category, &p.Name, &p.Price, &sales, &supplier, &created, &detail, &p.Description, &p.Specifications, &manual, &notes)
	}
	if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return p, err
	}
	reviews, users, err := beforeReviews(ctx, s, id)
	if err != nil {
		return p, err
	}
	for i := range reviews {
		p.Rating += float64(reviews[i].Stars)
		if reviews[i].Author, err = beforeAuthor(ctx, s, users[i]); err != nil {
			return p, err
		}
	}
	p.Rating /= float64(max(len(reviews), 1))
	p.Reviews = reviews
	return p, nil
}

func beforeReviews(ctx context.Context, s *Store, product int) (reviews []Review, users []int, err error) {
	rows, err := s.QueryFresh(ctx, "SELECT * FROM reviews WHERE product_id = ? ORDER BY id", product)
	if err != nil {
		return nil, nil, err
	}
	for rows.Next() {
		var r Review
		var id, of, user int
		if err = rows.Scan(&id, &of, &user, &r.Stars, &r.Body); err != nil {
			break
		}
		reviews, users = append(reviews, r), append(users, user)
	}
	return reviews, users, errors.Join(err, rows.Err(), rows.Close())
}

func beforeAuthor(ctx context.Context, s *Store, user int) (name string, err error) {
	rows, err := s.QueryFresh(ctx, "SELECT * FROM users WHERE id = ?", user)
	if err != nil {
		return "", err
	}
	if rows.Next() {
		var id int
		var email string
		err = rows.Scan(&id, &name, &email)
	}
	return name, errors.Join(err, rows.Err(), rows.Close())
}

func beforeItems(ctx context.Context, s *Store, query string, args ...any) (items []Item, err error) {
	rows, err := s.QueryFresh(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var it Item
		var category int
		var supplier, created string
		if err = rows.Scan(&it.ID, &category, &it.Name, &it.Price, &it.Sales, &supplier, &created); err != nil {
			break
		}
		items = append(items, it)
	}
	return items, errors.Join(err, rows.Err(), rows.Close())
}

func beforeRating(ctx context.Context, s *Store, it *Item) error {
	reviews, _, err := beforeReviews(ctx, s, it.ID)
	sum := int64(0)
	for _, r := range reviews {
		sum += int64(r.Stars)
	}
	it.Rating = rating(sum, int64(len(reviews)))
	return err
}

// better orders the best sold.
func better(a, b Item) bool {
	if a.Sales != b.Sales {
		return a.Sales > b.Sales
	}
	return a.ID < b.ID
}

// sortQuadratic is the sort that everybody has written once.
func sortQuadratic(items []Item, before func(a, b Item) bool) {
	for i := range items {
		for j := i + 1; j < len(items); j++ {
			if before(items[j], items[i]) {
				items[i], items[j] = items[j], items[i]
			}
		}
	}
}
