package httpcache

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/hotpath-go/hotpath/internal/flight"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// A recorder is the ResponseWriter of a GET or HEAD that the handler answers. At the header it
// decides about storing and who else may have the response.
type recorder struct {
	rw.Writer
	h       *handler
	w       http.ResponseWriter
	r       *http.Request // whole, with the client's own conditions
	inner   *http.Request // the handler's
	q       asked
	f       found
	load    *load          // nil: alone
	ctx     *flight.Shared // of the load; nil: alone
	before  snapshot
	chosen  []func(http.Header) string // by VaryBy
	began   time.Time
	asked   time.Duration // the same, on the clock of the Cache
	born    uint64
	asks    bool // with the stored validators
	behind  bool // nobody's request: a refresh
	mode    mode
	status  int
	v       verdict
	o       *Object // being made
	rule    *rule   // its Vary
	key     Key
	body    *stream // shared; nil: alone
	buf     []byte
	failed  bool     // the client took less than it was given
	over    bool     // handler and OnReturn came to their end
	failure bool     // of a refresh
	brought []change // by a 304
	own     []change // of them, what is for our client alone

	delivery chan struct{} // closed when the goroutine that delivers has ended; nil: there is none
	trouble  any           // its panic
	gone     error         // our client
}

type mode uint8

const (
	undecided  mode = iota
	storing         // tee
	passing         // straight through
	confirming      // a 304 to our own conditions: the stored response follows
	replacing       // an error in whose place the stored response follows
)

var (
	_ rw.Layer       = (*recorder)(nil)
	_ rw.Varier      = (*recorder)(nil)
	_ rw.Invalidator = (*recorder)(nil)
)

// VaryBy is called by an inner compress (C5).
func (rec *recorder) VaryBy(field string, choose func(http.Header) string) {
	if field == "Accept-Encoding" {
		rec.chosen = append(rec.chosen, choose)
	} else {
		rec.chosen = append(rec.chosen, choose, choose) // not ours to use, and no other either
	}
}

// OnHeader decides.
func (rec *recorder) OnHeader(status int) {
	c, t := rec.h.c, rec.h.c.now()
	h := rec.Thaw()
	rec.status = status
	stale := rec.f.o
	if rec.asks && status == http.StatusNotModified {
		rec.mode = confirming
		rec.brought, _ = rec.before.changes(h, func(string) bool { return false })
		return
	}
	if stale != nil && c.mayReplace(stale, status, t) {
		rec.mode, rec.failure = replacing, true
		if !rec.behind {
			stale.failed(t)
		}
		rec.decide(outcome{o: stale, detail: "stale-if-error"})
		return
	}
	rec.failure = status >= 500
	if rec.q.head {
		rec.compareHead(h)
		rec.pass(h, status, 0)
		return
	}
	x := rec.exchange(status, h)
	rec.v = c.cfg.judge(x)
	why := rec.v.why
	if why == storable && stale != nil && aboutRequest(status) {
		why = badStatus // V6: the entry stays as it is
	}
	if why == storable {
		why = rec.prepare(x, h, t)
	}
	if why != storable {
		if stale != nil && !aboutRequest(status) && !why.ofRequest() { // V3: another answer about the resource
			c.remove(rec.f.key, stale)
		}
		if why.marks(status) && rec.load != nil {
			c.mark(&rec.f, rec.born, why)
		}
		c.counters.Here().notStored[why].Add(1)
		rec.pass(h, status, why)
		return
	}
	rec.mode = storing
	if rec.load != nil && !rec.o.personal {
		rec.body = newStream(c.cfg.MaxEntry, rec.Declared())
		rec.decide(outcome{o: rec.o, rule: rec.rule, body: rec.body, ctx: rec.ctx})
	} else {
		rec.decide(outcome{})
	}
	rec.tell(h, forward{stored: true})
	rec.Send(status)
}

func (rec *recorder) exchange(status int, h http.Header) *exchange {
	return &exchange{
		request: rec.r, auth: rec.q.auth, noStore: rec.q.noStore, status: status, header: h, setCookie: rec.before.added(h, "Set-Cookie"),
		writer: &rec.Writer, declared: rec.Declared(), took: time.Since(rec.began),
	}
}

