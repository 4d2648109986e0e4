package batch_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hotpath-go/hotpath/batch"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// zoo is handlers of every kind; each is asked for alone and as a part.
func zoo() *http.ServeMux {
	mux := http.NewServeMux()
	on := func(pattern string, f func(w http.ResponseWriter, r *http.Request)) { mux.HandleFunc(pattern, f) }
	binary := []byte("\x89PNG\r\n\x1a\n\x00\x01\xff")
	on("/nothing", func(http.ResponseWriter, *http.Request) {})
	on("/text", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "plain \u00e4 \"text\" \x01\u2028")
	})
	on("/html", func(w http.ResponseWriter, _ *http.Request) {
		for _, s := range []string{"<", "html", "><p>"} { // sniffed from more than the first Write
			_, _ = io.WriteString(w, s)
		}
	})
	on("/flushed", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<")
		w.(http.Flusher).Flush()
		_, _ = io.WriteString(w, "html>")
	})
	on("/json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, "{\"a\": [1, 2.50,\n null]}\n")
	})
	on("/broken", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"a":1}]},{"id":"2","status":200`)
	})
	on("/binaryjson", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "\"\xff\"")
	})
	on("/binary", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(binary) })
	on("/binarytext", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write(binary)
	})
	on("/untyped", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		_, _ = io.WriteString(w, "<html>")
	})
	on("/coded", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, gzipped("x"))
	})
	on("/huge", func(w http.ResponseWriter, _ *http.Request) {
		for i := range 30_000 {
			fmt.Fprintf(w, "line %d\n", i)
		}
	})
	on("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/text?a=b", http.StatusFound) })
	on("/relative", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "x/y", http.StatusSeeOther) })
	on("/error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) })
	on("/1xx", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.WriteHeader(http.StatusAccepted)
		w.WriteHeader(http.StatusBadGateway) // the first final one counts
		w.Header().Set("X-Late", "1")
		_, _ = io.WriteString(w, "early")
	})
	for _, status := range []int{204, 205, 304} {
		on(fmt.Sprintf("/%d", status), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Etag", `"a"`)
			w.WriteHeader(status)
			if status != 205 { // net/http lets its body out
				_, _ = io.WriteString(w, "must not be there")
			}
		})
	}
	on("/fields", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X-Two"] = []string{"1", "2"}
		w.Header()["Vary"] = []string{"A", "B"}
		w.Header().Set("X-Quote", `"\ä`)
		_, _ = io.WriteString(w, "x")
	})
	on("/declared", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "3")
		_, _ = io.WriteString(w, "abc")
		if _, err := io.WriteString(w, "d"); !errors.Is(err, http.ErrContentLength) {
			panic(err)
		}
	})
	on("/content", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"v"`)
		http.ServeContent(w, r, "a.txt", time.Unix(1e9, 0), strings.NewReader(strings.Repeat("0123456789", 400)))
	})
	on("/copied", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, io.MultiReader(strings.NewReader("by "), strings.NewReader("ReadFrom")))
	})
	on("/file", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "doc.go") })
	on("POST /echo/{id}", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %v %s", r.PathValue("id"), b, err, r.FormValue("q"))
	})
	return mux
}

func TestA1_A2_A3_PartsAnswerAsIfAlone(t *testing.T) {
	mux := zoo()
	alone := httptest.NewServer(mux)
	defer alone.Close()
	together := httptest.NewServer(newEndpoint(t, batch.Config{}).Handler(mux))
	defer together.Close()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}
	for _, path := range []string{
		"nothing", "text", "html", "flushed", "json", "broken", "binaryjson", "binary", "binarytext", "untyped", "coded", "huge", "redirect", "relative",
		"error", "1xx", "204", "205", "304", "fields", "declared", "content", "copied", "file", "missing", "echo/7?q=a%20b", "json/../text", "text/",
	} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			body, typ := "", ""
			if method == "POST" {
				body, typ = "sent", "text/plain"
			}
			// Dot segments are removed by the client that sends a request alone.
			sent := strings.ReplaceAll(path, "json/../", "")
			r, _ := http.NewRequest(method, alone.URL+"/"+sent, strings.NewReader(body))
			part := map[string]any{"id": "1", "method": method, "url": "/" + path}
			if typ != "" {
				r.Header.Set("Content-Type", typ)
				part["headers"], part["body"] = map[string]string{"Content-Type": typ}, body
			}
			want := fetch(t, client, r)
			envelope := mustJSON(map[string]any{"requests": []any{part}})
			b, _ := http.NewRequest("POST", together.URL+"/$batch", bytes.NewReader(envelope))
			b.Header.Set("Content-Type", "application/json")
			b.Header.Set("User-Agent", "Go-http-client/1.1")
			var out struct{ Responses []answer }
			if outer := fetch(t, client, b); json.Unmarshal(outer.body, &out) != nil || len(out.Responses) != 1 {
				t.Fatalf("%s %s: %s", method, path, outer.body)
			}
			got := out.Responses[0]
			if got.Status != want.status {
				t.Errorf("%s %s: status %d, alone %d", method, path, got.Status, want.status)
			}
			if strings.HasPrefix(want.header.Get("Content-Type"), "application/json") {
				want.body = bytes.TrimSpace(want.body) // around a JSON text it is lost in the envelope
			}
			if gotBody := bodyOf(t, got, utf8.Valid(want.body)); !bytes.Equal(gotBody, want.body) {
				t.Errorf("%s %s: body %.80q, alone %.80q", method, path, gotBody, want.body)
			}
			for _, framing := range []string{"Date", "Connection", "Transfer-Encoding"} {
				want.header.Del(framing)
			}
			if method != "HEAD" {
				want.header.Del("Content-Length")
			}
			flat := map[string]string{}
			for name, lines := range want.header {
				flat[name] = strings.Join(lines, ", ")
			}
			if fmt.Sprint(got.Headers) != fmt.Sprint(flat) {
				t.Errorf("%s %s: headers %v, alone %v", method, path, got.Headers, flat)
			}
		}
	}
}

type response struct {
	status int
	header http.Header
	body   []byte
}

func fetch(t testing.TB, c *http.Client, r *http.Request) response {
	t.Helper()
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{res.StatusCode, res.Header, body}
}

// bodyOf undoes A3 as a client does.
func bodyOf(t testing.TB, a answer, isText bool) []byte {
	t.Helper()
	if len(a.Body) == 0 {
		return nil
	}
	media, _, _ := strings.Cut(a.Headers["Content-Type"], ";")
	var text string
	if json.Unmarshal(a.Body, &text) != nil {
		if !strings.HasSuffix(media, "json") {
			t.Errorf("%s is %s", media, a.Body)
		}
		return a.Body
	}
	if strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "json") {
		if isText {
			return []byte(text)
		}
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Errorf("%s: %v", media, err)
	}
	return b
}

// A1: what a part cannot have is ErrNotSupported, and no way leads past the envelope.
func TestA1_NothingPassesByTheEnvelope(t *testing.T) {
	var kept http.ResponseWriter
	h := newEndpoint(t, batch.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kept = w
		c := http.NewResponseController(w)
		_, _, hijack := c.Hijack()
		for name, err := range map[string]error{"Hijack": hijack, "SetReadDeadline": c.SetReadDeadline(time.Now()), "SetWriteDeadline": c.SetWriteDeadline(time.Now()), "EnableFullDuplex": c.EnableFullDuplex()} {
			if !errors.Is(err, http.ErrNotSupported) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := c.Flush(); err != nil {
			t.Error("Flush", err)
		}
		for outer := range rw.Walk(w) {
			if _, is := outer.(*httptest.ResponseRecorder); is {
				t.Error("the envelope's writer can be reached")
			}
		}
	}))
	post(h, "/$batch", get("/a"))
	if _, err := kept.Write([]byte("late")); err == nil {
		t.Error("a writer that its handler has left still writes")
	}
}

// A1: an answer that is shorter than declared is cut: alone the connection would be closed.
func TestA1_CutAnswers(t *testing.T) {
	h := newEndpoint(t, batch.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "short")
	}))
	if got := answers(t, post(h, "/$batch", get("/a"))); got[0].Status != 502 || strings.Contains(string(got[0].Body), "\"short\"") {
		t.Errorf("%v", got)
	}
}

// A2: in the order of the requests; hop-by-hop fields and trailers are not told.
func TestA2_Order(t *testing.T) {
	h := newEndpoint(t, batch.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/a" {
			time.Sleep(5 * time.Millisecond)
		}
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "1")
		w.Header().Set("Keep-Alive", "1")
		w.Header().Set("Trailer", "X-T")
		w.Header().Set(http.TrailerPrefix+"X-U", "1")
		w.WriteHeader(200)
		w.Header().Set("X-T", "1")
	}))
	w := post(h, "/$batch", get("/a", "/b", "/c"))
	want := `{"responses":[{"id":"1","status":200,"headers":{}},{"id":"2","status":200,"headers":{}},{"id":"3","status":200,"headers":{}}]}`
	if w.Body.String() != want {
		t.Errorf("%s", w.Body)
	}
}

// A3: an answer that is not one JSON text goes in as a string: it cannot forge its neighbours'.
func FuzzA3_NoAnswerForgesItsNeighbours(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}]},{"id":"2","status":200,"headers":{},"body":{}}`, `1 2`, `"`, "\xff", `[`, "", " null ", `"\ud800"`, "\xef\xbb\xbf{}", "{\"a\":\"\x00\"}", `{"a":1,"a":2}`, `01`, `1.`, `-`, strings.Repeat("[", 600)} {
		for _, typ := range []string{"application/json", "text/html", "image/png", "a/b+json", "", "x;y"} {
			f.Add(typ, "X-Name", s, s)
		}
	}
	for _, s := range suite(f) {
		f.Add("application/json", "X", "", s)
	}
	e := newEndpoint(f, batch.Config{})
	f.Fuzz(func(t *testing.T, typ, name, value, body string) {
		h := e.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/b" {
				_, _ = io.WriteString(w, "mine")
				return
			}
			w.Header().Set("Content-Type", typ)
			w.Header().Set(name, value)
			_, _ = io.WriteString(w, body)
		}))
		rec := post(h, "/$batch", get("/a", "/b", "/c"))
		got := answers(t, rec)
		if !utf8.Valid(rec.Body.Bytes()) {
			t.Error("the envelope is no UTF-8")
		}
		if len(got) != 3 || got[0].ID != "1" || got[1].ID != "2" || got[2].ID != "3" || string(got[0].Body) != `"mine"` || string(got[2].Body) != `"mine"` {
			t.Fatalf("%s", rec.Body)
		}
		if http.CanonicalHeaderKey(name) == "Content-Type" || http.CanonicalHeaderKey(name) == "Content-Length" || len(body) == 0 {
			return
		}
		// Whatever form it takes, the handler's bytes are in it.
		raw := got[1].Body
		var text string
		if json.Unmarshal(raw, &text) == nil && (string(raw) == body || text == body) {
			return
		}
		if b, err := base64.StdEncoding.DecodeString(text); err == nil && string(b) == body {
			return
		}
		if string(bytes.TrimSpace(raw)) != strings.Trim(body, " \t\r\n") || !json.Valid([]byte(body)) {
			t.Errorf("%q became %q", body, raw)
		}
	})
}

