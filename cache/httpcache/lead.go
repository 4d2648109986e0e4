package httpcache

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/hotpath-go/hotpath/internal/flight"
	"github.com/hotpath-go/hotpath/internal/rw"
)

const refreshTimeout = 30 * time.Second

// lead lets the handler answer, on this goroutine, and stores what may be stored. l is the load
// that others wait for; nil: this request is alone.
func (h *handler) lead(w http.ResponseWriter, r, whole *http.Request, q asked, f found, l *load) {
	c := h.c
	rec := &recorder{h: h, w: w, r: whole, q: q, f: f, load: l, born: c.tags.Now()}
	inner := whole
	if l != nil {
		inner = rec.share(l)
	}
	inner = lent(inner)
	defer func() {
		rw.CopyBack(whole, inner)
		rw.CopyBack(r, inner)
	}()
	defer func() { rec.count(c.counters.Here()) }() // also of what panics
	rec.ask(inner.Header)
	rec.run(inner)
}

// lent is r for a handler. What it changes in place, as middleware does that takes Authorization
// off, must not change what is decided by: whether the answer may be shared, and with whom.
func lent(r *http.Request) *http.Request {
	inner := r.WithContext(r.Context())
	inner.Header = r.Header.Clone()
	if r.URL != nil {
		u := *r.URL
		inner.URL = &u
	}
	return inner
}

func (rec *recorder) count(n *counters) {
	switch {
	case rec.mode == confirming:
		n.revalidated.Add(1)
	case rec.mode == replacing:
		n.stale.Add(1)
	default:
		n.misses.Add(1)
	}
}

// share gives the handler a context that ends when the last of us has gone (L6).
func (rec *recorder) share(l *load) *http.Request {
	rec.ctx = l.ctx
	l.mu.Lock()
	first := !l.led
	l.led = true
	l.mu.Unlock()
	if !first {
		rec.ctx = flight.Share(rec.r.Context(), 0)
	}
	return rec.r.WithContext(rec.ctx)
}

// ask puts the stored validators in place of the client's own conditions (V1), in a header that
// is lent.
func (rec *recorder) ask(h http.Header) {
	o := rec.f.o
	if o == nil || !o.hasValidator() {
		return
	}
	rec.asks = true
	for _, name := range ownConditions {
		delete(h, name)
	}
	if o.etag != "" {
		h["If-None-Match"] = []string{o.etag}
	}
	if o.lastModified != "" {
		h["If-Modified-Since"] = []string{o.lastModified}
	}
}

// ownConditions are what a client says about its own copy.
var ownConditions = [...]string{"If-None-Match", "If-Modified-Since", "If-Range", "Range"}

// run lets the handler answer r. A panic before the header gives way to a stored response that
// may be served in its place (T2).
func (rec *recorder) run(r *http.Request) {
	c := rec.h.c
	c.inFlight.Add(1)
	rec.began, rec.asked = time.Now(), c.now()
	rec.before.take(rec.w.Header())
	rec.Wrap(rec.w, rec)
	if rec.load != nil {
		rec.Private()
		// Our own reference goes with our client.
		stop := context.AfterFunc(rec.r.Context(), rec.ctx.Leave)
		defer stop()
	}
	returned := false
	defer func() {
		c.inFlight.Add(-1)
		if rec.ctx != nil {
			defer rec.ctx.End()
		}
		if rec.over {
			return
		}
		rec.abandon()
		stale := rec.f.o
		if returned || stale == nil || rec.behind || rec.Sent() || rec.mode == storing || rec.mode == passing || !c.mayReplace(stale, 0, c.now()) {
			if p := rec.trouble; p != nil && !returned {
				panic(p)
			}
			return
		}
		if p := recover(); p != nil {
			if rec.mode != replacing {
				stale.failed(c.now())
			}
			rec.mode = replacing
			rec.before.restore(rec.w.Header())
			c.serve(rec.w, rec.r, &rec.q, stale, c.now(), "stale-if-error", nil)
		}
	}()
	rec.inner = r
	rec.Serve(rec, rec.h.next, r)
	returned = true
}

// refresh asks the handler behind, for a response that is served stale meanwhile (T4, T5).
func (h *handler) refresh(r *http.Request, q asked, f found, full string) {
	c, o := h.c, f.o
	if c.now() < time.Duration(o.retry.Load()) || !o.behind.CompareAndSwap(false, true) {
		return
	}
	f.full = full
	ctx, cancel := background(r.Context())
	r = r.Clone(ctx) // it outlives the request
	r.Method, r.Body, r.ContentLength = http.MethodGet, http.NoBody, 0
	for _, name := range ownConditions {
		delete(r.Header, name)
	}
	delete(r.Header, "Cache-Control")
	delete(r.Header, "Pragma")
	go func() {
		defer cancel()
		defer o.behind.Store(false)
		rec := &recorder{h: h, w: &nowhere{header: http.Header{}}, r: r, f: f, born: c.tags.Now(), behind: true}
		rec.q = asked{wishes: parseWishes(nil, nil), auth: q.auth} // with whose rights it asks is not forgotten (S8)
		defer func() {
			if p := recover(); p != nil {
				rec.failure = true
				c.logger().Error("httpcache: a refresh panicked", "url", r.URL.Path, "panic", fmt.Sprint(p))
			}
			if rec.failure || !rec.over {
				c.counters.Here().refreshErrors.Add(1)
				o.failed(c.now())
				c.logger().Warn("httpcache: a refresh failed", "url", r.URL.Path, "status", rec.status)
			} else {
				c.counters.Here().refreshes.Add(1)
			}
		}()
		inner := lent(r)
		rec.ask(inner.Header)
		rec.run(inner)
	}()
}

// failed notes a failure: the next try is in 1 s, 2, 4 ... 30 s.
func (o *response) failed(t time.Duration) {
	n := min(o.fails.Add(1), 6)
	o.retry.Store(int64(t + min(time.Second<<(n-1), 30*time.Second)))
}

// nowhere is where the answer to a refresh goes.
type nowhere struct{ header http.Header }

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) WriteHeader(int)             {}
func (w *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (w *nowhere) FlushError() error           { return nil }
