package stacktest_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/partial"
)

func masking(t *testing.T) (middleware, *partial.Filter) {
	t.Helper()
	f, err := partial.New(partial.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return middleware{name: "partial", wrap: f.Handler}, f
}

// catalogue is a list whose mask items/id keeps more than is held back, if n is large.
func catalogue(n int) (doc, kept string) {
	var d, k strings.Builder
	for i := range n {
		fmt.Fprintf(&d, `{"id":%d,"name":"product %d"},`, i, i)
		fmt.Fprintf(&k, `{"id":%d},`, i)
	}
	return `{"items":[` + d.String() + `null]}`, `{"items":[` + k.String() + `null]}`
}

// documents is a service that may be cached, and what it answers under items/id.
func documents(calls *atomic.Int64) (http.Handler, map[string]string) {
	mux, kept := http.NewServeMux(), map[string]string{}
	for path, n := range map[string]int{"/small": 3, "/medium": 800, "/big": 8000} {
		doc, cut := catalogue(n)
		kept[path] = cut
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Etag", `"v1"`)
			w.Header().Set("Cache-Control", "max-age=600")
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(doc))
		})
		mux.HandleFunc("PUT "+path, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-Match") != `"v1"` {
				w.WriteHeader(http.StatusPreconditionFailed)
			}
		})
	}
	mux.HandleFunc("GET /pieces", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		for i := range 200 {
			fmt.Fprintf(w, `{"items":{"id":%d,"name":"x"}}`+"\n", i)
			if i%50 == 0 {
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
	for i := range 200 {
		kept["/pieces"] += fmt.Sprintf(`{"items":{"id":%d}}`+"\n", i)
	}
	mux.HandleFunc("GET /problem", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"title":"none"}`)
	})
	kept["/problem"] = `{"title":"none"}`
	mux.HandleFunc("GET /abort", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		doc, _ := catalogue(8000)
		_, _ = io.WriteString(w, doc)
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("GET /fault", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		doc, _ := catalogue(8000)
		_, _ = io.WriteString(w, doc)
		_, _ = io.WriteString(w, "]")
	})
	return mux, kept
}

// maskingStacks are partial on either side of the others, and foreign layers in the gaps.
func maskingStacks(t *testing.T) (all [][]middleware) {
	for _, names := range []string{"p", "pp", "cp", "pc", "hp", "ph", "cph", "chp", "pch", "phc", "hpc", "hcp", "tcph", "lpl", "clplhl", "cpch", "php", "pt", "tp"} {
		all = append(all, stackOf(t, names))
	}
	return all
}

// In every order a client gets what it asked for, cold, warm and revalidating.
func TestN3_MaskingStacks(t *testing.T) {
	for _, stack := range maskingStacks(t) {
		var calls atomic.Int64
		h, kept := documents(&calls)
		names := []string{}
		for i := len(stack) - 1; i >= 0; i-- {
			h = stack[i].wrap(h)
			names = append([]string{stack[i].name}, names...)
		}
		order := strings.Join(names, ">")
		// Outside of two compressors a coded tag revalidates as a full answer.
		twice := strings.Count(order, "compress") > 1
		for _, proto := range []string{"HTTP/1.1", "HTTP/2"} {
			t.Run(order+"/"+proto, func(t *testing.T) {
				srv := httptest.NewUnstartedServer(h)
				srv.EnableHTTP2 = proto == "HTTP/2"
				srv.StartTLS()
				defer srv.Close()
				client := srv.Client()
				client.Transport.(*http.Transport).DisableCompression = true
				for _, coding := range []string{"gzip", "identity"} {
					accept := "Accept-Encoding: " + coding
					for path, want := range kept {
						for _, which := range []string{"cold", "warm", "warm"} {
							a := ask(t, client, "GET", srv.URL+path+"?fields=items/id", accept)
							if a.err != nil || a.body != want || path == "/problem" != (a.status == 404) {
								t.Errorf("%s %s by %s: %d, %d bytes, %v; want %d", which, path, coding, a.status, len(a.body), a.err, len(want))
							}
							if coding == "identity" && a.header.Get("Content-Encoding") != "" {
								t.Errorf("%s %s: a coding that was not named", which, path)
							}
						}
					}
					masked, whole := srv.URL+"/medium?fields=items/id", srv.URL+"/medium"
					tag := ask(t, client, "GET", masked, accept).header.Get("Etag")
					plain := ask(t, client, "GET", whole, accept)
					if doc, _ := catalogue(800); plain.body != doc || plain.header.Get("Etag") == tag {
						t.Errorf("%s: without a mask %d bytes, tag %s, masked %s", coding, len(plain.body), plain.header.Get("Etag"), tag)
					}
					if !twice {
						if a := ask(t, client, "GET", masked, accept, "If-None-Match: "+tag); a.status != 304 || a.header.Get("Etag") != tag {
							t.Errorf("%s: revalidation of %s: %d %s", coding, tag, a.status, a.header.Get("Etag"))
						}
						if a := ask(t, client, "PUT", whole, accept, "If-Match: "+tag); a.status != 200 {
							t.Errorf("%s: update of %s: %d", coding, tag, a.status)
						}
					}
					other := srv.URL + "/medium?fields=items/name"
					if a := ask(t, client, "GET", other, accept, "If-None-Match: "+tag); a.status != 200 {
						t.Errorf("%s: the tag of another mask: %d", coding, a.status)
					}
					if a := ask(t, client, "GET", whole, accept, "If-None-Match: "+tag); a.status != 200 {
						t.Errorf("%s: the tag of a mask for the whole: %d", coding, a.status)
					}
					if a := ask(t, client, "HEAD", masked, accept); !strings.HasPrefix(tag, strings.TrimSuffix(a.header.Get("Etag"), `"`)) || a.body != "" || a.status != 200 {
						// compress does not know the size of a cut body that nobody wrote, and adds no suffix.
						t.Errorf("%s: HEAD: %d %v, want tag %s", coding, a.status, a.header, tag)
					}
					if a := ask(t, client, "GET", masked, accept, "Range: bytes=0-9"); a.status == 206 && !strings.HasPrefix(order, "httpcache") && !strings.HasPrefix(order, "compress>httpcache") {
						t.Errorf("%s: a part of cut bytes: %d", coding, a.status)
					}
					for _, path := range []string{"/abort", "/fault"} {
						if a := ask(t, client, "GET", srv.URL+path+"?fields=items/id", accept); a.err == nil {
							t.Errorf("%s: %s looks whole: %d, %d bytes", coding, path, a.status, len(a.body))
						}
					}
					if a := ask(t, client, "GET", srv.URL+"/small?fields=items(", accept); a.status != 400 || a.header.Get("Content-Type") != "application/problem+json" {
						t.Errorf("%s: a bad mask: %d", coding, a.status)
					}
				}
			})
		}
	}
}

