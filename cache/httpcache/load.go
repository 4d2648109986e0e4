package httpcache

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/hotpath-go/hotpath/internal/flight"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// A load is what is under way for a key: one request, and after each CoalesceWait one more, asks the
// handler; the others wait for the first header.
type load struct {
	mu      sync.Mutex
	header  chan struct{}  // closed when decided
	waiting int            // for the header
	last    time.Time      // when somebody last began to ask
	ctx     *flight.Shared // of who asked first
	led     bool           // by that one
	decided bool
	outcome
}

// An outcome is what a header decided.
type outcome struct {
	o      *Object // nil: everybody for himself
	rule   *rule   // of o's Vary; nil: none
	body   *stream // that grows; nil: o is complete
	ctx    *flight.Shared
	detail string // why o may be served though it is stale
}

const maxLoads = 4096

// decide publishes the outcome once; later ones, of further loads, are ignored. Those who wait are
// promised the body from its beginning.
func (l *load) decide(out outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.decided {
		return
	}
	l.decided, l.outcome = true, out
	if out.body != nil {
		out.body.promise(l.waiting)
	}
	close(l.header)
}

// A part is how a request takes part in a load.
type part uint8

const (
	leads part = iota
	waits      // for the header
	late       // the header is there: the body may be read from its beginning
	again      // something was stored since the lookup: look again
)

// join finds the load of f, or begins one. leave gives the reference to its context back.
func (c *Cache) join(ctx context.Context, f *found) (l *load, how part, leave func()) {
	c.flights.With(f.key, func(cur *load) *load {
		if !f.second {
			if e := c.store.Peek(f.key); e != nil && e.Value != f.o && !e.Value.isMark() && !c.tags.Gone(e.Value.born, e.Value.slots) {
				how = again
				return cur
			}
		}
		if cur != nil {
			if how, leave = cur.join(ctx); how != leads {
				l = cur
				return cur
			}
		}
		if c.inFlight.Load() >= maxLoads {
			return cur // alone
		}
		l = &load{header: make(chan struct{}), last: time.Now(), ctx: flight.Share(ctx, 0)}
		return l
	})
	return l, how, leave
}

// join takes part in l, unless everybody has left, or it was decided for nobody else.
func (l *load) join(ctx context.Context) (how part, leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	shared := l.ctx
	if l.decided {
		if l.o == nil || l.body == nil {
			return leads, nil
		}
		shared = l.outcome.ctx
	}
	leave, ok := shared.Join(ctx)
	switch {
	case !ok:
		return leads, nil
	case l.decided:
		return late, leave
	}
	l.waiting++
	return waits, leave
}

// leaveTable takes l out, if it is still there.
func (c *Cache) leaveTable(key Key, l *load) {
	c.flights.With(key, func(cur *load) *load {
		if cur == l {
			return nil
		}
		return cur
	})
}

// How waiting for a header ended.
type waited uint8

const (
	decided waited = iota
	ended          // our own context
	further        // this one begins a further load
)

// wait waits for the header.
func (l *load) wait(ctx context.Context, patience time.Duration) waited {
	defer flight.Blocked(ctx)()
	for {
		l.mu.Lock()
		left := time.Until(l.last.Add(patience))
		l.mu.Unlock()
		timer := time.NewTimer(left)
		select {
		case <-l.header:
			timer.Stop()
			return decided
		case <-ctx.Done():
			timer.Stop()
			return ended
		case <-timer.C:
		}
		l.mu.Lock()
		if l.decided {
			l.mu.Unlock()
			return decided
		}
		if now := time.Now(); now.Sub(l.last) >= patience {
			l.last = now
			l.mu.Unlock()
			return further
		}
		l.mu.Unlock()
	}
}

// stopWaiting ends the wait of one that did not get to a decision. If one came meanwhile, what
// it promised is given back.
func (l *load) stopWaiting() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.decided {
		l.waiting--
	} else if l.body != nil {
		l.body.forgo()
	}
}

