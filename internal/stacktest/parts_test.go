package stacktest_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/throttle"
)

type part struct {
	Status  int
	Headers map[string]string
	Body    json.RawMessage
}

func (p part) text() string {
	var s string
	if json.Unmarshal(p.Body, &s) != nil {
		return string(p.Body)
	}
	return s
}

func partStatuses(parts []part) (all []int) {
	for _, p := range parts {
		all = append(all, p.Status)
	}
	return all
}

// envelopeOf asks for urls. One that is not a plain GET has its method before it, and may have the fields of the part
// behind it, as JSON.
func envelopeOf(urls ...string) string {
	parts := make([]string, len(urls))
	for i, u := range urls {
		method, fields := "GET", "{}"
		if before, after, ok := strings.Cut(u, " "); ok {
			method, u = before, after
		}
		if before, after, ok := strings.Cut(u, " "); ok {
			u, fields = before, after
		}
		parts[i] = fmt.Sprintf(`{"id":"%d","method":%q,"url":%q,"headers":%s}`, i, method, u, fields)
	}
	return `{"requests":[` + strings.Join(parts, ",") + `]}`
}

// batch sends an envelope.
func (s *stack) batch(t *testing.T, envelope string, fields ...string) []part {
	t.Helper()
	a := s.send(t.Context(), t, "POST", "/$batch", strings.NewReader(envelope), append(fields, "Content-Type: application/json")...)
	var out struct{ Responses []part }
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.err != nil || a.status != 200 {
		t.Errorf("a batch: %s, %v", a, err)
	}
	return out.Responses
}

// parts are answered as each would be alone: masks, conditions by the tag that the client has of a coded answer,
// updates, failures that are their own.
func parts(t *testing.T, s *stack) {
	if !s.has("b") {
		return
	}
	for _, accept := range []string{"Accept-Encoding: gzip", "Accept-Encoding: identity"} {
		whole, masked := s.ask(t, "GET", "/items/1", accept), s.ask(t, "GET", "/items/2?fields=id", accept)
		reading := "/note"
		if s.has("p") && !s.around("h", "p") {
			reading = "/note?fields=version" // who has read a part of it may update the whole
		}
		note := s.ask(t, "GET", reading, accept).header.Get("Etag")
		got := s.batch(t, envelopeOf("/items/1", "/items/2?fields=id", "/none", "HEAD /items/1", "/status/204", "/abort/much", "/abort/short", "/me",
			fmt.Sprintf(`GET /items/1 {"If-None-Match":%q}`, whole.header.Get("Etag")),
			fmt.Sprintf(`PUT /note {"If-Match":%q}`, note), `PUT /note {"If-Match":"\"another\""}`, "/late", "/events", "/trailers", "/$batch", "/hints"), accept, "Authorization: alice")
		want := []int{200, 200, 404, 200, 204, 502, 502, 200, 200, 204, 412, 200, 200, 200, 400, 200}
		// A part asks for identity, and a cache between knows only the tag of what it would get.
		fresh := whole.body
		if mayBeSlower := s.between("b", "h", "c") || s.twiceCoded(); !mayBeSlower || len(got) > 8 && got[8].Status == 304 {
			fresh, want[8] = "", 304
		}
		if s.around("p", "b") && !s.around("b", "p") { // it cuts envelopes, and no part
			masked = s.ask(t, "GET", "/items/2", accept)
		}
		if !slices.Equal(partStatuses(got), want) {
			t.Errorf("parts: %v, want %v", partStatuses(got), want)
			return
		}
		for i, want := range map[int]string{
			0: whole.body, 1: masked.body, 2: "404 page not found\n", 3: "", 4: "", 7: strings.Repeat("alice ", 200), 8: fresh,
			11: s.plainly(t, "/late").body, 12: s.plainly(t, "/events").body, 13: s.plainly(t, "/trailers").body,
			15: s.plainly(t, "/hints").body,
		} {
			if got[i].text() != want {
				t.Errorf("part %d: %.60q, want %.60q", i, got[i].text(), want)
			}
		}
		if tag := got[8].Headers["Etag"]; want[8] == 304 && !s.around("c", "b") && tag != whole.header.Get("Etag") { // outside of batch it never sees the 304
			t.Errorf("%s is fresh, and the client has %s", tag, whole.header.Get("Etag"))
		}
		if got[11].Headers["X-Own"] != "early" || got[0].Headers["Content-Encoding"] != "" || got[15].Headers["Link"] != "" {
			t.Errorf("fields of parts: %v, %v", got[11].Headers, got[0].Headers)
		}
		if a := s.ask(t, "GET", "/note", accept); !strings.HasPrefix(a.body, fmt.Sprintf(`{"version":%d,`, s.version.Load())) {
			t.Errorf("after an update in a part: %s, version %d", a, s.version.Load())
		}
	}
}

// tokens: a request costs one and a batch of n parts n, of each throttle, wherever it stands.
func tokens(t *testing.T, s *stack) {
	key := throttle.KeyAddr(netip.MustParseAddr("127.0.0.1"), 32)
	left := func() (all []int64) {
		for _, l := range s.limits {
			all = append(all, l.Peek(t.Context(), key, 1).Remaining)
		}
		return all
	}
	paid := func(n int64, what string, send func()) {
		before := left()
		send()
		for i, now := range left() {
			if before[i]-now != n {
				t.Errorf("%s cost %d tokens, want %d", what, before[i]-now, n)
			}
		}
	}
	paid(1, "a request", func() { s.ask(t, "GET", "/own/1") })
	if s.has("b") {
		paid(4, "four parts", func() { s.batch(t, envelopeOf("/own/1", "/own/2", "/own/3", "/own/4")) })
		paid(1, "one part", func() { s.batch(t, envelopeOf("/own/1")) })
	}
}
