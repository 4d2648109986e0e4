package batch_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hotpath-go/hotpath/batch"
	"github.com/hotpath-go/hotpath/internal/rw"
)

type answer struct {
	ID      string            `json:"id"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"`
}

func newEndpoint(t testing.TB, cfg batch.Config) *batch.Endpoint {
	t.Helper()
	e, err := batch.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// post sends an envelope to h. fields are name, value, ...
func post(h http.Handler, path, envelope string, fields ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "http://service.test"+path, strings.NewReader(envelope))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// answers returns the answers of a batch, which must be one.
func answers(t testing.TB, w *httptest.ResponseRecorder) []answer {
	t.Helper()
	var out struct{ Responses []answer }
	if w.Code != 200 || json.Unmarshal(w.Body.Bytes(), &out) != nil {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if got := w.Header().Get("Content-Length"); got != fmt.Sprint(w.Body.Len()) {
		t.Errorf("Content-Length %s for %d bytes", got, w.Body.Len())
	}
	return out.Responses
}

// one is an envelope with one part of these members.
func one(members string) string { return `{"requests":[{"id":"1",` + members + `}]}` }

func get(urls ...string) string {
	parts := make([]string, len(urls))
	for i, u := range urls {
		text, _ := json.Marshal(u)
		parts[i] = fmt.Sprintf(`{"id":"%d","method":"GET","url":%s}`, i+1, text)
	}
	return `{"requests":[` + strings.Join(parts, ",") + `]}`
}

// seen answers with what it has seen of the request.
var seen = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"method": r.Method, "uri": r.RequestURI, "path": r.URL.Path, "host": r.Host, "addr": r.RemoteAddr,
		"header": r.Header, "body": string(body), "length": r.ContentLength,
	})
})

type request struct {
	Method, URI, Path, Host, Addr, Body string
	Length                              int64
	Header                              http.Header
}

