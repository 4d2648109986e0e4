package throttle_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

// H1: the request goes on as it came, and what is paid is paid once.
func TestH1_Allowed(t *testing.T) {
	l := mustNew(t, throttle.Config{Rate: throttle.Per(10, time.Hour), Exempt: func(r *http.Request) bool { return r.URL.Path == "/health" }})
	r := request()
	var seen *http.Request
	serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen = r; w.Header().Get("RateLimit") != "" {
			t.Error("fields are there before the header passes")
		}
		r.Pattern = "GET /"
	})), r)
	if seen != r || r.Pattern != "GET /" {
		t.Error("the request was copied")
	}
	for range 20 {
		if w := serve(l.Handler(nothing), httptest.NewRequest("GET", "/health", nil)); w.Code != 200 || w.Header().Get("RateLimit") != "" {
			t.Errorf("exempt: %d %v", w.Code, w.Header())
		}
	}
	if s := l.Stats(); s.Requests["allowed"] != 1 || s.Requests["exempt"] != 20 {
		t.Errorf("counted %v", s.Requests)
	}
}

// H1: the fields tell what was settled until the header passed.
func TestH1_FieldsAreOfTheHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustNew(t, throttle.Config{Rate: throttle.Per(10, time.Second)})
		w := serve(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = l.Settle(w, "", 7)
			w.WriteHeader(http.StatusTeapot)
			_ = l.Settle(w, "", 9)
		})), request())
		if got := w.Header().Get("RateLimit"); w.Code != 418 || got != `"default";r=3;t=1` {
			t.Errorf("%d %s", w.Code, got)
		}
		if d := l.Peek(t.Context(), throttle.KeyAddr(addr("192.0.2.1"), 0), 0); d.Remaining != 1 {
			t.Errorf("settled late: %+v", d)
		}
	})
}

// H2: what a refusal says.
func TestH2_Refusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustNew(t, throttle.Config{Policies: []throttle.Policy{
			{Name: "burst", Rate: throttle.Per(1, time.Second), Burst: 2},
			{Name: `a "day"`, Rate: throttle.Per(2, 24*time.Hour)},
			{Name: "month", Rate: throttle.Per(100, 720*time.Hour)},
		}})
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", "*")
			w.Header().Set("ETag", `"x"`)
			l.Handler(nothing).ServeHTTP(w, r)
		})
		codes(h, 2)
		w := serve(h, request())
		if w.Code != 429 || w.Header().Get("Content-Type") != "application/problem+json" || w.Header().Get("Cache-Control") != "no-store" ||
			w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("ETag") != "" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		var p map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		if p["type"] != "https://iana.org/assignments/http-problem-types#quota-exceeded" || p["status"] != 429.0 || p["title"] == nil ||
			fmt.Sprint(p["violated-policies"]) != `[a "day" burst]` {
			t.Errorf("%v", p)
		}
		r := request()
		r.Method = http.MethodHead
		if w := serve(h, r); w.Code != 429 || w.Body.Len() > 0 || w.Header().Get("Content-Length") == "0" {
			t.Errorf("HEAD: %d, %d bytes", w.Code, w.Body.Len())
		}
		time.Sleep(2 * time.Second)
		if w := serve(h, request()); !strings.Contains(w.Body.String(), `"violated-policies":["a \"day\""]`) {
			t.Errorf("one of them: %s", w.Body)
		}
	})
}

// H2: OnDenied replaces status and body, and has the fields.
func TestH2_OnDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d throttle.Decision
		l := mustNew(t, throttle.Config{
			Rate: throttle.Per(1, time.Minute), Key: throttle.KeyHeader("X-User"),
			OnDenied: func(w http.ResponseWriter, _ *http.Request, got throttle.Decision) {
				d = got
				http.Error(w, "slow down", 420)
			},
		})
		h := l.Handler(nothing)
		codes(h, 1, "X-User: a")
		time.Sleep(500 * time.Millisecond)
		w := serve(h, request("X-User: a"))
		if w.Code != 420 || w.Body.String() != "slow down\n" || w.Header().Get("Retry-After") != "60" || w.Header().Get("RateLimit") != `"default";r=0;t=60` {
			t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
		}
		if d.Status != 429 || d.Policy != "default" || !slices.Equal(d.Violated, []string{"default"}) || d.RetryAfter != 59500*time.Millisecond {
			t.Errorf("%+v", d)
		}
		if serve(h, request()); d.Status != 403 || d.Violated != nil {
			t.Errorf("no key: %+v", d)
		}
	})
}

