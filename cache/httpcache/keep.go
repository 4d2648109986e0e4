package httpcache

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/internal/field"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// keep stores the complete response of rec.
func (c *Cache) keep(rec *recorder) reason {
	o := rec.o
	if rw.BodyAllowed(o.status) {
		o.body.length = []string{strconv.Itoa(len(o.body.bytes))}
	}
	o.body.key, o.body.owner = rec.key, o
	if o.plain && len(o.body.bytes) > 0 {
		b := o.body
		b.variants = rw.NewVariants(b.bytes, func(delta int64) bool { return c.reserve(b, delta) })
	}
	if rec.rule != nil {
		c.keepRule(rec)
	}
	return c.put(rec.key, o, nil)
}

// put stores o under its key, unless it was purged while it was made (I4), or what is there was asked
// for later. over: only in place of this one; nil: of whatever is there.
func (c *Cache) put(key Key, o, over *Object) (why reason) {
	var old *Object
	c.flights.With(key, func(cur *load) *load {
		if e := c.store.Peek(key); e != nil {
			old = e.Value
		}
		switch {
		case c.tags.Gone(o.born, o.slots):
			why = purged
			return cur
		case over != nil && old != over, old.isResponse() && old.asked > o.asked && !c.tags.Gone(old.born, old.slots):
			why = superseded
			return cur
		case !c.store.Set(c.entry(key, o)):
			why = refused
		}
		o.body.owner = o
		return cur
	})
	if why != purged && why != superseded && old.isResponse() && old.body != o.body && old.body.variants != nil {
		old.body.variants.Release()
	}
	return why
}

func (c *Cache) entry(key Key, o *Object) *cache.Entry[Key, *Object] {
	return cache.NewEntry(key, o, o.weight(), o.took, o.life(c.now()))
}

// reserve is our byte account for encoded forms (C4). Under the lock of the key: the form of a body
// that is not stored any more is not kept.
func (c *Cache) reserve(b *body, delta int64) (kept bool) {
	c.flights.With(b.key, func(cur *load) *load {
		o := b.owner
		e := c.store.Peek(b.key)
		if e == nil || e.Value != o || c.tags.Gone(o.born, o.slots) {
			return cur
		}
		b.forms += delta
		if kept = c.store.Set(c.entry(b.key, o)); !kept {
			b.forms -= delta
			c.store.Set(c.entry(b.key, o)) // a Store that refuses has forgotten what was there
		}
		return cur
	})
	return kept
}

// keepRule notes at the URL's key by what its responses are told apart. The latest rule counts
// (W1); of the choosers the latest is as good as any, for all give codings.
func (c *Cache) keepRule(rec *recorder) {
	leaves := Key{}
	c.flights.With(rec.f.primary, func(cur *load) *load {
		next := *rec.rule
		if e := c.store.Peek(rec.f.primary); e != nil && e.Value.rule != nil && e.Value.full == rec.f.full[:rec.f.baseLen] {
			if was := e.Value.rule; slices.Equal(was.names, next.names) && (was.choose == nil) == (next.choose == nil) {
				next.variants = slices.DeleteFunc(slices.Clone(was.variants), func(k Key) bool {
					return k == rec.key || c.store.Peek(k) == nil
				})
			}
		}
		if len(next.variants) >= c.cfg.MaxVariants {
			at := c.leastUsed(next.variants)
			leaves = next.variants[at]
			next.variants = slices.Delete(next.variants, at, at+1)
		}
		next.variants = append(next.variants, rec.key)
		o := &Object{full: rec.f.full[:rec.f.baseLen], born: c.tags.Now(), rule: &next}
		c.store.Set(cache.NewEntry(rec.f.primary, o, o.weight(), 0, 0))
		return cur
	})
	if leaves != (Key{}) {
		c.flights.With(leaves, func(cur *load) *load {
			c.store.Delete(leaves)
			return cur
		})
	}
}

func (c *Cache) leastUsed(variants []Key) (at int) {
	least := int64(1<<63 - 1)
	for i, k := range variants {
		if e := c.store.Peek(k); e != nil && e.Value.isResponse() {
			if used := max(e.Value.used.Load(), int64(e.Value.arrived)); used < least {
				at, least = i, used
			}
		}
	}
	return at
}

const maxTags = 64

// slots returns those of the tags of a response: of its URL and of the groups that it names.
func (c *Cache) slots(r *http.Request, url string, h http.Header) (slots []uint32, ok bool) {
	slots, _ = c.tags.Slots([]string{c.seeds.urlTag([]byte(url))})
	var names, scoped []string
	for _, name := range c.cfg.GroupHeaders {
		lines := h[name]
		if len(lines) == 0 {
			continue
		}
		if name == "Cache-Groups" {
			groups := parseGroups(lines)
			names = append(names, groups...)
			for _, g := range groups {
				scoped = append(scoped, c.seeds.groupTag(originOf(r), g))
			}
			continue
		}
		for member := range field.Members(lines) { // Surrogate-Key is separated by spaces
			names = append(names, strings.Fields(member)...)
		}
	}
	if len(names) > maxTags {
		return nil, false
	}
	global := make([]string, 0, len(names))
	for _, name := range names {
		if len(name) >= 1<<10 {
			return nil, false
		}
		global = append(global, globalTag(name))
	}
	a, errA := c.tags.Slots(global)
	b, errB := c.tags.Slots(scoped)
	return append(append(slots, a...), b...), errA == nil && errB == nil
}

