package metrics

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hotpath-go/hotpath/internal/rw"
	"github.com/hotpath-go/hotpath/internal/stat"
)

// Config of an [HTTP]. The zero value is ready to use.
type Config struct {
	// Route names the route of a request that has just been served, in words of the code or its
	// configuration, never of the client. nil: r.Pattern, which http.ServeMux and echo 5 set;
	// examples/frameworks shows how others are made to. "" counts as "other".
	Route func(r *http.Request) string

	// MaxRoutes is how many routes have series of their own, "other" apart; those that come later
	// count as "other". 0: 100. At most 1,000.
	MaxRoutes int
}

const (
	defaultRoutes = 100
	maxRoutes     = 1000
	other         = "other"
)

// An HTTP measures what a service answers, by route: rate, errors and durations in one histogram
// per route and outcome, and the requests in flight. Make one with [New]; it is safe for
// concurrent use, needs no end, and holds at most 7.9 KB for each route and outcome in use.
type HTTP struct {
	route    func(*http.Request) string
	max      int
	started  time.Time
	inFlight atomic.Int64

	mu     sync.Mutex // of writers of routes
	routes atomic.Pointer[map[string]*route]
}

// New returns the HTTP that cfg describes, or what is wrong with cfg:
// `metrics: MaxRoutes is 2000: must be between 0 and 1000`.
func New(cfg Config) (*HTTP, error) {
	if cfg.MaxRoutes < 0 || cfg.MaxRoutes > maxRoutes {
		return nil, fmt.Errorf("metrics: MaxRoutes is %d: must be between 0 and %d", cfg.MaxRoutes, maxRoutes)
	}
	if cfg.MaxRoutes == 0 {
		cfg.MaxRoutes = defaultRoutes
	}
	if cfg.Route == nil {
		cfg.Route = func(r *http.Request) string { return r.Pattern }
	}
	h := &HTTP{route: cfg.Route, max: cfg.MaxRoutes, started: time.Now()}
	h.routes.Store(&map[string]*route{other: newRoute()})
	return h, nil
}

// now is the monotonic clock alone: time.Now reads another one besides.
func (h *HTTP) now() time.Duration { return time.Since(h.started) }

// An outcome is how a response ended.
type outcome uint8

const (
	informed  outcome = iota // 101, or the connection was hijacked
	succeeded                // 2xx
	redirected
	refused
	failed
	streamed
	aborted
	outcomes
)

// String is the value of the label code.
func (o outcome) String() string {
	return [outcomes]string{"1xx", "2xx", "3xx", "4xx", "5xx", "stream", "aborted"}[o]
}

// A route is what is counted of one. The recorder of an outcome is made when it is first needed.
type route struct {
	took  [outcomes]atomic.Pointer[stat.Durations]
	bytes stat.Striped[struct{ n atomic.Uint64 }]
}

// newRoute has the series by which rates of errors are computed from the start: the first failure
// after a restart would be invisible to increase() otherwise.
func newRoute() *route {
	r := new(route)
	for _, o := range [...]outcome{succeeded, failed, aborted} {
		r.took[o].Store(new(stat.Durations))
	}
	return r
}

func (r *route) observe(o outcome, took time.Duration) {
	d := r.took[o].Load()
	if d == nil {
		d = new(stat.Durations)
		if !r.took[o].CompareAndSwap(nil, d) {
			d = r.took[o].Load()
		}
	}
	d.Observe(took)
}

