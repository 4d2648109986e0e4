package partial_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/partial"
)

// Types that are linked to each other in every way, as models of databases are.
type (
	linkA struct{ A, B, C, D, E, F, G, H *linkB }
	linkB struct{ A, B, C, D, E, F, G, H *linkC }
	linkC struct {
		A, B, C, D *linkD
		E, F, G, H *linkA
	}
	linkD struct {
		A, B, C, D *linkE
		E, F, G, H *linkB
	}
	linkE struct {
		A, B, C, D *linkF
		E, F, G, H *linkC
	}
	linkF struct {
		A, B, C, D *linkA
		E, F, G, H *linkD
	}
)

// For of them ends, and what it has no room for is open.
func TestR4_TypesThatAreLinked(t *testing.T) {
	f := mustNew(t, partial.Config{Allow: partial.For[linkA]()})
	for mask, status := range map[string]int{"A/B(C,D),E": 200, "*/*/A": 200, "*/*/*": 200, "nothing": 400, "A/nothing": 400} {
		if w := do(f.Handler(serve(0, asJSON, "{}")), "GET", "/?fields="+mask); w.Code != status {
			t.Errorf("%s: %d %s", mask, w.Code, w.Body)
		}
	}
}

type (
	level1 struct{ A, B, C, D, E, F, G, H level2 }
	level2 struct{ A, B, C, D, E, F, G, H level3 }
	level3 struct{ A, B, C, D, E, F, G, H level4 }
	level4 struct{ A, B, C, D, E, F, G, H int }
)

// R4: what a check may cost is bounded, however many names a "*" stands for: the whole answer to the worst
// of masks allocates next to nothing.
func TestR4_StarsAreBounded(t *testing.T) {
	f := mustNew(t, partial.Config{Allow: partial.For[level1]()})
	var names []string
	for i := range 250 {
		names = append(names, fmt.Sprint("z", i))
	}
	for _, mask := range []string{"*/*/*/(" + strings.Join(names, ",") + ")", "*/*/nothing", "*/*/*/*/x"} {
		h, r := f.Handler(serve(0, asJSON, "{}")), request("GET", "/?fields="+mask)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 400 {
			t.Errorf("%.30s: %d", mask, w.Code)
		}
		if n := testing.AllocsPerRun(10, func() { h.ServeHTTP(httptest.NewRecorder(), r) }); n > 400 {
			t.Errorf("%.30s: %v allocations", mask, n)
		}
	}
	if w := do(f.Handler(serve(0, asJSON, "{}")), "GET", "/?fields=*/*/*/A,B/C"); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

type (
	embBase  struct{ ID int }
	embMid   struct{ embBase }
	embLeft  struct{ embMid }
	embRight struct{ embMid }
	embTop   struct {
		embLeft
		embRight
		N int
	}
)

// For has what encoding/json writes, also of a struct that is embedded by two ways.
func TestR4_EmbeddedTwice(t *testing.T) {
	b, err := json.Marshal(embTop{})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	names, _ := partial.For[embTop]().Names()
	if len(names) != len(got) {
		t.Errorf("json writes %s, For has %q", b, names)
	}
}

// A name that grows in lower case is no reason to fall over.
func TestR4_HintsOfOddNames(t *testing.T) {
	f := mustNew(t, partial.Config{Allow: partial.MustParse(strings.Repeat("Ⱥ", 30))})
	if w := do(f.Handler(serve(0, asJSON, "{}")), "GET", "/?fields="+strings.Repeat("x", 59)); w.Code != 400 {
		t.Error(w.Code)
	}
}

// R3: of a client's text at most 64 bytes come back, whatever it consists of.
func TestR3_EchoIsBounded(t *testing.T) {
	f := mustNew(t, partial.Config{Allow: partial.MustParse("zz")})
	w := do(f.Handler(serve(0, asJSON, "{}")), "GET", "/?fields="+strings.Repeat("%FFa", 60))
	var p struct{ Field string }
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || len(p.Field) > 64 || p.Field == "" {
		t.Errorf("%d bytes, %v", len(p.Field), err)
	}
}

// A condition of an update is not lost under a mask; that of a GET is, if it names other bytes.
func TestS4_ConditionsOfUpdates(t *testing.T) {
	for method, want := range map[string]string{"PUT": `"v1"`, "GET": "", "HEAD": ""} {
		saw := ""
		h := mustNew(t, partial.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { saw = r.Header.Get("If-None-Match") }))
		do(h, method, "/?fields=a", `If-None-Match: "v1"`)
		if saw != want {
			t.Errorf("%s: the handler sees %q, want %q", method, saw, want)
		}
	}
}

// What an update restores, and what its handler does to the header, stays inside.
func TestS4_TheOuterRequestStays(t *testing.T) {
	r := request("PUT", "/", `If-Match: "v1~fields.AAAAAAAAAAAAAAAA"`, "X-Own: 1")
	before := fmt.Sprint(r.Header)
	saw := ""
	mustNew(t, partial.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		saw = r.Header.Get("If-Match")
		r.Header.Set("X-Own", "2")
	})).ServeHTTP(httptest.NewRecorder(), r)
	if after := fmt.Sprint(r.Header); after != before || saw != `"v1"` {
		t.Errorf("%s became %s; the handler saw %s", before, after, saw)
	}
}

