package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/hotpath-go/hotpath/cache"
)

// What the shop answers, in every variant alike.

// A Product is the answer to GET /products/{id}.
type Product struct {
	ID             int      `json:"id"`
	Category       int      `json:"category"`
	Name           string   `json:"name"`
	Price          int64    `json:"price"` // cents
	Rating         float64  `json:"rating"`
	Description    string   `json:"description"`
	Specifications string   `json:"specifications"`
	Reviews        []Review `json:"reviews"`
}

// A Review is part of a Product.
type Review struct {
	Author string `json:"author"`
	Stars  int    `json:"stars"`
	Body   string `json:"body"`
}

// An Item is a line of a list or of the ten best sold.
type Item struct {
	ID     int     `json:"id"`
	Name   string  `json:"name"`
	Price  int64   `json:"price"`
	Rating float64 `json:"rating"`
	Sales  int     `json:"sales,omitempty"` // of the best sold
}

const (
	pageSize = 24
	bestSold = 10
)

// rating is divided here and not by the database: an average is a double in SQLite and a
// decimal in PostgreSQL, with other digits.
func rating(sum, count int64) float64 {
	if count == 0 {
		return 0
	}
	return float64(sum) / float64(count)
}

// errNotFound is the cache's own value, so that a loader can return it.
var errNotFound = cache.ErrNotFound

type badRequest struct{ what string }

func (e badRequest) Error() string { return e.what }

func fail(w http.ResponseWriter, err error) {
	var bad badRequest
	switch {
	case errors.As(err, &bad):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case errors.Is(err, errNotFound):
		http.Error(w, "there is no such thing", http.StatusNotFound)
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// pathID is the {id} of a route.
func pathID(r *http.Request) (int, error) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return 0, errNotFound
	}
	return id, nil
}

func queryPage(r *http.Request) (int, error) {
	text := r.URL.Query().Get("page")
	if text == "" {
		return 0, nil
	}
	page, err := strconv.Atoi(text)
	if err != nil || page < 0 || page > 1_000 {
		return 0, badRequest{fmt.Sprintf("page is %.20q: must be a number from 0 to 1000", text)}
	}
	return page, nil
}

// bodyNumber is the body of PUT price (cents) and POST orders (a product's id).
func bodyNumber(r *http.Request, what string) (int64, error) {
	text, err := io.ReadAll(io.LimitReader(r.Body, 32))
	if err != nil {
		return 0, badRequest{err.Error()}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n < 0 {
		return 0, badRequest{fmt.Sprintf("%s is %.20q: must be a number that is not negative", what, text)}
	}
	return n, nil
}