// H2: a full table and a wrong cost.
func TestH2_OtherRefusals(t *testing.T) {
	l := mustNew(t, throttle.Config{
		Rate: throttle.Per(1, time.Hour), Key: throttle.KeyHeader("X-User"), Capacity: 64, OnFull: "refuse",
		Cost: func(r *http.Request) int64 {
			return map[string]int64{"": 1, "minus": -1, "none": 0, "big": 5}[r.Header.Get("X-Cost")]
		},
	})
	h := l.Handler(nothing)
	var full *httptest.ResponseRecorder
	for i := range 500 {
		if w := serve(h, request(fmt.Sprint("X-User: ", i))); w.Code != 200 {
			full = w
		}
	}
	if full == nil || full.Code != 503 || full.Header().Get("Retry-After") == "" || !strings.Contains(full.Body.String(), "#temporary-reduced-capacity") {
		t.Errorf("full: %+v", full)
	}
	if w := serve(h, request("X-User: 0", "X-Cost: minus")); w.Code != 500 {
		t.Errorf("negative: %d", w.Code)
	}
	if w := serve(h, request("X-User: 0", "X-Cost: none")); w.Code != 200 {
		t.Errorf("free: %d", w.Code)
	}
	if w := serve(h, request("X-User: 0", "X-Cost: big")); w.Code != 429 || w.Header().Get("Retry-After") != "" {
		t.Errorf("never: %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
}

// H3, H4: the fields, in the state that they describe.
// H3: in seconds, rounded up, at least 1, for the very request that was refused; never is not said.
func TestH3_RetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tc := range []struct {
			rate  throttle.Rate
			burst int64
			cost  int64
			want  string
		}{
			{throttle.Per(1, 2*time.Second), 5, 1, "2"},
			{throttle.Per(1, 2*time.Second), 5, 3, "6"},            // of this request, not the next token
			{throttle.Per(1, 1500*time.Millisecond), 5, 1, "2"},    // up
			{throttle.Per(1_000, time.Second), 5, 1, "1"},          // 1 ms
			{throttle.Per(1, 2*time.Second), 5, 6, ""},             // more than there can be
			{throttle.Per(1, time.Second), 5, 2, "2"},              // exactly
			{throttle.Rate{N: 1, Per: time.Second + 1}, 5, 2, "3"}, // a nanosecond more
			{throttle.Rate{N: 1, Per: time.Hour}, 5, 5, "18000"},   // hours
		} {
			cost := int64(5)
			l := mustNew(t, throttle.Config{Rate: tc.rate, Burst: tc.burst, Cost: func(*http.Request) int64 { return cost }})
			h := l.Handler(nothing)
			serve(h, request()) // empties it
			cost = tc.cost
			w := serve(h, request())
			if got := w.Header().Get("Retry-After"); w.Code != http.StatusTooManyRequests || got != tc.want {
				t.Errorf("%v, cost %d: %d, Retry-After %q, want %q", tc.rate, tc.cost, w.Code, got, tc.want)
			}
		}
	})
}

func TestH4_Fields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := throttle.Config{Policies: []throttle.Policy{
			{Name: "burst", Rate: throttle.Per(10, time.Second)},
			{Name: `d\"`, Rate: throttle.Per(5000, 24*time.Hour)},
			{Name: "fast", Rate: throttle.Per(1_000_000, time.Second), Burst: 100},
		}}
		l := mustNew(t, cfg)
		h := l.Handler(nothing)
		w := serve(h, request())
		if got, want := w.Header().Get("RateLimit-Policy"), `"burst";q=10;w=1, "d\\\"";q=5000;w=86400, "fast";q=100`; got != want {
			t.Errorf("RateLimit-Policy %s\nwant %s", got, want)
		}
		if got, want := w.Header().Get("RateLimit"), `"burst";r=9;t=1, "d\\\"";r=4999;t=18, "fast";r=99;t=1`; got != want {
			t.Errorf("RateLimit %s\nwant %s", got, want)
		}
		codes(h, 9)
		w = serve(h, request())
		// Retry-After is right for this request, and no t lies after it: the day's would.
		if w.Code != 429 || w.Header().Get("Retry-After") != "1" || w.Header().Get("RateLimit") != `"burst";r=0;t=1, "d\\\"";r=4990, "fast";r=90;t=1` {
			t.Errorf("%d, Retry-After %s, RateLimit %s", w.Code, w.Header().Get("Retry-After"), w.Header().Get("RateLimit"))
		}
		time.Sleep(24 * time.Hour)
		if d := l.Peek(t.Context(), throttle.KeyAddr(addr("192.0.2.1"), 0), 0); d.ResetAfter != 0 {
			t.Errorf("not full: %+v", d)
		}

		// An inner limiter's members come first.
		inner := mustNew(t, throttle.Config{Policies: []throttle.Policy{{Name: "inner", Rate: throttle.Per(7, time.Minute)}}})
		w = serve(l.Handler(inner.Handler(nothing)), request())
		if got := strings.Join(w.Header()["Ratelimit-Policy"], ", "); got != `"inner";q=7;w=60, "burst";q=10;w=1, "d\\\"";q=5000;w=86400, "fast";q=100` {
			t.Errorf("stacked: %s", got)
		}
		if n := len(w.Header()["Ratelimit"]); n != 2 {
			t.Errorf("stacked: %d lines of RateLimit", n)
		}
	})
}

