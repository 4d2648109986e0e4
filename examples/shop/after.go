package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"time"

	"github.com/hotpath-go/hotpath/batch"
	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/partial"
	"github.com/hotpath-go/hotpath/pool"
	"github.com/hotpath-go/hotpath/pool/bulkhead"
	"github.com/hotpath-go/hotpath/throttle"
)

// After is Tuned with hotpath around it. There is no SQL in this file, and every layer stands
// on a line of its own behind its switch.
// engine is where its cache keeps pages; nil: the built-in one. shared has those of all processes; nil:
// there is only this one.
func After(s *Store, on Switches, engine Engine, shared Shared) (http.Handler, *Layers) {
	layers, tell := new(Layers), &teller{Shared: shared}
	whole, drop := getPage(s.encoded), func(product, category int) {}
	public := func(_ http.ResponseWriter, get getPage) getPage { return get }
	if on.Has("batch") {
		// Products that the parts of a home screen miss are two queries for all of them.
		whole, layers.Products = batched(s)
	}
	get := whole
	if on.Has("partial") {
		get = s.projected(whole) // outside of partial, and inside of httpcache, that is all of it
	}
	if on.Has("cache") {
		// Pages are kept as the bytes that leave: encoded once, at a miss.
		pages := must(cache.New(cache.Config[pageKey, []byte]{Load: whole, Tags: pageTags, TTL: 10 * time.Minute, Store: engine, Remote: tell.remote()}))
		get, layers.Pages = pages.Get, pages
		drop = func(product, category int) { pages.PurgeTags(productTag(product), categoryTag(category)) }
	}

	if on.Has("httpcache") {
		// Whole answers, with their encoded forms and entity tags: what was answered is not even looked up.
		answers := must(httpcache.New(httpcache.Config{}))
		layers.Answers, public = answers, publicPage
		tell.answers.Store(answers)
		dropPages := drop
		drop = func(product, category int) {
			dropPages(product, category) // first what answers are made of
			answers.PurgeTags(productTag(product), categoryTag(category))
		}
	}

	side := handOver(inline)
	if on.Has("pool") {
		// What an order entails is done when it has been answered.
		layers.Later = must(pool.New(pool.Config{}))
		side = behind(layers.Later)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /products/{id}", func(w http.ResponseWriter, r *http.Request) { answerPage(w, r, public(w, get), productPage) })
	mux.HandleFunc("GET /categories/{id}/products", func(w http.ResponseWriter, r *http.Request) { answerPage(w, r, public(w, get), listPage) })
	mux.HandleFunc("GET /categories/{id}/top", func(w http.ResponseWriter, r *http.Request) { answerPage(w, r, public(w, get), topPage) })
	mux.HandleFunc("PUT /products/{id}/price", func(w http.ResponseWriter, r *http.Request) { setPrice(w, r, s, drop) })
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) { takeOrder(w, r, s, side) })

	h := http.Handler(mux)
	if on.Has("bulkhead") {
		layers.Database = beforeDatabase(on)
		h = layers.Database.Handler(h)
	}
	if on.Has("partial") {
		// Inside of httpcache: the masks of a shop are few, so each is cut and encoded once. See docs/composition.md.
		fields := project()
		h, layers.Fields = fields.Handler(h), fields
	}
	if layers.Answers != nil {
		h = layers.Answers.Handler(h)
	}
	if on.Has("batch") {
		many := must(batch.New(batch.Config{Path: "/batch"}))
		h, layers.Many = many.Handler(h), many
	}
	if on.Has("compress") {
		small := must(compress.New(compress.Config{}))
		h, layers.Small = small.Handler(h), small
	}
	if on.Has("throttle") {
		limit := fair()
		h, layers.Fair = limit.Handler(h), limit
	}
	if layers.Later != nil {
		h = layers.background(h)
	}
	return h, layers
}

// An Engine keeps the pages of a cache.
type Engine = cache.Store[pageKey, []byte]

// Layers are the parts of After whose statistics the report shows; nil: switched off.
type Layers struct {
	Pages    *cache.Cache[pageKey, []byte]
	Answers  *httpcache.Cache
	Fields   *partial.Filter
	Products *batch.Loader[int, []byte]
	Many     *batch.Endpoint
	Small    *compress.Compressor
	Fair     *throttle.Limiter
	Later    *pool.Pool
	Database *bulkhead.Bulkhead
	Close    func() // nil: there is nothing to close
}

type getPage = func(context.Context, pageKey) ([]byte, error)

// publicPage is get for an answer that may be shared, as long as nothing on it has changed.
func publicPage(w http.ResponseWriter, get getPage) getPage {
	return func(ctx context.Context, key pageKey) ([]byte, error) {
		body, err := get(ctx, key)
		if err == nil {
			sum := sha256.Sum256(body)
			w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sum[:8])) // who has the page gets a 304
			httpcache.Public(w, 10*time.Minute, pageTags(key, body)...)
		}
		return body, err
	}
}

// pageTags says what a page shows. A new price changes its product's page, and the lists and
// the ten best of its category, where it may also change the order.
func pageTags(key pageKey, _ []byte) []string {
	if key.kind == productPage {
		return []string{productTag(key.id)}
	}
	return []string{categoryTag(key.id)}
}

func productTag(id int) string  { return fmt.Sprint("product:", id) }
func categoryTag(id int) string { return fmt.Sprint("category:", id) }

// must is for configurations that stand in the source.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
