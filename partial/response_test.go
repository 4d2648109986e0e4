package partial_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/partial"
)

const (
	whole = `{"a":1,"b":[1,2],"a":{"x":true}}`
	cut   = `{"a":1,"a":{"x":true}}`
)

func TestS1_WhatIsCut(t *testing.T) {
	f := mustNew(t, partial.Config{})
	for _, tc := range []struct {
		status int
		fields string
		cut    bool
	}{
		{0, asJSON, true},
		{200, asJSON, true},
		{201, "Content-Type: application/json; charset=utf-8", true},
		{202, "Content-Type: application/json; charset=US-ASCII", true},
		{200, `Content-Type: Application/JSON; Charset="UTF-8"`, true},
		{203, "Content-Type: text/json", true},
		{200, "Content-Type: application/hal+json", true},
		{200, "Content-Type: image/x+json;v=1", true},
		{200, "Content-Type: application/x-ndjson", true},
		{200, "Content-Type: application/ndjson", true},
		{200, "Content-Type: application/jsonl", true},
		{200, "Content-Type: application/x-jsonlines", true},
		{200, "Content-Type: application/json-seq", true},
		{200, asJSON + "\nContent-Encoding: identity", true},
		{200, asJSON + "\nCache-Control: max-age=1", true},
		{299, asJSON, true},
		{200, "Content-Type: application/problem+json", false},
		{200, "Content-Type: application/json; charset=utf-16", false},
		{200, "Content-Type: application/json; charset", false},
		{200, "Content-Type: text/plain", false},
		{200, "Content-Type: text/event-stream", false},
		{200, "Content-Type: application/jsonx", false},
		{200, "X: no type", false},
		{200, asJSON + "\nContent-Encoding: gzip", false},
		{200, asJSON + "\nContent-Encoding: identity, br", false},
		{200, asJSON + "\nCache-Control: no-transform", false},
		{200, asJSON + "\nCache-Control: private\nCache-Control: No-Transform", false},
		{206, asJSON, false},
		{226, asJSON, false},
		{300, asJSON, false},
		{400, asJSON, false},
		{404, "Content-Type: application/problem+json", false},
		{500, asJSON, false},
	} {
		w := do(f.Handler(serve(tc.status, tc.fields+"\nEtag: \"v1\"\nContent-Length: "+fmt.Sprint(len(whole)), whole)), "GET", "/?fields=a")
		want := whole
		if tc.cut {
			want = cut
		}
		// Every success has the tag of its mask: see TestS4_UncutRevalidates.
		tag := strings.HasPrefix(w.Header().Get("Etag"), `"v1~fields.`) == (tc.status < 300)
		if w.Body.String() != want || !tag || w.Header().Get("Content-Length") != fmt.Sprint(len(want)) || tc.status != 0 && w.Code != tc.status {
			t.Errorf("%d %q: %d %s %v", tc.status, tc.fields, w.Code, w.Body, w.Header())
		}
	}
	for _, status := range []int{204, 205, 304} {
		w := do(f.Handler(serve(status, asJSON+"\nEtag: \"v1\"")), "GET", "/?fields=a")
		if w.Code != status || w.Body.Len() > 0 || !strings.HasPrefix(w.Header().Get("Etag"), `"v1~fields.`) {
			t.Errorf("%d: %d %v", status, w.Code, w.Header())
		}
	}
	s := f.Stats()
	if s.Filtered != 16 || s.Untouched != 17+3 {
		t.Errorf("stats %+v", s)
	}
}

func TestS1_InformationalPasses(t *testing.T) {
	h := mustNew(t, partial.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		serve(201, asJSON, whole).ServeHTTP(w, r)
	}))
	for _, proto := range protos {
		srv, client := server(t, h, proto)
		early := ""
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			early = fmt.Sprint(code, h.Get("Link"))
			return nil
		}})
		r, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/?fields=a", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 201 || string(body) != cut || err != nil || early != "103</style.css>" {
			t.Errorf("%s: %d %s, %v, early %q", proto, res.StatusCode, body, err, early)
		}
	}
}