// prepare makes the object of a storable response.
func (rec *recorder) prepare(x *exchange, h http.Header, t time.Duration) reason {
	c := rec.h.c
	header, ok := rec.before.changes(h, dropper(h, &rec.v.control, c.cfg.KeepSetCookie))
	slots, tagged := c.slots(rec.r, rec.f.full[1:rec.f.urlEnd], h)
	if !ok || !tagged {
		return tooLarge
	}
	base := rec.f.full[:rec.f.baseLen]
	rec.key, rec.rule = rec.f.primary, nil
	full := base
	if names := varyNames(h["Vary"]); len(names) > 0 {
		rec.rule = &rule{names: names}
		if len(rec.chosen) == 1 && rec.chosen[0](rec.r.Header) == h.Get("Content-Encoding") {
			rec.rule.choose = rec.chosen[0]
		}
		b := rec.rule.appendVariant([]byte(base), rec.r.Header)
		rec.key, full = c.seeds.key(b), string(b)
	}
	rec.o = &Object{full: full, born: rec.born, asked: rec.asked, slots: slots, response: c.newResponse(x, &rec.v, header, t)}
	rec.o.routed(rec.inner.Pattern)
	if rec.q.reloads() {
		rec.o.confirmed.Store(int64(t) + 1)
	}
	if n := rec.Declared(); n >= 0 && rw.BodyAllowed(x.status) {
		rec.o.declared = []string{strconv.FormatInt(n, 10)}
	}
	return storable
}

// decide tells those who wait.
func (rec *recorder) decide(out outcome) {
	if rec.load != nil {
		rec.load.decide(out)
		if out.body == nil {
			rec.h.c.leaveTable(rec.f.key, rec.load)
		}
	}
}

// pass sends the header and steps out of the way.
func (rec *recorder) pass(h http.Header, status int, why reason) {
	rec.mode = passing
	rec.decide(outcome{})
	rec.tell(h, forward{detail: why.String()})
	rec.Send(status)
	rec.over = true
	rec.Pass()
}

func (rec *recorder) tell(h http.Header, f forward) {
	switch {
	case rec.f.o != nil && rec.asks:
		f.fwd, f.status = "stale", rec.status
	case rec.f.o != nil:
		f.fwd = "stale"
	case rec.q.auth || rec.q.precondition || rec.q.noStore:
		f.fwd = "request"
	case rec.f.rule != nil:
		f.fwd = "vary-miss"
	default:
		f.fwd = "uri-miss"
	}
	if rec.f.o != nil && rec.q.reloads() && rec.f.o.age(rec.h.c.now()) < rec.f.o.lifetime {
		f.fwd = "request"
	}
	rec.h.c.tell(h, f, rec.f.full)
}

// compareHead makes the stored GET stale that a HEAD contradicts (RFC 9111 section 4.3.5).
func (rec *recorder) compareHead(h http.Header) {
	o, c := rec.f.o, rec.h.c
	if o == nil || rec.status != http.StatusOK {
		return
	}
	tag, last := h.Get("Etag"), h.Get("Last-Modified")
	if tag != o.etag && tag != "" || last != o.lastModified && last != "" ||
		rec.Declared() >= 0 && rec.Declared() != int64(len(o.body.bytes)) {
		c.remove(rec.f.key, o)
	}
}

func (rec *recorder) OnWrite(p []byte) (int, error) {
	switch {
	case rec.mode == confirming || rec.mode == replacing:
		return len(p), nil
	case rec.body == nil:
		n, err := rec.w.Write(p)
		rec.failed = rec.failed || err != nil || n < len(p)
		if int64(len(rec.buf)+len(p)) > rec.h.c.cfg.MaxEntry {
			rec.h.c.counters.Here().notStored[tooLarge].Add(1)
			rec.buf, rec.mode, rec.over = nil, passing, true
			rec.Pass()
			return n, err
		}
		if rec.buf == nil && rec.Declared() > 0 {
			rec.buf = make([]byte, 0, rec.Declared())
		}
		rec.buf = append(rec.buf, p...)
		return n, err
	}
	if rec.delivery == nil && (int64(len(p)) != rec.Declared() || rec.body.others()) {
		rec.deliver()
	}
	fits, err := rec.body.append(rec.ctx, p)
	if !fits && rec.mode == storing {
		rec.mode = passing
		rec.h.c.counters.Here().notStored[tooLarge].Add(1)
		rec.h.c.leaveTable(rec.f.key, rec.load)
		rec.h.c.mark(&rec.f, rec.born, tooLarge)
	}
	if err != nil {
		rec.failed = true
		return 0, err
	}
	if rec.delivery == nil {
		// The whole in one Write, and nobody waits: no goroutine is needed for that.
		if n, err := rec.w.Write(p); err != nil {
			rec.h.c.leaveTable(rec.f.key, rec.load) // nobody else comes
			if !rec.body.others() {
				rec.failed = true
				return n, err
			}
		}
		return len(p), nil // that our client is gone is nothing to who has come meanwhile
	}
	if !rec.body.others() { // our client is gone, and so is everybody
		select {
		case <-rec.delivery:
			if rec.gone != nil {
				rec.failed = true
				return 0, rec.gone
			}
		default:
		}
	}
	return len(p), nil
}

