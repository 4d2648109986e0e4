package throttle_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// prefixes parses; "" is the invalid one.
func prefixes(all ...string) (out []netip.Prefix) {
	for _, s := range all {
		p, _ := netip.ParsePrefix(s)
		out = append(out, p)
	}
	return out
}

// A1, A2, A3: whose request it is.
func TestA1_A2_A3_ClientAddr(t *testing.T) {
	const bad = "" // an error
	trusted := prefixes("10.0.0.0/8", "2001:db8:ffff::/48", "::ffff:172.16.0.0/108")
	for _, tc := range []struct {
		name, header, peer string
		lines              []string
		want               string
	}{
		{"no proxy in between", "", "203.0.113.9:1234", []string{"1.2.3.4"}, "203.0.113.9"},
		{"no port", "", "203.0.113.9", nil, "203.0.113.9"},
		{"IPv6", "", "[2001:db8::1]:80", nil, "2001:db8::1"},
		{"zone", "", "[fe80::1%eth0]:80", nil, "fe80::1"},
		{"4-in-6", "", "[::ffff:203.0.113.9]:80", nil, "203.0.113.9"},
		{"no address", "", "@", []string{"1.2.3.4"}, bad},
		{"a proxy that says nothing", "", "10.0.0.1:1", nil, "10.0.0.1"},
		{"one hop", "", "10.0.0.1:1", []string{"1.2.3.4"}, "1.2.3.4"},
		{"4-in-6 is IPv4, for trust too", "", "[::ffff:10.0.0.1]:1", []string{"1.2.3.4, ::ffff:10.0.0.2"}, "1.2.3.4"},
		{"a 4-in-6 prefix is one of IPv4", "", "172.16.9.9:1", []string{"1.2.3.4"}, "1.2.3.4"},
		{"never left of the first that is not trusted", "", "10.0.0.1:1", []string{"6.6.6.6, 1.2.3.4, 10.0.0.2"}, "1.2.3.4"},
		{"garbage left of it", "", "10.0.0.1:1", []string{"<script>, 1.2.3.4"}, "1.2.3.4"},
		{"lines in order", "", "10.0.0.1:1", []string{"6.6.6.6", "1.2.3.4", "10.0.0.2 ,10.0.0.3"}, "1.2.3.4"},
		{"all trusted", "", "10.0.0.1:1", []string{"10.0.0.9, 10.0.0.2"}, "10.0.0.9"},
		{"empty members", "", "10.0.0.1:1", []string{"6.6.6.6,1.2.3.4, ,\t,", ""}, "1.2.3.4"},
		{"port", "", "10.0.0.1:1", []string{"1.2.3.4:5678"}, "1.2.3.4"},
		{"brackets", "", "10.0.0.1:1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"brackets and port", "", "10.0.0.1:1", []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"bare IPv6", "", "10.0.0.1:1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"trusted IPv6", "", "[2001:db8:ffff::1]:1", []string{"1.2.3.4, 2001:db8:ffff:1::2"}, "1.2.3.4"},
		{"unknown", "", "10.0.0.1:1", []string{"1.2.3.4, unknown"}, bad},
		{"hidden", "", "10.0.0.1:1", []string{"1.2.3.4, _secret"}, bad},
		{"garbage where the client should stand", "", "10.0.0.1:1", []string{"1.2.3.4, localhost"}, bad},
		{"quotes are not for X-Forwarded-For", "", "10.0.0.1:1", []string{`"1.2.3.4"`}, bad},
		{"a port too long", "", "10.0.0.1:1", []string{"1.2.3.4:123456"}, bad},
		{"brackets around IPv4", "", "10.0.0.1:1", []string{"[1.2.3.4]"}, bad},
		{"octal", "", "10.0.0.1:1", []string{"010.0.0.1"}, bad},

		{"Forwarded", "Forwarded", "10.0.0.1:1", []string{"for=6.6.6.6, for=1.2.3.4;proto=https, FOR=10.0.0.2"}, "1.2.3.4"},
		{"quoted, port", "forwarded", "10.0.0.1:1", []string{`for="1.2.3.4:80";by="10.0.0.1"`}, "1.2.3.4"},
		{"IPv6", "Forwarded", "10.0.0.1:1", []string{`by=x;for="[2001:db8:cafe::17]:4711"`}, "2001:db8:cafe::17"},
		{"a name for a port", "Forwarded", "10.0.0.1:1", []string{`for="1.2.3.4:_p"`}, "1.2.3.4"},
		{"quoted pairs", "Forwarded", "10.0.0.1:1", []string{`for="1.2\.3.\4"`}, "1.2.3.4"},
		{"commas in quotes", "Forwarded", "10.0.0.1:1", []string{`for=1.2.3.4;x="a, for=6.6.6.6"`}, "1.2.3.4"},
		{"space around ;", "Forwarded", "10.0.0.1:1", []string{"for=1.2.3.4 ; proto=http"}, "1.2.3.4"},
		{"an open quote swallows the proxy's element", "Forwarded", "10.0.0.1:1", []string{`for=6.6.6.6;x=", for=1.2.3.4`}, bad},
		{"one that the proxy's quotes close", "Forwarded", "10.0.0.1:1", []string{`for=6.6.6.6;x=", for="[2001:db8::1]:80"`}, bad},
		{"a forged line left of the proxy's own", "Forwarded", "10.0.0.1:1", []string{`for=6.6.6.6;x="`, "for=1.2.3.4"}, "1.2.3.4"},
		{"no for", "Forwarded", "10.0.0.1:1", []string{"for=1.2.3.4, proto=https"}, bad},
		{"two for", "Forwarded", "10.0.0.1:1", []string{"for=1.2.3.4;for=6.6.6.6"}, bad},
		{"IPv6 without brackets", "Forwarded", "10.0.0.1:1", []string{`for="2001:db8::1"`}, bad},
		{"a colon without quotes", "Forwarded", "10.0.0.1:1", []string{"for=1.2.3.4:80"}, bad},
		{"unknown", "Forwarded", "10.0.0.1:1", []string{"for=1.2.3.4, for=unknown"}, bad},
		{"hidden", "Forwarded", "10.0.0.1:1", []string{"for=_gazonk"}, bad},
		{"too long", "Forwarded", "10.0.0.1:1", []string{"for=1.2.3.4;x=" + strings.Repeat("a", 8<<10)}, bad},
		{"no hop", "Forwarded", "10.0.0.1:1", []string{" , ,"}, "10.0.0.1"},
		{"X-Forwarded-For is not asked", "Forwarded", "10.0.0.1:1", nil, "10.0.0.1"},

		{"one address", "X-Real-Ip", "10.0.0.1:1", []string{"1.2.3.4"}, "1.2.3.4"},
		{"not there", "X-Real-Ip", "10.0.0.1:1", nil, bad},
		{"twice", "X-Real-Ip", "10.0.0.1:1", []string{"1.2.3.4", "6.6.6.6"}, bad},
		{"a list", "X-Real-Ip", "10.0.0.1:1", []string{"1.2.3.4, 6.6.6.6"}, bad},
		{"not from a proxy", "X-Real-Ip", "9.9.9.9:1", []string{"1.2.3.4"}, "9.9.9.9"},
	} {
		t.Run(tc.header+"/"+tc.name, func(t *testing.T) {
			l := mustNew(t, throttle.Config{TrustedProxies: trusted, ProxyHeader: tc.header})
			r := request()
			r.RemoteAddr = tc.peer
			name := tc.header
			if name == "" {
				name = "X-Forwarded-For"
			}
			r.Header[http.CanonicalHeaderKey(name)] = tc.lines
			got, err := l.ClientAddr(r)
			if (err != nil) != (tc.want == bad) || err == nil && got != addr(tc.want) {
				t.Errorf("%v, %v, want %q", got, err, tc.want)
			}
			if w := serve(l.Handler(nothing), r); (w.Code == 403) != (tc.want == bad) {
				t.Errorf("answered %d", w.Code)
			}
		})
	}
}