func TestS2_Header(t *testing.T) {
	var before http.Header
	h := mustNew(t, partial.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Accept-Ranges", "Content-Digest", "Repr-Digest", "Digest", "Content-Md5"} {
			w.Header().Set(name, "x")
		}
		w.Header().Set("Trailer", "Repr-Digest, X-Sum")
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
		w.Header().Set("X-Own", "early")
		before = w.Header().Clone()
		_, _ = io.WriteString(w, whole[:5])
		if w.Header().Get("X-Own") != "early" || fmt.Sprint(w.Header()) != fmt.Sprint(before) {
			t.Errorf("the header has become %v before anything was decided", w.Header())
		}
		w.Header().Set("X-Own", "late")
		w.Header().Set("X-Sum", "1")
		_, _ = io.WriteString(w, whole[5:])
	}))
	res := do(h, "GET", "/?fields=a").Result()
	for _, name := range []string{"Accept-Ranges", "Content-Digest", "Repr-Digest", "Digest", "Content-Md5", "Content-Length"} {
		if res.Header.Get(name) != "" {
			t.Errorf("%s is still there", name)
		}
	}
	if res.StatusCode != 200 || res.Header.Get("X-Own") != "early" || res.Trailer.Get("X-Sum") != "1" || res.Header.Get("Trailer") != "X-Sum" {
		t.Errorf("%d %v, trailer %v", res.StatusCode, res.Header, res.Trailer)
	}
}

func tagOf(t *testing.T, h http.Handler, target string) string {
	t.Helper()
	w := do(h, "GET", target)
	if w.Code != 200 {
		t.Fatalf("%s: %d", target, w.Code)
	}
	return w.Header().Get("Etag")
}

func TestS3_Tags(t *testing.T) {
	f := mustNew(t, partial.Config{})
	for tag, form := range map[string]string{`"v1"`: `"v1~fields.`, `W/"v1"`: `W/"v1~fields.`, `""`: `"~fields.`} {
		h := f.Handler(serve(0, asJSON+"\nEtag: "+tag, whole))
		a := tagOf(t, h, "/?fields=a")
		if !strings.HasPrefix(a, form) {
			t.Errorf("%s leaves as %s", tag, a)
		}
		if same := tagOf(t, h, "/?fields=%20a,a/x"); same != a {
			t.Errorf("the same mask, written otherwise: %s, want %s", same, a)
		}
		if other := tagOf(t, h, "/?fields=b"); other == a {
			t.Errorf("another mask has the same tag %s", a)
		}
		if plain := tagOf(t, h, "/"); plain != tag {
			t.Errorf("without a mask: %s", plain)
		}
	}
	// One without quotes has no place for the suffix; it would name the whole.
	for _, status := range []int{200, 304} {
		if tag := do(f.Handler(serve(status, asJSON+"\nEtag: v1")), "GET", "/?fields=a").Header().Get("Etag"); tag != "" {
			t.Errorf("%d with the tag v1, without quotes, has %s", status, tag)
		}
	}
	if tag := tagOf(t, f.Handler(serve(0, "Content-Type: text/html\nEtag: v1")), "/?fields=a"); tag != "v1" {
		t.Errorf("what is not cut keeps its tag v1, has %s", tag)
	}
	// The digest is part of what clients have stored: it does not change by accident.
	if got, want := tagOf(t, f.Handler(serve(0, asJSON+"\nEtag: \"v1\"", whole)), "/?fields=items(id,name)"), `"v1~fields.`+digest+`"`; got != want {
		t.Errorf("tag %s, want %s", got, want)
	}
}

// sha256("1:items(id,name)") in base64url, 96 bits of it:
// printf '1:items(id,name)' | openssl dgst -sha256 -binary | head -c 12 | base64 | tr +/ -_
const digest = "kBjrUpNOPPwkG9wr"

// versioned answers as most handlers with a tag do.
func versioned(seen *http.Header) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen != nil {
			*seen = r.Header
		}
		w.Header().Set("Etag", `"v1"`)
		switch match := r.Header.Get("If-None-Match"); {
		case r.Method == "PUT" && r.Header.Get("If-Match") != `"v1"`:
			w.WriteHeader(http.StatusPreconditionFailed)
			return
		case strings.Contains(match, `"v1"`), match == "*", match == "" && r.Header.Get("If-Modified-Since") != "":
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, whole)
	})
}