// A4: cookies go to the outer answer, one field each.
func TestA4_Cookies(t *testing.T) {
	h := newEndpoint(t, batch.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: r.URL.Path[1:], Value: "1"})
		http.SetCookie(w, &http.Cookie{Name: r.URL.Path[1:], Value: "2"})
		if r.URL.Path == "/c" {
			panic(http.ErrAbortHandler)
		}
	}))
	w := post(h, "/$batch", get("/a", "/b", "/c"))
	if got := w.Header()["Set-Cookie"]; !slices.Equal(got, []string{"a=1", "a=2", "b=1", "b=2"}) {
		t.Errorf("%q", got)
	}
	for _, a := range answers(t, w) {
		if a.Headers["Set-Cookie"] != "" {
			t.Errorf("%v", a.Headers)
		}
	}
}

// A2, A4: fields that a handler has written into the map under other names are those all the same.
func TestA2_CanonicalNames(t *testing.T) {
	h := newEndpoint(t, batch.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["set-cookie"] = []string{"s=1"}
		w.Header()["content-length"] = []string{"2"}
		w.Header()["x-a"] = []string{"1"}
		w.Header()["X-A"] = []string{"0"}
		w.Header()["connection"] = []string{"x-b"}
		w.Header()["x-b"] = []string{"1"}
		w.Header()["content-type"] = []string{"text/x"}
		_, _ = w.Write([]byte("ok"))
	}))
	w := post(h, "/$batch", get("/"))
	want := map[string]string{"X-A": "0, 1", "Content-Type": "text/x"}
	if a := answers(t, w)[0]; !maps.Equal(a.Headers, want) || w.Header().Get("Set-Cookie") != "s=1" || string(a.Body) != `"ok"` {
		t.Errorf("%v %v %s", a.Headers, w.Header(), a.Body)
	}
}