// A1: a socket without addresses is a proxy only if that is said.
func TestA1_UnixSocket(t *testing.T) {
	l := mustNew(t, throttle.Config{TrustUnixSocket: true})
	r := request("X-Forwarded-For: 6.6.6.6, 1.2.3.4")
	r.RemoteAddr = "@"
	if got, err := l.ClientAddr(r); err != nil || got != addr("1.2.3.4") {
		t.Errorf("%v, %v", got, err)
	}
	r.Header.Del("X-Forwarded-For")
	if got, err := l.ClientAddr(r); err == nil {
		t.Errorf("nobody says who it is, and it is %v", got)
	}
	r = request("X-Forwarded-For: 1.2.3.4")
	if got, err := l.ClientAddr(r); err != nil || got != addr("192.0.2.1") {
		t.Errorf("over TCP: %v, %v", got, err)
	}
}

// A3: which addresses share a bucket.
func TestA3_Prefixes(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		same bool
	}{
		{"1.2.3.4", "1.2.3.4", true},
		{"1.2.3.4", "1.2.3.5", false},
		{"2001:db8:1:2:3::4", "2001:db8:1:2:9::1", true},
		{"2001:db8:1:2::4", "2001:db8:1:3::4", false},
		{"1.2.3.4", "::ffff:1.2.3.4", true},
		{"1.2.3.4", "64:ff9b::102:304", true},
		{"64:ff9b::102:304", "64:ff9b::102:305", false},
		{"fe80::1", "fe80::1%eth0", true},
	} {
		if got := throttle.KeyAddr(addr(tc.a), 0) == throttle.KeyAddr(addr(tc.b), 0); got != tc.same {
			t.Errorf("%s and %s: same is %t", tc.a, tc.b, got)
		}
		h := mustNew(t, throttle.Config{Rate: throttle.Per(1, time.Hour)}).Handler(nothing)
		ask := func(a string) int {
			r := request()
			r.RemoteAddr = netip.AddrPortFrom(addr(a), 80).String()
			return serve(h, r).Code
		}
		want := map[bool]int{true: 429, false: 200}[tc.same]
		if first, second := ask(tc.a), ask(tc.b); first != 200 || second != want {
			t.Errorf("%s, then %s: %d, %d", tc.a, tc.b, first, second)
		}
	}
	// A second policy bounds the net around.
	h := mustNew(t, throttle.Config{Policies: []throttle.Policy{
		{Name: "one", Rate: throttle.Per(2, time.Hour)},
		{Name: "net", Rate: throttle.Per(3, time.Hour), IPv4Bits: 24, IPv6Bits: 48},
	}}).Handler(nothing)
	for _, peers := range [][]string{{"1.2.3.4", "1.2.3.4", "1.2.3.5", "1.2.3.6"}, {"2001:db8:1:1::1", "2001:db8:1:1::2", "2001:db8:1:2::1", "2001:db8:1:3::1"}} {
		var got []int
		for _, p := range peers {
			r := request()
			r.RemoteAddr = netip.AddrPortFrom(addr(p), 80).String()
			got = append(got, serve(h, r).Code)
		}
		if !slices.Equal(got, []int{200, 200, 200, 429}) {
			t.Errorf("%v: %v", peers, got)
		}
	}
}