// H5: what older clients know.
func TestH5_Legacy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := throttle.Config{Headers: "legacy", Policies: []throttle.Policy{
			{Name: "burst", Rate: throttle.Per(10, time.Second)},
			{Name: "day", Rate: throttle.Per(5000, 24*time.Hour)},
		}}
		old := mustNew(t, cfg)
		legacy := func(h http.Header) string {
			return fmt.Sprint(h["X-Ratelimit-Limit"], h["X-Ratelimit-Remaining"], h["X-Ratelimit-Reset"], h["Ratelimit"])
		}
		if got := legacy(serve(old.Handler(nothing), request()).Header()); got != "[10] [9] [1] []" {
			t.Errorf("legacy: %s", got)
		}
		codes(old.Handler(nothing), 9)
		if got := legacy(serve(old.Handler(nothing), request()).Header()); got != "[10] [0] [1] []" {
			t.Errorf("legacy, refused: %s", got)
		}
		lately := mustNew(t, throttle.Config{Rate: throttle.Per(3, time.Minute), Headers: "legacy"})
		time.Sleep(time.Minute)
		if got := legacy(serve(old.Handler(lately.Handler(nothing)), request()).Header()); got != "[3] [2] [20] []" {
			t.Errorf("legacy, stacked: %s", got)
		}
		cfg.Headers = "off"
		if got := serve(mustNew(t, cfg).Handler(nothing), request()).Header(); len(got) > 0 {
			t.Errorf("off: %v", got)
		}
	})
}

// H4: every field is a List of Strings with Integers (RFC 9651), by a parser of the test's own.
func FuzzFields(f *testing.F) {
	f.Add("burst", int64(10), int64(1), uint8(3))
	f.Add(`a"\b`, int64(999_999_999_999_999), int64(1e15), uint8(1))
	f.Fuzz(func(t *testing.T, name string, n, per int64, requests uint8) {
		l, err := throttle.New(throttle.Config{Capacity: 64, Policies: []throttle.Policy{
			{Name: name, Rate: throttle.Per(n, time.Duration(per))}, {Name: "other-policy", Rate: throttle.Per(3, time.Minute)},
		}})
		if err != nil {
			return
		}
		for range requests%8 + 1 {
			w := serve(l.Handler(nothing), request())
			for field, params := range map[string]string{"Ratelimit-Policy": "qw", "Ratelimit": "rt"} {
				names, ok := parseList(strings.Join(w.Header()[field], ", "), params)
				if !ok || !slices.Equal(names, []string{name, "other-policy"}) {
					t.Errorf("%s is %q, read as %q, %t", field, w.Header()[field], names, ok)
				}
			}
			if w.Code == 429 && w.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
	})
}

// parseList reads a List of Strings whose parameters are Integers out of params, the first of
// which is required.
func parseList(s, params string) (names []string, ok bool) {
	for {
		if s == "" || s[0] != '"' {
			return nil, false
		}
		name := ""
		for s = s[1:]; s != "" && s[0] != '"'; s = s[1:] {
			if s[0] == '\\' {
				if s = s[1:]; s == "" || s[0] != '"' && s[0] != '\\' {
					return nil, false
				}
			}
			if s[0] < ' ' || s[0] > '~' {
				return nil, false
			}
			name += s[:1]
		}
		if s == "" {
			return nil, false
		}
		s = s[1:]
		seen := ""
		for strings.HasPrefix(s, ";") {
			if len(s) < 4 || !strings.Contains(params, s[1:2]) || s[2] != '=' {
				return nil, false
			}
			seen += s[1:2]
			digits := len(s[3:]) - len(strings.TrimLeft(s[3:], "0123456789"))
			if digits == 0 || digits > 15 {
				return nil, false
			}
			s = s[3+digits:]
		}
		if !strings.HasPrefix(seen, params[:1]) {
			return nil, false
		}
		names = append(names, name)
		if s == "" {
			return names, true
		}
		if !strings.HasPrefix(s, ", ") {
			return nil, false
		}
		s = s[2:]
	}
}

// sockets runs a test over HTTP/1.1 and HTTP/2.
func sockets(t *testing.T, h http.Handler, f func(t *testing.T, srv *httptest.Server, client *http.Client)) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(proto, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(h)
			srv.EnableHTTP2 = proto == "HTTP/2"
			srv.StartTLS()
			defer srv.Close()
			f(t, srv, srv.Client())
		})
	}
}

