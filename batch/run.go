package batch

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hotpath-go/hotpath/internal/problem"
	"github.com/hotpath-go/hotpath/internal/rw"
)

var (
	errFull        = errors.New("batch: the answers have reached MaxResponseBytes")
	errUnsupported = errors.New("is not supported")
)

// A run is a batch that is being answered.
type run struct {
	e     *Endpoint
	env   *envelope
	w     http.ResponseWriter
	r     *http.Request
	next  http.Handler
	blank *http.Request // what all parts have in common
	scope *scope
	task  *task        // whoever answers the envelope
	stops bool         // on the first failure
	left  atomic.Int64 // of MaxResponseBytes

	mu      sync.Mutex // before that of a scope
	ready   []int      // parts that may run
	pending int        // parts without an answer
	slots   int        // parts that run and hold a place
	lost    int        // places whose parts were answered with 504
	stopped bool
	done    chan struct{}
}

func newRun(e *Endpoint, env *envelope, w http.ResponseWriter, r *http.Request, next http.Handler) *run {
	whole := rw.Whole(r) // what is masked is the envelope
	ctx := whole.Context()
	t := taskOf(ctx)
	if t == nil || t.scope == nil {
		opened, _ := openScope(ctx)
		ctx, t = opened, &opened.task
	}
	b := &run{
		e: e, env: env, w: w, r: r, next: next, scope: t.scope, task: t,
		stops:   stopsOnError(r.Header),
		pending: len(env.parts),
		done:    make(chan struct{}),
		blank: &http.Request{
			Host: r.Host, RemoteAddr: r.RemoteAddr, TLS: r.TLS,
			Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor,
		},
	}
	room := e.cfg.MaxResponseBytes
	for i := range env.parts {
		p := &env.parts[i]
		p.run, p.sink.p = b, p
		p.ctx = partContext{Context: ctx, p: p, task: task{scope: t.scope, node: t.node, counted: true, feed: p}}
		room -= p.frame()
	}
	b.left.Store(room)
	return b
}

// frame is what is set aside for p whatever happens, so that the envelope always closes. A byte of
// its id may take six.
func (p *part) frame() int64 { return frameSize + 6*int64(len(p.id)) }

// reserve takes n bytes of MaxResponseBytes, all or none: what does not fit leaves its room to others.
func (b *run) reserve(n int64) bool {
	for {
		left := b.left.Load()
		if left < n {
			return false
		}
		if b.left.CompareAndSwap(left, left-n) {
			return true
		}
	}
}

// run answers every part.
func (b *run) run() {
	from := b.e.inherit(b.r.Header)
	b.mu.Lock()
	b.ready = make([]int, 0, len(b.env.parts))
	for i := range b.env.parts {
		p := &b.env.parts[i]
		what, status, err := p.prepare(from)
		switch {
		case p.answered: // what it depends on has a fault
		case err != nil && b.stops: // those before it run before it stops the others
			p.flaw = &flaw{what, status, err}
			if p.waitsFor == 0 {
				b.ready = append(b.ready, i)
			}
		case err != nil:
			b.deny(p, what, problem.Problem{Status: status, Detail: err.Error()})
		case p.waitsFor == 0:
			b.ready = append(b.ready, i)
		}
	}
	if len(b.env.parts) == 0 {
		close(b.done)
	}
	b.scope.begin(len(b.ready))
	b.start()
	b.mu.Unlock()
	b.task.enter().act()
	<-b.done
	b.task.leave()
}

// start lets a worker run, if there is something to do and a place for it. b.mu is held.
func (b *run) start() {
	if len(b.ready) > 0 && b.slots < b.e.cfg.Concurrency {
		b.slots++
		go b.work()
	}
}

// work serves one part after the other: a goroutine for each costs twice the time of cheap parts.
func (b *run) work() {
	for {
		p := b.take()
		if p == nil || !b.serve(p) {
			return
		}
	}
}

// take returns the next part to run; nil, and the place is free: there is none. Parts that must
// not run any more are answered here.
func (b *run) take() *part {
	for {
		b.mu.Lock()
		if len(b.ready) == 0 {
			b.slots--
			b.mu.Unlock()
			return nil
		}
		p := &b.env.parts[b.ready[0]]
		b.ready = b.ready[1:]
		switch {
		case b.stopped:
			b.deny(p, dependent, problem.Problem{Status: http.StatusFailedDependency, Detail: "another part has failed, and the batch was to end then"})
		case b.left.Load() <= 0:
			b.deny(p, overflow, problem.Problem{Status: http.StatusInsufficientStorage, Detail: "the answers before this one are too large"})
		case b.r.Context().Err() != nil:
			b.deny(p, refused, problem.Problem{Status: http.StatusServiceUnavailable, Detail: "the client has left"})
		case p.flaw != nil:
			b.deny(p, p.flaw.what, problem.Problem{Status: p.flaw.status, Detail: p.flaw.err.Error()})
		default:
			b.start()
			b.mu.Unlock()
			return p
		}
		b.mu.Unlock()
		p.ctx.task.end(nil)
	}
}