// fetch answers a request for which nothing stored is usable: it asks the handler, or waits for
// one that does.
func (h *handler) fetch(w http.ResponseWriter, r, whole *http.Request, q asked, f found) {
	c := h.c
	if !c.coalesces(&q, &f) {
		h.lead(w, r, whole, q, f, nil)
		return
	}
	f.asked = c.tags.Now()
	l, how, leave := c.join(whole.Context(), &f)
	switch how {
	case leads:
		h.lead(w, r, whole, q, f, l)
		return
	case again:
		h.look(w, r, true)
		return
	case waits:
		switch l.wait(whole.Context(), c.cfg.CoalesceWait) {
		case ended:
			l.stopWaiting()
			leave()
			c.counters.Here().coalesced.Add(1)
			c.refuse(w, r, http.StatusServiceUnavailable, "the request ended while it waited for a response")
			return
		case further:
			l.stopWaiting()
			leave()
			h.lead(w, r, whole, q, f, l)
			return
		}
	}
	defer leave()
	if whole != r {
		defer rw.CopyBack(r, whole)
	}
	if !h.follow(w, whole, &q, &f, l, how == waits) {
		h.lead(w, r, whole, q, f, nil)
	}
}

// follow answers from the outcome of l, if this request may have it (L2); promised: the body's
// beginning was.
func (h *handler) follow(w http.ResponseWriter, whole *http.Request, q *asked, f *found, l *load, promised bool) bool {
	c, out := h.c, &l.outcome
	if out.o == nil {
		return false
	}
	usable := f.asked <= out.o.born || !c.tags.Gone(out.o.born, out.o.slots) // I4: who came after a purge gets nothing from before
	if out.rule != nil {
		var scratch [512]byte
		mine := out.rule.appendVariant(append(scratch[:0], f.full[:f.baseLen]...), whole.Header)
		usable = usable && string(mine) == out.o.full
	} else if f.rule != nil {
		usable = usable && (out.o.full == f.full[:f.baseLen] || out.o.full == f.full)
	}
	if out.body == nil {
		if usable {
			n := c.counters.Here()
			n.coalesced.Add(1)
			n.savedTime.Add(uint64(out.o.took))
			c.serve(w, whole, q, out.o, c.now(), out.detail, nil)
		}
		return usable
	}
	if !usable {
		if promised {
			out.body.forgo()
		}
		return false
	}
	if out.ctx != l.ctx { // a further load was first
		leave, ok := out.ctx.Join(whole.Context())
		if !ok {
			if promised {
				out.body.forgo()
			}
			return false
		}
		defer leave()
	}
	rd := out.body.attach(w, promised)
	if rd == nil {
		return false
	}
	n := c.counters.Here()
	n.coalesced.Add(1)
	n.savedTime.Add(uint64(out.o.took))
	c.stream(w, whole, q, out, rd)
	return true
}

// stream answers from a response that is still growing.
func (c *Cache) stream(w http.ResponseWriter, r *http.Request, q *asked, out *outcome, rd *reader) {
	h := w.Header()
	o := out.o
	r.Pattern = o.route()
	defer func() { r.Pattern = o.route() }()
	replay(h, o.header)
	h["Age"] = []string{strconv.FormatInt(int64(o.age(c.now())/time.Second), 10)}
	c.tell(h, forward{fwd: "uri-miss", collapsed: true}, o.full)
	if q.conditional && o.status < 300 && o.matches(r.Header) {
		out.body.detach(rd)
		for name := range h {
			if !in304(name) && describesBody(name) && stores(o.header, name) {
				delete(h, name)
			}
		}
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if o.declared != nil {
		h["Content-Length"] = o.declared
	}
	w.WriteHeader(o.status)
	if err := out.body.copyTo(r.Context(), rd); err != nil {
		panic(http.ErrAbortHandler) // what was cut looks cut
	}
}

// coalesces: L3, L4. Of a stored response without validator nothing is known to be judged by a
// client's condition, so that is as on a cold key (V5).
func (c *Cache) coalesces(q *asked, f *found) bool {
	known := f.o != nil && f.o.hasValidator()
	return c.cfg.CoalesceWait > 0 && q.alike() && (known || !q.conditional) && (f.o == nil || !f.o.personal)
}
