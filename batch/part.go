package batch

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hotpath-go/hotpath/internal/field"
	"github.com/hotpath-go/hotpath/internal/flight"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// A part is one request of a batch, and its answer.
type part struct {
	index       int
	id          string
	method, url string
	fields      []line
	few         [2]line // room for fields
	body        string  // as it stands in the envelope; "": none
	needs       []need
	group       string
	grouped     bool
	conditional bool
	overridden  bool // the handler may run another method or path than is said

	flaw *flaw // found before it ran, and answered in its turn

	// Guarded by run.mu.
	waitsFor   int // answers
	dependents []int
	answered   bool
	released   bool // its slot went to another part
	lost       bool // it was answered with 504, and holds its slot
	ended      bool // its handler has

	sealed bool // its handler has ended; guarded by sink.mu

	run    *run
	ctx    partContext
	req    *http.Request
	w      rw.Writer
	sink   sink
	answer *rw.Buffer // as it goes into the envelope
}

// A flaw is why a part does not run.
type flaw struct {
	what   outcome
	status int
	err    error
}

// A partContext is the context of a part: a task of the scope. It ends with the answer, as that of a
// request does.
type partContext struct {
	context.Context
	task task
	p    *part

	mu   sync.Mutex
	err  error                      // how it ended
	live atomic.Pointer[endingPart] // made when somebody asks for Done: many handlers never do
}

type endingPart struct {
	context.Context
	cancel context.CancelFunc
}

type partKey struct{}

func (c *partContext) Done() <-chan struct{} {
	if l := c.live.Load(); l != nil {
		return l.Done()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.live.Load()
	if l == nil {
		l = new(endingPart)
		l.Context, l.cancel = context.WithCancel(c.Context)
		if c.err != nil {
			l.cancel()
		}
		c.live.Store(l)
	}
	return l.Done()
}

func (c *partContext) Err() error {
	if l := c.live.Load(); l != nil {
		return l.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	return c.Context.Err()
}

// end ends the context, and what is derived from it.
func (c *partContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.live.Load(); l != nil {
		l.cancel()
	} else if c.err = c.Context.Err(); c.err == nil {
		c.err = context.Canceled
	}
}

func (c *partContext) Value(key any) any {
	switch key.(type) {
	case taskKey:
		return &c.task
	case flight.TaskKey:
		return flight.Task(&c.task)
	case rw.OuterKey:
		return c.p.run.r
	case partKey:
		return c.p
	}
	if l := c.live.Load(); l != nil { // so that contexts derived from c find it without a goroutine
		return l.Value(key)
	}
	return c.Context.Value(key)
}

// Part says which part of a batch the request with ctx is: for logs, and for handlers that refuse
// batches. index counts from 0.
func Part(ctx context.Context) (id string, index int, ok bool) {
	p, ok := ctx.Value(partKey{}).(*part)
	if !ok {
		return "", 0, false
	}
	return strings.Clone(p.id), p.index, true
}

// safe reports whether p changes nothing by its method (RFC 9110 section 9.2.1).
func (p *part) safe() bool {
	switch p.method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return !p.overridden
	}
	return false
}

// prepare checks the part and makes its request, but for the context. A fault is the part's own.
func (p *part) prepare(from legacy) (outcome, int, error) {
	e, outer := p.run.e, p.run.r
	m, err := method(p.method, p.body != "")
	if err != nil {
		return refused, http.StatusBadRequest, &placed{"method", err}
	}
	p.method = m
	switch {
	case p.grouped:
		return refused, http.StatusNotImplemented, &placed{"atomicityGroup", errUnsupported}
	case p.conditional:
		return refused, http.StatusFailedDependency, &placed{"if", errUnsupported}
	}
	uri, u, err := target(e.base, p.url, outer.Host, p.run.env.ids)
	switch {
	case err == errReference:
		return refused, http.StatusNotImplemented, &placed{"url", err}
	case err != nil:
		return refused, http.StatusBadRequest, &placed{"url", err}
	case u.Path == e.cfg.Path:
		return nested, http.StatusBadRequest, &placed{"url", errNested}
	}
	h, err := e.header(p, from, outer.Host)
	if err != nil {
		return refused, http.StatusBadRequest, err
	}
	content, err := p.content(h.Get("Content-Type"))
	if err != nil {
		return refused, http.StatusBadRequest, err
	}
	if h["If-Match"] != nil || h["If-None-Match"] != nil {
		rw.RestoreTags(p.run.w, h)
		field.CutMaskTags(h) // who has read a part of it in a batch or alone may update the whole
	}
	var ctx context.Context = &p.ctx
	req := p.run.blank.WithContext(ctx)
	req.Method, req.URL, req.RequestURI, req.Header = p.method, u, uri, h
	req.Body = http.NoBody
	if content != "" {
		req.Body, req.ContentLength = newContent(content), int64(len(content))
	}
	p.req = req
	return 0, 0, nil
}

// content is the body of a part.
type content struct{ strings.Reader }

func (*content) Close() error { return nil }

func newContent(s string) *content {
	c := new(content)
	c.Reset(s)
	return c
}

// begin gives the part its context, and a writer. cancel belongs to a timeout; nil: there is none.
func (p *part) begin(timeout time.Duration) (cancel context.CancelFunc) {
	if timeout > 0 {
		p.ctx.Context, cancel = context.WithTimeout(p.ctx.Context, timeout)
	}
	p.w.Wrap(&p.sink, nil)
	return cancel
}

// feed lets another part run while this one waits for a fetch.
func (p *part) feed() {
	b := p.run
	b.mu.Lock()
	if !p.released && !p.ended {
		p.released = true
		b.slots--
		b.found(p)
		b.start()
	}
	b.mu.Unlock()
}