func sawBy(t testing.TB, a answer) (r request) {
	t.Helper()
	if err := json.Unmarshal(a.Body, &r); err != nil || a.Status != 200 {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	return r
}

func TestNew_SaysWhatIsWrong(t *testing.T) {
	_, err := batch.New(batch.Config{
		Path: "x/", MaxParts: -3, MaxBytes: -1, MaxResponseBytes: -1, Concurrency: -1, PartTimeout: -1,
		AllowHeaders: []string{"Transfer-Encoding", "Authorization", "a b"}, DropHeaders: []string{":"},
	})
	want := `batch: Path is "x/": must be a clean absolute path without escapes, such as "/v1.0/$batch"
batch: MaxParts is -3: must be at least 1 (0 means 100)
batch: MaxBytes is -1: must be at least 1 (0 means 1 MiB)
batch: MaxResponseBytes is -1: must be at least 1 (0 means 8 MiB)
batch: Concurrency is -1: must be at least 1 (0 means 16)
batch: PartTimeout is -1ns: must not be negative (0 means none)
batch: AllowHeaders is "Transfer-Encoding": must not be a field of the message itself, such as Transfer-Encoding
batch: AllowHeaders is "a b": must be a field name
batch: DropHeaders is ":": must be a field name`
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

func TestNew_RefusesPathsThatNeedEscapes(t *testing.T) {
	for _, p := range []string{"/50%/$batch", "/a b/$batch", "/a%2fb/$batch", "/ü/$batch", "/a?b/$batch", "/a/../$batch", "/a//$batch", "/a/", "/"} {
		if _, err := batch.New(batch.Config{Path: p}); err == nil {
			t.Errorf("%s is taken", p)
		}
	}
	for _, p := range []string{"/$batch", "/v1.0/$batch", "/a:b/c,d;e=(f)/batch", "/~a/b'c"} {
		e, err := batch.New(batch.Config{Path: p})
		if err != nil {
			t.Errorf("%s: %v", p, err)
			continue
		}
		base := p[:strings.LastIndexByte(p, '/')+1]
		if r := sawBy(t, answers(t, post(e.Handler(seen), p, get("me")))[0]); r.Path != base+"me" || r.URI != base+"me" {
			t.Errorf("%s: %s %s", p, r.Path, r.URI)
		}
	}
}

// H1: POST to Path, compared decoded, is a batch; OPTIONS and other paths go to next as they came;
// other methods are refused.
func TestH1_WhatIsABatch(t *testing.T) {
	for _, c := range []struct {
		method, path string
		want         int // 200: batch, 299: next
	}{
		{"POST", "/v1.0/$batch", 200},
		{"POST", "/v1.0/%24batch", 200},
		{"POST", "/v1.0/%24b%61tch", 200},
		{"POST", "/v1.0/$batch?a=b", 200},
		{"OPTIONS", "/v1.0/$batch", 299},
		{"GET", "/v1.0/$batch", 405},
		{"PUT", "/v1.0/$batch", 405},
		{"HEAD", "/v1.0/$batch", 405},
		{"POST", "/v1.0/$batch/", 299},
		{"POST", "/$batch", 299},
		{"POST", "/v1.0/other", 299},
	} {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(`{"requests":[]}`))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		e := newEndpoint(t, batch.Config{Path: "/v1.0/$batch"})
		e.Handler(http.HandlerFunc(func(_ http.ResponseWriter, inner *http.Request) {
			if inner != r {
				t.Errorf("%s %s: another request", c.method, c.path)
			}
			w.WriteHeader(299)
		})).ServeHTTP(w, r)
		if w.Code != c.want || c.want == 405 && w.Header().Get("Allow") != "POST" {
			t.Errorf("%s %s: %d %v, want %d", c.method, c.path, w.Code, w.Header(), c.want)
		}
	}
}

// H2: JSON alone; what a foreign page can post without asking never.
func TestH2_Formats(t *testing.T) {
	h := newEndpoint(t, batch.Config{}).Handler(seen)
	for typ, want := range map[string]int{
		"application/json":                       200,
		"Application/JSON; charset=utf-8":        200,
		"application/json;odata.metadata=none":   200,
		"text/plain":                             415,
		"":                                       415,
		"application/x-www-form-urlencoded":      415,
		"multipart/form-data; boundary=x":        415,
		"multipart/mixed; boundary=x":            415,
		"application/jsonp":                      415,
		"application/problem+json":               415,
		"text/plain; application/json":           415,
		"application/json, text/plain":           415,
		"application/vnd.api+json; ext=\"bulk\"": 415,
	} {
		w := post(h, "/$batch", `{"requests":[]}`, "Content-Type", typ)
		if w.Code != want {
			t.Errorf("%q: %d, want %d", typ, w.Code, want)
		}
		if want == 415 && (w.Header().Get("Accept") != "application/json" || w.Header().Get("Content-Type") != "application/problem+json") {
			t.Errorf("%q: %v", typ, w.Header())
		}
	}
}

func gzipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

func deflated(s string) string {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = io.WriteString(z, s)
	_ = z.Close()
	return b.String()
}

// H3: gzip and deflate are decoded, to MaxBytes; limits are 413, and no part has run.
func TestH3_CodingsAndLimits(t *testing.T) {
	var ran atomic.Bool
	h := newEndpoint(t, batch.Config{MaxBytes: 1000, MaxParts: 3}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran.Store(true) }))
	big := get("/"+strings.Repeat("a", 900)) + strings.Repeat(" ", 1000)
	exact := get("/x")
	exact += strings.Repeat(" ", 1000-len(exact))
	for _, c := range []struct {
		name, coding, body string
		want               int
		runs               bool
	}{
		{"plain", "", get("/a"), 200, true},
		{"identity", "identity", get("/a"), 200, true},
		{"gzip", "gzip", gzipped(get("/a")), 200, true},
		{"x-gzip", "X-GZIP", gzipped(get("/a")), 200, true},
		{"deflate", "deflate", deflated(get("/a")), 200, true},
		{"exactly MaxBytes", "", exact, 200, true},
		{"one byte more", "", exact + " ", 413, false},
		{"a bomb", "gzip", gzipped(get("/a") + strings.Repeat(" ", 1<<20)), 413, false},
		{"too big", "", big, 413, false},
		{"three parts", "", get("/a", "/b", "/c"), 200, true},
		{"four parts", "", get("/a", "/b", "/c", "/d"), 413, false},
		{"brotli", "br", "x", 415, false},
		{"twice", "gzip, gzip", gzipped(gzipped(get("/a"))), 415, false},
		{"not gzip", "gzip", get("/a"), 400, false},
		{"cut gzip", "gzip", gzipped(get("/a"))[:20], 400, false},
	} {
		ran.Store(false)
		w := post(h, "/$batch", c.body, "Content-Encoding", c.coding)
		if w.Code != c.want || ran.Load() != c.runs {
			t.Errorf("%s: %d, ran: %t; want %d, %t: %s", c.name, w.Code, ran.Load(), c.want, c.runs, w.Body)
		}
		if c.want == 415 && w.Header().Get("Accept-Encoding") != "gzip, deflate" {
			t.Errorf("%s: %v", c.name, w.Header())
		}
	}
}