// A4: what a handler wanted to set before it failed is not set.
func TestA4_NoCookiesOfDeniedParts(t *testing.T) {
	h := newEndpoint(t, batch.Config{Logger: slog.New(slog.DiscardHandler)}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "a=1")
		_, _ = w.Write([]byte("x"))
		panic("boom")
	}))
	if w := post(h, "/$batch", get("/")); answers(t, w)[0].Status != 500 || w.Header()["Set-Cookie"] != nil {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
}

// A6: what a part that failed has taken is there for those that run beside it, whatever came first.
func TestA6_RoomIsGivenBack(t *testing.T) {
	failed := make(chan struct{})
	h := newEndpoint(t, batch.Config{MaxResponseBytes: 64 << 10}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/big" {
			for range 100 {
				_, _ = w.Write(make([]byte, 1000))
			}
			close(failed)
			return
		}
		<-failed
		_, _ = w.Write(make([]byte, 40<<10))
	}))
	got := answers(t, post(h, "/$batch", get("/big", "/small")))
	if got[0].Status != 507 || got[1].Status != 200 {
		t.Errorf("%d %d %s", got[0].Status, got[1].Status, got[1].Body[:min(100, len(got[1].Body))])
	}
}

// A6: the answers together have MaxResponseBytes; who goes beyond is told so, and that it ran.
func TestA6_MaxResponseBytes(t *testing.T) {
	const most = 8000
	ran := 0
	h := newEndpoint(t, batch.Config{MaxResponseBytes: most, Concurrency: 1}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ran++
		n := map[string]int{"/small": 100, "/big": 20_000, "/fields": 1, "/cookies": 1, "/rest": most - 3*390}[r.URL.Path] // 390: a frame
		if r.URL.Path == "/cookies" {
			w.Header().Set("Set-Cookie", "a="+strings.Repeat("c", 20_000))
		}
		if r.URL.Path == "/fields" {
			w.Header().Set("X-Long", strings.Repeat("f", 20_000))
		}
		for range n {
			if _, err := w.Write([]byte("x")); err != nil {
				return
			}
		}
	}))
	for _, big := range []string{"/big", "/fields", "/cookies"} {
		ran = 0
		rec := post(h, "/$batch", get("/small", big, "/small"))
		if rec.Body.Len() > most {
			t.Errorf("%d bytes, more than %d", rec.Body.Len(), most)
		}
		got := answers(t, rec)
		if got[0].Status != 200 || got[1].Status != 507 || got[2].Status != 200 || ran != 3 { // what did not fit harms no neighbour
			t.Errorf("%s: %d ran: %s", big, ran, rec.Body)
		}
		if !strings.Contains(string(got[1].Body), `"ran":true`) || rec.Header()["Set-Cookie"] != nil {
			t.Errorf("%s: %v %s", big, rec.Header(), rec.Body)
		}
	}
	ran = 0
	got := answers(t, post(h, "/$batch", get("/rest", "/small", "/small")))
	if got[0].Status != 200 || got[1].Status != 507 || got[2].Status != 507 || ran != 1 || strings.Contains(string(got[1].Body), "ran") {
		t.Errorf("no room is left: %d ran: %v", ran, got)
	}
	// Error answers count, too, and the envelope closes even if nothing fits.
	h = newEndpoint(t, batch.Config{MaxResponseBytes: 1}).Handler(http.NotFoundHandler())
	for _, a := range answers(t, post(h, "/$batch", get("/a", "//x", "/b"))) {
		if a.Status != 507 && a.Status != 400 {
			t.Errorf("%v", a)
		}
	}
}

