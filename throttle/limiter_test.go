package throttle_test

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

// B1: a new key is full, nothing is free, more than Burst is never, negative is a mistake.
func TestB1_Edges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustNew(t, throttle.Config{Rate: throttle.Per(10, time.Second)})
		key := throttle.KeyOf("k")
		if d := l.Peek(t.Context(), key, 10); !d.Allowed || d.Remaining != 0 || d.Limit != 10 {
			t.Errorf("a new key: %+v", d)
		}
		if d := l.Take(t.Context(), key, 10); !d.Allowed || d.Remaining != 0 || d.ResetAfter != time.Second {
			t.Errorf("all of it: %+v", d)
		}
		if d := l.Take(t.Context(), key, 0); !d.Allowed || d.Remaining != 0 {
			t.Errorf("nothing, of an empty bucket: %+v", d)
		}
		if d := l.Take(t.Context(), key, 1); d.Allowed || d.Status != 429 || d.RetryAfter != time.Second/10 || d.Policy != "default" {
			t.Errorf("one more: %+v", d)
		}
		for _, n := range []int64{11, math.MaxInt64} {
			if d := l.Take(t.Context(), throttle.KeyOf("other"), n); d.Allowed || d.Status != 429 || d.RetryAfter >= 0 {
				t.Errorf("%d of 10: %+v", n, d)
			}
		}
		if d := l.Take(t.Context(), key, -1); d.Allowed || d.Status != 500 {
			t.Errorf("-1: %+v", d)
		}
		l.Refund(t.Context(), key, -5)
		if d := l.Peek(t.Context(), key, 0); d.Remaining != 0 {
			t.Errorf("a refund of -5 left %+v", d)
		}
		l.Refund(t.Context(), key, math.MaxInt64)
		if d := l.Peek(t.Context(), key, 0); d.Remaining != 10 || d.ResetAfter != 0 {
			t.Errorf("refunds go beyond Burst: %+v", d)
		}
		if got := l.Stats().Requests["invalid"]; got != 2 {
			t.Errorf("%d invalid calls, want 2", got)
		}
	})
}

// B3: hammering postpones nothing.
func TestB3_RefusalsChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustNew(t, throttle.Config{Rate: throttle.Per(1, time.Minute)})
		key := throttle.KeyOf("k")
		l.Take(t.Context(), key, 1)
		for range 59 {
			time.Sleep(time.Second)
			if l.Take(t.Context(), key, 1).Allowed {
				t.Fatal("admitted early")
			}
		}
		if time.Sleep(time.Second - 1); l.Take(t.Context(), key, 1).Allowed {
			t.Fatal("admitted 1 ns early")
		}
		if time.Sleep(time.Nanosecond); !l.Take(t.Context(), key, 1).Allowed {
			t.Fatal("refused when due")
		}
	})
}

// B5: several policies are one decision, whatever their order.
func TestB5_AllOrNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policies := []throttle.Policy{
			{Name: "burst", Rate: throttle.Per(10, time.Second), Burst: 3},
			{Name: "hour", Rate: throttle.Per(5, time.Hour)},
			{Name: "day", Rate: throttle.Per(8, 24*time.Hour)},
		}
		reversed := slices.Clone(policies)
		slices.Reverse(reversed)
		a, b := mustNew(t, throttle.Config{Policies: policies}), mustNew(t, throttle.Config{Policies: reversed})
		key := throttle.KeyOf("k")
		take := func(n int64) throttle.Decision {
			t.Helper()
			x, y := a.Take(t.Context(), key, n), b.Take(t.Context(), key, n)
			if fmt.Sprint(x) != fmt.Sprint(y) {
				t.Errorf("the order of policies matters: %+v, %+v", x, y)
			}
			return x
		}
		if d := take(3); !d.Allowed || d.Policy != "burst" || d.Remaining != 0 {
			t.Errorf("3: %+v", d)
		}
		if d := take(1); d.Allowed || d.Policy != "burst" || d.RetryAfter != time.Second/10 {
			t.Errorf("too fast: %+v", d)
		}
		time.Sleep(time.Second)
		if d := take(3); d.Allowed || d.Policy != "hour" || d.Remaining != 2 || d.RetryAfter != 12*time.Minute-time.Second {
			t.Errorf("too many in an hour: %+v", d)
		}
		// What was refused has cost nothing: the two are still there, in each of them.
		if d := take(2); !d.Allowed || d.Policy != "hour" || d.Remaining != 0 {
			t.Errorf("the last 2 of the hour: %+v", d)
		}
		if d := a.Peek(t.Context(), key, 4); d.Allowed || d.RetryAfter >= 0 || d.Policy != "burst" {
			t.Errorf("more than a burst: %+v", d)
		}
		a.Refund(t.Context(), key, 5)
		if d := a.Take(t.Context(), key, 3); !d.Allowed {
			t.Errorf("after a refund: %+v", d)
		}
		if s := a.Stats(); s.Denied["burst"] != 1 || s.Denied["hour"] != 1 || s.Denied["day"] != 0 || s.Requests["denied"] != 2 || s.Requests["allowed"] != 3 {
			t.Errorf("counted %v, %v", s.Denied, s.Requests)
		}
	})
}

