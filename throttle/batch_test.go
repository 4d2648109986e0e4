package throttle_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/internal/rw"
	"github.com/hotpath-go/hotpath/throttle"
)

// sink is the innermost writer of a part: what a batch endpoint has to bring.
type sink struct {
	header http.Header
	status int
	body   strings.Builder
	outer  http.ResponseWriter
	part   *http.Request
}

func (s *sink) Header() http.Header                                { return s.header }
func (s *sink) WriteHeader(status int)                             { s.status = status }
func (s *sink) Write(p []byte) (int, error)                        { return s.body.Write(p) }
func (s *sink) Envelope() (w http.ResponseWriter, r *http.Request) { return s.outer, s.part }

// batch answers "/batch?parts=a,b" by asking next for each path, all at once, and writes their
// statuses. A path may bring fields: "a|X-User=7".
func batch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/batch" {
			next.ServeHTTP(w, r)
			return
		}
		paths := strings.Split(r.URL.Query().Get("parts"), ",")
		answers := make([]string, len(paths))
		var wg sync.WaitGroup
		for i, path := range paths {
			ctx := context.WithValue(r.Context(), rw.OuterKey{}, r)
			part, _ := http.NewRequestWithContext(ctx, "GET", "/", nil)
			fields := strings.Split(path, "|")
			part.URL.Path, part.RemoteAddr = "/"+fields[0], r.RemoteAddr
			for _, f := range fields[1:] {
				name, value, _ := strings.Cut(f, "=")
				part.Header.Set(name, value)
			}
			run := func() {
				s := &sink{header: http.Header{}, status: 200, outer: w, part: part}
				if refusal := rw.Charge(w, part); refusal != nil {
					refusal.ServeHTTP(s, part)
				} else {
					own := new(struct{ rw.Writer })
					own.Wrap(s, nil)
					own.Serve(own, next, part)
				}
				answers[i] = fmt.Sprint(s.status)
				if strings.HasPrefix(fields[0], "echo") {
					answers[i] += s.header.Get("Ratelimit") + s.body.String()
				}
			}
			if r.URL.Query().Has("together") {
				wg.Go(run)
			} else {
				run()
			}
		}
		wg.Wait()
		fmt.Fprint(w, strings.Join(answers, " "))
	})
}

func envelope(parts string, fields ...string) *http.Request {
	r := request(fields...)
	r.URL.Path, r.URL.RawQuery = "/batch", "parts="+parts
	return r
}

var client = throttle.KeyAddr(addr("192.0.2.1"), 0)

func left(t *testing.T, l *throttle.Limiter, key throttle.Key) int64 {
	t.Helper()
	return l.Peek(t.Context(), key, 0).Remaining
}

// C1: Charge asks for more, all or nothing; Settle sets the total, as often as one likes.
func TestC1_ChargeAndSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustNew(t, throttle.Config{Policies: []throttle.Policy{
			{Name: "requests", Rate: throttle.Per(10, time.Hour)},
			{Name: "cpu", Rate: throttle.Per(100, time.Hour), Cost: func(*http.Request) int64 { return 5 }},
		}})
		var kept http.ResponseWriter
		h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			kept = w
			if !l.Charge(w, r, "requests", 3) {
				t.Error("3 more of 9")
			}
			if left(t, l, client) != 6 {
				t.Errorf("%d left, want 6", left(t, l, client))
			}
			if l.Charge(w, r, "requests", 7) {
				t.Error("7 more of 6")
				return
			}
		}))
		w := serve(h, request())
		if w.Code != 429 || !strings.Contains(w.Body.String(), `"violated-policies":["requests"]`) || w.Header().Get("Retry-After") != "360" || len(w.Header()["Ratelimit"]) != 1 {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
		if left(t, l, client) != 6 {
			t.Errorf("what was paid before is kept: %d left, want 6", left(t, l, client))
		}
		// Also after the handler returned: work may outlive it.
		for _, step := range []struct{ cost, left int64 }{{10, 0}, {2, 8}, {0, 10}, {4, 6}, {4, 6}} {
			if err := l.Settle(kept, "requests", step.cost); err != nil || left(t, l, client) != step.left {
				t.Errorf("settled %d: %v, %d left, want %d", step.cost, err, left(t, l, client), step.left)
			}
		}
		// Down to -Burst, and the rest is uncollected; what was not taken is not given back.
		for range 2 {
			_ = l.Settle(kept, "requests", 1000)
		}
		if d := l.Peek(t.Context(), client, 1); d.Allowed || d.RetryAfter != 11*6*time.Minute {
			t.Errorf("settled 1000: %+v", d)
		}
		if got := l.Stats().Uncollected["requests"]; got != 980 {
			t.Errorf("%d uncollected, want 980", got)
		}
		_ = l.Settle(kept, "requests", 1)
		if left(t, l, client) != 9 {
			t.Errorf("settled 1 in the end: %d left, want 9", left(t, l, client))
		}
		// "": every policy that charged.
		if err := l.Settle(kept, "", 0); err != nil || l.Peek(t.Context(), client, 0).ResetAfter != 0 {
			t.Errorf("settled all: %v, %+v", err, l.Peek(t.Context(), client, 0))
		}
		if l.Settle(kept, "", -1) == nil || l.Settle(kept, "nobody", 1) == nil {
			t.Error("a negative cost, an unknown policy: no error")
		}
	})
}

