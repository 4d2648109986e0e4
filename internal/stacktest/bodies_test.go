package stacktest_test

import (
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

// plainPaths are answered by every handler in the same way each time.
var plainPaths = []string{
	"/items/1", "/items/2", "/list/medium", "/doc", "/weak", "/note", "/long", "/sniffed", "/late", "/trailers", "/trailers/short", "/trailers/long", "/trailers/early", "/events", "/hints", "/none",
	"/status/204", "/status/205", "/status/304", "/status/201", "/status/302", "/status/410", "/status/500", "/status/503", "/pieces", "/problem", "/settled",
}

// bodies: status, decoded body, the handler's fields and trailers are those of the bare handler, also what it
// changed too late; cold, warm, and in every coding.
func bodies(t *testing.T, s *stack) {
	stored := map[string]int{}
	for _, accept := range []string{"zstd, br;q=0.9, gzip;q=0.8", "zstd, br;q=0.9, gzip;q=0.8", "gzip", "identity"} {
		for _, path := range plainPaths {
			want := s.plainly(t, path)
			if path == "/status/205" && s.has("chmtuO") { // net/http leaves it to the handler, which writes one
				want.body = ""
			}
			if s.has("T") && (path == "/late" || path == "/hints") { // it lets late fields in, and takes 103 for final
				continue
			}
			if path == "/trailers/long" && s.has("N") { // nobody can flush, so that net/http sees that more is to come
				continue
			}
			got := s.ask(t, "GET", path, "Accept-Encoding: "+accept)
			if diff := same(got, want); diff != "" {
				t.Errorf("%s by %s: %s", path, accept, diff)
			}
			if want.header.Get("Cache-Control") != "" && len(want.trailer) == 0 { // those with trailers are never stored
				stored[path] = s.ranFor(path)
			}
		}
	}
	// The handler ran once for all codings, or once for each of three where compress is inside of the cache.
	most := 1
	if s.has("c") {
		most = 3
	}
	for path, n := range stored {
		if s.has("h") && n > most {
			t.Errorf("a cache in the stack, and the handler of %s ran %d times", path, n)
		}
	}
	// A throttle says what is left to whom it let in; what is stored says nothing.
	for path, behind := range map[string]string{"/items/1": strings.SplitN(s.letters, "h", 2)[0], "/settled": s.letters} {
		s.ask(t, "GET", path)
		if n, want := len(s.ask(t, "GET", path).header["Ratelimit"]), strings.Count(behind, "t"); n != want {
			t.Errorf("%s: %d lines of RateLimit behind %d throttles", path, n, want)
		}
	}
}

// heads: HEAD has the fields of GET and no body, before and after a GET.
func heads(t *testing.T, s *stack) {
	for _, accept := range []string{"Accept-Encoding: gzip", "Accept-Encoding: identity"} {
		for _, path := range []string{"/items/5", "/items/1?fields=id", "/doc", "/weak", "/list/medium", "/none", "/status/503", "/long", "/hello"} {
			cold := s.ask(t, "HEAD", path, accept)
			get := s.ask(t, "GET", path, accept)
			for i, head := range []answer{cold, s.ask(t, "HEAD", path, accept)} {
				if head.err != nil || head.status != get.status {
					t.Errorf("HEAD %s: %s, GET %s", path, head, get)
				}
				for _, name := range []string{"Etag", "Content-Type", "Content-Encoding", "Content-Length", "Vary"} {
					h, g := head.header[name], get.header[name]
					switch {
					case slices.Equal(h, g):
					case name == "Content-Length" && h == nil: // may be left out (RFC 9110 section 8.6)
					case name == "Content-Length" && g == nil && h[0] == fmt.Sprint(len(get.raw)): // a cache knows it by now
					case name != "Vary" && name != "Content-Type" && len(get.raw) < 100: // only encoding it tells that it gets no smaller
					default:
						t.Errorf("HEAD (%d) %s by %s: %s %q, GET %q", i, path, accept, name, h, g)
					}
				}
			}
		}
	}
}

// ranges: a 206 is a piece of what its tag names; any answer but that is the whole.
func ranges(t *testing.T, s *stack) {
	for _, accept := range []string{"Accept-Encoding: gzip", "Accept-Encoding: identity"} {
		for _, path := range []string{"/items/1", "/doc", "/items/1?fields=id", "/weak"} {
			whole := s.ask(t, "GET", path, accept)
			tag := whole.header.Get("Etag")
			for _, condition := range []string{"X-None: 1", "If-Range: " + tag, `If-Range: "another"`} {
				a := s.ask(t, "GET", path, accept, "Range: bytes=3-12", condition)
				switch {
				case a.err != nil:
					t.Errorf("%s: %s", path, a)
				case a.status == http.StatusOK:
					if a.body != whole.body {
						t.Errorf("%s, %s: %s, whole %s", path, condition, a, whole)
					}
				case a.status != http.StatusPartialContent:
					t.Errorf("%s, %s: %d", path, condition, a.status)
				case condition == `If-Range: "another"`:
					t.Errorf("%s: a piece of what the client has not", path)
				case strings.HasPrefix(condition, "If-Range") && a.header.Get("Etag") != tag:
					t.Errorf("%s: a piece of %s to complete %s", path, a.header.Get("Etag"), tag)
				default:
					full, known := s.named[a.header.Get("Etag")+" of "+strings.SplitN(path, "?", 2)[0]]
					if a.header.Get("Etag") == tag && a.header.Get("Content-Encoding") == whole.header.Get("Content-Encoding") {
						full, known = whole.raw, true
					}
					var from, to, n int
					if _, err := fmt.Sscanf(a.header.Get("Content-Range"), "bytes %d-%d/%d", &from, &to, &n); err != nil || known && (n != len(full) || full[from:to+1] != a.raw) {
						t.Errorf("%s: %q at %s is no piece of the %d bytes of %s", path, a.raw, a.header.Get("Content-Range"), len(full), a.header.Get("Etag"))
					}
				}
			}
		}
	}
	if a := s.ask(t, "GET", "/doc", "Accept-Encoding: identity", "Range: bytes=0-9", "If-Range: "+s.ask(t, "GET", "/doc", "Accept-Encoding: identity").header.Get("Etag")); a.status != http.StatusPartialContent {
		t.Errorf("a plain piece: %s", a)
	}
}

// hints: 103 arrives before the answer, with its fields, and they do not stay.
func hints(t *testing.T, s *stack) {
	for _, accept := range []string{"gzip", "identity"} {
		var early []string
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == http.StatusEarlyHints {
				early = append(early, h.Get("Link"))
			}
			return nil
		}})
		a := s.send(ctx, t, "GET", "/hints", nil, "Accept-Encoding: "+accept)
		if !slices.Equal(early, []string{"</a.css>; rel=preload"}) || a.status != http.StatusOK {
			t.Errorf("103 with %q, then %s", early, a)
		}
	}
}