// E5: a slice that Encode did not append to is not ours to write into.
func TestE5_EncodeWithASliceOfItsOwn(t *testing.T) {
	cached := append(make([]byte, 0, 100), `{"cached":1}`...)
	f := mustNew(t, partial.Config{Encode: func(dst []byte, v any) ([]byte, error) {
		if v == "cached" {
			return cached, nil
		}
		b, err := json.Marshal(v)
		return append(dst, b...), err
	}})
	for _, v := range []string{"cached", "other", "secret"} {
		w := httptest.NewRecorder()
		if err := f.WriteJSON(w, request("GET", "/"), 200, v); err != nil || v != "cached" && w.Body.String() != `"`+v+`"` || v == "cached" && w.Body.String() != `{"cached":1}` {
			t.Errorf("%s: %q, %v", v, w.Body, err)
		}
	}
	if string(cached) != `{"cached":1}` {
		t.Errorf("it is now %q", cached)
	}
}

// E5: a handler that asks another one, with a writer of its own, gets all of it.
func TestE5_AnInnerCallIsWhole(t *testing.T) {
	f := mustNew(t, partial.Config{})
	user := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = f.WriteJSON(w, r, 200, map[string]int{"id": 1, "age": 2})
	})
	h := f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner := httptest.NewRecorder()
		user.ServeHTTP(inner, httptest.NewRequest("GET", "/user", nil).WithContext(r.Context()))
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"user":%s,"x":1}`, inner.Body)
	}))
	if w := do(h, "GET", "/?fields=user/id"); w.Body.String() != `{"user":{"id":1}}` {
		t.Errorf("%q", w.Body)
	}
}

// E5: trailers arrive, and a status without a body has no length.
func TestE5_TrailersAndBodilessStatuses(t *testing.T) {
	f := mustNew(t, partial.Config{})
	srv := httptest.NewServer(f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/205" {
			_ = f.WriteJSON(w, r, 205, map[string]int{"a": 1})
			return
		}
		w.Header().Set("Trailer", "X-T")
		_ = f.WriteJSON(w, r, 200, map[string]int{"a": 1, "b": 2})
		w.Header().Set("X-T", "1")
	})))
	defer srv.Close()
	for target, want := range map[string]string{"/": `{"a":1,"b":2}`, "/?fields=a": `{"a":1}`, "/205": ""} {
		res, err := srv.Client().Get(srv.URL + target)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(b) != want || want != "" && res.Trailer.Get("X-T") != "1" || want == "" && res.ContentLength > 0 {
			t.Errorf("%s: %q, %v, trailer %q, length %d", target, b, err, res.Trailer.Get("X-T"), res.ContentLength)
		}
	}
}

type halfWriter struct{}

func (halfWriter) Write(p []byte) (int, error) { return len(p) / 2, nil }

// unwrapping is a foreign layer that fumbles with the header.
type unwrapping struct {
	http.ResponseWriter
	header func(http.ResponseWriter, int)
}

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }
func (u unwrapping) WriteHeader(status int)      { u.header(u.ResponseWriter, status) }

// WriteJSON promises a cut body for what it writes itself, not for what comes after it.
func TestE5_WhatFollowsIsCut(t *testing.T) {
	f := mustNew(t, partial.Config{})
	v := map[string]int{"a": 1, "b": 2}
	for name, h := range map[string]http.HandlerFunc{
		"a length that a layer took away": func(w http.ResponseWriter, r *http.Request) {
			_ = f.WriteJSON(unwrapping{w, func(w http.ResponseWriter, status int) {
				w.Header().Del("Content-Length")
				w.WriteHeader(status)
			}}, r, 200, v)
			_, _ = io.WriteString(w, "\n{\"a\":2,\"b\":3}")
		},
		"a panic in a layer": func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				_ = recover()
				w.Header().Set("Content-Length", "13")
				_, _ = io.WriteString(w, `{"a":2,"b":3}`)
			}()
			_ = f.WriteJSON(unwrapping{w, func(http.ResponseWriter, int) { panic("no") }}, r, 200, v)
		},
		"a panic in the value": func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				_ = recover()
				if len(w.Header()) > 0 {
					t.Errorf("header %v", w.Header())
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"a":2,"b":3}`)
			}()
			_ = f.WriteJSON(w, r, 200, bomb{})
		},
	} {
		if w := do(f.Handler(h), "GET", "/?fields=a"); strings.Contains(w.Body.String(), "b") || !strings.HasSuffix(w.Body.String(), `{"a":2}`) {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
}

type bomb struct{}

func (bomb) MarshalJSON() ([]byte, error) { panic("boom") }

// After an answer has begun WriteJSON adds to it as any Write does: nothing of an error is cut.
func TestE5_AfterAProblem(t *testing.T) {
	f := mustNew(t, partial.Config{})
	h := f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadGateway)
		if err := f.WriteJSON(w, r, 200, map[string]int{"a": 1, "b": 2}); err != nil {
			t.Error(err)
		}
	}))
	w := do(h, "GET", "/?fields=a")
	if w.Code != http.StatusBadGateway || w.Body.String() != `{"a":1,"b":2}` || w.Result().Header.Get("Content-Length") != "" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
}

func TestWriter_AShortWriteIsAnError(t *testing.T) {
	if _, err := partial.MustParse("a").Writer(halfWriter{}).Write([]byte(`{"a":12345678}`)); err != io.ErrShortWrite {
		t.Error(err)
	}
}
