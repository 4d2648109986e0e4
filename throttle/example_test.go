package throttle_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })

// ask sends a request from an address, with fields, and says what came back.
func ask(h http.Handler, from string, fields ...string) *httptest.ResponseRecorder {
	r := request(fields...)
	r.RemoteAddr = from + ":1234"
	return serve(h, r)
}

func ExampleNew() {
	limit, err := throttle.New(throttle.Config{Rate: throttle.Per(2, time.Hour)})
	if err != nil {
		panic(err)
	}
	h := limit.Handler(hello)
	for range 3 {
		w := ask(h, "192.0.2.1")
		fmt.Printf("%d %s retry after %q\n", w.Code, w.Header().Get("RateLimit"), w.Header().Get("Retry-After"))
	}
	fmt.Println(ask(h, "192.0.2.2").Code, "for somebody else")
	// Output:
	// 200 "default";r=1;t=1800 retry after ""
	// 200 "default";r=0;t=1800 retry after ""
	// 429 "default";r=0;t=1800 retry after "1800"
	// 200 for somebody else
}

// A burst and a sustained rate for everybody, more for those who pay.
func ExampleConfig_tiers() {
	limit, err := throttle.New(throttle.Config{
		Key:  throttle.KeyHeader("X-Tenant"), // set by our own authentication, which stands outside
		Tier: func(r *http.Request) string { return r.Header.Get("X-Plan") },
		Policies: []throttle.Policy{
			{Name: "burst", Rate: throttle.Per(50, time.Second)},
			{Name: "free", Tier: "free", Rate: throttle.Per(2, 24*time.Hour)},
			{Name: "pro", Tier: "pro", Rate: throttle.Per(5000, 24*time.Hour)},
		},
	})
	if err != nil {
		panic(err)
	}
	h := limit.Handler(hello)
	for range 3 {
		fmt.Println(ask(h, "192.0.2.1", "X-Tenant: a", "X-Plan: free").Code, ask(h, "192.0.2.1", "X-Tenant: b", "X-Plan: pro").Code)
	}
	// Output:
	// 200 200
	// 200 200
	// 429 200
}

// Behind a proxy the client stands in a header, which is believed if it comes from the proxy.
func ExampleConfig_proxy() {
	limit, err := throttle.New(throttle.Config{
		Rate:           throttle.Per(1, time.Hour),
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	if err != nil {
		panic(err)
	}
	h := limit.Handler(hello)
	fmt.Println(ask(h, "10.0.0.1", "X-Forwarded-For: 203.0.113.5").Code)
	fmt.Println(ask(h, "10.0.0.1", "X-Forwarded-For: 203.0.113.6").Code)
	fmt.Println(ask(h, "10.0.0.1", "X-Forwarded-For: 198.51.100.1, 203.0.113.6").Code, "though it put somebody else in front")
	// Output:
	// 200
	// 200
	// 429 though it put somebody else in front
}

// First look what a limit would do, then enforce it.
func ExamplePolicy_shadow() {
	policy := throttle.Policy{Name: "new", Rate: throttle.Per(1, time.Hour), Shadow: true}
	limit, err := throttle.New(throttle.Config{Policies: []throttle.Policy{policy}})
	if err != nil {
		panic(err)
	}
	h := limit.Handler(hello)
	fmt.Println(ask(h, "192.0.2.1").Code, ask(h, "192.0.2.1").Code, "would have refused", limit.Stats().ShadowDenied["new"])

	policy.Shadow = false
	if err := limit.Reconfigure(throttle.Config{Policies: []throttle.Policy{policy}}); err != nil {
		panic(err)
	}
	fmt.Println(ask(h, "192.0.2.1").Code)
	// Output:
	// 200 200 would have refused 1
	// 429
}

// A query that is known to be expensive once it is parsed costs more.
func ExampleLimiter_Charge() {
	limit, _ := throttle.New(throttle.Config{Rate: throttle.Per(10, time.Hour)})
	graphQL := limit.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		depth := int64(len(r.URL.Path)) // stands for the complexity of the query
		if !limit.Charge(w, r, "", depth) {
			return
		}
		fmt.Fprint(w, "data")
	}))
	r := request()
	r.URL.Path = "/a/b/c"
	fmt.Println(serve(graphQL, r).Code, serve(graphQL, r).Code)
	// Output: 200 429
}

