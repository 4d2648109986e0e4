package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

// Peers is Tuned with the best that can be assembled from others: ristretto, singleflight,
// gzhttp, x/time/rate, and by hand what they leave open: which pages a new price changes, loads
// that were overtaken by a write, forms that are compressed once, a batch endpoint.
func Peers(s *Store) (h http.Handler, closeAll func()) {
	p := &peers{
		store:      s,
		products:   make([]atomic.Uint32, s.Products+1),
		categories: make([]atomic.Uint32, s.Categories),
		pages: must(ristretto.NewCache(&ristretto.Config[uint64, *peerPage]{
			NumCounters: 100_000, MaxCost: 64 << 20, BufferItems: 64,
		})),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /products/{id}", func(w http.ResponseWriter, r *http.Request) { p.answer(w, r, productPage) })
	mux.HandleFunc("GET /categories/{id}/products", func(w http.ResponseWriter, r *http.Request) { p.answer(w, r, listPage) })
	mux.HandleFunc("GET /categories/{id}/top", func(w http.ResponseWriter, r *http.Request) { p.answer(w, r, topPage) })
	mux.HandleFunc("PUT /products/{id}/price", func(w http.ResponseWriter, r *http.Request) { setPrice(w, r, s, p.drop) })
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) { takeOrder(w, r, s, inline) })
	zip := must(gzhttp.NewWrapper(gzhttp.CompressionLevel(gzip.BestSpeed)))
	mux.Handle("POST /batch", zip(http.HandlerFunc(p.batch)))
	return p.throttled(mux), p.pages.Close
}

type peers struct {
	store   *Store
	pages   *ristretto.Cache[uint64, *peerPage]
	loads   singleflight.Group
	buckets sync.Map // consumer: *rate.Limiter
	known   atomic.Int64

	// Generations. A page is as old as what it was loaded at, so a write drops it by counting
	// up, at once and for loads under way too; ristretto's own Del takes effect behind a queue.
	products, categories []atomic.Uint32
}

// A peerPage is a page as it leaves.
type peerPage struct {
	generation   uint32
	body, zipped []byte // zipped is nil where that is not worth it
}

func (k pageKey) number() uint64 { return uint64(k.kind)<<56 | uint64(k.id)<<16 | uint64(k.page) }

// generation is nil for what does not exist.
func (p *peers) generation(key pageKey) *atomic.Uint32 {
	list := p.categories
	if key.kind == productPage {
		list = p.products
	}
	if key.id < 0 || key.id >= len(list) {
		return nil
	}
	return &list[key.id]
}

func (p *peers) drop(product, category int) {
	p.products[product].Add(1)
	p.categories[category].Add(1)
}

// get returns a page that is no older than the last write before the call.
func (p *peers) get(ctx context.Context, key pageKey) (*peerPage, error) {
	current := p.generation(key)
	if current == nil {
		return nil, errNotFound
	}
	generation := current.Load()
	if page, found := p.pages.Get(key.number()); found && page.generation == generation {
		return page, nil
	}
	// Callers share a load, but never one that began before a write that they know of.
	name := strconv.FormatUint(key.number(), 36) + "/" + strconv.FormatUint(uint64(generation), 36)
	shared, err, _ := p.loads.Do(name, func() (any, error) {
		body, err := p.store.encoded(context.WithoutCancel(ctx), key)
		if err != nil {
			return nil, err
		}
		return p.keep(key, generation, body), nil
	})
	if err != nil {
		return nil, err
	}
	return shared.(*peerPage), nil
}

// worthZipping is gzhttp's own limit.
const worthZipping = gzhttp.DefaultMinSize

func (p *peers) keep(key pageKey, generation uint32, body []byte) *peerPage {
	page := &peerPage{generation: generation, body: body}
	if len(body) >= worthZipping {
		var b bytes.Buffer
		z := zippers.Get().(*gzip.Writer)
		defer zippers.Put(z)
		z.Reset(&b)
		_, _ = z.Write(body)
		_ = z.Close()
		page.zipped = bytes.Clone(b.Bytes())
	}
	p.pages.Set(key.number(), page, int64(len(page.body)+len(page.zipped)))
	return page
}

var zippers = sync.Pool{New: func() any { return must(gzip.NewWriterLevel(nil, gzip.DefaultCompression)) }}