// H4: the whole envelope is checked before any part runs; the answer names the place.
func TestH4_Malformed(t *testing.T) {
	ran := false
	h := newEndpoint(t, batch.Config{}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true }))
	const good = `{"id":"0","method":"GET","url":"/a"}`
	for envelope, want := range map[string]string{
		``:                             `the envelope: must be an object`,
		`[]`:                           `the envelope: must be an object`,
		`{}`:                           `requests: must be an array`,
		`{"requests":{}}`:              `requests: must be an array`,
		`{"requests":[}`:               `requests[0]: must be an object`,
		`{"requests":[]} x`:            `byte 16: more after the end`,
		`{"requests":[` + good + `,]}`: `requests[1]: must be an object`,
		`{"requests":[` + good + `],"requests":[]}`:                                                    `the envelope: member \"requests\" is repeated`,
		`{"requests":[` + good + `,{"id":"1","method":"GET","url":"/a","\u0069d":"2"}]}`:               `requests[1]: member \"id\" is repeated`,
		`{"requests":[` + good + `,{"method":"GET","url":"/a"}]}`:                                      `requests[1].id: must be a string of 1 to 256 bytes`,
		`{"requests":[` + good + `,{"id":null,"method":"GET","url":"/a"}]}`:                            `requests[1].id: must be a string`,
		`{"requests":[` + good + `,{"id":1,"method":"GET","url":"/a"}]}`:                               `requests[1].id: must be a string`,
		`{"requests":[` + good + `,{"id":"","method":"GET","url":"/a"}]}`:                              `requests[1].id: must be a string of 1`,
		`{"requests":[` + good + `,{"id":"\u0030","method":"GET","url":"/a"}]}`:                        `requests[1].id: \"0\" is the id of requests[0], too`,
		`{"requests":[{"id":"` + strings.Repeat("x", 257) + `","method":"GET","url":"/"}]}`:            `requests[0].id: must be a string of 1 to 256 bytes`,
		`{"requests":[` + good + `,{"id":"1","url":"/a"}]}`:                                            `requests[1].method: is missing`,
		`{"requests":[` + good + `,{"id":"1","method":"GET"}]}`:                                        `requests[1].url: is missing`,
		`{"requests":[` + good + `,{"id":"1","method":7,"url":"/a"}]}`:                                 `requests[1].method: must be a string`,
		one(`"method":"GET","url":"/a","headers":{"X":1}`):                                             `requests[0].headers: the value of \"X\" must be a string`,
		one(`"method":"GET","url":"/a","headers":["X"]`):                                               `requests[0].headers: must be an object`,
		one(`"method":"GET","url":"/a","headers":{"X":"1","X":"2"}`):                                   `requests[0].headers: member \"X\" is repeated`,
		one(`"method":"GET","url":"/a","dependsOn":"1"`):                                               `requests[0].dependsOn: must be an array of ids`,
		one(`"method":"GET","url":"/a","dependsOn":[1]`):                                               `requests[0].dependsOn: must be an array of ids`,
		one(`"method":"GET","url":"/a","dependsOn":["1"]`):                                             `requests[0].dependsOn[0]: no earlier part \"1\"`,
		`{"requests":[` + good + `,{"id":"1","method":"GET","url":"/a","dependsOn":["0","7"]}]}`:       `requests[1].dependsOn[1]: no earlier part \"7\"`,
		`{"requests":[{"id":"1","method":"GET","url":"/a","dependsOn":["0"]},` + good + `]}`:           `requests[0].dependsOn[0]: no earlier part \"0\"`,
		one(`"method":"GET","url":"/a","body":` + strings.Repeat("[", 600) + strings.Repeat("]", 600)): `requests[0]: nested too deeply`,
		one(`"method":"GET","url":"/a","body":tru`):                                                    `requests[0]: not JSON`,
		one("\"method\":\"GET\",\"url\":\"/a\x01\""):                                                   `requests[0]: not JSON`,
	} {
		ran = false
		w := post(h, "/$batch", envelope)
		if w.Code != 400 || ran || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%.80s: %d, ran: %t: %s\nwant %s", envelope, w.Code, ran, w.Body, want)
		}
	}
}