// A2: who cannot be told is refused, and shares no bucket with others of that kind.
func TestA2_NoGuess(t *testing.T) {
	l := mustNew(t, throttle.Config{Rate: throttle.Per(1, time.Hour), TrustedProxies: prefixes("192.0.2.0/24")})
	for _, hop := range []string{"unknown", "_hidden", "localhost", "1.2.3", "1.2.3.4:", "[1.2.3.4", "%", "::1%"} {
		if got := codes(l.Handler(nothing), 2, "X-Forwarded-For: 1.2.3.4, "+hop); !slices.Equal(got, []int{403, 403}) {
			t.Errorf("%q: %v", hop, got)
		}
	}
	if s := l.Stats(); s.Requests["unkeyed"] != 16 || s.Keys["default"] != 0 {
		t.Errorf("counted %v, %v keys", s.Requests, s.Keys)
	}
}

// A forged header never changes who pays.
func TestA1_ForgedHeaders(t *testing.T) {
	for _, header := range []string{"X-Forwarded-For", "Forwarded"} {
		h := mustNew(t, throttle.Config{Rate: throttle.Per(1, time.Hour), TrustedProxies: prefixes("10.0.0.0/8"), ProxyHeader: header}).Handler(nothing)
		admitted := 0
		for i := range 300 {
			forged, real := fmt.Sprintf("5.5.%d.%d", i/256, i%256), "1.2.3.4"
			if header == "Forwarded" {
				forged, real = "for="+forged, "for="+real
			}
			r := request()
			r.RemoteAddr = "10.0.0.1:1"
			r.Header[header] = [][]string{{forged + ", " + real}, {forged, real}, {forged + ",,", " , " + real + ","}}[i%3]
			if serve(h, r).Code == 200 {
				admitted++
			}
		}
		if admitted != 1 {
			t.Errorf("%s: %d of 300 admitted, want 1", header, admitted)
		}
	}
}