func do(t *testing.T, client *http.Client, r *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return res, string(body)
}

// H6: a refusal does not read a large body, and keeps a connection with a small one.
func TestH6_UnreadBodies(t *testing.T) {
	l := mustNew(t, throttle.Config{Rate: throttle.Per(1, time.Hour)})
	sockets(t, l.Handler(nothing), func(t *testing.T, srv *httptest.Server, client *http.Client) {
		post := func(body io.Reader, size int64, fields ...string) *http.Response {
			r, _ := http.NewRequestWithContext(t.Context(), "POST", srv.URL, body)
			r.ContentLength = size
			for _, f := range fields {
				name, value, _ := strings.Cut(f, ": ")
				r.Header.Set(name, value)
			}
			res, _ := do(t, client, r)
			return res
		}
		post(strings.NewReader(""), 0)
		for name, tc := range map[string]struct {
			body  io.Reader
			size  int64
			close bool
		}{
			"small":   {bytes.NewReader(make([]byte, 1000)), 1000, false},
			"large":   {bytes.NewReader(make([]byte, 65<<10)), 65 << 10, true},
			"unknown": {io.LimitReader(zeros{}, 100), -1, true},
		} {
			res := post(tc.body, tc.size)
			if res.StatusCode != 429 || res.Close != (tc.close && res.ProtoMajor == 1) {
				t.Errorf("%s: %d, closes %t", name, res.StatusCode, res.Close)
			}
		}
	})
	// With Expect nothing is invited.
	srv := httptest.NewServer(l.Handler(nothing))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, " 429 ") {
		t.Errorf("Expect: %q, %v", line, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return copy(p, make([]byte, len(p))), nil }

// H7: a preflight is a request.
func TestH7_Preflight(t *testing.T) {
	h := mustNew(t, throttle.Config{Rate: throttle.Per(1, time.Hour)}).Handler(nothing)
	r := request("Origin: https://a", "Access-Control-Request-Method: PUT")
	r.Method = http.MethodOptions
	if a, b := serve(h, r).Code, serve(h, r).Code; a != 200 || b != 429 {
		t.Errorf("%d, %d", a, b)
	}
}

// H1: streams, hijacked connections, panics and proxies pay once and work as without us.
func TestH1_Sockets(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, "upstream")
		w.Header().Set("X-Sum", "1")
	}))
	defer upstream.Close()
	target, _ := url.Parse(upstream.URL)
	mux := http.NewServeMux()
	mux.Handle("/proxy", httputil.NewSingleHostReverseProxy(target))
	mux.HandleFunc("/sse", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		}
	})
	mux.HandleFunc("/hijack", func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			w.WriteHeader(http.StatusNotImplemented) // HTTP/2
			return
		}
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
		conn.Close()
	})
	mux.HandleFunc("/panic", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.Repeat("x", 10_000))
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/early", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		fmt.Fprint(w, "ok")
	})
	l := mustNew(t, throttle.Config{Rate: throttle.Per(1000, time.Hour)})
	sockets(t, l.Handler(mux), func(t *testing.T, srv *httptest.Server, client *http.Client) {
		before := l.Stats().Requests["allowed"]
		for _, path := range []string{"/proxy", "/sse", "/hijack", "/early"} {
			r, _ := http.NewRequestWithContext(t.Context(), "GET", srv.URL+path, nil)
			res, body := do(t, client, r)
			if fields := len(res.Header["Ratelimit"]); fields != 1 && (path != "/hijack" || res.ProtoMajor == 2) {
				t.Errorf("%s: %d lines of RateLimit", path, fields)
			}
			if want := map[string]string{"/proxy": "upstream", "/sse": "data: 0\n\ndata: 1\n\ndata: 2\n\n", "/early": "ok"}[path]; want != "" && body != want {
				t.Errorf("%s: %q", path, body)
			}
			if path == "/proxy" && res.Trailer.Get("X-Sum") != "1" {
				t.Errorf("no trailer: %v", res.Trailer)
			}
		}
		r, _ := http.NewRequestWithContext(t.Context(), "GET", srv.URL+"/panic", nil)
		if res, err := client.Do(r); err == nil {
			if _, err = io.ReadAll(res.Body); err == nil {
				t.Error("a cut answer looks whole")
			}
			res.Body.Close()
		}
		if got := l.Stats().Requests["allowed"] - before; got != 5 {
			t.Errorf("%d paid of 5 requests", got)
		}
	})
}

