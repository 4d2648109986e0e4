package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func plan(t *testing.T, s *Store, query string, args ...any) (steps string) {
	t.Helper()
	rows, err := s.Query(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		steps += detail + "\n"
	}
	return steps
}

// Tuned never scans a table, before scans products and reviews.
func TestQueryPlans(t *testing.T) {
	tuned := shop(t, "tuned", nil).Store
	items := []Item{{ID: 1}, {ID: 2}}
	for _, q := range []struct {
		query string
		args  []any
	}{
		{queryProduct, []any{1}}, {queryReviews, []any{1}}, {queryList, []any{1, 24, 0}}, {querySales, []any{1}},
	} {
		if steps := plan(t, tuned, q.query, q.args...); strings.Contains(steps, "SCAN") || strings.Contains(steps, "TEMP B-TREE") {
			t.Errorf("%s:\n%s", q.query, steps)
		}
	}
	for _, q := range []string{queryItems, queryStars} {
		query, args := in(q, items)
		if steps := plan(t, tuned, query, args...); strings.Contains(steps, "SCAN") {
			t.Errorf("%s:\n%s", query, steps)
		}
	}
	before := shop(t, "before", nil).Store
	for _, query := range []string{"SELECT * FROM products WHERE category = 1 ORDER BY price, id", "SELECT * FROM reviews WHERE product_id = 1"} {
		if steps := plan(t, before, query); !strings.Contains(steps, "SCAN") {
			t.Errorf("before has an index for %s:\n%s", query, steps)
		}
	}
}

// A list reads the columns that it shows, not all of them.
func TestColumns(t *testing.T) {
	s := shop(t, "tuned", nil).Store
	for query, want := range map[string]int{queryList: 3, querySales: 2} {
		rows, err := s.Query(t.Context(), query, 1, 24, 0)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if len(columns) != want || err != nil {
			t.Errorf("%s: columns %v, %v", query, columns, err)
		}
		_ = rows.Close()
	}
}

// Before opens a connection for every query, tuned keeps its pool.
func TestConnections(t *testing.T) {
	for name, check := range map[string]func(c Counts) bool{
		"before": func(c Counts) bool { return c.Opened >= c.Queries },
		"tuned":  func(c Counts) bool { return c.Opened <= poolSize+1 },
	} {
		v := shop(t, name, nil)
		c := newTestClient(t, v)
		w := NewWorkload(testProducts, 1)
		for range 40 {
			if _, err := c.Do(t.Context(), w.Next()); err != nil {
				t.Fatal(err)
			}
		}
		if counts := v.Store.Counts(); !check(counts) {
			t.Errorf("%s: %+v", name, counts)
		}
		if closed := v.Store.readers.Stats().MaxIdleClosed; closed != 0 {
			t.Errorf("%s: %d idle connections were closed", name, closed)
		}
	}
}

// The ten best of n take at most 9n comparisons, the sort n(n-1)/2; both find the same.
func TestBest(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{0, 1, 9, 10, 11, 48, 1_000} {
		items := make([]Item, n)
		for i := range items {
			items[i] = Item{ID: i, Sales: rng.IntN(max(n/2, 1))}
		}
		comparisons := 0
		counted := func(a, b Item) bool { comparisons++; return better(a, b) }
		b := newBest(bestSold, counted)
		for _, it := range items {
			b.offer(it)
		}
		heapComparisons := comparisons
		comparisons = 0
		sortQuadratic(items, counted)
		if heapComparisons > 9*n || comparisons != n*(n-1)/2 {
			t.Errorf("n %d: heap %d comparisons, sort %d", n, heapComparisons, comparisons)
		}
		got := slices.SortedFunc(slices.Values(b.items), func(a, b Item) int {
			if better(a, b) {
				return -1
			}
			return 1
		})
		if fmt.Sprint(got) != fmt.Sprint(items[:min(n, bestSold)]) {
			t.Errorf("n %d: %v, want %v", n, got, items[:min(n, bestSold)])
		}
	}
}

// Bad input gets an answer that says what is wrong with it.
func TestBadRequests(t *testing.T) {
	for _, v := range []*Variant{shop(t, "before", nil), shop(t, "tuned", nil), shop(t, "after", AllOn())} {
		c := newTestClient(t, v)
		for _, r := range []Request{
			{"GET", "/products/0", "", 404},
			{"GET", "/products/99999", "", 404},
			{"GET", "/products/x", "", 404},
			{"GET", "/categories/99/products", "", 404},
			{"GET", "/categories/1/products?page=7", "", 404},
			{"GET", "/categories/99/top", "", 404},
			{"GET", "/categories/1/products?page=-1", "", 400},
			{"GET", "/categories/1/products?page=x", "", 400},
			{"PUT", "/products/1/price", "free", 400},
			{"PUT", "/products/1/price", "-5", 400},
			{"PUT", "/products/99999/price", "5", 404},
			{"POST", "/orders", "", 400},
			{"GET", "/nothing", "", 404},
			{"DELETE", "/orders", "", 405},
		} {
			if _, err := c.Do(t.Context(), Action{Requests: []Request{r}}); err != nil {
				t.Errorf("%s: %v", v.Name, err)
			}
		}
	}
}
