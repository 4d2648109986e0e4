package httpcache

import (
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/internal/flight"
	"github.com/hotpath-go/hotpath/internal/rw"
	"github.com/hotpath-go/hotpath/internal/stat"
	"github.com/hotpath-go/hotpath/internal/tagset"
)

// A Cache keeps responses. Make one with [New]; it is safe for concurrent use and needs no end:
// nothing runs at rest.
type Cache struct {
	cfg     Config
	store   cache.Store[Key, *Object]
	seeds   seeds
	tags    *tagset.Table
	flights *flight.Table[Key, load]
	started time.Time
	usual   map[forward][]string // of Cache-Status

	counters stat.Striped[counters]
	inFlight atomic.Int64
}

// New returns the Cache that cfg describes. Its error joins everything that is wrong with cfg:
// `httpcache: Heuristic is 2: must be between 0 and 1`.
func New(cfg Config) (*Cache, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Cache{
		cfg: cfg, store: cfg.Store, seeds: newSeeds(), tags: tagset.New(cfg.MaxBytes),
		flights: flight.NewTable[Key, load](), started: time.Now(), usual: usual(cfg.Name),
	}
	if c.store == nil {
		if c.store, err = cache.NewStore[Key, *Object](cfg.MaxBytes, 0); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// now is the Cache's own clock: a step of the wall clock changes nothing.
func (c *Cache) now() time.Duration { return time.Since(c.started) }

func (c *Cache) logger() *slog.Logger {
	if c.cfg.Logger != nil {
		return c.cfg.Logger
	}
	return slog.Default()
}

// Handler returns next with this cache around it. One Cache stands around one handler: around
// two, equal URLs would share entries.
func (c *Cache) Handler(next http.Handler) http.Handler { return &handler{c, next} }

type handler struct {
	c    *Cache
	next http.Handler
}

// asked is what a request says to a cache.
type asked struct {
	wishes
	head, auth, ranged, conditional bool
	precondition                    bool // If-Match, If-Unmodified-Since: the handler's
}

// alike is what many ask alike, so that one answer may do for all (L4).
func (q *asked) alike() bool {
	return !q.head && !q.auth && !q.ranged && !q.noStore && !q.precondition
}

func (q *asked) reloads() bool { return q.noCache || q.maxAge != absent || q.minFresh != absent }

// A found is what was looked up for a request.
type found struct {
	primary, key Key
	rule         *rule   // of the URL; nil: none
	o            *Object // a response; nil: none that is usable
	full         string  // of key; set on a miss
	urlEnd       int     // of full
	baseLen      int     // of the full key of primary
	second       bool
	asked        uint64 // tagset's Now when it began to wait
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.look(w, r, false) }

// look answers r; second: it was here before, and has found that something was stored meanwhile.
func (h *handler) look(w http.ResponseWriter, r *http.Request, second bool) {
	c := h.c
	get := r.Method == http.MethodGet
	if !get && r.Method != http.MethodHead {
		h.write(w, r)
		return
	}
	if bypasses(r) {
		h.bypass(w, r)
		return
	}
	whole := rw.Whole(r)
	q := ask(whole.Header, !get)
	extra := ""
	if c.cfg.Key != nil {
		extra = c.cfg.Key(whole)
	}
	var scratch [512]byte
	var f found
	full, urlEnd := appendKey(scratch[:0], whole, extra)
	if len(full) > maxKey {
		h.bypass(w, r)
		return
	}
	t := c.now()
	f.urlEnd, f.baseLen, f.second = urlEnd, len(full), second
	f.primary = c.seeds.key(full)
	f.key = f.primary
	o := c.get(f.primary, full)
	if o != nil && o.rule != nil {
		f.rule = o.rule
		full = o.rule.appendVariant(full, whole.Header)
		f.key = c.seeds.key(full)
		o = c.get(f.key, full)
	}
	switch {
	case o.isMark():
		if o.until > t && !q.onlyIfCached {
			h.watch(w, r, whole, q, f.key, o, t)
			return
		}
	case o.isResponse() && (!q.auth || o.shared) && !q.precondition:
		f.o = o
		how, detail := c.decide(o, &q, t)
		if how != askOrigin {
			if how == useAndRefresh {
				h.refresh(whole, q, f, string(full))
			}
			n := c.counters.Here()
			if detail == "" {
				n.hits.Add(1)
			} else {
				n.stale.Add(1)
			}
			n.savedTime.Add(uint64(o.took))
			n.savedBytes.Add(uint64(len(o.body.bytes)))
			o.use(t)
			c.serve(w, whole, &q, o, t, detail, nil)
			r.Pattern = whole.Pattern
			return
		}
	}
	f.full = string(full)
	if q.onlyIfCached {
		c.counters.Here().misses.Add(1)
		c.refuse(w, r, http.StatusGatewayTimeout, "nothing stored is usable and the request is only-if-cached (RFC 9111 section 5.2.1.7)")
		return
	}
	h.fetch(w, r, whole, q, f)
}

// bypasses reports whether a GET or HEAD has nothing to do with a cache (K1).
func bypasses(r *http.Request) bool {
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 || len(r.Header["Upgrade"]) > 0 || r.URL.Opaque != "" {
		return true
	}
	for _, accept := range r.Header["Accept"] {
		if len(accept) >= len("text/event-stream") && strings.Contains(strings.ToLower(accept), "text/event-stream") {
			return true
		}
	}
	return false
}

func ask(h http.Header, head bool) asked {
	q := asked{head: head, wishes: parseWishes(h["Cache-Control"], h["Pragma"])}
	q.auth = len(h["Authorization"]) > 0
	q.ranged = len(h["Range"]) > 0 && !head
	q.conditional = len(h["If-None-Match"]) > 0 || len(h["If-Modified-Since"]) > 0
	q.precondition = len(h["If-Match"]) > 0 || len(h["If-Unmodified-Since"]) > 0
	return q
}

// get returns the Object of a key, nil if there is none or it was purged.
func (c *Cache) get(k Key, full []byte) *Object {
	e := c.store.Get(k)
	if e == nil || e.Value == nil || e.Value.full != string(full) {
		return nil
	}
	o := e.Value
	if c.tags.Gone(o.born, o.slots) {
		c.remove(k, o)
		return nil
	}
	return o
}

// remove takes o out, if it is still what its key has.
func (c *Cache) remove(k Key, o *Object) {
	removed := false
	c.flights.With(k, func(cur *load) *load {
		if e := c.store.Peek(k); e != nil && e.Value == o {
			c.store.Delete(k)
			removed = true
		}
		return cur
	})
	if removed && o.isResponse() && o.body.variants != nil {
		o.body.variants.Release()
	}
}

// How a stored response may be used.
type use uint8

const (
	askOrigin use = iota // the origin has to be asked
	useIt
	useAndRefresh
)

// decide is RFC 9111 section 4 for one response and request: fresh, stale with permission, or
// neither.
func (c *Cache) decide(o *Object, q *asked, t time.Duration) (how use, detail string) {
	age, lifetime := o.age(t), o.lifetime
	if at, ok := c.tags.ExpiredAt(o.born, o.slots); ok {
		lifetime = min(lifetime, o.age(at))
	}
	fresh := age < lifetime && !o.noCache
	if reload := q.noCache || q.maxAge != absent && age > delta(q.maxAge) || q.maxAge == 0 ||
		q.minFresh != absent && lifetime-age < delta(q.minFresh); reload {
		immutable := fresh && o.immutable && !q.noCache && q.minFresh == absent
		confirmed := o.confirmed.Load() // F6: within the last second, by another reload
		if immutable || fresh && confirmed != 0 && t-time.Duration(confirmed-1) < time.Second {
			return useIt, ""
		}
		return askOrigin, ""
	}
	if fresh {
		return useIt, ""
	}
	late := age - lifetime
	if !o.mustValidate {
		switch {
		case q.maxStale != absent && (q.maxStale == anyStale || late <= delta(q.maxStale)):
			return useIt, "max-stale"
		case late < o.staleWhile:
			return useAndRefresh, "stale-while-revalidate"
		case late < o.staleIfError && t < time.Duration(o.retry.Load()): // T6
			return useIt, "stale-if-error"
		}
	}
	return askOrigin, ""
}

func delta(n int64) time.Duration { return time.Duration(n) * time.Second }

// mayReplace reports whether o may be served in place of an error of this status; 0: a panic.
func (c *Cache) mayReplace(o *Object, status int, t time.Duration) bool {
	switch status {
	case 0, 500, 502, 503, 504:
	case 429: // RFC 5861 section 4 does not name it; s4.2.4 leaves it to us
		if o.ownStaleIfError {
			return false
		}
	default:
		return false
	}
	if o.mustValidate || c.tags.Gone(o.born, o.slots) {
		return false
	}
	lifetime := o.lifetime
	if at, ok := c.tags.ExpiredAt(o.born, o.slots); ok {
		lifetime = min(lifetime, o.age(at))
	}
	return o.age(t)-lifetime < o.staleIfError
}

// use notes for which variant to leave.
func (o *Object) use(t time.Duration) {
	if last := o.used.Load(); int64(t)-last > int64(time.Second) {
		o.used.Store(int64(t))
	}
}
