package rw

import "net/http"

// The contracts between layers. What handlers reach by walking sets atomics and touches no
// header map: another goroutine may be delivering their response. What is reached by WalkOut
// is asked by several parts at a time, also when the writer asked is dead.

// A Varier records a response that may be stored and learns what it varies by.
type Varier interface {
	// VaryBy says that the response depends on a request field only by choose, which maps a
	// request header to the value that the response would have had. choose is pure, is kept
	// long and holds no request.
	VaryBy(field string, choose func(http.Header) string)
}

// VaryBy tells the first Varier from w outwards. Call it before Send, from the inner writer on.
func VaryBy(w http.ResponseWriter, field string, choose func(http.Header) string) {
	for outer := range Walk(w) {
		if v, ok := outer.(Varier); ok {
			v.VaryBy(field, choose)
			return
		}
	}
}

// A TagRestorer changes entity tags on their way out, and undoes that in the
// preconditions of a request.
type TagRestorer interface {
	RestoreTags(h http.Header)
}

// RestoreTags undoes in h, the header of a part, what the layers around its batch do to
// tags: all of them, from the inside out.
func RestoreTags(w http.ResponseWriter, h http.Header) {
	for outer := range WalkOut(w) {
		if t, ok := outer.(TagRestorer); ok {
			t.RestoreTags(h)
		}
	}
}

// A Charger makes the parts of a batch pay like requests of their own.
type Charger interface {
	// Charge asks as at the door; what the envelope paid pays for the first part under the
	// same key. nil: run the part; else refusal is its answer.
	Charge(part *http.Request) (refusal http.Handler)
	// Return gives back exactly what Charge took, for another Charger refused.
	Return(part *http.Request)
}

// Charge lets every Charger around w take from part what it costs. If one refuses, those
// that were asked before get theirs returned, and refusal has to be served in part's place.
func Charge(w http.ResponseWriter, part *http.Request) (refusal http.Handler) {
	charged := 0
	for outer := range WalkOut(w) {
		if c, ok := outer.(Charger); ok {
			if refusal = c.Charge(part); refusal != nil {
				giveBack(w, part, charged)
				return refusal
			}
			charged++
		}
	}
	return nil
}

// giveBack walks again to the first n Chargers: refusals are rare, a list would be allocated
// for every part.
func giveBack(w http.ResponseWriter, part *http.Request, n int) {
	for outer := range WalkOut(w) {
		if n == 0 {
			return
		}
		if c, ok := outer.(Charger); ok {
			c.Return(part)
			n--
		}
	}
}

// An Invalidator forgets what an unsafe request has changed (RFC 9111 section 4.4).
type Invalidator interface {
	Invalidate(part *http.Request, status int, h http.Header)
}

// Wrote tells every Invalidator around w that an unsafe part was answered with status and h.
func Wrote(w http.ResponseWriter, part *http.Request, status int, h http.Header) {
	for outer := range WalkOut(w) {
		if i, ok := outer.(Invalidator); ok {
			i.Invalidate(part, status, h)
		}
	}
}