// confirm is a 304 to our own conditions: the stored response, with what the 304 says, is made
// anew on the same body, stored, and sent (V2).
func (rec *recorder) confirm() {
	c := rec.h.c
	t := c.now()
	key, o := rec.f.key, rec.f.o
	brought := rec.brought
	if tag := get(brought, "Etag"); tag != "" && o.etag != "" && !field.WeakMatch(tag, o.etag) {
		k, other := c.variantWith(&rec.f, tag)
		if other == nil {
			// It answers our condition, so what we have is current; but it is not what this
			// 304 describes, and must not be updated by it (RFC 9111 section 4.3.4).
			rec.decide(outcome{})
			rec.answer(o, "")
			return
		}
		key, o = k, other
	}
	fresh, why := c.confirmed(rec, o, brought, t)
	if why == storable && !rec.sameVary(fresh) {
		why = varyChanged
	}
	if why == storable {
		why = c.put(key, fresh, o)
	} else if !why.ofRequest() {
		c.remove(key, o)
	}
	if why == storable {
		c.counters.Here().stored.Add(1)
	} else {
		c.counters.Here().notStored[why].Add(1)
	}
	if why == storable && !fresh.personal { // else it is for whoever asked
		rec.decide(outcome{o: fresh})
	} else {
		rec.decide(outcome{})
	}
	rec.answer(fresh, "")
}

// sameVary reports whether o belongs where it was found: a 304 may bring another Vary, and then
// only a load tells by what the responses are told apart (W1).
func (rec *recorder) sameVary(o *Object) bool {
	var have, now []string
	if rec.f.rule != nil {
		have = rec.f.rule.names
	}
	for i := range o.header {
		if o.header[i].name == "Vary" {
			now = varyNames(o.header[i].lines)
		}
	}
	return slices.Equal(have, now)
}

// variantWith finds the variant that has this tag.
func (c *Cache) variantWith(f *found, tag string) (Key, *Object) {
	if f.rule == nil {
		return Key{}, nil
	}
	for _, k := range f.rule.variants {
		if e := c.store.Peek(k); e != nil && e.Value.isResponse() && field.WeakMatch(e.Value.etag, tag) && !c.tags.Gone(e.Value.born, e.Value.slots) {
			return k, e.Value
		}
	}
	return Key{}, nil
}

// confirmed makes the object that o becomes by a 304.
func (c *Cache) confirmed(rec *recorder, o *Object, brought []change, t time.Duration) (*Object, reason) {
	hops := http.Header{}
	for _, b := range brought {
		if b.name == "Connection" {
			hops["Connection"] = b.lines
		}
	}
	drop := dropper(hops, &control{}, c.cfg.KeepSetCookie)
	header := updated(o.header, brought, drop)
	h := headerOf(header)
	if named := parseControl(h["Cache-Control"]).unstored; named != nil {
		drop = dropper(hops, &control{unstored: named}, c.cfg.KeepSetCookie)
		header = updated(o.header, brought, drop)
	}
	for _, b := range brought { // L5: to who asked, and to nobody else
		if drop(b.name) && !ofOneMessage(b.name) && !field.Has(hops["Connection"], b.name) {
			rec.own = append(rec.own, b)
		}
	}
	if get(brought, "Date") == "" {
		h["Date"] = nil // of this answer: now
	}
	if age := get(brought, "Age"); age != "" {
		h["Age"] = []string{age}
	}
	x := rec.exchange(o.status, h)
	x.setCookie, x.writer, x.declared = false, nil, int64(len(o.body.bytes))
	v := c.cfg.judge(x)
	if get(brought, "Date") == "" {
		for i := range header {
			if header[i].name == "Date" {
				header[i].lines = []string{v.date.UTC().Format(http.TimeFormat)}
			}
		}
	}
	slots, ok := c.slots(rec.r, rec.f.full[1:rec.f.urlEnd], h)
	if !ok {
		v.why = tooLarge
	}
	fresh := &Object{full: o.full, born: rec.born, asked: rec.asked, slots: slots, response: c.newResponse(x, &v, header, t)}
	fresh.body = o.body
	fresh.took = o.took
	fresh.routed(o.route())
	fresh.confirmed.Store(int64(t) + 1)
	return fresh, v.why
}

func headerOf(header []change) http.Header {
	h := http.Header{}
	for _, c := range header {
		if c.how != remove {
			h[c.name] = c.lines
		}
	}
	return h
}
