package throttle

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/hotpath-go/hotpath/internal/problem"
)

// The types and titles that draft-ietf-httpapi-ratelimit-headers registers.
const (
	typeQuota    = "https://iana.org/assignments/http-problem-types#quota-exceeded"
	titleQuota   = "Request cannot be satisfied as assigned quota has been exceeded"
	typeReduced  = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
	titleReduced = "Request cannot be satisfied due to temporary server capacity constraints"

	// maxDrain is what net/http may read of a body that nobody wanted, to keep a connection.
	maxDrain = 64 << 10
)

// A refusal is a request that is not served.
type refusal struct {
	s       *state
	plan    *plan
	rule    ruling
	fields  bool     // false: the writer of the charge around it adds them
	charges []charge // the enforced ones, of the door: who answers later keeps a copy
}

// ServeHTTP answers with status, fields and problem details (RFC 9457).
func (f *refusal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	var p problem.Problem
	switch f.rule {
	case down:
		p = problem.Problem{Type: typeReduced, Title: titleReduced, Status: http.StatusServiceUnavailable, RetryAfter: downFor}
	case over, full:
		c := slowest(f.charges)
		p = c.p.refused
		if f.rule == full {
			p = problem.Problem{Type: typeReduced, Title: titleReduced, Status: http.StatusServiceUnavailable}
		} else if countViolated(f.charges) > 1 {
			p = quotaExceeded(violated(f.charges))
		}
		p.RetryAfter = c.retryAfter()
		f.writeFields(h, c)
	case unkeyed:
		p = problem.Problem{Status: http.StatusForbidden, Detail: "It cannot be told who sends this request."}
	default:
		p = problem.Problem{Status: http.StatusInternalServerError, Detail: "The cost of this request cannot be told."}
	}
	if r.ProtoMajor == 1 && (r.ContentLength < 0 || r.ContentLength > maxDrain) {
		// Else net/http reads what is left of the body, to use the connection again.
		h["Connection"] = []string{"close"}
	}
	if f.s.cfg.OnDenied == nil {
		problem.Write(w, r, p)
		return
	}
	h["Cache-Control"] = []string{"no-store"}
	if delete(h, "Retry-After"); p.RetryAfter > 0 {
		h["Retry-After"] = []string{strconv.FormatInt(seconds(p.RetryAfter), 10)}
	}
	var d Decision
	d.put(f.rule, f.charges)
	if f.rule == over {
		d.Violated = violated(f.charges)
	}
	f.s.cfg.OnDenied(w, r, d)
}

func (f *refusal) writeFields(h http.Header, c *charge) {
	if !f.fields || f.s.headers == off {
		return
	}
	var levels [maxApplicable]level
	cs := f.charges
	n := 0
	for i := range cs {
		if c := &cs[i]; c.known() {
			levels[n] = level{c.p, c.ahead}
			n++
		}
	}
	f.s.headers.write(h, &report{f.plan, levels[:n], c.p, c.retryAfter()}, new(room))
}

func countViolated(cs []charge) (n int) {
	for i := range cs {
		if cs[i].violated() {
			n++
		}
	}
	return n
}

// violated names the violated policies, the one to wait longest for first.
func violated(cs []charge) []string {
	order := slices.DeleteFunc(slices.Clone(cs), func(c charge) bool { return !c.violated() }) // a copy, or cs would move to the heap
	slices.SortFunc(order, func(a, b charge) int {
		switch x, y := a.retryAfter(), b.retryAfter(); {
		case x == y && a.outlasts(&b, a.ahead, b.ahead), x != y && (x < 0 || y >= 0 && x > y):
			return -1
		}
		return 1
	})
	names := make([]string, len(order))
	for i := range order {
		names[i] = order[i].p.Name
	}
	return names
}

func quotaExceeded(names []string) problem.Problem {
	return problem.Problem{
		Type: typeQuota, Title: titleQuota, Status: http.StatusTooManyRequests,
		More: []problem.Member{{Name: "violated-policies", Value: names}},
	}
}
