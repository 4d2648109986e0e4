package compress_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/internal/rw"
)

func tagged(tag string) http.Handler {
	return serve(200, "Content-Type: text/plain\nEtag: "+tag, text(2000))
}

func TestE1_StrongTagsGetASuffix(t *testing.T) {
	for _, tc := range []struct{ name, tag, want string }{
		{"strong", `"v1"`, `"v1~gzip"`},
		{"empty", `""`, `"~gzip"`},
		{"weak stays", `W/"v1"`, `W/"v1"`},
		{"malformed stays", `v1`, `v1`},
		{"none", ``, ``},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := get(mustNew(t, compress.Config{}).Handler(tagged(tc.tag)), "Accept-Encoding: gzip")
			if got := w.Header().Get("Etag"); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
	level := mustNew(t, compress.Config{Codings: []compress.Coding{compress.Brotli(11), compress.Zstd(3), compress.Gzip(5)}})
	for accept, want := range map[string]string{"br": `"v1~br.11"`, "zstd": `"v1~zstd.3"`, "gzip": `"v1~gzip"`, "identity": `"v1"`} {
		if got := get(level.Handler(tagged(`"v1"`)), "Accept-Encoding: "+accept).Header().Get("Etag"); got != want {
			t.Errorf("%s: %s, want %s", accept, got, want)
		}
	}
	// The same bytes under the same tag, however they were cut.
	seen := map[string]string{}
	for _, n := range []int{2000, 64 << 10, 64<<10 + 1, 200_000} {
		clear(seen)
		for _, cut := range []int{1 << 20, 10_000, 4097, 64 << 10} {
			for _, coding := range []string{"zstd", "br", "gzip"} {
				w := get(mustNew(t, compress.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Etag", `"v1"`)
					w.Header().Set("Content-Type", "text/plain")
					for p := range slices.Chunk(text(n), cut) {
						_, _ = w.Write(p)
					}
				})), "Accept-Encoding: "+coding)
				tag := w.Header().Get("Etag")
				if tag != `"v1~`+coding+`"` {
					t.Fatalf("%d bytes: tag %s", n, tag)
				}
				if before, ok := seen[tag]; ok && before != w.Body.String() {
					t.Errorf("%d bytes cut at %d: %s names two byte sequences", n, cut, tag)
				}
				seen[tag] = w.Body.String()
			}
		}
	}
}