func TestS4_Conditions(t *testing.T) {
	var seen http.Header
	h := mustNew(t, partial.Config{}).Handler(versioned(&seen))
	tag, foreign := tagOf(t, h, "/?fields=a"), tagOf(t, h, "/?fields=b")
	for _, tc := range []struct {
		fields []string
		status int
		tag    string
	}{
		{[]string{"If-None-Match: " + tag}, 304, tag},
		{[]string{"If-None-Match: W/" + tag}, 304, "W/" + tag},
		{[]string{`If-None-Match: "v0", ` + tag + ", " + foreign}, 304, tag},
		{[]string{"If-None-Match: " + foreign}, 200, tag},
		{[]string{`If-None-Match: "v1"`}, 200, tag},
		{[]string{`If-None-Match: "v1"`, "If-Modified-Since: Mon, 02 Jan 2006 15:04:05 GMT"}, 200, tag},
		{[]string{"If-Modified-Since: Mon, 02 Jan 2006 15:04:05 GMT"}, 304, tag},
		{[]string{"If-None-Match: *"}, 304, tag},
	} {
		w := do(h, "GET", "/?fields=a", tc.fields...)
		if w.Code != tc.status || w.Header().Get("Etag") != tc.tag {
			t.Errorf("%v: %d %s, want %d %s", tc.fields, w.Code, w.Header().Get("Etag"), tc.status, tc.tag)
		}
	}
	if w := do(h, "GET", "/", "If-None-Match: "+tag); w.Code != 200 {
		t.Errorf("the tag of a mask without it: %d", w.Code)
	}
	for _, target := range []string{"/", "/?fields=a", "/?fields=b"} {
		if w := do(h, "PUT", target, `If-Match: "v0", `+tag); seen.Get("If-Match") != `"v0", "v1"` {
			t.Errorf("update of %s: If-Match is %s, %d", target, seen.Get("If-Match"), w.Code)
		}
		if w := do(h, "PUT", target, "If-Match: "+tag); w.Code != 200 {
			t.Errorf("update of %s: %d", target, w.Code)
		}
	}
}