// B6: a shadow counts and does nothing else.
func TestB6_Shadow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustNew(t, throttle.Config{
			Policies: []throttle.Policy{
				{Name: "dry", Rate: throttle.Per(2, time.Hour), Shadow: true, Key: throttle.KeyHeader("X-User")},
				{Name: "real", Rate: throttle.Per(4, time.Hour)},
			},
		})
		h := l.Handler(nothing)
		for i := range 6 {
			w := serve(h, request("X-User: a"))
			if want := map[bool]int{true: 200, false: 429}[i < 4]; w.Code != want {
				t.Errorf("request %d: %d, want %d", i, w.Code, want)
			}
			if text := fmt.Sprint(w.Header(), w.Body); strings.Contains(text, "dry") {
				t.Errorf("request %d: the shadow shows: %s", i, text)
			}
		}
		// It saw the four that were admitted, and had room for two.
		if s := l.Stats(); s.ShadowDenied["dry"] != 2 || s.Denied["dry"] != 0 {
			t.Errorf("counted %v, %v", s.ShadowDenied, s.Denied)
		}
		time.Sleep(time.Hour)
		if w := serve(h, request()); w.Code != 200 {
			t.Errorf("a shadow without a key: %d", w.Code)
		}
		if s := l.Stats(); s.ShadowDenied["dry"] != 3 {
			t.Errorf("counted %v", s.ShadowDenied)
		}
		time.Sleep(time.Hour)
		for range 4 {
			if d := l.Take(t.Context(), throttle.KeyOf("x"), 1); !d.Allowed || d.Policy != "real" {
				t.Errorf("%+v", d)
			}
		}
	})
}

// B7: a tier's policies come on top, and whom no policy applies to is refused.
func TestB7_Tiers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tier := func(r *http.Request) string { return r.Header.Get("X-Tier") }
		l := mustNew(t, throttle.Config{Tier: tier, Policies: []throttle.Policy{
			{Name: "free", Tier: "free", Rate: throttle.Per(2, time.Hour)},
			{Name: "pro", Tier: "pro", Rate: throttle.Per(4, time.Hour)},
		}})
		h := l.Handler(nothing)
		for tier, want := range map[string][]int{
			"free": {200, 200, 429}, "pro": {200, 200, 200, 200, 429}, "fre": {403}, "": {403},
		} {
			if got := codes(h, len(want), "X-Tier: "+tier); !slices.Equal(got, want) {
				t.Errorf("tier %q: %v, want %v", tier, got, want)
			}
		}
		if d := l.Take(t.Context(), throttle.KeyOf("x"), 1); d.Allowed || d.Status != 403 {
			t.Errorf("without For: %+v", d)
		}
		if d := l.For("pro").Take(t.Context(), throttle.KeyOf("x"), 4); !d.Allowed || d.Policy != "pro" {
			t.Errorf("For: %+v", d)
		}
		if err := l.For("pro").Wait(t.Context(), throttle.KeyOf("x"), 5); err == nil {
			t.Error("For: Wait for more than a burst")
		}

		both := mustNew(t, throttle.Config{Tier: tier, Policies: []throttle.Policy{
			{Name: "all", Rate: throttle.Per(3, time.Hour)},
			{Name: "free", Tier: "free", Rate: throttle.Per(2, time.Hour)},
		}})
		if got := codes(both.Handler(nothing), 4, "X-Tier: free"); !slices.Equal(got, []int{200, 200, 429, 429}) {
			t.Errorf("free: %v", got)
		}
		if got := codes(both.Handler(nothing), 2, "X-Tier: unknown"); !slices.Equal(got, []int{200, 429}) {
			t.Errorf("a tier without policies of its own: %v", got)
		}
	})
}

