// Command batchpage serves a page of twelve widgets that one request fills: the browser needs fetch and
// nothing else, the server a batch endpoint before the handlers that it has anyway.
//
//	go run -C examples ./batchpage    # http://127.0.0.1:8080
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hotpath-go/hotpath/batch"
)

//go:embed page.html
var page []byte

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	flag.Parse()
	h, err := newHandler(selectStock)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	srv := &http.Server{Addr: *addr, Handler: h, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	log.Printf("http://%s, until Ctrl-C", *addr)
	if err := srv.ListenAndServe(); ctx.Err() == nil {
		log.Fatal(err)
	}
}

// A stock is how many of a product are there.
type stock struct {
	Product string
	Pieces  int
}

// selectStock stands for SELECT ... WHERE id = ANY($1).
func selectStock(_ context.Context, ids []int) (map[int]stock, error) {
	products := []string{"Apples", "Bread", "Butter", "Cheese", "Coffee", "Flour", "Honey", "Milk", "Tea"}
	found := map[int]stock{}
	for _, id := range ids {
		if id >= 1 && id <= len(products) {
			found[id] = stock{products[id-1], 7 * id}
		}
	}
	return found, nil
}

// newHandler serves the page, what its widgets show, and /batch, which runs parts through the same mux.
func newHandler(query func(context.Context, []int) (map[int]stock, error)) (http.Handler, error) {
	stocks, err1 := batch.NewLoader(batch.LoaderConfig[int, stock]{Fetch: query})
	envelope, err2 := batch.New(batch.Config{Path: "/batch"})
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	var visits atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		visits.Add(1)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})
	mux.HandleFunc("GET /stock/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.Atoi(r.PathValue("id"))
		switch s, err := stocks.Load(r.Context(), id); {
		case errors.Is(err, batch.ErrNotFound):
			fail(w, http.StatusNotFound, fmt.Sprintf("There is no product %d.", id))
		case err != nil:
			fail(w, http.StatusInternalServerError, "The stock cannot be read.")
		default:
			answer(w, s.Product, fmt.Sprintf("%d in stock", s.Pieces))
		}
	})
	mux.HandleFunc("GET /visits", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, "Visits", fmt.Sprintf("%d since the start", visits.Load()))
	})
	mux.HandleFunc("GET /rate", func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusServiceUnavailable, "The bank does not answer.") // a widget that is broken leaves the others alone
	})
	return batch.Scoped(envelope.Handler(mux)), nil // ten stocks, one query
}

func answer(w http.ResponseWriter, title, text string) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"title": title, "detail": text})
}

// fail is RFC 9457.
func fail(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
}
