package compress

import (
	"errors"
	"net/http"
	"time"

	"github.com/hotpath-go/hotpath/internal/rw"
)

// Offer takes a stored body into account that is about to be written, if this response can
// be served from one of its forms.
func (w *writer) Offer(v *rw.Variants) bool {
	if w.choice.coding < 0 || w.state != undecided || w.held != nil || w.mode.Load() == off || w.Sent() {
		return false
	}
	w.offered = v
	return true
}

var _ rw.Offerer = (*writer)(nil)

// sendForm answers with the form of v, whose body p is. Not sent: p goes the ordinary way.
func (w *writer) sendForm(v *rw.Variants, p []byte) (sent bool, err error) {
	w.sniff(p)
	h := w.Thaw()
	f := w.facts(int64(len(p)))
	if !decide(f).encode {
		return false, nil
	}
	own := w.c.codings[w.choice.coding]
	form, made := v.Form(own.token), false
	if form == nil {
		form, made = w.makeForm(v, own, p)
	}
	if form == nil {
		return false, nil
	}
	if form.Bytes == nil { // not smaller, which is known without a try
		f.larger = true
		if decision := decide(f); !decision.encode {
			return true, w.passWhole(decision, p)
		}
		return false, nil
	}
	if !w.commitCoded() {
		return false, nil
	}
	w.codedHeader(h, w.choice.coding, form.Length)
	if tag := h.Get("Etag"); tag != "" && tag[0] == '"' {
		w.setTag(h, form.ETag(tag))
	}
	w.tellVarier(false)
	if !made {
		w.c.counters.Here().stored.Add(1)
	}
	return true, w.sendWhole(form.Bytes, len(p))
}

func (w *writer) makeForm(v *rw.Variants, own *coding, p []byte) (form *rw.Form, made bool) {
	form, err := v.Make(w.r.Context(), own.token, own.suffix, func(dst []byte) ([]byte, error) {
		made = true
		n := w.c.counters.Here()
		begin := time.Now()
		coded, err := own.appendBody(dst, p)
		n.nanos.Add(uint64(time.Since(begin)))
		n.forms.Add(1)
		return coded, err
	})
	if err != nil {
		if made {
			w.c.counters.Here().failed.Add(1)
		}
		return nil, made
	}
	return form, made
}

func isUnsupported(err error) bool { return errors.Is(err, http.ErrNotSupported) }