func (p *peers) answer(w http.ResponseWriter, r *http.Request, kind pageKind) {
	key := pageKey{kind: kind}
	var err error
	if key.id, err = pathID(r); err == nil && kind == listPage {
		key.page, err = queryPage(r)
	}
	var page *peerPage
	if err == nil {
		page, err = p.get(r.Context(), key)
	}
	if err != nil {
		fail(w, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	body := page.body
	if page.zipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			body = page.zipped
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

func acceptsGzip(accepted string) bool {
	for coding := range strings.SplitSeq(accepted, ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			return strings.Trim(weight, " q=.0") != "" || !strings.Contains(weight, "=")
		}
	}
	return false
}

// batch answers up to a hundred products in one: what is not in the cache is asked for with two
// queries for all of them.
func (p *peers) batch(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(io.LimitReader(r.Body, 1_000))
	var pages []*peerPage
	if err == nil {
		pages, err = p.getMany(r.Context(), string(text))
	}
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	var b bytes.Buffer
	b.WriteByte('[')
	for i, page := range pages {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(page.body)
	}
	b.WriteByte(']')
	_, _ = w.Write(b.Bytes())
}

func (p *peers) getMany(ctx context.Context, list string) ([]*peerPage, error) {
	ids := strings.Split(list, ",")
	if len(ids) > 100 {
		return nil, badRequest{"a batch has more than 100 parts"}
	}
	pages := make([]*peerPage, len(ids))
	var missing []Item
	var at []int
	var generations []uint32
	for i, text := range ids {
		id, err := strconv.Atoi(text)
		if err != nil {
			return nil, badRequest{fmt.Sprintf("product is %.20q: must be a number", text)}
		}
		key := pageKey{kind: productPage, id: id}
		current := p.generation(key)
		if current == nil {
			return nil, errNotFound
		}
		generation := current.Load()
		if page, found := p.pages.Get(key.number()); found && page.generation == generation {
			pages[i] = page
			continue
		}
		missing, at, generations = append(missing, Item{ID: id}), append(at, i), append(generations, generation)
	}
	if len(missing) == 0 {
		return pages, nil
	}
	bodies, err := p.store.encodedProducts(ctx, missing)
	if err != nil {
		return nil, err
	}
	for j, i := range at {
		id := missing[j].ID
		body, found := bodies[id]
		if !found {
			return nil, errNotFound
		}
		pages[i] = p.keep(pageKey{kind: productPage, id: id}, generations[j], body)
	}
	return pages, nil
}

// throttled gives every consumer a bucket of its own.
func (p *peers) throttled(next http.Handler) http.Handler {
	const perSecond, burst, maxConsumers = 1_000, 1_000, 10_000
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		consumer := r.Header.Get("X-Api-Key")
		bucket, found := p.buckets.Load(consumer)
		if !found {
			if p.known.Add(1) > maxConsumers { // invented names must not fill the memory
				p.known.Store(0)
				p.buckets.Clear()
			}
			bucket, _ = p.buckets.LoadOrStore(consumer, rate.NewLimiter(perSecond, burst))
		}
		if !bucket.(*rate.Limiter).AllowN(time.Now(), 1) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests", http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// encodedProducts returns the pages of many products, by id, with two queries.
func (s *Store) encodedProducts(ctx context.Context, wanted []Item) (map[int][]byte, error) {
	products := make(map[int]*Product, len(wanted))
	query, args := in(queryProducts, wanted)
	err := s.each(ctx, query, args, func(scan scanner) error {
		p := new(Product)
		err := scan(&p.ID, &p.Category, &p.Name, &p.Price, &p.Description, &p.Specifications)
		products[p.ID] = p
		return err
	})
	if err != nil {
		return nil, err
	}
	sums := make(map[int]int64, len(wanted))
	query, args = in(queryReviewsOf, wanted)
	err = s.each(ctx, query, args, func(scan scanner) error {
		var id int
		var r Review
		err := scan(&id, &r.Author, &r.Stars, &r.Body)
		if p := products[id]; p != nil {
			sums[id] += int64(r.Stars)
			p.Reviews = append(p.Reviews, r)
		}
		return err
	})
	bodies := make(map[int][]byte, len(products))
	for id, p := range products {
		p.Rating = rating(sums[id], int64(len(p.Reviews)))
		body, encodeErr := json.Marshal(p)
		err = errors.Join(err, encodeErr)
		bodies[id] = body
	}
	return bodies, err
}

const (
	queryProducts = `SELECT p.id, p.category, p.name, p.price, d.description, d.specifications
		FROM products p JOIN product_details d ON d.product_id = p.id WHERE p.id IN (?)`
	queryReviewsOf = `SELECT r.product_id, u.name, r.stars, r.body FROM reviews r JOIN users u ON u.id = r.user_id
		WHERE r.product_id IN (?) ORDER BY r.product_id, r.id`
)