func TestE2_AFlushMakesTheTagWeak(t *testing.T) {
	h := mustNew(t, compress.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"v1"`)
		_, _ = w.Write(text(5000))
		_ = http.NewResponseController(w).Flush()
	}))
	for _, coding := range []string{"gzip", "zstd"} {
		if got := get(h, "Accept-Encoding: "+coding).Header().Get("Etag"); got != `W/"v1~`+coding+`"` {
			t.Errorf("%s: %s", coding, got)
		}
	}
}

// seenBy returns what a handler behind a Compressor gets to see of fields.
func seenBy(t *testing.T, name string, fields ...string) []string {
	t.Helper()
	var got []string
	mustNew(t, compress.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header[name]
	})).ServeHTTP(httptest.NewRecorder(), request("GET", fields...))
	return got
}

func TestE3_TagsAreRestored(t *testing.T) {
	for _, tc := range []struct {
		name, accept, list string
		noneMatch, match   string // wanted
	}{
		{"ours", "gzip", `"v1~gzip"`, `"v1"`, `"v1"`},
		{"a coding that this request does not accept", "br", `"v1~gzip"`, `"v1~gzip"`, `"v1"`},
		{"refused by weight", "br, gzip;q=0", `"v1~gzip"`, `"v1~gzip"`, `"v1"`},
		{"with a recipe, of any configuration", "br", `"v1~br.11"`, `"v1"`, `"v1"`},
		{"weak by E2", "gzip", `W/"v1~gzip"`, `"v1"`, `"v1"`},
		{"in a list", "gzip, br", `"a", "v1~gzip", W/"b~br"`, `"a", "v1", "b"`, `"a", "v1", "b"`},
		{"one suffix, not two", "gzip", `"v1~gzip~gzip"`, `"v1~gzip"`, `"v1~gzip"`},
		{"a coding that is not configured", "lz, gzip", `"v1~lz"`, `"v1~lz"`, `"v1~lz"`},
		{"a recipe that is none", "gzip", `"v1~gzip." ,"v1~gzip.A"`, `"v1~gzip." ,"v1~gzip.A"`, `"v1~gzip." ,"v1~gzip.A"`},
		{"foreign tags byte for byte", "gzip", `"x" ,W/"y","~"`, `"x" ,W/"y","~"`, `"x" ,W/"y","~"`},
		{"no tag", "gzip", `v1~gzip", *`, `v1~gzip", *`, `v1~gzip", *`},
		{"two quotes", "gzip", `"a"b~gzip"`, `"a"b~gzip"`, `"a"b~gzip"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := seenBy(t, "If-None-Match", "Accept-Encoding: "+tc.accept, "If-None-Match: "+tc.list); len(got) != 1 || got[0] != tc.noneMatch {
				t.Errorf("If-None-Match %q, want %q", got, tc.noneMatch)
			}
			if got := seenBy(t, "If-Match", "Accept-Encoding: "+tc.accept, "If-Match: "+tc.list); len(got) != 1 || got[0] != tc.match {
				t.Errorf("If-Match %q, want %q", got, tc.match)
			}
		})
	}
	if got := seenBy(t, "If-Match", `If-Match: "a~gzip"`, `If-Match: "b"`); !slices.Equal(got, []string{`"a", "b"`}) {
		t.Errorf("several lines: %q", got)
	}
}

func TestE4_IfRangeOfACodedBody(t *testing.T) {
	h := mustNew(t, compress.Config{}).Handler(fileHandler())
	for _, tc := range []struct {
		name, ifRange string
		want          int
	}{
		{"the plain tag", `"v1"`, 206},
		{"ours", `"v1~gzip"`, 200},
		{"ours in another coding", `"v1~br"`, 200},
		{"ours and weak", `W/"v1~gzip"`, 200},
		{"somebody else's", `"v2"`, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := get(h, "Accept-Encoding: gzip", "Range: bytes=10-19", "If-Range: "+tc.ifRange)
			if w.Code != tc.want {
				t.Errorf("status %d, want %d", w.Code, tc.want)
			}
			if w.Code == 200 && string(decoded(t, w.Header().Get("Content-Encoding"), w.Body.Bytes())) != string(text(20_000)) {
				t.Error("not the whole body")
			}
		})
	}
	if got := seenBy(t, "Range", "Range: bytes=0-1", `If-Range: "v1~gzip"`); got != nil {
		t.Errorf("the handler still sees Range: %q", got)
	}
}

func TestE5_A304NamesWhatTheClientHas(t *testing.T) {
	h := mustNew(t, compress.Config{}).Handler(fileHandler())
	for _, tc := range []struct{ name, accept, list, want string }{
		{"ours", "gzip", `"v1~gzip"`, `"v1~gzip"`},
		{"that of the coding negotiated now", "gzip, br;q=0.5", `"v1~br", "v1~gzip"`, `"v1~gzip"`},
		{"else the first sent", "zstd, gzip;q=0.2, br;q=0.1", `"v1~br", "v1~gzip"`, `"v1~br"`},
		{"weak by E2", "gzip", `W/"v1~gzip"`, `W/"v1~gzip"`},
		{"the plain one", "gzip", `"v1"`, `"v1"`},
		{"*", "gzip", `*`, `"v1"`},
		{"another one beside it", "gzip", `"v0~gzip", "v1"`, `"v1"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := get(h, "Accept-Encoding: "+tc.accept, "If-None-Match: "+tc.list)
			if w.Code != 304 || w.Header().Get("Etag") != tc.want || w.Header().Get("Vary") != "Accept-Encoding" {
				t.Errorf("%d %v, want %s", w.Code, w.Header(), tc.want)
			}
		})
	}
	if w := get(h, "If-None-Match: \"v1~gzip\""); w.Code != 200 || w.Header().Get("Etag") != `"v1"` {
		t.Errorf("who asks for identity must get it: %d %v", w.Code, w.Header())
	}
}

// E3, E5: a part of a batch asks for identity; what its client accepts is said by the envelope.
func TestE3_ThePartsOfABatch(t *testing.T) {
	h := mustNew(t, compress.Config{}).Handler(fileHandler())
	for _, tc := range []struct {
		accept, list string
		status       int
		tag          string
	}{
		{"gzip", `"v1~gzip"`, 304, `"v1~gzip"`},
		{"gzip, br;q=0.5", `"v1~br", "v1~gzip"`, 304, `"v1~gzip"`},
		{"br", `"v1~gzip"`, 200, `"v1"`},
		{"", `"v1~gzip"`, 200, `"v1"`},
		{"gzip", `"v0~gzip"`, 200, `"v1"`},
	} {
		r := request("GET", "If-None-Match: "+tc.list)
		r = r.WithContext(context.WithValue(r.Context(), rw.OuterKey{}, request("POST", "Accept-Encoding: "+tc.accept)))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tc.status || w.Header().Get("Etag") != tc.tag || w.Header().Get("Content-Encoding") != "" {
			t.Errorf("%s by %q: %d %v", tc.list, tc.accept, w.Code, w.Header())
		}
	}
}