// The scanner accepts the texts that encoding/json accepts, and reads the same strings.
func FuzzH4_Scanner(f *testing.F) {
	for _, s := range []string{`""`, `"\u00e4\n\\"`, `"\ud83d\ude00\ud800"`, "\"\xff\"", `{"a":[1,-0.5e+7,true,null]}`, `[1,]`, `{"a"}`, `-`, `1e`, `01`, ` 1 `, `"` + "\x1f" + `"`, `nul`, `[[[]]]`, `{"a":1,}`} {
		f.Add(s)
	}
	for _, s := range suite(f) {
		f.Add(s)
	}
	e := newEndpoint(f, batch.Config{MaxBytes: 1 << 30})
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Count(text, "[")+strings.Count(text, "{") > 500 {
			return // nesting is bounded here
		}
		// As a body it is passed on as it stands.
		var got string
		h := e.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			got = string(b)
		}))
		w := post(h, "/$batch", `{"requests":[{"id":"1","method":"POST","url":"/","body":`+text+`}]}`)
		valid := json.Valid([]byte(`{"body":` + text + `}`))
		// Text that closes the part and goes on may be a valid envelope of another shape.
		if own := json.Valid([]byte(text)); own && (w.Code != 200 || strings.TrimSpace(text) != "null" && got != strings.Trim(text, " \t\r\n")) || !own && !valid && w.Code == 200 {
			t.Errorf("%q: %d %s, body %q", text, w.Code, w.Body, got)
		}
		// As an id it is read as encoding/json reads it.
		var want string
		if json.Unmarshal([]byte(text), &want) != nil || text == "null" || strings.TrimSpace(text) == "null" || want == "" || len(want) > 256 {
			return
		}
		if a := answers(t, post(h, "/$batch", `{"requests":[{"id":`+text+`,"method":"GET","url":"/"}]}`)); a[0].ID != want {
			t.Errorf("%q is read as %q, want %q", text, a[0].ID, want)
		}
	})
}

// suite returns texts in the manner of JSONTestSuite: each is valid, invalid or a matter of taste.
func suite(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/texts.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}
