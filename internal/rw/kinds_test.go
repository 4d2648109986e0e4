package rw_test

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/hotpath-go/hotpath/internal/rw"
)

// One small wrapper of each kind that hotpath has.

// observer has no Layer.
type observer struct{ rw.Writer }

func observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := new(observer)
		o.Wrap(w, nil)
		o.Serve(o, next, r)
	})
}

// passer adds a field and steps aside, as throttle does.
type passer struct{ rw.Writer }

func pass(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := new(passer)
		p.Wrap(w, p)
		p.Serve(p, next, r)
	})
}

func (p *passer) OnHeader(status int) {
	p.Thaw().Set("X-Passed", "1")
	p.Send(status)
	p.Pass()
}
func (p *passer) OnWrite([]byte) (int, error) { panic("an event after Pass") }
func (p *passer) OnFlush() error              { panic("an event after Pass") }
func (p *passer) OnReturn()                   { panic("an event after Pass") }

// transformer doubles every byte as it comes, as a streaming compressor changes them.
type transformer struct{ rw.Writer }

func transform(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := new(transformer)
		t.Wrap(w, t)
		t.Serve(t, next, r)
	})
}

func (t *transformer) OnHeader(status int) {
	if status == http.StatusPartialContent {
		t.Pass()
		return
	}
	h := t.Thaw()
	if n := t.Declared(); n >= 0 && rw.BodyAllowed(status) {
		h.Set("Content-Length", strconv.FormatInt(2*n, 10))
	}
	t.Send(status)
}

func (t *transformer) OnWrite(p []byte) (int, error) {
	if _, err := t.Unwrap().Write(double(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
func (t *transformer) OnFlush() error { return t.FlushInner() }
func (t *transformer) OnReturn()      {}

func double(p []byte) []byte {
	var b bytes.Buffer
	for _, c := range p {
		b.WriteByte(c)
		b.WriteByte(c)
	}
	return b.Bytes()
}

// holder keeps the body until it is whole, so that it can say its length.
type holder struct {
	rw.Writer
	status int
	body   []byte
}

func hold(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := new(holder)
		h.Wrap(w, h)
		h.Serve(h, next, r)
	})
}

func (h *holder) OnHeader(status int) { h.status = status }

func (h *holder) OnWrite(p []byte) (int, error) {
	h.body = append(h.body, p...)
	return len(p), nil
}

func (h *holder) OnFlush() error {
	h.emit()
	return h.FlushInner()
}

func (h *holder) OnReturn() {
	if rw.BodyAllowed(h.status) && !h.HasTrailers() && h.Declared() < 0 {
		h.Thaw().Set("Content-Length", strconv.Itoa(len(h.body)))
	}
	h.emit()
}

func (h *holder) emit() {
	h.Send(h.status)
	h.Pass()
	if len(h.body) > 0 {
		_, _ = h.Unwrap().Write(h.body)
	}
}

// deliverer writes to the client from another goroutine, as httpcache does while others wait
// for the same answer.
type deliverer struct {
	rw.Writer
	pieces chan []byte // nil: flush
	acks   chan error
}

func deliver(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := new(deliverer)
		d.Wrap(w, d)
		d.Private()
		defer d.end()
		d.Serve(d, next, r)
	})
}

func (d *deliverer) OnHeader(status int) {
	d.Send(status)
	d.pieces, d.acks = make(chan []byte), make(chan error)
	go func() {
		defer close(d.acks)
		for p := range d.pieces {
			if p == nil {
				d.acks <- d.FlushInner()
				continue
			}
			_, err := d.Unwrap().Write(p)
			d.acks <- err
		}
	}()
}

func (d *deliverer) OnWrite(p []byte) (int, error) {
	d.pieces <- p
	return len(p), <-d.acks
}

func (d *deliverer) OnFlush() error {
	d.pieces <- nil
	return <-d.acks
}

func (d *deliverer) OnReturn() { d.end() }

func (d *deliverer) end() {
	if d.pieces != nil {
		close(d.pieces)
		<-d.acks
		d.pieces = nil
	}
}

// sink is an innermost writer that keeps what arrives, as a part of a batch does.
type sink struct {
	header, sent http.Header
	status       int
	body         bytes.Buffer
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(status int) {
	if s.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		s.status, s.sent = status, s.header.Clone()
	}
}

func (s *sink) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	return s.body.Write(p)
}

func (s *sink) FlushError() error {
	s.WriteHeader(http.StatusOK)
	return nil
}

func collect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &sink{header: w.Header().Clone()}
		o := new(observer)
		o.Wrap(s, nil)
		o.Serve(o, next, r)

		s.WriteHeader(http.StatusOK)
		h := w.Header()
		clear(h)
		for name, values := range s.sent {
			h[name] = values
		}
		w.WriteHeader(s.status)
		if s.body.Len() > 0 {
			_, _ = w.Write(s.body.Bytes())
		}
		for name, values := range s.header { // trailers
			if _, ok := s.sent[name]; !ok {
				h[name] = values
			}
		}
	})
}
