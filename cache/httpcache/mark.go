package httpcache

import (
	"net/http"
	"time"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// A hit-for-miss mark says that nobody should wait at a key: what came last could not be
// shared (L3).

const markLife = 10 * time.Second

// mark puts one at f's key. What others can use stays.
func (c *Cache) mark(f *found, born uint64, why reason) { c.putMark(f.key, f.full, born, why) }

func (c *Cache) putMark(key Key, full string, born uint64, why reason) {
	o := &Object{full: full, born: born, why: why, until: c.now() + markLife}
	c.flights.With(key, func(cur *load) *load {
		e := c.store.Peek(key)
		if e == nil || e.Value.isMark() {
			c.store.Set(cache.NewEntry(key, o, o.weight(), 0, markLife))
		}
		return cur
	})
}

// A watcher is the ResponseWriter of a request at a mark: the handler answers as if we were not
// there, each request for itself. A response that could have been stored takes the mark away, so
// that the next request stores one; to store this one would cost every personal page a copy of
// its request and of its header.
type watcher struct {
	rw.Writer
	c       *Cache
	r       *http.Request
	q       asked
	key     Key
	mark    *Object
	began   time.Duration
	cookies int // lines of Set-Cookie that outer layers had set
}

var (
	_ rw.Layer       = (*watcher)(nil)
	_ rw.Invalidator = (*watcher)(nil)
)

// watch lets the handler answer r, for which there is a mark at key.
func (h *handler) watch(w http.ResponseWriter, r, whole *http.Request, q asked, key Key, mark *Object, t time.Duration) {
	h.c.counters.Here().bypassed.Add(1)
	own := &watcher{c: h.c, r: whole, q: q, key: key, mark: mark, began: t, cookies: len(w.Header()["Set-Cookie"])}
	if whole != r {
		defer rw.CopyBack(r, whole)
	}
	own.Wrap(w, own)
	own.Serve(own, h.next, whole)
}

func (w *watcher) OnHeader(status int) {
	c, h := w.c, w.Thaw()
	why := storable
	if !w.q.head {
		x := exchange{
			request: w.r, auth: w.q.auth, noStore: w.q.noStore, status: status, header: h, setCookie: len(h["Set-Cookie"]) > w.cookies,
			writer: &w.Writer, declared: w.Declared(),
		}
		control, _ := c.cfg.controlOf(h)
		if why = c.cfg.forbidden(&x, &control); why == storable {
			why = c.cfg.judge(&x).why
		}
		switch {
		case why != storable:
			c.counters.Here().notStored[why].Add(1)
			// A mark that is renewed at each request would be an allocation for each.
			if why.marks(status) && w.q.alike() && !w.q.conditional && w.mark.until-w.began < markLife/2 {
				c.putMark(w.key, w.mark.full, c.tags.Now(), why)
			}
		case !aboutRequest(status) && w.mark.why != tooLarge && w.mark.why != trailer: // of which a header says nothing
			c.remove(w.key, w.mark)
		}
	}
	c.tell(h, forward{fwd: "bypass", detail: why.String()}, w.mark.full)
	w.Send(status)
	w.Pass()
}

// The others are never called: OnHeader passes.

func (w *watcher) OnWrite(p []byte) (int, error) { return len(p), nil }
func (w *watcher) OnFlush() error                { return w.FlushInner() }
func (w *watcher) OnReturn()                     {}

// Invalidate is told of unsafe parts of a batch and of work that outlived its request.
func (w *watcher) Invalidate(part *http.Request, status int, h http.Header) {
	w.c.invalidate(part, status, h)
}