// C1: on a panic what was settled stands; without Settle the estimate does.
func TestC1_Panic(t *testing.T) {
	l := mustNew(t, throttle.Config{Rate: throttle.Per(10, time.Hour), Cost: func(*http.Request) int64 { return 4 }})
	for _, settles := range []bool{false, true} {
		func() {
			defer func() { _ = recover() }()
			serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if settles {
					_ = l.Settle(w, "", 1)
				}
				panic(http.ErrAbortHandler)
			})), request())
		}()
	}
	if got := left(t, l, client); got != 5 {
		t.Errorf("%d left, want 10 - 4 - 1", got)
	}
}

// C2: who was not charged is free of both; mistakes are told.
func TestC2_NotCharged(t *testing.T) {
	l := mustNew(t, throttle.Config{Rate: throttle.Per(10, time.Hour), Exempt: func(r *http.Request) bool { return r.URL.Path == "/free" }})
	other := mustNew(t, throttle.Config{Rate: throttle.Per(10, time.Hour)})
	try := func(w http.ResponseWriter, r *http.Request) {
		if !l.Charge(w, r, "", 100) || !l.Charge(w, r, "default", 100) || l.Settle(w, "", 100) != nil {
			t.Error("a request that was not charged is asked to pay")
		}
	}
	serve(http.HandlerFunc(try), request())
	serve(other.Handler(http.HandlerFunc(try)), request())
	r := request()
	r.URL.Path = "/free"
	serve(l.Handler(http.HandlerFunc(try)), r)
	if left(t, l, client) != 10 || left(t, other, client) != 9 {
		t.Errorf("%d and %d left, want 10 and 9", left(t, l, client), left(t, other, client))
	}
	for _, n := range []int64{-1, 1} {
		w := serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if l.Charge(w, r, map[bool]string{true: "nobody", false: ""}[n > 0], n) {
				t.Error("charged")
			}
		})), request())
		if w.Code != 500 {
			t.Errorf("n %d: %d, want 500", n, w.Code)
		}
	}
	// Found through wrappers of others.
	w := serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if w = (struct{ foreign }{foreign{w}}); l.Charge(w, r, "", 100) {
			t.Error("not found behind a wrapper")
		}
	})), request())
	if w.Code != 429 {
		t.Errorf("behind a wrapper: %d", w.Code)
	}
}

type foreign struct{ http.ResponseWriter }

func (f foreign) Unwrap() http.ResponseWriter { return f.ResponseWriter }

// C2: Settle and Charge may come from other goroutines while the response is delivered.
func TestC2_FromElsewhere(t *testing.T) {
	l := mustNew(t, throttle.Config{Rate: throttle.Per(1_000_000, time.Hour)})
	var wg sync.WaitGroup
	serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := range 4 {
			wg.Go(func() {
				for n := range int64(500) {
					_ = l.Settle(w, "", n+int64(i))
					l.Charge(w, r, "default", 1)
				}
			})
		}
		for range 100 {
			fmt.Fprint(w, "x")
			w.Header().Set("X-Late", "1")
		}
	})), request())
	wg.Wait()
}

// C3: inside a batch a part is an ordinary request, and nothing else is paid.
func TestC3_BatchOutside(t *testing.T) {
	l := mustNew(t, throttle.Config{Rate: throttle.Per(3, time.Hour)})
	h := batch(l.Handler(nothing))
	if w := serve(h, envelope("a,b,c,d")); w.Body.String() != "200 200 200 429" || w.Header().Get("RateLimit") != "" {
		t.Errorf("%s, %v", w.Body, w.Header())
	}
}