// A budget of CPU time: a request is let in for an estimate and pays what it took.
func ExampleLimiter_Settle() {
	limit, _ := throttle.New(throttle.Config{
		Rate: throttle.Per(1000, time.Minute), // milliseconds
		Cost: func(*http.Request) int64 { return 50 },
	})
	h := limit.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		took := 300 * time.Millisecond // measured
		_ = limit.Settle(w, "", took.Milliseconds())
		fmt.Fprint(w, "report")
	}))
	fmt.Println(ask(h, "192.0.2.1").Header().Get("RateLimit"))
	// Output: "default";r=700;t=1
}

// Without HTTP: connections that one address may open.
func ExampleLimiter_Take() {
	limit, _ := throttle.New(throttle.Config{Rate: throttle.Per(2, time.Minute)})
	peer := netip.MustParseAddr("192.0.2.1")
	for range 3 {
		d := limit.Take(context.Background(), throttle.KeyAddr(peer, 32), 1)
		fmt.Println(d.Allowed, d.Remaining)
	}
	// Output:
	// true 1
	// true 0
	// false 0
}

// A client that keeps to the limit of somebody else.
func ExampleLimiter_Wait() {
	limit, _ := throttle.New(throttle.Config{Rate: throttle.Per(1, 20*time.Millisecond)})
	start := time.Now()
	for range 3 {
		if err := limit.Wait(context.Background(), throttle.KeyOf("api.example.com"), 1); err != nil {
			panic(err)
		}
	}
	fmt.Println(time.Since(start) >= 40*time.Millisecond)
	// Output: true
}

// Pitfall: a header that nobody has checked is no key. Each new value is a new, full bucket.
func ExampleKeyHeader_pitfall() {
	limit, _ := throttle.New(throttle.Config{Rate: throttle.Per(1, time.Hour), Key: throttle.KeyHeader("X-Api-Key")})
	h := limit.Handler(hello)
	for i := range 3 {
		fmt.Print(ask(h, "192.0.2.1", fmt.Sprint("X-Api-Key: ", i)).Code, " ")
	}
	// Output: 200 200 200
}

// Pitfall: behind a proxy, and without TrustedProxies, all clients are the proxy.
func ExampleConfig_pitfall() {
	limit, _ := throttle.New(throttle.Config{Rate: throttle.Per(1, time.Hour)})
	h := limit.Handler(hello)
	fmt.Println(ask(h, "10.0.0.1", "X-Forwarded-For: 203.0.113.5").Code, ask(h, "10.0.0.1", "X-Forwarded-For: 203.0.113.6").Code)

	_, err := throttle.New(throttle.Config{ProxyHeader: "X-Forwarded-For"})
	fmt.Println(err)
	// Output:
	// 200 429
	// throttle: ProxyHeader is "X-Forwarded-For" without TrustedProxies: it would never be believed
}

// Pitfall: what stands inside decides what is paid for. Around a cache each hit costs, which
// guards the edge; inside, only misses do, which guards the origin.
func ExampleLimiter_Handler_pitfall() {
	cached := func(next http.Handler) http.Handler { // a cache of one page
		var page *httptest.ResponseRecorder
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if page == nil {
				page = serve(next, r)
			}
			w.WriteHeader(page.Code)
			_, _ = w.Write(page.Body.Bytes())
		})
	}
	edge, _ := throttle.New(throttle.Config{Rate: throttle.Per(1, time.Hour)})
	origin, _ := throttle.New(throttle.Config{Rate: throttle.Per(1, time.Hour)})
	outside, inside := edge.Handler(cached(hello)), cached(origin.Handler(hello))
	for range 2 {
		fmt.Println(ask(outside, "192.0.2.1").Code, ask(inside, "192.0.2.1").Code)
	}
	// Output:
	// 200 200
	// 429 200
}