// K1: parts are told apart, and limiters hash differently.
func TestK1_Keys(t *testing.T) {
	different := []throttle.Key{
		throttle.KeyOf("ab", "c"), throttle.KeyOf("a", "bc"), throttle.KeyOf("abc"), throttle.KeyOf("abc", ""),
		throttle.KeyOf("", "abc"), throttle.KeyOf("2:ab1:c"), throttle.KeyOf("1.2.3.4"), throttle.KeyAddr(addr("1.2.3.4"), 32),
		throttle.KeyAddr(addr("1.2.3.4"), 24), throttle.KeyAddr(addr("1.2.3.4"), 23), throttle.KeyAddr(addr("2001:db8::1"), 64),
		throttle.KeyAddr(addr("2001:db8::1"), 128),
		{},
	}
	l := mustNew(t, throttle.Config{Rate: throttle.Per(1, time.Hour)})
	hashes := map[[16]byte]int{}
	for i, k := range different {
		for j, other := range different {
			if (k == other) != (i == j) {
				t.Errorf("keys %d and %d: equal is %t", i, j, k == other)
			}
		}
		if d := l.Take(t.Context(), k, 1); d.Allowed == (k == throttle.Key{}) {
			t.Errorf("key %d shares a bucket: %+v", i, d)
		}
		for _, secret := range [][]byte{nil, []byte("s")} {
			h := k.Hash(secret)
			if _, there := hashes[h]; there || k.Hash(secret) != h {
				t.Errorf("key %d: Hash under %q is not its own", i, secret)
			}
			hashes[h] = i
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if s := fmt.Sprintf(verb, k); strings.Contains(s, "abc") || strings.Contains(s, "1.2.3") || strings.Contains(s, "616263") {
				t.Errorf("%s shows the client: %s", verb, s)
			}
		}
	}
	for _, k := range []throttle.Key{throttle.KeyOf(), throttle.KeyOf(""), throttle.KeyOf("", ""), throttle.KeyAddr(addr("::1").Prev().Prev(), 0)} {
		if k != (throttle.Key{}) {
			t.Errorf("%v is not the zero Key", k)
		}
	}
}

func FuzzKeyOf(f *testing.F) {
	f.Add("a", "b", "ab", "")
	f.Add("1:", "a", "1", ":a")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		if (throttle.KeyOf(a, b) == throttle.KeyOf(c, d)) != (a == c && b == d || a+b+c+d == "") {
			t.Errorf("%q %q and %q %q", a, b, c, d)
		}
		if a+b != "" && throttle.KeyOf(a, b) == throttle.KeyOf(c) {
			t.Errorf("%q %q and %q", a, b, c)
		}
	})
}

// K2: without a key nobody passes, and nobody shares a bucket for want of one.
func TestK2_NoKey(t *testing.T) {
	h := mustNew(t, throttle.Config{Key: throttle.KeyHeader("x-user")}).Handler(nothing)
	for name, fields := range map[string][]string{"none": nil, "empty": {"X-User: "}, "two": {"X-User: a", "X-User: b"}} {
		if w := serve(h, request(fields...)); w.Code != 403 || !strings.Contains(w.Body.String(), `"status":403`) || w.Header().Get("RateLimit") != "" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := serve(h, request("X-User: a")); w.Code != 200 {
		t.Errorf("a key: %d", w.Code)
	}
	failing := mustNew(t, throttle.Config{Key: func(*http.Request) (throttle.Key, error) { return throttle.KeyOf("secret-7"), errors.New("secret-8") }})
	if w := serve(failing.Handler(nothing), request()); w.Code != 403 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("an error: %d %s", w.Code, w.Body)
	}
	l := mustNew(t, throttle.Config{})
	if d := l.Take(t.Context(), throttle.Key{}, 1); d.Allowed || d.Status != 403 {
		t.Errorf("Take of the zero Key: %+v", d)
	}
	if err := l.Wait(t.Context(), throttle.Key{}, 1); err == nil {
		t.Error("Wait for the zero Key")
	}
	l.Refund(t.Context(), throttle.Key{}, 1)
	if s := l.Stats(); s.Requests["unkeyed"] != 2 {
		t.Errorf("counted %v", s.Requests)
	}
	// The zero Key of a key function is the client's address.
	zero := mustNew(t, throttle.Config{Rate: throttle.Per(1, time.Hour), Key: func(*http.Request) (throttle.Key, error) { return throttle.Key{}, nil }})
	if got := codes(zero.Handler(nothing), 2); !slices.Equal(got, []int{200, 429}) {
		t.Errorf("the zero Key: %v", got)
	}
}