// Values are never shared between requests: whoever changes one changes its own.
func TestH1_ValuesAreNotShared(t *testing.T) {
	l := mustNew(t, throttle.Config{Rate: throttle.Per(100, time.Hour)})
	h := l.Handler(nothing)
	first := serve(h, request()).Header()
	first["Ratelimit-Policy"][0] = "mine"
	first["Ratelimit-Policy"] = append(first["Ratelimit-Policy"], "mine too")
	second := serve(h, request()).Header()
	if got := second["Ratelimit-Policy"]; len(got) != 1 || got[0] != `"default";q=100;w=3600` {
		t.Errorf("%q", got)
	}
	if got := first["Ratelimit"]; len(got) != 1 || !strings.HasPrefix(got[0], `"default";r=99`) {
		t.Errorf("appending to one field changed another: %q", got)
	}
}

// W1, W2: a request that is due within MaxWait waits, first come, first served.
func TestW1_W2_MaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustNew(t, throttle.Config{Rate: throttle.Per(1, time.Second), MaxWait: 2 * time.Second, MaxWaiting: 2})
		h := l.Handler(nothing)
		start := time.Now()
		done := make(chan string, 10)
		for i := range 5 {
			go func() {
				w := serve(h, request())
				done <- fmt.Sprint(i, " ", w.Code, " ", time.Since(start), " ", w.Header().Get("Retry-After"))
			}()
			synctest.Wait()
		}
		var got []string
		for range 5 {
			got = append(got, <-done)
		}
		want := []string{"0 200 0s ", "3 429 0s 3", "4 429 0s 3", "1 200 1s ", "2 200 2s "}
		if !slices.Equal(got, want) {
			t.Errorf("%q\nwant %q", got, want)
		}
		if s := l.Stats(); s.Waiting != 0 || s.WaitSeconds.Count() != 2 || s.WaitSeconds.Sum() != 3 {
			t.Errorf("%d waiting, %d waited %v s", s.Waiting, s.WaitSeconds.Count(), s.WaitSeconds.Sum())
		}

		// MaxWaiting: a third is refused though it would be due in time.
		crowded := mustNew(t, throttle.Config{Rate: throttle.Per(10, time.Second), Burst: 1, MaxWait: time.Hour, MaxWaiting: 2})
		for range 4 {
			go func() { done <- fmt.Sprint(serve(crowded.Handler(nothing), request()).Code) }()
			synctest.Wait()
		}
		got = nil
		for range 4 {
			got = append(got, <-done)
		}
		if !slices.Equal(got, []string{"200", "429", "200", "200"}) {
			t.Errorf("crowded: %q", got)
		}

		// A deadline before the due moment: refused at once. A client that leaves gives back.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		time.Sleep(time.Hour)
		codes(h, 1)
		if w := serve(h, request().WithContext(ctx)); w.Code != 429 {
			t.Errorf("too late for its deadline: %d", w.Code)
		}
		ctx, leave := context.WithCancel(t.Context())
		go func() { done <- fmt.Sprint(serve(h, request().WithContext(ctx)).Code) }()
		synctest.Wait()
		leave()
		if got := <-done; got != "429" {
			t.Errorf("a client that left: %s", got)
		}
		time.Sleep(time.Second)
		if d := l.Peek(t.Context(), throttle.KeyAddr(addr("192.0.2.1"), 0), 1); !d.Allowed {
			t.Errorf("its token is lost: %+v", d)
		}
	})
}
