package bulkhead

import (
	"math/rand/v2"
	"net/http"
	"time"
)

// reduced is the registered type of RFC 9457's registry for a server that has too much to do.
const reduced = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"

// A refusal is ErrFull and when to come back.
type refusal struct{ after time.Duration }

func (e *refusal) Error() string             { return ErrFull.Error() }
func (e *refusal) Unwrap() error             { return ErrFull }
func (e *refusal) RetryAfter() time.Duration { return e.after }

// full is the refusal of now: after the time to work off what waits, and up to half of that by
// chance so that they do not come back together. b.mu is held.
func (b *Bulkhead) full() *refusal {
	d := b.work(b.waiting + 1)
	d += time.Duration(rand.Float64() * 0.5 * float64(d))
	return &refusal{max(d, time.Second)}
}

// refuse answers 503: overload is the server's, a 429 would blame the client (RFC 6585 section 4).
func (b *Bulkhead) refuse(w http.ResponseWriter, r *http.Request, err *refusal) {
	if b.cfg.OnRefused == nil {
		b.refusal.Write(w, r, err.after)
		return
	}
	h := &headerOnly{ResponseWriter: w}
	head := r.Clone(r.Context())
	head.Method = http.MethodHead
	b.refusal.Write(h, head, err.after)
	delete(w.Header(), "Content-Length")
	delete(w.Header(), "Content-Type")
	b.cfg.OnRefused(&settled{ResponseWriter: w, status: h.status}, r, err)
}

// headerOnly takes the fields of a refusal whose body is the user's.
type headerOnly struct {
	http.ResponseWriter
	status int
}

func (h *headerOnly) WriteHeader(status int) { h.status = status }

// settled answers with one status, whatever is said.
type settled struct {
	http.ResponseWriter
	status int
	sent   bool
}

func (s *settled) WriteHeader(int) {
	if !s.sent {
		s.sent = true
		s.ResponseWriter.WriteHeader(s.status)
	}
}

func (s *settled) Write(p []byte) (int, error) {
	s.WriteHeader(s.status)
	return s.ResponseWriter.Write(p)
}

func (s *settled) Unwrap() http.ResponseWriter { return s.ResponseWriter }