// partial > httpcache: one document for all masks, and the handler runs once.
func TestN1_OneDocument(t *testing.T) {
	m, f := masking(t)
	c, err := httpcache.New(httpcache.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	next, kept := documents(&calls)
	pushed := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m := partial.FromContext(r.Context()); m != nil {
			t.Errorf("inside of a cache the mask is %v: push-down would poison it", m)
		}
		if r.URL.RawQuery != "" || strings.Contains(r.RequestURI, "fields") {
			t.Errorf("inside of a cache the request is for %s", r.RequestURI)
		}
		next.ServeHTTP(w, r)
	})
	h := m.wrap(c.Handler(pushed))
	doc, _ := catalogue(800)
	for range 3 {
		for query, want := range map[string]string{"?fields=items/id": kept["/medium"], "": doc, "?fields=nothing": "{}", "?fields=items": doc} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/medium"+query, nil))
			if w.Body.String() != want || w.Header().Get("Content-Length") != fmt.Sprint(len(want)) {
				t.Errorf("%q: %d bytes, Content-Length %s, want %d", query, w.Body.Len(), w.Header().Get("Content-Length"), len(want))
			}
		}
	}
	if s := c.Stats(); calls.Load() != 1 || s.Stored != 1 {
		t.Errorf("the handler ran %d times, %+v", calls.Load(), s)
	}
	if s := f.Stats(); s.Filtered != 9 || s.Plain != 3 {
		t.Errorf("%+v", s)
	}
}

// httpcache > partial: an entry for each text of a mask, and WriteJSON pushes down.
func TestN1_CacheOutside(t *testing.T) {
	m, f := masking(t)
	c, err := httpcache.New(httpcache.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	h := c.Handler(m.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		w.Header().Set("Cache-Control", "max-age=600")
		answer := map[string]int{}
		for _, name := range []string{"a", "b"} {
			if partial.FromContext(r.Context()).Has(name) {
				answer[name] = 1
			}
		}
		if err := f.WriteJSON(w, r, 200, answer); err != nil {
			t.Error(err)
		}
	})))
	for range 2 {
		for query, want := range map[string]string{"?fields=a": `{"a":1}`, "?fields=b": `{"b":1}`, "": `{"a":1,"b":1}`} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/"+query, nil))
			if w.Body.String() != want {
				t.Errorf("%q: %s, want %s", query, w.Body, want)
			}
		}
	}
	if s := f.Stats(); calls.Load() != 3 || s.Projected != 2 {
		t.Errorf("the handler ran %d times, %+v", calls.Load(), s)
	}
}

// compress > partial > httpcache: a masked hit is encoded from the cut bytes, and hits without a
// mask still leave in the form that is kept.
func TestN2_EncodeOnceBesideMasks(t *testing.T) {
	m, _ := masking(t)
	c, err := httpcache.New(httpcache.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	next, kept := documents(&calls)
	small, err := compress.New(compress.Config{Codings: []compress.Coding{compress.Gzip(0)}})
	if err != nil {
		t.Fatal(err)
	}
	h := small.Handler(m.wrap(c.Handler(next)))
	for i := range 6 {
		target, want := "/big", ""
		if want, _ = catalogue(8000); i%2 == 1 {
			target, want = "/big?fields=items/id", kept["/big"]
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", target, nil)
		r.Header.Set("Accept-Encoding", "gzip")
		h.ServeHTTP(w, r)
		body := gunzip(t, w.Body.Bytes())
		if w.Header().Get("Content-Encoding") != "gzip" || body != want {
			t.Errorf("%s: %d bytes, %v", target, len(body), w.Header())
		}
	}
	if s := small.Stats(); s.Encodes["form"] != 1 || s.Stored == 0 || calls.Load() != 1 {
		t.Errorf("%+v, the handler ran %d times", s, calls.Load())
	}
}

func gunzip(t *testing.T, b []byte) string {
	t.Helper()
	zr, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Error(err)
		return ""
	}
	plain, err := io.ReadAll(zr)
	if err != nil {
		t.Error(err)
	}
	return string(plain)
}
