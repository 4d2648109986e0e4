package httpcache_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/cache/httpcache"
)

func TestK1_WhatIsLookedUp(t *testing.T) {
	for _, tc := range []struct {
		name   string
		method string
		fields []string
		body   string
		calls  int64
	}{
		{"GET", "GET", nil, "", 1},
		{"HEAD of a stored GET", "HEAD", nil, "", 1},
		{"POST", "POST", nil, "", 3},
		{"GET with a body", "GET", nil, "x", 3},
		{"event stream", "GET", []string{"Accept: text/event-stream"}, "", 3},
		{"upgrade", "GET", []string{"Upgrade: websocket"}, "", 3},
		{"OPTIONS", "OPTIONS", nil, "", 3},
	} {
		s := newSite(t, httpcache.Config{}, says("x", "Cache-Control: max-age=60"))
		s.get()
		for range 2 {
			r := request(tc.method, "http://example.com/a", tc.fields...)
			if tc.body != "" {
				r = httptest.NewRequest(tc.method, "http://example.com/a", strings.NewReader(tc.body))
			}
			s.ServeHTTP(httptest.NewRecorder(), r)
		}
		s.want(tc.calls, tc.name)
	}
}

func TestK2_Key(t *testing.T) {
	same := [][2]string{{"http://EXAMPLE.com/a", "http://example.com:80/a"}}
	other := [][2]string{
		{"http://example.com/a", "http://example.org/a"},
		{"http://example.com/a", "http://example.com/A"},
		{"http://example.com/a%2Fb", "http://example.com/a/b"},
		{"http://example.com/a?x=1&y=2", "http://example.com/a?y=2&x=1"},
		{"http://example.com/a?", "http://example.com/a"},
		{"http://example.com/a", "https://example.com/a"},
		{"http://example.com:81/a", "http://example.com/a"},
		{"http://example.com/a%3Fb", "http://example.com/a?b"},
	}
	do := func(pair [2]string) int64 {
		s := newSite(t, httpcache.Config{}, says("x", "Cache-Control: max-age=60"))
		for _, target := range pair {
			r := request("GET", target, "X-Forwarded-Host: "+target, "Cookie: "+target) // never in the key
			if strings.HasPrefix(target, "https") {
				r.TLS = new(tls.ConnectionState)
			} else {
				r.TLS = nil
			}
			s.ServeHTTP(httptest.NewRecorder(), r)
		}
		return s.calls.Load()
	}
	for _, pair := range same {
		if do(pair) != 1 {
			t.Errorf("%q do not share an entry", pair)
		}
	}
	for _, pair := range other {
		if do(pair) != 2 {
			t.Errorf("%q share an entry", pair)
		}
	}
}

func TestK2_ConfigKeySplits(t *testing.T) {
	s := newSite(t, httpcache.Config{Key: func(r *http.Request) string { return r.Header.Get("X-Tenant") }}, says("x", "Cache-Control: max-age=60"))
	s.get("X-Tenant: a")
	s.get("X-Tenant: b")
	s.get("X-Tenant: a")
	s.want(2, "two tenants")
}

func TestK3_AuthorizationNeedsPermission(t *testing.T) {
	for control, calls := range map[string]int64{"max-age=60": 2, "public, max-age=60": 1, "s-maxage=60": 1, "must-revalidate, max-age=60": 1} {
		s := newSite(t, httpcache.Config{}, says("x", "Cache-Control: "+control))
		s.get()
		s.get("Authorization: Basic YTpi")
		s.want(calls, control)
	}
}

func TestK4_HEAD(t *testing.T) {
	s := newSite(t, httpcache.Config{}, says("hello", "Cache-Control: max-age=60", `Etag: "1"`))
	s.ask("HEAD", "http://example.com/a")
	s.get()
	s.want(2, "a HEAD is not stored")
	if w := s.ask("HEAD", "http://example.com/a"); w.Header().Get("Content-Length") != "5" {
		t.Error(w.Header())
	}
	s.want(2, "HEAD of a GET")
}

func TestK4_HEADThatContradicts(t *testing.T) {
	tag := `"1"`
	s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		says("hello", "Cache-Control: max-age=60", "Etag: "+tag)(w, r)
	})
	s.get()
	tag = `"2"`
	s.ask("HEAD", "http://example.com/a", "Cache-Control: no-cache")
	s.get()
	s.want(3, "the GET was made stale")
}

// K5: of what proxies say about a request nothing is read; whoever answers by it puts it in the key.
func TestK5_ForwardedFieldsAreTheCallers(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		says("for "+r.Header.Get("X-Forwarded-Host"), "Cache-Control: max-age=60")(w, r)
	}
	for name, tc := range map[string]struct {
		cfg   httpcache.Config
		calls int64
	}{
		"unread":     {httpcache.Config{}, 1},
		"in the key": {httpcache.Config{Key: func(r *http.Request) string { return r.Header.Get("X-Forwarded-Host") }}, 2},
	} {
		s := newSite(t, tc.cfg, answer)
		for _, host := range []string{"a.example", "b.example", "a.example"} {
			w := s.get("X-Forwarded-Host: "+host, "X-Forwarded-Proto: https", "X-Original-Url: /other", "Forwarded: host=c.example")
			if tc.calls == 2 && w.Body.String() != "for "+host {
				t.Errorf("%s: %s got %q", name, host, w.Body)
			}
		}
		s.want(tc.calls, name)
	}
}

func TestK_LongKeysPass(t *testing.T) {
	s := newSite(t, httpcache.Config{}, says("x", "Cache-Control: max-age=60"))
	long := "http://example.com/" + strings.Repeat("a", 9<<10)
	s.ask("GET", long)
	s.ask("GET", long)
	s.want(2, "a key of 9 KiB")
	medium := "http://example.com/" + strings.Repeat("a", 3<<10)
	s.ask("GET", medium)
	s.ask("GET", medium)
	s.want(3, "a key of 3 KiB")
}

func TestNew_ReportsEveryProblem(t *testing.T) {
	_, err := httpcache.New(httpcache.Config{MaxBytes: 64 << 20, MaxEntry: 134217728, Heuristic: 2, Name: "a b", MaxVariants: -1, StaleIfError: -time.Second, Targets: []string{"a b"}})
	if err == nil {
		t.Fatal("no error")
	}
	_, units := httpcache.New(httpcache.Config{MaxBytes: 64, StaleWhileRevalidate: 60})
	if units == nil {
		t.Fatal("no error for other units")
	}
	err = errors.Join(err, units)
	for _, want := range []string{
		"httpcache: MaxBytes is 64: must be at least 4096 bytes (0 means 64 MiB)", "httpcache: StaleWhileRevalidate is 60ns: must be at least 1s (a number without a unit is in nanoseconds)",
		"httpcache: MaxEntry is 134217728: must not exceed MaxBytes (67108864)", "httpcache: Heuristic is 2: must be between 0 and 1",
		`httpcache: Name is "a b": not a token`, "httpcache: MaxVariants is -1: must not", "httpcache: StaleIfError is -1s: must not", `httpcache: Targets[0] is "a b": not a field name`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not contain %q:\n%v", want, err)
		}
	}
}
