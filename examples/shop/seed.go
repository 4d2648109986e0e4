package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
)

// The data is made, not shipped: the same seed gives the same shop on every machine.
const (
	perCategory       = 48 // products: two full pages
	reviewsPerProduct = 5
	usersPerProduct   = 2 // 4 800 users for 2 400 products
)

func categoriesOf(products int) int { return max(products/perCategory, 1) }

// schema has no index but the primary keys: that is what the articles start from.
var schema = []string{
	`CREATE TABLE products (id INTEGER PRIMARY KEY, category INTEGER NOT NULL, name TEXT NOT NULL, price INTEGER NOT NULL, sales INTEGER NOT NULL, supplier TEXT NOT NULL, created TEXT NOT NULL)`,
	`CREATE TABLE product_details (product_id INTEGER PRIMARY KEY, description TEXT NOT NULL, specifications TEXT NOT NULL, manual TEXT NOT NULL, notes TEXT NOT NULL)`,
	`CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL)`,
	`CREATE TABLE reviews (id INTEGER PRIMARY KEY, product_id INTEGER NOT NULL, user_id INTEGER NOT NULL, stars INTEGER NOT NULL, body TEXT NOT NULL)`,
	`CREATE TABLE orders (id INTEGER PRIMARY KEY, product_id INTEGER NOT NULL)`,
}

// seedData makes the shop's data in a run of db.
func seedData(ctx context.Context, db Database, run string, products int, seed uint64) (data string, err error) {
	if data, err = db.Create(ctx, run); err != nil {
		return "", err
	}
	s := Open(db, data, products, 0)
	defer s.Close()
	if err := s.Define(ctx, db.Schema(schema)...); err != nil {
		return "", err
	}
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return "", err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	rng := rand.New(rand.NewPCG(seed, 1))
	insert := func(table string, values ...any) {
		if err == nil {
			_, err = tx.ExecContext(ctx, db.Placeholders("INSERT INTO "+table+" VALUES (?"+strings.Repeat(", ?", len(values)-1)+")"), values...)
		}
	}
	for id := 1; id <= products*usersPerProduct; id++ {
		insert("users", id, words(rng, 2), fmt.Sprintf("user%d@shop.example", id))
	}
	review := 0
	for id := 1; id <= products; id++ {
		insert("products", id, id%s.Categories, words(rng, 3), 100+rng.IntN(50_000), rng.IntN(10_000), words(rng, 2), "2026-01-01T00:00:00Z")
		insert("product_details", id, words(rng, 120), words(rng, 60), words(rng, 400), words(rng, 200))
		for range reviewsPerProduct {
			review++
			insert("reviews", review, id, 1+rng.IntN(products*usersPerProduct), 1+rng.IntN(5), words(rng, 50))
		}
	}
	if err != nil {
		return "", err
	}
	if err := tx.Commit(); err != nil {
		return "", err
	}
	return data, s.Define(ctx, db.Settle()...)
}

var vocabulary = strings.Fields(`amber bright calm deep early fair gentle hollow iron jade keen light maple noble
	oaken plain quiet rough silver tall upper vivid warm young zinc basin cable desk easel frame globe hinge inkwell
	jar kettle lamp mirror needle oven pillow quilt rack shelf table urn vase wheel yarn`)

func words(rng *rand.Rand, n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = vocabulary[rng.IntN(len(vocabulary))]
	}
	return strings.Join(list, " ")
}
