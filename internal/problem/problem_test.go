package problem_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/internal/leaktest"
	"github.com/hotpath-go/hotpath/internal/problem"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestAppend(t *testing.T) {
	for _, tc := range []struct {
		name string
		p    problem.Problem
		want string
	}{
		{"defaults", problem.Problem{Status: 429}, `{"type":"about:blank","title":"Too Many Requests","status":429}`},
		{
			"everything, members in order",
			problem.Problem{
				Type: "urn:x", Title: "No", Status: 503, Detail: `say "when"`,
				More: []problem.Member{{"b", "x"}, {"a", 7}, {"l", int64(1) << 40}, {"t", true}, {"s", []string{"p", "q"}}, {"none", []string(nil)}},
			},
			`{"type":"urn:x","title":"No","status":503,"detail":"say \"when\"","b":"x","a":7,"l":1099511627776,"t":true,"s":["p","q"],"none":[]}`,
		},
		{"a status without a text", problem.Problem{Status: 499}, `{"type":"about:blank","status":499}`},
		{"a value of another type", problem.Problem{Status: 400, Title: "No", More: []problem.Member{{"f", 1.5}}}, `{"type":"about:blank","title":"No","status":400,"f":null}`},
		{"markup cannot leave the string", problem.Problem{Status: 400, Title: "No", Detail: "</script>"}, `{"type":"about:blank","title":"No","status":400,"detail":"\u003c/script\u003e"}`},
		{"bytes that are no UTF-8", problem.Problem{Status: 400, Title: "No", Detail: "a\xffb"}, `{"type":"about:blank","title":"No","status":400,"detail":"a\ufffdb"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := string(problem.Append(nil, tc.p)); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestWrite_ReplacesTheAbandonedAnswer(t *testing.T) {
	w := httptest.NewRecorder()
	for name, value := range map[string]string{
		"Content-Type": "text/html", "Content-Length": "9000", "Content-Encoding": "br", "Content-Range": "bytes 0-1/2",
		"ETag": `"v1"`, "Last-Modified": "x", "Expires": "x", "Cache-Control": "max-age=60", "Repr-Digest": "x", "Accept-Ranges": "bytes",
		"Content-Language": "de", "Content-Location": "/x", "Content-Disposition": "inline", "Retry-After": "100", "CDN-Cache-Control": "max-age=60", "Surrogate-Control": "x",
		"Vary": "Origin", "Access-Control-Allow-Origin": "*", "RateLimit": `"a";r=0`, "Content-Security-Policy": "default-src 'none'",
	} {
		w.Header().Set(name, value)
	}
	problem.Write(w, httptest.NewRequest("GET", "/", nil), problem.Problem{Status: 429, RetryAfter: 1500 * time.Millisecond})

	want := http.Header{
		"Content-Type": {"application/problem+json"}, "Content-Length": {strconv.Itoa(w.Body.Len())}, "Cache-Control": {"no-store"}, "Retry-After": {"2"},
		"Vary": {"Origin"}, "Access-Control-Allow-Origin": {"*"}, "Ratelimit": {`"a";r=0`}, "Content-Security-Policy": {"default-src 'none'"},
	}
	got := w.Result().Header
	for name := range got {
		if !slices.Equal(got[name], want[name]) {
			t.Errorf("%s: %q, want %q", name, got[name], want[name])
		}
	}
	if len(got) != len(want) || w.Code != 429 || !json.Valid(w.Body.Bytes()) {
		t.Errorf("status %d, %d fields, body %s", w.Code, len(got), w.Body)
	}
}

func TestWrite_RetryAfterIsNeverTooEarly(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "", -time.Second: "", 1: "1", time.Second: "1", time.Second + 1: "2", time.Hour: "3600"} {
		w := httptest.NewRecorder()
		problem.Write(w, httptest.NewRequest("GET", "/", nil), problem.Problem{Status: 503, RetryAfter: d})
		if got := w.Header().Get("Retry-After"); got != want {
			t.Errorf("RetryAfter %v: field %q, want %q", d, got, want)
		}
	}
}

func TestWrite_HeadHasNoBody(t *testing.T) {
	w := httptest.NewRecorder()
	problem.Write(w, httptest.NewRequest("HEAD", "/", nil), problem.Problem{Status: 406})
	if w.Body.Len() != 0 || w.Header().Get("Content-Length") == "0" {
		t.Errorf("%d body bytes, length %q: want no body, and the length that GET has", w.Body.Len(), w.Header().Get("Content-Length"))
	}
}

// Whatever text comes in, the answer is JSON that encoding/json reads back.
func FuzzAppend(f *testing.F) {
	f.Add("t", "d", "name", "value")
	f.Add("\"", "\\", "\x00", "\xff\u2028<&>\x7f")
	f.Fuzz(func(t *testing.T, title, detail, name, value string) {
		got := problem.Append(nil, problem.Problem{Status: 400, Title: title, Detail: detail, More: []problem.Member{{"m" + name, value}}})
		var back map[string]any
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		same := func(s string) any { // encoding/json's own idea of s
			b, _ := json.Marshal(s)
			var v any
			_ = json.Unmarshal(b, &v)
			return v
		}
		if back["m"+same(name).(string)] != same(value) || detail != "" && back["detail"] != same(detail) || title != "" && back["title"] != same(title) {
			t.Errorf("%q %q %q %q came back as %v", title, detail, name, value, back)
		}
	})
}

// A byte is plain if and only if json.Marshal leaves it alone.
func TestAppend_EveryByte(t *testing.T) {
	for c := range 256 {
		s := "a" + string([]byte{byte(c)}) + "b"
		want, _ := json.Marshal(s)
		if got := problem.Append(nil, problem.Problem{Type: s, Title: "t", Status: 400}); !bytes.Contains(got, append([]byte(`{"type":`), want...)) {
			t.Errorf("byte %d: %s, want %s", c, got, want)
		}
	}
}
