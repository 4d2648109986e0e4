package rw

import (
	"iter"
	"net/http"
)

// maxWalk ends a walk through writers that wrap each other in a circle.
const maxWalk = 64

// Walk yields w and what stands around it, by Unwrap, from the inside out. It ends at the
// first writer without Unwrap, a sink among them.
func Walk(w http.ResponseWriter) iter.Seq[http.ResponseWriter] {
	return func(yield func(http.ResponseWriter) bool) {
		for range maxWalk {
			if w == nil || !yield(w) {
				return
			}
			w = around(w)
		}
	}
}

func around(w http.ResponseWriter) http.ResponseWriter {
	if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		return u.Unwrap()
	}
	return nil
}

// Enveloped is a sink, the innermost writer of a part of a batch: it knows the writer around
// the batch and the part's request.
type Enveloped interface {
	Envelope() (w http.ResponseWriter, part *http.Request)
}

// WalkOut is Walk that leaves envelopes too. The request is that of the innermost part left
// so far; nil: none.
func WalkOut(w http.ResponseWriter) iter.Seq2[http.ResponseWriter, *http.Request] {
	return func(yield func(http.ResponseWriter, *http.Request) bool) {
		var innermost *http.Request
		for range maxWalk {
			if w == nil || !yield(w, innermost) {
				return
			}
			e, ok := w.(Enveloped)
			if !ok {
				w = around(w)
				continue
			}
			var part *http.Request
			if w, part = e.Envelope(); innermost == nil {
				innermost = part
			}
		}
	}
}