// found says that the place of p is not lost, or not any more. b.mu is held.
func (b *run) found(p *part) {
	if p.lost {
		p.lost = false
		b.lost--
	}
}

// giveUp answers the parts that may run if none ever will: handlers that took too long hold all
// places. b.mu is held; the tasks of those that are returned end when it is not.
func (b *run) giveUp() (stuck []*part) {
	if b.lost < b.e.cfg.Concurrency {
		return nil
	}
	for len(b.ready) > 0 {
		p := &b.env.parts[b.ready[0]]
		b.ready = b.ready[1:]
		b.deny(p, refused, problem.Problem{Status: http.StatusServiceUnavailable, Detail: "parts that took too long are still running"})
		stuck = append(stuck, p)
	}
	return stuck
}

func endAll(parts []*part) {
	for _, p := range parts {
		p.ctx.task.end(nil)
	}
}

// serve runs the handler of p. It reports whether this goroutine shall go on.
func (b *run) serve(p *part) (goOn bool) {
	b.e.running.Add(1)
	cancel := p.begin(b.e.cfg.PartTimeout)
	if cancel != nil {
		timer := time.AfterFunc(b.e.cfg.PartTimeout, func() { b.expire(p) })
		defer func() { timer.Stop(); cancel() }()
	}
	next, returned, refusal := b.next, false, false
	defer func() {
		var value any
		if !returned {
			value = recover() // nil: Goexit
		}
		goOn = b.finish(p, returned, refusal, value)
		if goOn && !returned && value == nil {
			go b.work() // this goroutine ends
		}
	}()
	if no := rw.Charge(b.w, p.req); no != nil {
		next, refusal = no, true
	}
	p.w.Serve(&p.w, next, p.req)
	returned = true
	return
}

// finish takes the answer of p, whose handler has returned, or panicked with value, or called
// Goexit. It reports whether there is a place for another part.
func (b *run) finish(p *part, returned, refusal bool, value any) (goOn bool) {
	s := &p.sink
	s.mu.Lock()
	late := s.closed // it was answered with 504
	p.sealed = true
	s.mu.Unlock()
	if !p.safe() && !refusal {
		b.scope.forget()
		b.tell(p, late)
	}
	what := overflow
	var answer problem.Problem // what is answered in place of what the handler said
	switch {
	case late:
	case value == http.ErrAbortHandler:
		what, answer = panicked, problem.Problem{Status: http.StatusBadGateway, Detail: "the answer was cut"}
	case !returned:
		what, answer = panicked, problem.Problem{Status: http.StatusInternalServerError}
	default:
		s.finish()
		switch {
		case s.full:
			answer = tooMuch()
		case s.cut():
			what, answer = status5xx, problem.Problem{Status: http.StatusBadGateway, Detail: "the answer is shorter than it was declared"}
		default:
			what = outcome(min(max(s.status/100, 2), 5) - 2)
			if refusal {
				what = throttled
			}
			if !b.keep(p) {
				what, answer = overflow, tooMuch()
			}
		}
	}
	if !returned && value != http.ErrAbortHandler {
		b.log(p, value)
	}
	s.mu.Lock()
	if answer.Status != 0 {
		s.giveBack()
	}
	s.close()
	s.mu.Unlock()
	p.ctx.end()
	b.e.running.Add(-1) // before the envelope may be answered
	b.mu.Lock()
	p.ended = true
	b.found(p)
	if !late {
		if answer.Status != 0 {
			b.deny(p, what, answer)
		} else {
			b.e.counters.Here().parts[what].Add(1)
			b.complete(p, s.status)
		}
	}
	if goOn = !p.released; !goOn && len(b.ready) > 0 && b.slots < b.e.cfg.Concurrency {
		b.slots++
		goOn = true
	}
	stuck := b.giveUp()
	b.mu.Unlock()
	p.ctx.task.end(nil)
	endAll(stuck)
	return goOn
}

// tooMuch says that the part may have had effects: it must not look as if it had not run.
func tooMuch() problem.Problem {
	return problem.Problem{
		Status: http.StatusInsufficientStorage, Detail: "the answers are too large",
		More: []problem.Member{{Name: "ran", Value: true}},
	}
}

// cut reports whether less was written than declared: net/http closes the connection then.
func (s *sink) cut() bool {
	return s.length > s.wrote && s.p.method != http.MethodHead && rw.BodyAllowed(s.status)
}

