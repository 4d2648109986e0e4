package compress_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/compress"
)

func TestM1_HEAD(t *testing.T) {
	js := "Content-Type: application/json\nEtag: \"v\"\n"
	for _, tc := range []struct {
		name   string
		fields string
		body   []byte
		want   string // coding
		length string
		tag    string
	}{
		{"bytes written", js, text(3000), "gzip", "as GET", `"v~gzip"`},
		{"many bytes written", js, text(100_000), "gzip", "", `"v~gzip"`},
		{"a declared length and no byte", js + "Content-Length: 3000", nil, "gzip", "", `"v~gzip"`},
		{"a declared length of a small body", js + "Content-Length: 300", nil, "", "300", `"v"`},
		{"small bytes written", js, text(300), "", "300", `"v"`},
		{"nothing known", js, nil, "", "", `"v"`},
		{"a type that is not wanted", "Content-Type: image/png\nContent-Length: 3000", nil, "", "3000", ""},
		{"a length and no type: the bytes would have told", "Content-Length: 3000", nil, "", "", ""},
		{"an empty body", js + "Content-Length: 0", nil, "", "0", `"v"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := mustNew(t, compress.Config{})
			h := c.Handler(serve(200, tc.fields, tc.body))
			out := &plainWriter{header: http.Header{}}
			h.ServeHTTP(out, request("HEAD", "Accept-Encoding: gzip"))
			length := tc.length
			if length == "as GET" {
				length = get(h, "Accept-Encoding: gzip").Header().Get("Content-Length")
			}
			if got := out.header; got.Get("Content-Encoding") != tc.want || got.Get("Content-Length") != length || got.Get("Etag") != tc.tag {
				t.Errorf("%v, want coding %q, length %q, tag %s", got, tc.want, length, tc.tag)
			}
			if tc.want != "" && len(out.body) > 0 {
				t.Errorf("%d coded bytes of body", len(out.body))
			}
			if wantsVary := !strings.Contains(tc.fields, "image"); (out.header.Get("Vary") != "") != wantsVary {
				t.Errorf("Vary %q", out.header.Get("Vary"))
			}
		})
	}
	// Identity is what it is, whatever GET of others gets.
	w := do(mustNew(t, compress.Config{}).Handler(serve(200, "Content-Length: 3000")), "HEAD")
	if w.Header().Get("Content-Length") != "3000" {
		t.Errorf("identity: %v", w.Header())
	}
}

func TestM2_ADeclaredLengthHolds(t *testing.T) {
	c := mustNew(t, compress.Config{})
	get(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "2000")
		if _, err := w.Write(text(2001)); !errors.Is(err, http.ErrContentLength) {
			t.Errorf("too much: %v", err)
		}
	})), "Accept-Encoding: gzip")

	// Too little, held: plain with the length that was promised, so that the server cuts it.
	w := get(c.Handler(serve(200, "Content-Type: text/plain\nContent-Length: 5000", text(3000))), "Accept-Encoding: gzip")
	if w.Header().Get("Content-Length") != "5000" || w.Header().Get("Content-Encoding") != "" || w.Body.Len() != 3000 {
		t.Errorf("%v, %d bytes", w.Header(), w.Body.Len())
	}
	// Too little, streamed.
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("a short streamed body: panic %v, want ErrAbortHandler", p)
		}
		if got := c.Stats().Aborted; got != 3 {
			t.Errorf("aborted %d, want 3", got)
		}
	}()
	get(c.Handler(serve(200, "Content-Type: text/plain\nContent-Length: 200000", text(100_000))), "Accept-Encoding: gzip")
}

func TestM3_Informational(t *testing.T) {
	out := &plainWriter{header: http.Header{}}
	mustNew(t, compress.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(103)
		if out.status != 103 || out.header.Get("Vary") != "" {
			t.Errorf("103 did not go at once, or with fields of ours: %d %v", out.status, out.header)
		}
		w.WriteHeader(404)
		w.WriteHeader(500)
		_, _ = w.Write(text(2000))
	})).ServeHTTP(out, request("GET", "Accept-Encoding: gzip"))
	if out.status != 404 || out.header.Get("Content-Encoding") != "gzip" {
		t.Errorf("%d %v", out.status, out.header)
	}
}

// hijackable is an inner writer that can be hijacked.
type hijackable struct {
	plainWriter
	hijacked bool
}

func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h.hijacked = true
	return nil, nil, nil
}

func TestM4_Hijack(t *testing.T) {
	for _, tc := range []struct {
		name string
		f    func(w http.ResponseWriter)
		want string // body before it
		ok   bool
	}{
		{"at once", func(http.ResponseWriter) {}, "", true},
		{"held bytes go out plain first", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "held") }, "held", true},
		{"with a status", func(w http.ResponseWriter) { w.WriteHeader(200) }, "", true},
		{"after encoding has begun", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
		}, "", false},
		{"after a whole coded body", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "2000")
			_, _ = w.Write(text(2000))
		}, "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := &hijackable{plainWriter: plainWriter{header: http.Header{}}}
			mustNew(t, compress.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				tc.f(w)
				_, _, err := http.NewResponseController(w).Hijack()
				if (err == nil) != tc.ok || out.hijacked != tc.ok {
					t.Errorf("hijacked %v, error %v", out.hijacked, err)
				}
				if tc.ok && string(out.body) != tc.want {
					t.Errorf("sent %q before, want %q", out.body, tc.want)
				}
				if _, err := w.Write([]byte("y")); tc.ok && !errors.Is(err, http.ErrHijacked) {
					t.Errorf("a write after it: %v", err)
				}
			})).ServeHTTP(out, request("GET", "Accept-Encoding: gzip"))
			if tc.ok && string(out.body) != tc.want {
				t.Errorf("something followed: %q", out.body)
			}
		})
	}
}

func TestM5_Saturated(t *testing.T) {
	c := mustNew(t, compress.Config{MaxEncoders: 1})
	body := text(150_000)
	release, taken := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		get(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(body)
			close(taken)
			<-release
		})), "Accept-Encoding: zstd")
	})
	<-taken
	if got := c.Stats().Encoders; got != 1 {
		t.Errorf("%d encoders in use, want 1", got)
	}
	seen := ""
	for _, tc := range []struct{ accept, coding, tag string }{
		{"zstd, gzip;q=0.1", "gzip", `"v1~gzip.0"`},
		{"gzip", "gzip", `"v1~gzip.0"`},
		{"zstd, br", "", `"v1"`},
		{"zstd, identity;q=0", "zstd", `"v1~zstd"`},
		{"zstd, gzip, identity;q=0", "gzip", `"v1~gzip.0"`},
	} {
		for _, cut := range []int{1 << 20, 1000, 40_000} {
			w := get(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Etag", `"v1"`)
				w.Header().Set("Content-Type", "text/plain")
				for b := body; len(b) > 0; b = b[min(cut, len(b)):] {
					_, _ = w.Write(b[:min(cut, len(b))])
				}
			})), "Accept-Encoding: "+tc.accept)
			if w.Header().Get("Content-Encoding") != tc.coding || w.Header().Get("Etag") != tc.tag || w.Header().Get("Vary") == "" {
				t.Errorf("%s: %v", tc.accept, w.Header())
			}
			if string(decoded(t, tc.coding, w.Body.Bytes())) != string(body) {
				t.Errorf("%s: another body", tc.accept)
			}
			if tc.coding == "gzip" {
				if seen != "" && seen != w.Body.String() {
					t.Errorf("%s cut at %d: %s names two byte sequences", tc.accept, cut, tc.tag)
				}
				seen = w.Body.String()
			}
		}
	}
	// Whole bodies use an encoder only while the CPU runs.
	if w := get(c.Handler(serve(200, "Content-Type: text/plain", text(2000))), "Accept-Encoding: zstd"); w.Header().Get("Content-Encoding") != "zstd" {
		t.Error("a whole body was counted")
	}
	close(release)
	wg.Wait()
	if s := c.Stats(); s.Encoders != 0 || s.Skipped["saturated"] != 3 {
		t.Errorf("%d encoders in use at the end; %+v", s.Encoders, s.Skipped)
	}
}

// fromWriter counts what reaches ReadFrom of the inner writer.
type fromWriter struct {
	plainWriter
	from int64
}

func (w *fromWriter) ReadFrom(src io.Reader) (int64, error) {
	n, err := io.Copy(struct{ io.Writer }{&w.plainWriter}, src)
	w.from += n
	return n, err
}

func TestM6_ReadFromReachesTheInnerWriter(t *testing.T) {
	for _, tc := range []struct {
		name, fields, accept string
		atLeast              int64
	}{
		{"plain from the header on", "Content-Type: image/png", "gzip", 200_000},
		{"plain after a look at the first bytes", "Content-Type: text/plain", "identity", 200_000},
		{"undecided until the hold is full", "X-A: b", "identity", 200_000 - 32<<10},
		{"encoded", "Content-Type: text/plain", "gzip", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := &fromWriter{plainWriter: plainWriter{header: http.Header{}}}
			mustNew(t, compress.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				name, value, _ := strings.Cut(tc.fields, ": ")
				w.Header().Set(name, value)
				w.WriteHeader(200)
				n, err := io.Copy(w, struct{ io.Reader }{strings.NewReader(string(text(200_000)))})
				if n != 200_000 || err != nil {
					t.Errorf("copied %d: %v", n, err)
				}
			})).ServeHTTP(out, request("GET", "Accept-Encoding: "+tc.accept))
			if out.from < tc.atLeast || tc.atLeast == 0 && out.from > 0 {
				t.Errorf("%d bytes went through ReadFrom, want %d", out.from, tc.atLeast)
			}
			if got := decoded(t, out.header.Get("Content-Encoding"), out.body); string(got) != string(text(200_000)) {
				t.Errorf("another body of %d bytes", len(got))
			}
		})
	}
}

func TestM6_NestedCompressorsEncodeOnce(t *testing.T) {
	inner, outer := mustNew(t, compress.Config{}), mustNew(t, compress.Config{})
	w := get(outer.Handler(inner.Handler(tagged(`"v"`))), "Accept-Encoding: gzip")
	if w.Header().Get("Etag") != `"v~gzip"` || string(decoded(t, "gzip", w.Body.Bytes())) != string(text(2000)) || len(w.Header()["Vary"]) != 1 {
		t.Errorf("%v", w.Header())
	}
	if outer.Stats().Skipped["coded"] != 1 || inner.Stats().Responses["gzip"] != 1 {
		t.Errorf("%+v", outer.Stats())
	}
}

func TestM6_TransferEncodingIsHarmless(t *testing.T) {
	srv := httptest.NewServer(mustNew(t, compress.Config{}).Handler(serve(200, "Content-Type: application/json\nTransfer-Encoding: chunked", text(2000))))
	defer srv.Close()
	r, _ := http.NewRequest("GET", srv.URL, nil)
	r.Header.Set("Accept-Encoding", "gzip")
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.Header.Get("Content-Encoding") != "gzip" || string(decoded(t, "gzip", body)) != string(text(2000)) {
		t.Errorf("%v %v", err, res.Header)
	}
}

// M6: strings are not copied, and not changed.
func TestM6_WriteString(t *testing.T) {
	s := string(text(3000))
	for _, accept := range []string{"gzip", "identity"} {
		w := get(mustNew(t, compress.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n, err := io.WriteString(w, s); n != len(s) || err != nil {
				t.Errorf("%d %v", n, err)
			}
			_, _ = io.WriteString(w, "")
		})), "Accept-Encoding: "+accept)
		if string(decoded(t, w.Header().Get("Content-Encoding"), w.Body.Bytes())) != s {
			t.Errorf("%s: another body", accept)
		}
	}
}

func TestSkip_PassesUntouched(t *testing.T) {
	c := mustNew(t, compress.Config{Skip: func(r *http.Request) bool { return r.URL.Path == "/" }})
	w := get(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := w.(*httptest.ResponseRecorder); !ok {
			t.Errorf("the writer is %T", w)
		}
		_, _ = w.Write(text(2000))
	})), "Accept-Encoding: gzip")
	if len(w.Header()["Vary"]) > 0 || c.Stats().Responses["identity"] != 0 {
		t.Errorf("%v %+v", w.Header(), c.Stats())
	}
}

// A type that shows only in the first 512 bytes is found however they are written.
func TestH2_TheTypeIsToldFromAllThatIsHeld(t *testing.T) {
	c, err := compress.New(compress.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "<")
		_, _ = w.Write(append([]byte("!DOCTYPE html><title>x</title>"), text(70_000)...))
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if got := w.Header().Get("Content-Type"); got != "text/html; charset=utf-8" || w.Header().Get("Content-Encoding") != "gzip" {
		t.Errorf("type %q, coding %q", got, w.Header().Get("Content-Encoding"))
	}
}

// HEAD of a long body of events names the coding that GET has.
func TestM1_HeadOfALongEventBody(t *testing.T) {
	c, err := compress.New(compress.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("ETag", `"v"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text(100_000)))
	}))
	var coding, tag [2]string
	for i, method := range []string{"GET", "HEAD"} {
		r := httptest.NewRequest(method, "/", nil)
		r.Header.Set("Accept-Encoding", "gzip, br, zstd")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		coding[i], tag[i] = w.Header().Get("Content-Encoding"), w.Header().Get("ETag")
	}
	if coding[0] != coding[1] || tag[0] != tag[1] || coding[0] == "" {
		t.Errorf("GET and HEAD: codings %q, tags %q", coding, tag)
	}
}
