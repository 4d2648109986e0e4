package rw

import (
	"net/http"
	"slices"
	"strings"
	"sync"
)

// What a Layer calls. A header that is settled and not sent is remembered, so that the
// handler's later changes do not leak into it (net/http copies the map for the same end).

// Thaw returns the inner header map as it was when the status was settled. Edit it, then
// call Send in the same event.
func (w *Writer) Thaw() http.Header {
	h := w.inner.Header()
	if !w.thawed {
		w.thawed = true
		if w.held.frozen() {
			w.held.thaw(h)
		}
	}
	return h
}

// Send gives status and header to the inner writer, once. The changes that the handler made
// since it settled them come back after that, for trailers are among them. Those with
// http.TrailerPrefix are there before: net/http gives no length to a short body if it sees one.
func (w *Writer) Send(status int) {
	if w.sent {
		return
	}
	h := w.Thaw()
	w.sent = true
	w.inner.WriteHeader(status)
	if w.held.frozen() {
		w.held.bringBack(h)
		w.held.release()
		w.held = nil
	}
}

// Pass ends the Layer's part, after Send or at OnHeader: from now on everything goes straight
// to the inner writer, and no further event comes.
func (w *Writer) Pass() {
	if w.held.frozen() && !w.sent {
		w.Send(int(w.status)) // or what was settled and held would be lost
	}
	w.layer = nil
}

// FlushInner flushes the inner writer by http.ResponseController. The error Is
// http.ErrNotSupported if nobody there can.
func (w *Writer) FlushInner() error { return http.NewResponseController(w.inner).Flush() }

// HasTrailers reports whether fields will follow the body, declared or with
// http.TrailerPrefix. Then a Content-Length must not be set, or net/http drops them.
func (w *Writer) HasTrailers() bool {
	h := w.Header()
	if hasPrefixed(h) {
		return true
	}
	if !w.held.frozen() {
		return len(h["Trailer"]) > 0
	}
	// Declared counts what was declared when the status was settled, as in net/http.
	return slices.ContainsFunc(w.held.fields, func(f frozenField) bool { return f.name == "Trailer" && len(f.lines) > 0 })
}

// KeepTrailers is for a Layer that wrote less than its handler did, once the body is out: what net/http
// still holds of a body it gives a length when the handler returns, and drops the trailers that nobody announced.
func (w *Writer) KeepTrailers() {
	if hasPrefixed(w.Header()) {
		_ = w.FlushInner()
	}
}

func hasPrefixed(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// Private gives the handler a copy of the header map, for layers that deliver the response
// from another goroutine: two goroutines on one map end the process. The copy comes to the
// inner map when the status is settled, and trailers after OnReturn, by when the other
// goroutine must have ended. Call it before Serve.
func (w *Writer) Private() http.Header {
	h := w.inner.Header()
	w.held = &held{own: h.Clone(), first: h.Clone()}
	return w.held.own
}

// First returns, with Private, the header map as it was before the handler.
func (w *Writer) First() http.Header { return w.held.first }

// inform sends a 1xx response.
func (w *Writer) inform(status int) {
	if !w.held.private() {
		w.inner.WriteHeader(status)
		return
	}
	h := w.inner.Header()
	overwrite(h, w.held.own)
	w.inner.WriteHeader(status)
	overwrite(h, w.held.first)
}

// copyTrailers brings the trailers of a private map to the inner one.
func (w *Writer) copyTrailers() {
	if !w.held.private() {
		return
	}
	h := w.inner.Header()
	for name, values := range w.held.own {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			h[name] = values
		}
	}
	// Those that were declared to the inner writer; Trailer itself cannot be one of them.
	for _, line := range h["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.Trim(name, " \t"))
			if values, ok := w.held.own[name]; ok {
				h[name] = values
			} else {
				delete(h, name)
			}
		}
	}
}

// overwrite makes dst what src is, and shares nothing with it: another goroutine may be
// reading dst while the handler goes on with src.
func overwrite(dst, src http.Header) {
	clear(dst)
	for name, values := range src {
		dst[name] = slices.Clone(values)
	}
}