// tell lets caches outside of the batch forget what p has changed.
func (b *run) tell(p *part, late bool) {
	s := &p.sink
	switch {
	case late: // whatever it said, it may have changed something
		rw.Wrote(b.w, p.req, http.StatusNoContent, http.Header{})
	case s.status == 0:
		rw.Wrote(b.w, p.req, http.StatusOK, s.Header())
	default:
		rw.Wrote(b.w, p.req, s.status, s.Header())
	}
}

func (b *run) log(p *part, value any) {
	if value == nil {
		value = "runtime.Goexit"
	}
	b.e.cfg.Logger.LogAttrs(context.WithoutCancel(p.ctx.Context), slog.LevelError, "batch: a part panicked",
		slog.Any("panic", value), slog.String("method", p.method), slog.String("path", p.req.URL.Path),
		slog.String("stack", string(debug.Stack())))
}

// expire answers p because its time is over. Its handler goes on, and its writer fails.
func (b *run) expire(p *part) {
	s := &p.sink
	s.mu.Lock()
	if p.sealed {
		s.mu.Unlock()
		return
	}
	s.giveBack()
	s.close()
	s.mu.Unlock()
	if !p.safe() {
		b.scope.forget()
	}
	b.mu.Lock()
	b.deny(p, timedOut, problem.Problem{Status: http.StatusGatewayTimeout, Detail: "the part took too long"})
	if !p.released && !p.ended {
		p.lost = true
		b.lost++
	}
	stuck := b.giveUp()
	b.start()
	b.mu.Unlock()
	endAll(stuck)
}

// keep makes what the handler said the answer of p. False: there is no room for it.
func (b *run) keep(p *part) bool {
	body := len(p.sink.bytes())
	out := rw.GetBuffer(int(frameSize) + len(p.sink.fields) + body + body/3)
	out.B = appendAnswer(out.B, p)
	// The body was reserved when it was written; encoding may have made it longer.
	if more := int64(len(out.B)-body) - p.frame(); more > 0 && !p.sink.reserve(more) {
		out.Put()
		return false
	}
	p.answer = out
	return true
}

// deny answers p with a problem. b.mu is held.
func (b *run) deny(p *part, what outcome, why problem.Problem) {
	out := rw.GetBuffer(2 * frameSize)
	out.B = appendProblem(out.B, p, why.Status, problem.Append(nil, why))
	if more := int64(len(out.B)) - p.frame(); more > 0 && !b.reserve(more) {
		why.Detail = "" // the status says enough
		out.B = appendProblem(out.B[:0], p, why.Status, problem.Append(nil, why))
	}
	p.answer = out
	b.e.counters.Here().parts[what].Add(1)
	b.complete(p, why.Status)
}

// complete says that p has its answer, and what follows from it. b.mu is held.
func (b *run) complete(p *part, status int) {
	p.answered = true
	if b.pending--; b.pending == 0 { // nobody depends on p, then
		close(b.done)
	}
	b.stopped = b.stopped || b.stops && status >= 400
	for _, i := range p.dependents {
		d := &b.env.parts[i]
		if d.answered {
			continue
		}
		if d.waitsFor--; status < 200 || status > 299 {
			b.deny(d, dependent, problem.Problem{
				Status: http.StatusFailedDependency,
				Detail: "requests[" + strconv.Itoa(p.index) + "], which this part depends on, was not answered with 2xx",
			})
		} else if d.waitsFor == 0 {
			b.scope.begin(1) // before the task of p ends, or the scope would look quiet
			b.ready = append(b.ready, i)
		}
	}
}

// write sends all answers in one Write, and returns their size.
func (b *run) write() int {
	size := len(`{"responses":[]}`)
	h := b.w.Header()
	for i := range b.env.parts {
		p := &b.env.parts[i]
		size += len(p.answer.B) + 1
		for _, cookie := range p.sink.cookies {
			h.Add("Set-Cookie", cookie) // one field each (RFC 6265 section 3)
		}
	}
	out := rw.GetBuffer(size)
	defer out.Put()
	out.B = append(out.B, `{"responses":[`...)
	for i := range b.env.parts {
		if i > 0 {
			out.B = append(out.B, ',')
		}
		out.B = append(out.B, b.env.parts[i].answer.B...)
		b.env.parts[i].answer.Put()
	}
	out.B = append(out.B, `]}`...)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(out.B)))
	h.Set("Cache-Control", "no-store")
	if version := b.r.Header["Odata-Version"]; len(version) > 0 {
		h["Odata-Version"] = version[:1:1]
	}
	if b.stops {
		h.Set("Preference-Applied", "continue-on-error=false")
	}
	b.w.WriteHeader(http.StatusOK)
	n, _ := b.w.Write(out.B) // the client is gone or is not: there is nobody else to tell
	return n
}