// K3: nothing that the client chooses is in the default key, and policies share no bucket.
func TestK3_DefaultKey(t *testing.T) {
	h := mustNew(t, throttle.Config{Rate: throttle.Per(1, time.Hour)}).Handler(nothing)
	admitted := 0
	for i := range 1000 {
		r := request("X-Forwarded-For: 1.2.3.4", "Forwarded: for=1.2.3.4", fmt.Sprintf("X-Real-Ip: 10.0.0.%d", i%256))
		r.URL.Path, r.Host, r.Method = fmt.Sprint("/", i), fmt.Sprint("h", i), []string{"GET", "POST"}[i%2]
		r.RemoteAddr = fmt.Sprint("192.0.2.1:", 1000+i)
		if serve(h, r).Code == 200 {
			admitted++
		}
	}
	if admitted != 1 {
		t.Errorf("%d of 1,000 admitted, want 1", admitted)
	}
}

func TestNew_ReportsEveryProblem(t *testing.T) {
	policy := func(change func(*throttle.Policy)) throttle.Config {
		ps := []throttle.Policy{{Name: "a", Rate: throttle.Per(1, time.Second)}, {Name: "b", Rate: throttle.Per(1, time.Second)}}
		change(&ps[1])
		return throttle.Config{Policies: ps}
	}
	many := make([]throttle.Policy, 65)
	for i := range many {
		many[i] = throttle.Policy{Name: fmt.Sprint(i), Rate: throttle.Per(1, time.Second), Tier: fmt.Sprint(i / 9)}
	}
	tier := func(*http.Request) string { return "" }
	for _, tc := range []struct {
		cfg  throttle.Config
		want string
	}{
		{policy(func(p *throttle.Policy) { p.Burst = -3 }), `throttle: Policies[1].Burst is -3: must be at least 1 (0 means Rate.N)`},
		{policy(func(p *throttle.Policy) { p.Rate.N = 0 }), `throttle: Policies[1].Rate.N is 0: must be between 1 and 999999999999999`},
		{policy(func(p *throttle.Policy) { p.Rate.N = 1e15 }), `throttle: Policies[1].Rate.N is 1000000000000000: must be between`},
		{policy(func(p *throttle.Policy) { p.Rate.Per = 0 }), `throttle: Policies[1].Rate.Per is 0s: must be at least 1ns`},
		{policy(func(p *throttle.Policy) { p.Rate = throttle.Per(11, 10) }), `throttle: Policies[1].Rate is 11/10ns: must be at most one token per nanosecond`},
		{policy(func(p *throttle.Policy) { p.Rate, p.Burst = throttle.Per(1, time.Hour), 3_000_000 }), `throttle: Policies[1].Burst is 3000000 at 1/1h0m0s: a bucket must be full again within 36 years`},
		{policy(func(p *throttle.Policy) { p.Burst = 1e15 }), `throttle: Policies[1].Burst is 1000000000000000: must be at most`},
		{policy(func(p *throttle.Policy) { p.Name = "a" }), `throttle: Policies[1].Name is "a": must not be that of Policies[0]`},
		{policy(func(p *throttle.Policy) { p.Name = "" }), `throttle: Policies[1].Name is "": must be 1 to 64 printable ASCII characters`},
		{policy(func(p *throttle.Policy) { p.Name = "ä" }), `throttle: Policies[1].Name is "ä": must be`},
		{policy(func(p *throttle.Policy) { p.Name = strings.Repeat("x", 65) }), `must be 1 to 64 printable`},
		{policy(func(p *throttle.Policy) { p.IPv4Bits = 33 }), `throttle: Policies[1].IPv4Bits is 33: must be between 1 and 32`},
		{policy(func(p *throttle.Policy) { p.IPv6Bits = -1 }), `throttle: Policies[1].IPv6Bits is -1: must be between 1 and 128`},
		{policy(func(p *throttle.Policy) { p.Tier = "pro" }), `throttle: Policies[1].Tier is "pro" without Config.Tier`},
		{throttle.Config{Tier: tier}, `throttle: Tier is set: must be nil if no policy has a tier`},
		{throttle.Config{Policies: many, Tier: tier}, `throttle: Policies is 65 policies: must be at most 64`},
		{throttle.Config{Policies: many, Tier: tier}, `throttle: Policies is 9 policies for tier "0": at most 8 may apply`},
		{throttle.Config{Policies: many[:1], Tier: tier, Rate: throttle.Per(1, 1), Burst: 4}, `throttle: Rate is 1/1ns beside Policies: must be zero`},
		{throttle.Config{Policies: many[:1], Tier: tier, Burst: 4}, `throttle: Burst is 4 beside Policies: must be zero`},
		{throttle.Config{Burst: -1}, `throttle: Burst is -1: must be at least 1 (0 means Rate.N)`},
		{throttle.Config{Rate: throttle.Rate{Per: time.Second}}, `throttle: Rate.N is 0: must be`},
		{throttle.Config{ProxyHeader: "Forwarded"}, `throttle: ProxyHeader is "Forwarded" without TrustedProxies`},
		{throttle.Config{ProxyHeader: "a b", TrustUnixSocket: true}, `throttle: ProxyHeader is "a b": must be the name of a header field`},
		{throttle.Config{ProxyHeader: "host", TrustUnixSocket: true}, `throttle: ProxyHeader is "host": must be a field that proxies set`},
		{throttle.Config{TrustedProxies: prefixes("10.0.0.0/8", "")}, `throttle: TrustedProxies[1] is invalid Prefix: must be a valid prefix`},
		{throttle.Config{Headers: "IETF"}, `throttle: Headers is "IETF": must be one of ["ietf" "legacy" "off"]`},
		{throttle.Config{OnFull: "drop"}, `throttle: OnFull is "drop": must be one of ["forget" "refuse"]`},
		{throttle.Config{MaxWait: -1}, `throttle: MaxWait is -1ns: must be between 0 and 1h`},
		{throttle.Config{MaxWait: 2 * time.Hour}, `throttle: MaxWait is 2h0m0s: must be`},
		{throttle.Config{MaxWaiting: -1}, `throttle: MaxWaiting is -1: must be at least 1`},
		{throttle.Config{Capacity: 63}, `throttle: Capacity is 63: must be between 64`},
		{throttle.Config{Capacity: math.MaxInt}, `must be between 64`},
	} {
		if _, err := throttle.New(tc.cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("error %v\nwant  %s", err, tc.want)
		}
		l := mustNew(t, throttle.Config{})
		if err := l.Reconfigure(tc.cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("Reconfigure: error %v\nwant  %s", err, tc.want)
		}
		if d := l.Take(t.Context(), throttle.KeyOf("x"), 1); d.Limit != 100 {
			t.Errorf("Reconfigure changed something: %+v", d)
		}
	}
	_, err := throttle.New(throttle.Config{Headers: "x", OnFull: "y", MaxWait: -1, Capacity: 1, Burst: -1})
	if n := strings.Count(fmt.Sprint(err), "\n") + 1; n != 5 {
		t.Errorf("%d of 5 problems reported: %v", n, err)
	}
	defer func() {
		if recover() == nil {
			t.Error("Handler(nil) does not panic")
		}
	}()
	mustNew(t, throttle.Config{}).Handler(nil)
}

// The zero Config is 10 a second and bursts of 100.
func TestNew_ZeroConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustNew(t, throttle.Config{})
		d := l.Take(t.Context(), throttle.KeyOf("k"), 100)
		if !d.Allowed || d.Limit != 100 || d.ResetAfter != 10*time.Second || l.Stats().Capacity["default"] != 131_072 {
			t.Errorf("%+v, capacity %v", d, l.Stats().Capacity)
		}
		if got := l.Config(); got.Rate != (throttle.Rate{}) || got.Policies != nil {
			t.Errorf("Config is %+v, want what was given", got)
		}
	})
}