func TestE6_TheRequestIsHandedOnItself(t *testing.T) {
	var got *http.Request
	h := mustNew(t, compress.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		r.Pattern = "GET /x"
		if r.Header.Get("If-Match") == `"p"` {
			panic(http.ErrAbortHandler)
		}
	}))
	for _, fields := range [][]string{nil, {"Accept-Encoding: gzip", `If-None-Match: "a~b"`, `If-Match: "x"`, `If-Range: "y"`, "Range: bytes=0-1"}} {
		r := request("GET", fields...)
		h.ServeHTTP(httptest.NewRecorder(), r)
		if got != r {
			t.Errorf("%q: a copy was handed on", fields)
		}
	}
	for _, field := range []string{`If-Match: "v~gzip"`, `If-Match: "p~gzip"`} {
		r := request("GET", field)
		func() {
			defer func() { _ = recover() }()
			h.ServeHTTP(httptest.NewRecorder(), r)
		}()
		if got == r || r.Pattern != "GET /x" || !strings.Contains(r.Header.Get("If-Match"), "~gzip") {
			t.Errorf("%s: same %v, Pattern %q, %v", field, got == r, r.Pattern, r.Header)
		}
	}
}

// The walk of a client that revalidates, updates and resumes, by every coding and through two
// Compressors.
func TestE_RevalidationWalk(t *testing.T) {
	for _, coding := range []string{"zstd", "br", "gzip", "identity"} {
		for _, layers := range []int{1, 2} {
			version := `"v1"`
			var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if m := r.Header.Get("If-Match"); m != "" && m != version {
					w.WriteHeader(http.StatusPreconditionFailed)
					return
				}
				if r.Method == "PUT" {
					version = `"v2"`
					w.WriteHeader(http.StatusNoContent)
					return
				}
				w.Header().Set("Etag", version)
				if r.Header.Get("If-None-Match") == version {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				w.Header().Set("Content-Type", "text/plain")
				_, _ = w.Write(text(3000))
			})
			for range layers {
				h = mustNew(t, compress.Config{}).Handler(h)
			}
			accept := "Accept-Encoding: " + coding
			first := get(h, accept)
			tag := first.Header().Get("Etag")
			if w := get(h, accept, "If-None-Match: "+tag); w.Code != 304 || w.Header().Get("Etag") != tag {
				t.Errorf("%s x%d: revalidation of %s: %d %s", coding, layers, tag, w.Code, w.Header().Get("Etag"))
			}
			if w := do(h, "PUT", accept, "If-Match: "+tag); w.Code != 204 {
				t.Errorf("%s x%d: update: %d", coding, layers, w.Code)
			}
			if w := do(h, "PUT", accept, "If-Match: "+tag); w.Code != 412 {
				t.Errorf("%s x%d: stale update: %d", coding, layers, w.Code)
			}
			if w := get(h, accept, "If-None-Match: "+tag); w.Code != 200 || w.Header().Get("Etag") == tag {
				t.Errorf("%s x%d: a new version: %d", coding, layers, w.Code)
			}
		}
	}
}

func TestE_RestoreTagsForTheParts(t *testing.T) {
	h := http.Header{"If-None-Match": {`"a~gzip", "b~br"`}, "If-Match": {`W/"c~br"`}}
	mustNew(t, compress.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rw.RestoreTags(w, h)
	})).ServeHTTP(httptest.NewRecorder(), request("POST", "Accept-Encoding: gzip"))
	if h.Get("If-None-Match") != `"a", "b~br"` || h.Get("If-Match") != `"c"` {
		t.Errorf("%v", h)
	}
}

// A tag that left with a suffix comes back as it was, and what is not ours is not touched.
func FuzzTags(f *testing.F) {
	for _, seed := range []string{`"v1"`, `W/"v1"`, `""`, `"a~gzip"`, `"a~b"`, `x`, `"a,b"`, `"`, `"\"`, `*`} {
		f.Add(seed)
	}
	c := mustNew(f, compress.Config{})
	f.Fuzz(func(t *testing.T, tag string) {
		if len(tag) > 1000 || strings.ContainsFunc(tag, func(r rune) bool { return r < '!' || r == 0x7f || r == 0xfffd }) {
			return
		}
		var got []string
		h := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r.Header["If-None-Match"]
			w.Header()["Etag"] = []string{tag}
			_, _ = w.Write(text(2000))
		}))
		r := request("GET", "Accept-Encoding: gzip")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		out := w.Header()["Etag"][0]
		if out == tag && strings.Contains(tag, "~gzip") {
			return // a weak or malformed one that looks like ours
		}
		r.Header["If-None-Match"] = []string{out}
		h.ServeHTTP(httptest.NewRecorder(), r)
		if len(got) != 1 || got[0] != tag {
			t.Errorf("%q left as %q and came back as %q", tag, out, got)
		}
	})
}