// A4: 64 hops are looked at, and no more.
func TestA4_WorkIsBounded(t *testing.T) {
	for _, tc := range []struct{ header, hop, first string }{
		{"X-Forwarded-For", "10.0.0.2", "1.2.3.4"}, {"Forwarded", "for=10.0.0.2", "for=1.2.3.4"},
	} {
		for _, joined := range []bool{true, false} {
			for hops, want := range map[int]string{63: "1.2.3.4", 64: "10.0.0.2", 400: "10.0.0.2"} {
				r := request()
				r.RemoteAddr = "10.0.0.1:1"
				lines := append([]string{tc.first}, slices.Repeat([]string{tc.hop}, hops)...)
				if joined {
					lines = []string{strings.Join(lines, ", ")}
				}
				r.Header[tc.header] = lines
				l := mustNew(t, throttle.Config{TrustedProxies: prefixes("10.0.0.0/8"), ProxyHeader: tc.header, Capacity: 64})
				if got, err := l.ClientAddr(r); err != nil || got != addr(want) {
					t.Errorf("%s, %d hops, joined %t: %v, %v, want %s", tc.header, hops, joined, got, err, want)
				}
			}
		}
	}
}

// slowHop reads what may stand for a client, by regular expressions.
var (
	slowPort = `(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?`
	slow4    = regexp.MustCompile(`^([0-9.]+)` + slowPort + `$`)
)

func slowHop(s string, bare bool) (netip.Addr, bool) {
	host := ""
	if m := slow4.FindStringSubmatch(s); m != nil {
		host = m[1]
	} else if strings.HasPrefix(s, "[") {
		m := regexp.MustCompile(`^\[([^\]]*:[^\]]*)\]` + slowPort + `$`).FindStringSubmatch(s)
		if m == nil {
			return netip.Addr{}, false
		}
		host = m[1]
	} else if bare && strings.Count(s, ":") > 1 {
		host = s
	}
	a, err := netip.ParseAddr(host)
	return a.WithZone("").Unmap(), err == nil
}

// slowClient is section 5 and 7.4 of RFC 7239, and A1, word by word.
func slowClient(hops []string, bare bool, peer netip.Addr, trusted []netip.Prefix) (netip.Addr, bool) {
	client := peer
	for i := len(hops) - 1; i >= 0; i-- {
		a, ok := slowHop(hops[i], bare)
		if !ok {
			return netip.Addr{}, false
		}
		client = a
		if !slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) }) {
			break
		}
	}
	return client, true
}

const (
	slowToken   = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
	slowQuoted  = `"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"`
	slowPair    = slowToken + `=(?:` + slowToken + `|` + slowQuoted + `)`
	slowElement = `(?:` + slowPair + `)?(?:[ \t]*;[ \t]*(?:` + slowPair + `)?)*`
)