// deliver moves the delivery to our client to a goroutine, so that its pace is felt by nobody
// else (B3).
func (rec *recorder) deliver() {
	done := make(chan struct{})
	rec.delivery = done
	rd := rec.body.attach(rec.w, false)
	if rd == nil {
		close(done)
		return
	}
	ctx := rec.r.Context()
	go func() {
		defer close(done)
		defer func() {
			rec.body.detach(rd)
			if p := recover(); p != nil {
				rec.trouble = p
			}
		}()
		rec.gone = rec.body.copyTo(ctx, rd)
	}()
}

func (rec *recorder) OnFlush() error {
	switch {
	case rec.mode == confirming || rec.mode == replacing:
		return nil
	case rec.body == nil:
		return rec.FlushInner()
	}
	rec.body.flush()
	if rec.delivery != nil {
		return nil
	}
	return rec.FlushInner()
}

// OnReturn ends the exchange: only now the response is whole (B6).
func (rec *recorder) OnReturn() {
	switch rec.mode {
	case confirming:
		rec.confirm()
	case replacing:
		rec.answer(rec.f.o, "stale-if-error")
	case storing:
		rec.store()
	case passing:
		if rec.body != nil {
			rec.body.end(rec.ending())
			rec.over = true
			rec.finishDelivery()
		}
	}
	rec.over = true
}

// ending is whole if the response is as long as it said and nobody ended it.
func (rec *recorder) ending() state {
	ctx := rec.r.Context()
	if rec.ctx != nil {
		ctx = rec.ctx
	}
	if rec.failed || ctx.Err() != nil || rec.Declared() >= 0 && rw.BodyAllowed(rec.status) && rec.Written() != rec.Declared() {
		return cut
	}
	return whole
}

func (rec *recorder) store() {
	c := rec.h.c
	rec.o.routed(rec.inner.Pattern)
	how := rec.ending()
	why := storable
	switch {
	case how == cut:
		why = incomplete
	case rec.HasTrailers():
		if why = trailer; rec.load != nil {
			c.mark(&rec.f, rec.born, why)
		}
	default:
		if rec.body != nil {
			rec.o.body.bytes = rec.body.bytes()
		} else {
			rec.o.body.bytes = exact(rec.buf)
		}
		why = c.keep(rec)
	}
	if why == storable {
		c.counters.Here().stored.Add(1)
	} else {
		c.counters.Here().notStored[why].Add(1)
		rec.failure = rec.failure || why == incomplete
	}
	rec.over = true
	if rec.body != nil {
		rec.body.end(how)
		c.leaveTable(rec.f.key, rec.load)
		rec.finishDelivery()
	}
}

func exact(b []byte) []byte {
	if cap(b)-len(b) > len(b)/16 {
		b = append(make([]byte, 0, len(b)), b...)
	}
	return b[:len(b):len(b)]
}

// finishDelivery waits until our client has everything, for its header map is the handler's
// again afterwards.
func (rec *recorder) finishDelivery() {
	if rec.delivery == nil {
		return
	}
	<-rec.delivery
	if p := rec.trouble; p != nil {
		rec.trouble = nil
		panic(p)
	}
	if rec.gone != nil && rec.r.Context().Err() == nil {
		panic(http.ErrAbortHandler) // it was cut for being slow
	}
}

// abandon is for what did not end as it should: panic, Goexit, Hijack.
func (rec *recorder) abandon() {
	c := rec.h.c
	rec.decide(outcome{})
	if rec.load != nil {
		c.leaveTable(rec.f.key, rec.load)
	}
	if rec.mode == storing || rec.mode == undecided {
		c.counters.Here().notStored[incomplete].Add(1)
	}
	rec.failure = true
	if rec.body != nil {
		rec.body.end(cut)
		if rec.delivery != nil {
			<-rec.delivery
		}
	}
}

// answer sends a stored response in place of what the handler gave.
func (rec *recorder) answer(o *Object, detail string) {
	clear(rec.Header()) // the handler's own map: no trailer of it is of this response
	h := rec.Thaw()
	rec.before.restore(h)
	replay(h, rec.own)
	rec.h.c.serve(rec.w, rec.r, &rec.q, o, rec.h.c.now(), detail, &rec.Writer)
}

func (rec *recorder) Invalidate(part *http.Request, status int, h http.Header) {
	rec.h.c.invalidate(part, status, h)
}

// background makes the context of a refresh.
func background(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = context.WithValue(context.WithoutCancel(ctx), flight.TaskKey{}, nil)
	return context.WithTimeout(rw.Background(ctx), refreshTimeout)
}