// held is what a Writer remembers of headers: a private map, or a frozen copy. Nil is
// neither.
type held struct {
	own, first http.Header // of Private

	isFrozen bool
	fields   []frozenField
	values   []string // of all fields, one after the other
	late     []lateField
}

type frozenField struct {
	name  string
	lines []string // the map's own slice, to give back unless the handler wrote into it
	from  int      // its lines begin at values[from]
}

type lateField struct {
	name    string
	lines   []string
	deleted bool
}

var heldPool = sync.Pool{New: func() any { return new(held) }}

func (d *held) private() bool { return d != nil && d.own != nil }
func (d *held) frozen() bool  { return d != nil && d.isFrozen }

// hold is called when an event is over: if the status is settled and the Layer did not send
// it, the header is remembered.
func (w *Writer) hold() {
	if w.layer == nil || w.sent || w.held.private() {
		return
	}
	h := w.inner.Header()
	if !w.held.frozen() {
		if w.held == nil {
			w.held = heldPool.Get().(*held)
		}
		w.held.freeze(h)
	} else if w.thawed { // edited and not sent: the edited one is to be sent
		w.held.freeze(h)
		w.held.bringBack(h)
	}
	w.thawed = false
}

func (d *held) freeze(h http.Header) {
	d.isFrozen, d.fields, d.values = true, d.fields[:0], d.values[:0]
	for name, lines := range h {
		d.fields = append(d.fields, frozenField{name, lines, len(d.values)})
		d.values = append(d.values, lines...)
	}
}

// thaw makes h what it was, and notes what the handler did to it since.
func (d *held) thaw(h http.Header) {
	d.late = d.late[:0]
	kept := 0
	for _, f := range d.fields {
		if _, ok := h[f.name]; ok {
			kept++
		}
	}
	if len(h) > kept {
		d.takeAdditions(h)
	}
	for _, f := range d.fields {
		was := d.values[f.from : f.from+len(f.lines)]
		now, ok := h[f.name]
		switch {
		case !ok:
			d.late = append(d.late, lateField{name: f.name, deleted: true})
		case !slices.Equal(now, was):
			d.late = append(d.late, lateField{name: f.name, lines: now})
		default:
			continue
		}
		if !slices.Equal(f.lines, was) { // h["X"][0] = "y" writes into the slice itself
			h[f.name] = slices.Clone(was)
		} else {
			h[f.name] = slices.Clip(f.lines)
		}
	}
}

// takeAdditions moves from h to late what was not there. A proxied header is somebody else's
// input and can be long, so it is searched and not walked for each name.
func (d *held) takeAdditions(h http.Header) {
	slices.SortFunc(d.fields, func(a, b frozenField) int { return strings.Compare(a.name, b.name) })
	for name, lines := range h {
		_, was := slices.BinarySearchFunc(d.fields, name, func(f frozenField, name string) int { return strings.Compare(f.name, name) })
		if !was && !strings.HasPrefix(name, http.TrailerPrefix) {
			d.late = append(d.late, lateField{name: name, lines: lines})
			delete(h, name)
		}
	}
}

func (d *held) bringBack(h http.Header) {
	for _, f := range d.late {
		if f.deleted {
			delete(h, f.name)
		} else {
			h[f.name] = f.lines
		}
	}
	clear(d.late)
	d.late = d.late[:0]
}

// maxPooled bounds what a response with a monstrous header leaves in the pool.
const maxPooled = 256

func (d *held) release() {
	if max(cap(d.values), cap(d.fields), cap(d.late)) > maxPooled {
		return
	}
	// Up to the capacity: an earlier freeze may have had more, and a Set-Cookie in it.
	clear(d.fields[:cap(d.fields)])
	clear(d.values[:cap(d.values)])
	clear(d.late[:cap(d.late)])
	d.isFrozen, d.fields, d.values, d.late = false, d.fields[:0], d.values[:0], d.late[:0]
	heldPool.Put(d)
}