var (
	slowLine     = regexp.MustCompile(`^[ \t]*` + slowElement + `(?:[ \t]*,[ \t]*` + slowElement + `)*[ \t]*$`)
	slowElements = regexp.MustCompile(`(?:[^",]|` + slowQuoted + `)+`)
	slowPairs    = regexp.MustCompile(`(` + slowToken + `)=(` + slowToken + `|` + slowQuoted + `)`)
	slowEscape   = regexp.MustCompile(`\\(.)`)
)

// latin1 makes bytes of a line characters, for regexp knows no others.
func latin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

func slowForwarded(line string) (hops []string, ok bool) {
	line = latin1(line)
	if !slowLine.MatchString(line) {
		return nil, false
	}
	for _, element := range slowElements.FindAllString(line, -1) {
		if strings.Trim(element, " \t") == "" {
			continue
		}
		hop, seen := "", 0
		for _, pair := range slowPairs.FindAllStringSubmatch(element, -1) {
			if strings.EqualFold(pair[1], "for") {
				seen++
				if hop = pair[2]; hop[0] == '"' {
					hop = slowEscape.ReplaceAllString(hop[1:len(hop)-1], "$1")
				}
			}
		}
		if seen > 1 {
			return nil, false
		}
		hops = append(hops, hop)
	}
	return hops, true
}

func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"for=1.2.3.4", `for="[2001:db8::1]:80", for=10.0.0.1`, `for=1.2.3.4;x="a\",b"`, `for="1.2.3.4`, "for=_x;for=1.2.3.4", "a=b, ;,for=1.1.1.1 ; b=c"} {
		f.Add(s, "for=10.0.0.2")
	}
	trusted := prefixes("10.0.0.0/8")
	l, err := throttle.New(throttle.Config{TrustedProxies: trusted, ProxyHeader: "Forwarded", Capacity: 64})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		if len(first) > 500 || len(second) > 500 || strings.Count(first, ",")+strings.Count(second, ",") > 60 {
			return
		}
		r := request()
		r.RemoteAddr = "10.0.0.1:1"
		r.Header["Forwarded"] = []string{first, second}
		got, err := l.ClientAddr(r)

		var want netip.Addr
		hops, ok := slowForwarded(second)
		if ok {
			if want, ok = slowClient(hops, false, addr("10.0.0.1"), trusted); ok && trusted[0].Contains(want) {
				var more []string
				if more, ok = slowForwarded(first); ok {
					want, ok = slowClient(more, false, want, trusted)
				}
			}
		}
		if (err == nil) != ok || ok && got != want {
			t.Errorf("%q, %q: %v, %v, want %v, %t", first, second, got, err, want, ok)
		}
	})
}

func FuzzXForwardedFor(f *testing.F) {
	f.Add("1.2.3.4, 10.0.0.2", "[2001:db8::1]:80")
	f.Add("1.2.3.4:80,,::ffff:10.0.0.1", "fe80::1%eth0")
	f.Add("unknown", "10.0.0.3")
	trusted := prefixes("10.0.0.0/8")
	l, err := throttle.New(throttle.Config{TrustedProxies: trusted, Capacity: 64})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		if strings.Count(first, ",")+strings.Count(second, ",") > 60 {
			return
		}
		r := request()
		r.RemoteAddr = "10.0.0.1:1"
		r.Header["X-Forwarded-For"] = []string{first, second}
		got, err := l.ClientAddr(r)
		var hops []string
		for _, hop := range strings.Split(first+","+second, ",") {
			if hop = strings.Trim(hop, " \t"); hop != "" {
				hops = append(hops, hop)
			}
		}
		want, ok := slowClient(hops, true, addr("10.0.0.1"), trusted)
		if (err == nil) != ok || ok && got != want {
			t.Errorf("%q, %q: %v, %v, want %v, %t", first, second, got, err, want, ok)
		}
	})
}