// masks: a masked answer has what was asked for, and a tag of its own; without a filter in the stack the
// parameter means nothing.
func masks(t *testing.T, s *stack) {
	for _, accept := range []string{"Accept-Encoding: gzip", "Accept-Encoding: identity"} {
		for _, which := range []string{"cold", "warm"} {
			for path, kept := range map[string]string{
				"/items/1?fields=id": `{"id":1}`, "/list/medium?fields=items/id": mediumIDs, "/list/large?fields=items/id": largeIDs,
				"/pieces?fields=items/id": strings.ReplaceAll(s.plainly(t, "/pieces").body, `,"name":"x"`, ""), "/problem?fields=items/id": `{"title":"none"}`,
				"/doc?fields=items/id": string(longText[:20_000]), "/none?fields=items/id": "404 page not found\n",
			} {
				want := s.plainly(t, path)
				if s.has("p") {
					want.body = kept
				}
				if diff := same(s.ask(t, "GET", path, accept), want); diff != "" {
					t.Errorf("%s %s by %s: %s", which, path, accept, diff)
				}
			}
		}
		if !s.has("p") {
			continue
		}
		masked, whole := s.ask(t, "GET", "/list/medium?fields=items/id", accept), s.ask(t, "GET", "/list/medium", accept)
		tag := masked.header.Get("Etag")
		if whole.body != medium || whole.header.Get("Etag") == tag {
			t.Errorf("the whole has tag %s, masked %s: %s", whole.header.Get("Etag"), tag, whole)
		}
		for _, path := range []string{"/list/medium?fields=items/name", "/list/medium"} {
			if a := s.ask(t, "GET", path, accept, "If-None-Match: "+tag); a.status != http.StatusOK {
				t.Errorf("%s with the tag of another mask: %d", path, a.status)
			}
		}
		if a := s.ask(t, "GET", "/list/medium?fields=items(", accept); a.status != http.StatusBadRequest || a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("a bad mask: %s", a)
		}
		// Not JSON to its end: a lie begun is cut off.
		if a := s.ask(t, "GET", "/fault?fields=items/id", accept); a.err == nil && a.body != large+"]" {
			t.Errorf("what is no JSON is a document all the same: %s", a)
		}
	}
}