// of returns the route of a name, made at its first request while there is room.
func (h *HTTP) of(name string) *route {
	if name == "" {
		name = other
	}
	routes := *h.routes.Load()
	if r := routes[name]; r != nil {
		return r
	}
	if len(routes) > h.max { // other is one of them
		return routes[other]
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	routes = *h.routes.Load()
	if r := routes[name]; r != nil {
		return r
	}
	if len(routes) > h.max {
		return routes[other]
	}
	more := maps.Clone(routes)
	more[name] = newRoute()
	h.routes.Store(&more)
	return more[name]
}

// Handler returns next, measured. Its place is around the whole handler of a framework, where a
// returned error has become a status; the route is read from the request that next was given,
// after it has returned.
func (h *HTTP) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := &observer{h: h, at: h.now()}
		h.inFlight.Add(1)
		defer h.count(o, r) // whatever happens: a panic goes on as it was
		o.Wrap(w, nil)
		o.Serve(o, next, r)
		o.returned = true
	})
}

// An observer is the ResponseWriter of a measured request. It changes nothing, and so it has no
// Layer: that would cost a fifth of the whole.
type observer struct {
	rw.Writer
	h        *HTTP
	at       time.Duration // when it began; of an event stream that was flushed how long that took
	flushed  bool          // it is one: until then nothing of it has left
	returned bool
}

// FlushError notes when an event stream begins.
func (o *observer) FlushError() error {
	if !o.flushed && o.streams() {
		o.flushed, o.at = true, o.h.now()-o.at
	}
	return o.Writer.FlushError()
}

// Flush is FlushError for those who assert http.Flusher.
func (o *observer) Flush() { _ = o.FlushError() }

// streams reports whether this is an event stream, which lives for minutes and is not slow.
func (o *observer) streams() bool {
	const kind = "text/event-stream"
	lines := o.Unwrap().Header()["Content-Type"] // our own has ended when this is asked last
	return len(lines) > 0 && len(lines[0]) >= len(kind) && strings.EqualFold(lines[0][:len(kind)], kind)
}

func (h *HTTP) count(o *observer, r *http.Request) {
	h.inFlight.Add(-1)
	took := o.at
	if !o.flushed {
		took = h.now() - o.at
	}
	route := h.of(h.route(r))
	route.observe(o.outcome(), took)
	if n := o.Written(); n > 0 {
		route.bytes.Here().n.Add(uint64(n))
	}
}

func (o *observer) outcome() outcome {
	switch status := o.Status(); {
	case !o.returned:
		return aborted
	case o.flushed || o.streams():
		return streamed
	case status < 200:
		return informed
	case status < 300:
		return succeeded
	case status < 400:
		return redirected
	case status < 500:
		return refused
	default:
		return failed
	}
}

// Stats are the golden signals of a service.
type Stats struct {
	InFlight int64                 `metric:"hotpath_http_requests_in_flight" help:"Requests being served."`
	Routes   map[string]RouteStats `label:"route"`
}

// RouteStats are those of a route, or of all "other" requests.
type RouteStats struct {
	// Duration is the time from entry to return, slow clients included, by outcome: "1xx" (101, or
	// hijacked), "2xx" to "5xx", "stream" (text/event-stream, its time to the header) and "aborted"
	// (a panic, http.ErrAbortHandler, runtime.Goexit). Its count is the number of requests.
	Duration map[string]Histogram `metric:"hotpath_http_request_duration_seconds" label:"code" help:"Time in the handler, by outcome; of event streams the time to the header."`

	BodyBytes uint64 `metric:"hotpath_http_response_body_bytes_total" help:"Bytes of bodies, as they left this layer."`
}

// Stats returns what has been counted since the start. Export it by
// reg.MustRegister(metrics.Collector("api", h.Stats)).
func (h *HTTP) Stats() Stats {
	routes := *h.routes.Load()
	s := Stats{InFlight: h.inFlight.Load(), Routes: make(map[string]RouteStats, len(routes))}
	for name, r := range routes {
		rs := RouteStats{Duration: make(map[string]Histogram, outcomes)}
		for o := range outcomes {
			if d := r.took[o].Load(); d != nil {
				rs.Duration[o.String()] = d.Read()
			}
		}
		for stripe := range r.bytes.Each() {
			rs.BodyBytes += stripe.n.Load()
		}
		s.Routes[name] = rs
	}
	return s
}