// What leaves uncut in spite of a mask revalidates too: nobody can tell from a 304 whether its 200
// would be cut.
func TestS4_UncutRevalidates(t *testing.T) {
	date := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	h := mustNew(t, partial.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"v1"`)
		w.Header().Set("Content-Type", "text/html")
		if r.Method == http.MethodPost {
			return
		}
		http.ServeContent(w, r, "", date, strings.NewReader("<p>"))
	}))
	for _, method := range []string{"GET", "HEAD"} {
		tag := do(h, method, "/?fields=a").Header().Get("Etag")
		for _, condition := range []string{"If-None-Match: " + tag, "If-Modified-Since: " + date.Format(http.TimeFormat)} {
			if w := do(h, method, "/?fields=a", condition); w.Code != 304 || w.Header().Get("Etag") != tag {
				t.Errorf("%s, %s: %d %s", method, condition, w.Code, w.Header().Get("Etag"))
			}
		}
	}
	// An update says what its answer is called: there is nothing to revalidate.
	if tag := do(h, "POST", "/?fields=a").Header().Get("Etag"); tag != `"v1"` {
		t.Errorf("POST: %s", tag)
	}
}

func TestS5_Hold(t *testing.T) {
	for _, tc := range []struct {
		name   string
		h      http.Handler
		length string
	}{
		{"one Write", serve(0, asJSON, whole), fmt.Sprint(len(cut))},
		{"declared", serve(0, asJSON+"\nContent-Length: "+fmt.Sprint(len(whole)), whole), fmt.Sprint(len(cut))},
		{"in bytes", serve(0, asJSON, strings.Split(whole, "")...), fmt.Sprint(len(cut))},
		{"trailers", serve(0, asJSON+"\nTrailer: X-Sum", whole), ""},
		{"ReadFrom", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if n, err := io.Copy(w, strings.NewReader(whole)); n != int64(len(whole)) || err != nil {
				t.Errorf("ReadFrom: %d, %v", n, err)
			}
		}), fmt.Sprint(len(cut))},
	} {
		w := do(mustNew(t, partial.Config{}).Handler(tc.h), "GET", "/?fields=a")
		if w.Body.String() != cut || w.Header().Get("Content-Length") != tc.length {
			t.Errorf("%s: %s, Content-Length %q, want %q", tc.name, w.Body, w.Header().Get("Content-Length"), tc.length)
		}
	}
}

// big is a list of which the mask items/id keeps more than 32 KiB, and what it keeps.
func big(n int) (doc, kept string) {
	var d, k strings.Builder
	for i := range n {
		fmt.Fprintf(&d, `{"id":%d,"name":"product %d"},`, i, i)
		fmt.Fprintf(&k, `{"id":%d},`, i)
	}
	return `{"items":[` + d.String() + `null]}`, `{"items":[` + k.String() + `null]}`
}

func pieces(s string, n int) (all []string) {
	for ; len(s) > n; s = s[n:] {
		all = append(all, s[:n])
	}
	return append(all, s)
}

func TestS5_Big(t *testing.T) {
	doc, kept := big(10_000)
	declared := asJSON + "\nContent-Length: " + fmt.Sprint(len(doc))
	for name, tc := range map[string]struct {
		h      http.Handler
		length int64
	}{
		"declared and at once": {serve(0, declared, doc), int64(len(kept))},
		"declared, in pieces":  {serve(0, declared, pieces(doc, 5000)...), -1},
		"at once":              {serve(0, asJSON, doc), -1},
		"at once, and more":    {serve(0, asJSON, doc, "\n"), -1},
		"in pieces":            {serve(0, asJSON, pieces(doc, 3000)...), -1},
		"in big pieces":        {serve(0, asJSON, pieces(doc, 100_000)...), -1},
	} {
		for _, buffer := range []int64{0, 1, 1 << 20} {
			f := mustNew(t, partial.Config{Buffer: buffer})
			for _, proto := range protos {
				srv, client := server(t, f.Handler(tc.h), proto)
				res, err := client.Get(srv.URL + "/?fields=items/id")
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				length := tc.length
				if buffer == 1<<20 {
					length = int64(len(kept)) // it fits
					if name == "at once, and more" {
						length++
					}
				}
				if err != nil || strings.TrimSuffix(string(body), "\n") != kept || res.ContentLength != length {
					t.Errorf("%s, Buffer %d, %s: %d bytes, %v, Content-Length %d, want %d of %d", name, buffer, proto, len(body), err, res.ContentLength, length, len(kept))
				}
				srv.Close()
			}
		}
	}
}

func TestS5_Flush(t *testing.T) {
	for _, proto := range protos {
		step, read := make(chan string), make(chan bool)
		h := mustNew(t, partial.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/x-ndjson")
			for s := range step {
				_, _ = io.WriteString(w, s)
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Errorf("%s: Flush: %v", proto, err)
				}
				<-read
			}
		}))
		srv, client := server(t, h, proto)
		go func() { step <- "" }()
		res, err := client.Get(srv.URL + "/?fields=a/x,b")
		if err != nil {
			t.Fatal(err)
		}
		read <- true // the header is here, and no byte was written
		for _, s := range []struct{ write, want string }{
			{"{\"b\":1,\"c\":2}\n", "{\"b\":1}\n"}, {`{"c":1,"b":"lo`, `{"b":"lo`}, {`ng","a":`, `ng"`}, {"{\"x\":1}}\n", ",\"a\":{\"x\":1}}\n"},
		} {
			step <- s.write
			got := make([]byte, len(s.want))
			if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != s.want {
				t.Errorf("%s: after %q: %q, %v; want %q", proto, s.write, got, err, s.want)
			}
			read <- true
		}
		close(step)
		if rest, err := io.ReadAll(res.Body); len(rest) > 0 || err != nil {
			t.Errorf("%s: at the end %q, %v", proto, rest, err)
		}
		res.Body.Close()
	}
}

func TestS6_NotJSON(t *testing.T) {
	f := mustNew(t, partial.Config{})
	long := strings.Repeat(`{"a":1,"bbbbbbbbbbbbbbbb":2},`, 5000)
	original := func(fields string, pieces ...string) {
		t.Helper()
		want := strings.Join(pieces, "")
		w := do(f.Handler(serve(0, fields+"\nEtag: \"v1\"\nContent-Digest: x", pieces...)), "GET", "/?fields=a")
		if w.Code != 200 || w.Body.String() != want || w.Header().Get("Etag") != `"v1"` || w.Header().Get("Content-Digest") != "x" {
			t.Errorf("%.40q: %d, %d bytes, want the original of %d; %v", pieces, w.Code, w.Body.Len(), len(want), w.Header())
		}
	}
	original(asJSON, `<html>no JSON</html>`)
	original(asJSON, `{"a":1`)
	original(asJSON, `{"a":1`, `]`)
	original(asJSON, `{"a":1}`, `x`, `and more`)
	original(asJSON, "["+long+"null]]")               // the fault is in the first Write
	original(asJSON+"\nContent-Length: 7", `{"a":1,`) // declared, whole and incomplete
	original(asJSON, strings.Split(`{"b":[1,2}`, "")...)
	n := len(long) + 5
	original(asJSON+"\nContent-Length: "+fmt.Sprint(n), "["+long+"null") // complete but for the last bracket
	if s := f.Stats(); s.Broken != 8 {
		t.Errorf("stats %+v", s)
	}
}

func TestS6_CutConnection(t *testing.T) {
	long := strings.Repeat(`{"a":1,"bbbbbbbbbbbbbbbb":2},`, 5000)
	for name, ps := range map[string][]string{
		"a fault after the first byte":    {"[" + long, "]]", "more"},
		"incomplete after the first byte": {"[" + long},
		"a fault, original too long":      {"[", strings.Repeat(`{"bbbb":1},`, 4000), "}"},
		"a fault, many pieces":            append(pieces("["+strings.Repeat(`{"bbbb":1},`, 4000), 8000), "}"),
		"incomplete, original too long":   {"[", strings.Repeat(`{"bbbb":1},`, 4000)},
	} {
		f := mustNew(t, partial.Config{})
		var failed error
		h := f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for _, p := range ps {
				if _, err := io.WriteString(w, p); err != nil {
					failed = err
				}
			}
		}))
		for _, proto := range protos {
			srv, client := server(t, h, proto)
			res, err := client.Get(srv.URL + "/?fields=a")
			if err == nil {
				_, err = io.ReadAll(res.Body)
				res.Body.Close()
			}
			if err == nil {
				t.Errorf("%s, %s: the answer looks whole", name, proto)
			}
			srv.Close()
		}
		if strings.HasPrefix(name, "a fault") && (failed == nil || !strings.Contains(failed.Error(), "not JSON")) {
			t.Errorf("%s: Write says %v", name, failed)
		}
		if s := f.Stats(); s.Aborted != uint64(len(protos)) {
			t.Errorf("%s: stats %+v", name, s)
		}
	}
}

func TestS6_ShortBody(t *testing.T) {
	f := mustNew(t, partial.Config{})
	srv, client := server(t, f.Handler(serve(0, asJSON+"\nContent-Length: 100", whole)), "HTTP/1.1")
	res, err := client.Get(srv.URL + "/?fields=a")
	if err == nil {
		_, err = io.ReadAll(res.Body)
		res.Body.Close()
	}
	if err == nil {
		t.Error("a body shorter than it promised looks whole")
	}
	h := f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "3")
		if _, err := io.WriteString(w, "[ ]"); err != nil {
			t.Error(err)
		}
		if _, err := io.WriteString(w, " "); !errors.Is(err, http.ErrContentLength) {
			t.Errorf("a byte too much: %v", err)
		}
	}))
	if w := do(h, "GET", "/?fields=a"); w.Body.String() != "[]" || w.Header().Get("Content-Length") != "2" {
		t.Errorf("%s %v", w.Body, w.Header())
	}
}

func TestS7_HEAD(t *testing.T) {
	f := mustNew(t, partial.Config{})
	for _, tc := range []struct {
		name   string
		h      http.Handler
		length string
	}{
		{"writes", serve(0, asJSON+"\nEtag: \"v1\"", whole), fmt.Sprint(len(cut))},
		{"writes, declared", serve(0, asJSON+"\nEtag: \"v1\"\nContent-Length: "+fmt.Sprint(len(whole)), whole), fmt.Sprint(len(cut))},
		{"writes nothing", serve(0, asJSON+"\nEtag: \"v1\""), ""},
		{"writes nothing, declared", serve(0, asJSON+"\nEtag: \"v1\"\nContent-Length: "+fmt.Sprint(len(whole))), ""},
	} {
		w := do(f.Handler(tc.h), "HEAD", "/?fields=a")
		if w.Body.Len() > 0 || w.Header().Get("Content-Length") != tc.length || w.Header().Get("Etag") != tagOf(t, f.Handler(serve(0, asJSON+"\nEtag: \"v1\"", whole)), "/?fields=a") {
			t.Errorf("%s: %d bytes, %v", tc.name, w.Body.Len(), w.Header())
		}
	}
	doc, _ := big(10_000)
	if w := do(f.Handler(serve(0, asJSON, pieces(doc, 3000)...)), "HEAD", "/?fields=items/id"); w.Body.Len() > 0 || w.Header().Get("Content-Length") != "" {
		t.Errorf("a big one: %d bytes, %v", w.Body.Len(), w.Header())
	}
}

// Bytes that a HEAD only describes are not counted as sent.
func TestS7_HEADCounts(t *testing.T) {
	for name, h := range map[string]http.Handler{"written": serve(0, asJSON, whole), "WriteJSON": nil} {
		f := mustNew(t, partial.Config{})
		if h == nil {
			h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := f.WriteJSON(w, r, 200, map[string]int{"a": 1}); err != nil {
					t.Error(err)
				}
			})
		}
		do(f.Handler(h), "HEAD", "/?fields=a")
		if s := f.Stats(); s.OutBytes != 0 || s.Filtered+s.Projected != 1 {
			t.Errorf("%s: %+v", name, s)
		}
		do(f.Handler(h), "GET", "/?fields=a")
		if s := f.Stats(); s.OutBytes == 0 {
			t.Errorf("%s, GET: %+v", name, s)
		}
	}
}

func TestS7_Empty(t *testing.T) {
	f := mustNew(t, partial.Config{})
	for _, h := range []http.Handler{serve(0, asJSON), serve(200, asJSON), serve(201, asJSON, ""), serve(200, asJSON, " \n")} {
		w := do(f.Handler(h), "GET", "/?fields=a")
		if strings.TrimSpace(w.Body.String()) != "" || w.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) {
			t.Errorf("%q %v", w.Body, w.Header())
		}
	}
}

func TestS7_WriteReturns(t *testing.T) {
	doc, _ := big(5000)
	h := mustNew(t, partial.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for _, p := range pieces(doc, 10_000) {
			if n, err := w.Write([]byte(p)); n != len(p) || err != nil {
				t.Errorf("Write of %d: %d, %v", len(p), n, err)
			}
		}
	}))
	do(h, "GET", "/?fields=items/id")
}

func TestS7_Panic(t *testing.T) {
	f := mustNew(t, partial.Config{})
	for _, n := range []int{0, 100, 100_000} {
		h := f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "["+strings.Repeat(`{"a":1},`, n/8)+"1]")
			panic("on purpose")
		}))
		w := httptest.NewRecorder()
		func() {
			defer func() {
				if p := recover(); p != "on purpose" {
					t.Errorf("panic %v", p)
				}
			}()
			h.ServeHTTP(w, request("GET", "/?fields=a"))
		}()
		if n < 1000 && (w.Body.Len() > 0 || w.Header().Get("Content-Length") != "") {
			t.Errorf("after a panic %d bytes are sent: an outer recoverer could still answer 500", w.Body.Len())
		}
	}
	if s := f.Stats(); s.Aborted != 3 {
		t.Errorf("stats %+v", s)
	}
}

func TestS7_Hijack(t *testing.T) {
	f := mustNew(t, partial.Config{})
	srv, client := server(t, f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/begun" {
			serve(0, asJSON, whole).ServeHTTP(w, r)
			if _, _, err := http.NewResponseController(w).Hijack(); err == nil {
				t.Error("Hijack succeeds when cut bytes are held")
			}
			return
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" + whole)
		_ = rw.Flush()
	})), "HTTP/1.1")
	for path, want := range map[string]string{"/": whole, "/begun": cut} {
		res, err := client.Get(srv.URL + path + "?fields=a")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if string(body) != want || err != nil {
			t.Errorf("%s: %s, %v", path, body, err)
		}
	}
}

// After the handler returned its writer is dead, whatever is pooled by then.
func TestS7_StaleWriter(t *testing.T) {
	var stale http.ResponseWriter
	f := mustNew(t, partial.Config{})
	do(f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stale = w
		serve(0, asJSON, whole).ServeHTTP(w, r)
	})), "GET", "/?fields=a")
	if _, err := stale.Write([]byte("x")); err == nil {
		t.Error("a stale Write succeeds")
	}
	if err := http.NewResponseController(stale).Flush(); err == nil {
		t.Error("a stale Flush succeeds")
	}
}

// countWrites sees what reaches the inner writer.
type countWrites struct {
	http.ResponseWriter
	writes int
}

func (c *countWrites) Write(p []byte) (int, error) {
	c.writes++
	return c.ResponseWriter.Write(p)
}

func TestN2_OneWrite(t *testing.T) {
	doc, _ := big(500)
	for _, ps := range [][]string{{doc}, pieces(doc, 1000)} {
		for _, fields := range []string{asJSON, asJSON + "\nContent-Length: " + fmt.Sprint(len(doc))} {
			w := &countWrites{ResponseWriter: httptest.NewRecorder()}
			mustNew(t, partial.Config{}).Handler(serve(0, fields, ps...)).ServeHTTP(w, request("GET", "/?fields=items/id"))
			if w.writes != 1 {
				t.Errorf("%d pieces, %q: %d Writes", len(ps), fields, w.writes)
			}
		}
	}
	// The stored slice itself is never what is sent: compress would take it for the whole.
	stored := []byte(whole)
	out := &sliceSink{header: http.Header{}}
	mustNew(t, partial.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(len(stored)))
		_, _ = w.Write(stored)
	})).ServeHTTP(out, request("GET", "/?fields=a,b"))
	if !bytes.Equal(out.last, stored) || &out.last[0] == &stored[0] {
		t.Errorf("%s: the handler's own slice was handed on", out.last)
	}
}

type sliceSink struct {
	header http.Header
	last   []byte
}

func (s *sliceSink) Header() http.Header         { return s.header }
func (s *sliceSink) WriteHeader(int)             {}
func (s *sliceSink) Write(p []byte) (int, error) { s.last = p; return len(p), nil }

// With limits that let longer names in, one that is escaped all over is still a fault beyond 64 KiB.
func TestB8_LongNamesOfOtherLimits(t *testing.T) {
	f := mustNew(t, partial.Config{MaxLength: 20_000})
	doc := func(n int) string { return `{"` + strings.Repeat(`\u006e`, n) + `":{"x":1,"y":2}}` }
	for n, want := range map[int]string{10_000: strings.Replace(doc(10_000), `,"y":2`, "", 1), 12_000: doc(12_000)} {
		w := do(f.Handler(serve(0, asJSON, doc(n))), "GET", "/?fields="+strings.Repeat("n", n)+"/x")
		if w.Code != 200 || w.Body.String() != want {
			t.Errorf("a name of %d: %d, %d bytes, want %d", n, w.Code, w.Body.Len(), len(want))
		}
	}
	if s := f.Stats(); s.Filtered != 1 || s.Broken != 1 {
		t.Errorf("%+v", s)
	}
}