// C4: around a batch the parts pay as if they had come alone; the envelope's token is the first's.
func TestC4_BatchInside(t *testing.T) {
	for name, stack := range map[string]func(*throttle.Limiter, http.Handler) http.Handler{
		"throttle > batch": func(l *throttle.Limiter, h http.Handler) http.Handler { return l.Handler(batch(h)) },
		"batch > throttle": func(l *throttle.Limiter, h http.Handler) http.Handler { return batch(l.Handler(h)) },
	} {
		l := mustNew(t, throttle.Config{Rate: throttle.Per(5, time.Hour)})
		h := stack(l, nothing)
		if w := serve(h, envelope("a,b,c")); w.Body.String() != "200 200 200" || left(t, l, client) != 2 {
			t.Errorf("%s: %s, %d left, want 2", name, w.Body, left(t, l, client))
		}
		if w := serve(h, envelope("a,b,c")); w.Body.String() != "200 200 429" {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
	// Costs, and an envelope that pays ahead for several.
	cost := func(r *http.Request) int64 {
		return map[string]int64{"/batch": 4, "/a": 1, "/b": 2, "/c": 3, "/free": 0, "/bad": -1}[r.URL.Path]
	}
	l := mustNew(t, throttle.Config{Rate: throttle.Per(10, time.Hour), Cost: cost})
	if w := serve(l.Handler(batch(nothing)), envelope("a,b,free,bad,c")); w.Body.String() != "200 200 200 500 200" || left(t, l, client) != 4 {
		t.Errorf("costs: %s, %d left, want 10 - 6", w.Body, left(t, l, client))
	}
	// A part that is refused leaves the credit to the next one.
	dear := mustNew(t, throttle.Config{Rate: throttle.Per(4, time.Hour), Cost: func(r *http.Request) int64 {
		return map[string]int64{"/batch": 3, "/a": 3, "/b": 4}[r.URL.Path]
	}})
	_ = dear.Take(t.Context(), client, 1)
	if w := serve(dear.Handler(batch(nothing)), envelope("b,a,a")); w.Body.String() != "429 200 429" || left(t, dear, client) != 0 {
		t.Errorf("credit after a refusal: %s, %d left", w.Body, left(t, dear, client))
	}
	// Other keys: the credit is the envelope's own.
	users := mustNew(t, throttle.Config{Rate: throttle.Per(2, time.Hour), Key: throttle.KeyHeader("X-User")})
	if w := serve(users.Handler(batch(nothing)), envelope("a|X-User=u,a|X-User=u,a|X-User=u,a|X-User=me,a|X-User=me,a|X-User=me,a", "X-User: me")); w.Body.String() != "200 200 429 200 200 429 403" {
		t.Errorf("keys: %s", w.Body)
	}
	// Exempt: the envelope, or a part.
	free := mustNew(t, throttle.Config{Rate: throttle.Per(2, time.Hour), Exempt: func(r *http.Request) bool { return r.URL.Path == "/batch" || r.URL.Path == "/free" }})
	if w := serve(free.Handler(batch(nothing)), envelope("a,free,b,free,c")); w.Body.String() != "200 200 200 200 429" {
		t.Errorf("exempt: %s", w.Body)
	}
	// The same OnDenied, and a part's own fields.
	own := mustNew(t, throttle.Config{Rate: throttle.Per(1, time.Hour), OnDenied: func(w http.ResponseWriter, r *http.Request, d throttle.Decision) {
		w.WriteHeader(499)
		fmt.Fprint(w, r.URL.Path, d.Violated)
	}})
	if w := serve(own.Handler(batch(nothing)), envelope("a,echo")); w.Body.String() != `200 499"default";r=0;t=3600/echo[default]` {
		t.Errorf("OnDenied: %s", w.Body)
	}
}

// C4: two throttles around a batch decide together, and a refusal gives back the other's.
func TestC4_Stacked(t *testing.T) {
	for _, order := range [][2]int64{{10, 3}, {3, 10}} {
		outer := mustNew(t, throttle.Config{Rate: throttle.Per(order[0], time.Hour)})
		inner := mustNew(t, throttle.Config{Rate: throttle.Per(order[1], time.Hour)})
		w := serve(outer.Handler(inner.Handler(batch(nothing))), envelope("a,b,c,d,e"))
		if w.Body.String() != "200 200 200 429 429" || left(t, outer, client) != order[0]-3 || left(t, inner, client) != order[1]-3 {
			t.Errorf("%v: %s, %d and %d left", order, w.Body, left(t, outer, client), left(t, inner, client))
		}
	}
	// The first part costs one of them too much: what the other has lent to it from the envelope's
	// token comes back, and pays for the next.
	big := func(r *http.Request) int64 { return map[bool]int64{true: 11, false: 1}[r.URL.Path == "/big"] }
	for _, cost := range [][2]func(*http.Request) int64{{nil, big}, {big, nil}} {
		outer := mustNew(t, throttle.Config{Rate: throttle.Per(10, time.Hour), Cost: cost[0]})
		inner := mustNew(t, throttle.Config{Rate: throttle.Per(10, time.Hour), Cost: cost[1]})
		w := serve(outer.Handler(inner.Handler(batch(nothing))), envelope("big,a,b"))
		if w.Body.String() != "429 200 200" || left(t, outer, client) != 8 || left(t, inner, client) != 8 {
			t.Errorf("%s, %d and %d left, want 8 and 8", w.Body, left(t, outer, client), left(t, inner, client))
		}
	}
}

// C4: parts that ask at the same time get no token too many.
func TestC4_Together(t *testing.T) {
	for range 50 {
		l := mustNew(t, throttle.Config{Rate: throttle.Per(20, time.Hour), Capacity: 64})
		r := envelope(strings.Repeat("a,", 40) + "a")
		r.URL.RawQuery += "&together"
		w := serve(l.Handler(batch(nothing)), r)
		if got := strings.Count(w.Body.String(), "200"); got != 20 {
			t.Fatalf("%d of 41 parts passed, want 20", got)
		}
	}
}

// C5: what a part charges and settles is its own share, and a part is not believed.
func TestC5_Parts(t *testing.T) {
	var l *throttle.Limiter
	var settled atomic.Int64
	part := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/settle":
			_ = l.Settle(w, "", 3)
			settled.Add(1)
		case "/charge":
			if !l.Charge(w, r, "", 2) {
				return
			}
		case "/back":
			_ = l.Settle(w, "", 0)
		}
	})
	l = mustNew(t, throttle.Config{Rate: throttle.Per(12, time.Hour)})
	for name, h := range map[string]http.Handler{"inside": l.Handler(batch(part)), "outside": batch(l.Handler(part))} {
		w := serve(h, envelope("settle,charge,back,a"))
		if w.Body.String() != "200 200 200 200" || left(t, l, client) != 12-3-3-0-1 {
			t.Errorf("%s: %s, %d left, want 5", name, w.Body, left(t, l, client))
		}
		w = serve(h, envelope("settle,charge"))
		if w.Body.String() != "200 429" || left(t, l, client) != 1 {
			t.Errorf("%s: %s, %d left, want 1", name, w.Body, left(t, l, client))
		}
		l.Refund(t.Context(), client, 100)
	}

	proxied := func() *throttle.Limiter {
		return mustNew(t, throttle.Config{Rate: throttle.Per(3, time.Hour), TrustedProxies: prefixes("192.0.2.0/24")})
	}
	for name, h := range map[string]http.Handler{"inside": proxied().Handler(batch(nothing)), "outside": batch(proxied().Handler(nothing))} {
		parts := "a"
		for i := range 5 {
			parts += fmt.Sprintf(",a|X-Forwarded-For=9.9.9.%d", i)
		}
		if w := serve(h, envelope(parts, "X-Forwarded-For: 1.2.3.4")); w.Body.String() != "200 200 200 429 429 429" {
			t.Errorf("%s: forged parts: %s", name, w.Body)
		}
	}
}

// C6: other formats charge for their calls by hand.
func TestC6_ByHand(t *testing.T) {
	l := mustNew(t, throttle.Config{Rate: throttle.Per(5, time.Hour)})
	h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls := strings.Split(r.URL.RawQuery, ",")
		if !l.Charge(w, r, "", int64(len(calls)-1)) {
			return
		}
		fmt.Fprint(w, len(calls))
	}))
	got := []int{}
	for _, q := range []string{"a,b,c", "a,b,c", "a"} {
		r := request()
		r.URL.RawQuery = q
		got = append(got, serve(h, r).Code)
	}
	if !slices.Equal(got, []int{200, 429, 200}) {
		t.Errorf("%v", got)
	}
}