// H4: what is absent, unknown or empty is none of those.
func TestH4_Tolerated(t *testing.T) {
	h := newEndpoint(t, batch.Config{}).Handler(seen)
	w := post(h, "/$batch", `{"x":{"requests":[1]},"requests":[{"id":"A","method":"get","url":"/a","dependsOn":[],"body":null,"headers":null,"extra":[{}],"if":null,"atomicityGroup":null},
		{"id":"a","method":"GET","url":"/b","dependsOn":null}]}`)
	if got := answers(t, w); len(got) != 2 || got[0].ID != "A" || got[1].ID != "a" || got[0].Status != 200 || got[1].Status != 200 {
		t.Errorf("%v", got)
	}
	if w := post(h, "/$batch", `{"requests":[]}`); w.Code != 200 || w.Body.String() != `{"responses":[]}` {
		t.Errorf("no parts: %d %s", w.Code, w.Body)
	}
}

// H5: 200 whatever the parts say; not stored; the client's version of OData.
func TestH5_OuterAnswer(t *testing.T) {
	h := newEndpoint(t, batch.Config{}).Handler(http.NotFoundHandler())
	w := post(h, "/$batch", get("/a"), "OData-Version", "4.01")
	if w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("OData-Version") != "4.01" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if got := answers(t, w); got[0].Status != 404 {
		t.Errorf("%v", got)
	}
}

// H6: a batch inside of a batch is a 400 part, whatever the spelling and whichever the Endpoint.
func TestH6_Nested(t *testing.T) {
	inner := newEndpoint(t, batch.Config{Path: "/v1.0/other"})
	outer := newEndpoint(t, batch.Config{Path: "/v1.0/$batch"})
	reached := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) { reached++ })
	h := inner.Handler(mux)
	h = outer.Handler(outer.Handler(h)) // somebody passed what contains it
	var parts []string
	for i, url := range []string{"$batch", "/$batch", "/v1.0/$batch", "/v1.0/%24batch", "x/../$batch", "x/%2e%2e/$batch", "./$batch", "http://service.test/v1.0/$batch", "$batch?x=1", "other", "/v1.0/oth%65r"} {
		parts = append(parts, fmt.Sprintf(`{"id":"%d","method":"POST","url":%q,"body":{"requests":[{"id":"1","method":"GET","url":"/x"}]}}`, i, url))
	}
	for _, a := range answers(t, post(h, "/v1.0/$batch", `{"requests":[`+strings.Join(parts, ",")+`]}`)) {
		if a.Status != 400 || !strings.Contains(string(a.Body), "a batch inside of a batch") {
			t.Errorf("%s: %d %s", a.ID, a.Status, a.Body)
		}
	}
	if reached != 0 {
		t.Errorf("%d inner parts ran", reached)
	}
}

// What an envelope means to an inner layer: a part, whose outer request is the envelope.
func TestP5_PartsOfAnEnvelope(t *testing.T) {
	type who struct{}
	e := newEndpoint(t, batch.Config{})
	h := e.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, index, ok := batch.Part(r.Context())
		if !ok || r.Context().Value(who{}) != "me" || rw.Outer(r).URL.Path != "/$batch" || r.Proto != "HTTP/1.1" || r.TLS == nil {
			t.Errorf("%v %v", ok, r)
		}
		fmt.Fprintf(w, "%s is %d", id, index)
	}))
	r := httptest.NewRequest("POST", "https://service.test/$batch", strings.NewReader(get("/a", "/b")))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), who{}, "me")))
	if got := answers(t, w); string(got[0].Body) != `"1 is 0"` || string(got[1].Body) != `"2 is 1"` {
		t.Errorf("%s", w.Body)
	}
	if _, _, ok := batch.Part(t.Context()); ok {
		t.Error("Part of nothing")
	}
}
