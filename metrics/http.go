package metrics

import (
	"fmt"
	"maps"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hotpath-go/hotpath/internal/stat"
)

// Config of an [HTTP]. The zero value is ready to use.
type Config struct {
	// Route names the route of a request that has just been served, in words of the code or its
	// configuration, never of the client. nil: r.Pattern, which http.ServeMux and echo 5 set;
	// examples/frameworks shows how others are made to. "" counts as "other". A request whose Route
	// panics counts as "other" and "aborted", and the panic goes on.
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
		cfg.Route = pattern
	}
	h := &HTTP{route: cfg.Route, max: cfg.MaxRoutes, started: time.Now()}
	h.routes.Store(&map[string]*route{other: newRoute()})
	return h, nil
}

// pattern is r.Pattern, where that is one. Where ServeMux sends a client from /tree to /tree/ it may be
// the path that the client asked for and a slash: of every request before Go 1.26, and of CONNECT ever
// since. Whoever asks for /1, /2, ... of a "/{id}/" would make routes as he likes.
func pattern(r *http.Request) string {
	p, slash := strings.CutSuffix(r.Pattern, "/")
	if !slash || p == "" || p[0] != '/' { // one with a method or a host cannot be taken for a path
		return r.Pattern
	}
	asked := r.URL.Path
	if !strings.HasPrefix(asked, "/") {
		asked = "/" + asked
	}
	if strings.HasSuffix(asked, "/") { // of /tree%2F there are two
		p, slash = strings.CutSuffix(p, "/")
	}
	if slash && p == path.Clean(asked) {
		return other
	}
	return r.Pattern
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
	if len(name) > maxLabelValue { // it would be cut at each scrape, and kept whole until then
		name = clean(name)
	}
	if r := h.found(name); r != nil {
		return r
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.found(name); r != nil { // somebody else was faster
		return r
	}
	more := maps.Clone(*h.routes.Load())
	r := newRoute()
	more[strings.Clone(name)] = r // it may be a piece of something large
	h.routes.Store(&more)
	return r
}

// found returns what counts as the route of a name, nil if that is to be made.
func (h *HTTP) found(name string) *route {
	routes := *h.routes.Load()
	if r := routes[name]; r != nil || len(routes) <= h.max { // other is one of them
		return r
	}
	return routes[other]
}

// Stats are the golden signals of a service.
type Stats struct {
	InFlight int64                 `metric:"hotpath_http_requests_in_flight" help:"Requests being served."`
	Routes   map[string]RouteStats `label:"route"`
}

// RouteStats are those of a route, or of all "other" requests.
type RouteStats struct {
	// Duration is the time from entry to return, slow clients included, by outcome: "1xx" (101, or
	// hijacked), "2xx" to "5xx" (600 and above too, which RFC 9110 section 15 has clients treat so),
	// "stream" (a 2xx of text/event-stream: the time to its first byte or flush) and "aborted" (a panic,
	// http.ErrAbortHandler, runtime.Goexit). Its count is the number of requests.
	Duration map[string]Histogram `metric:"hotpath_http_request_duration_seconds" label:"code" help:"Time in the handler, by outcome; of event streams to the first byte."`

	// BodyBytes leaves out what handlers write in answer to HEAD, which net/http drops.
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
