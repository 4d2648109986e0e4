package partial_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/internal/rw"
	"github.com/hotpath-go/hotpath/partial"
)

// masked returns the mask that a handler finds in its context, "none" without one, or "refused".
func masked(t *testing.T, cfg partial.Config, method, target string) string {
	t.Helper()
	seen := "refused"
	w := do(mustNew(t, cfg).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = "none"
		if m := partial.FromContext(r.Context()); m != nil {
			seen = m.String()
		}
	})), method, target)
	if (seen == "refused") != (w.Code == 400) {
		t.Errorf("%s %s: %s, but status %d", method, target, seen, w.Code)
	}
	return seen
}

func TestR1_WhichRequests(t *testing.T) {
	for _, tc := range []struct{ method, target, want string }{
		{"GET", "/?fields=a", "a"},
		{"GET", "/?x=1&fields=a&y=2", "a"},
		{"GET", "/?f%69elds=a", "a"},
		{"GET", "/?Fields=a", "none"},
		{"GET", "/?field=a&fieldss=a&xfields=a", "none"},
		{"GET", "/?fields", "none"},
		{"GET", "/?", "none"},
		{"GET", "/?%zz=1&fields=a", "a"},
		{"HEAD", "/?fields=a", "a"},
		{"POST", "/?fields=a", "a"},
		{"PATCH", "/?fields=a", "a"},
		{"DELETE", "/?fields=a,", "refused"},
		{"OPTIONS", "/?fields=a,", "none"},
		{"CONNECT", "/?fields=a,", "none"},
	} {
		if got := masked(t, partial.Config{}, tc.method, tc.target); got != tc.want {
			t.Errorf("%s %s: %s, want %s", tc.method, tc.target, got, tc.want)
		}
	}
	if got := masked(t, partial.Config{Param: "s el"}, "GET", "/?fields=b&s+el=a"); got != "a" {
		t.Errorf("another parameter: %s", got)
	}
}

func TestR2_Decoding(t *testing.T) {
	for query, want := range map[string]string{
		"fields=a%28b%2Cc%29":  "a(b,c)",
		"fields=a+b":           "a b",
		"fields=a%252Cb":       "a%2Cb",
		"fields=":              "none",
		"fields=%20+%09":       "none",
		"fields=&fields=a":     "a",
		"fields=a&fields=b/c":  "a,b/c",
		"fields=a%5C&fields=b": `a\\,b`,
		"fields=a%zz":          "refused",
		"fields=a%":            "refused",
		"fields=a;b":           "refused",
		"fields=a&x=1;y":       "a",
		"fields=*":             "none",
		"fields=a&fields=*":    "none",
		"fields=a(&fields=b)":  "refused",
		"fields=a=b":           "a=b",
	} {
		if got := masked(t, partial.Config{}, "GET", "/?"+query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

type refusal struct {
	Type, Title, Detail, Parameter, Field, Suggestion string
	Status, Position                                  int
}

func refuse(t *testing.T, cfg partial.Config, query string) (refusal, string) {
	t.Helper()
	ran := false
	w := do(mustNew(t, cfg).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true })), "GET", "/?"+query)
	var p refusal
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 400 || ran || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%s: %d %s, ran: %t, %v", query, w.Code, w.Body, ran, err)
	}
	return p, w.Body.String()
}

func TestR3_Refusal(t *testing.T) {
	p, _ := refuse(t, partial.Config{}, "fields=a,,b")
	if p.Status != 400 || p.Parameter != "fields" || p.Position != 2 || p.Field != "" || p.Detail != `empty name at byte 2 of "a,,b"` {
		t.Errorf("%+v", p)
	}
	p, _ = refuse(t, partial.Config{Allow: partial.MustParse("items(id,price)")}, "fields=items(id,prize)")
	if p.Field != "items/prize" || p.Suggestion != "price" || p.Position != 9 || !strings.HasPrefix(p.Detail, `no field "prize" in "items" at byte 9`) || !strings.HasSuffix(p.Detail, `did you mean "price"?`) {
		t.Errorf("%+v", p)
	}
	p, _ = refuse(t, partial.Config{}, "fields=a&fields=,")
	if p.Position != 2 {
		t.Errorf("the second value: %+v", p)
	}
	_, body := refuse(t, partial.Config{}, "fields="+strings.Repeat("%ff", 100)+",")
	if len(body) > 600 || !json.Valid([]byte(body)) {
		t.Errorf("echo: %s", body)
	}
	p, body = refuse(t, partial.Config{Allow: partial.MustParse("a")}, "fields="+strings.Repeat("b", 3000))
	if len(body) > 600 || p.Suggestion != "" {
		t.Errorf("echo: %s", body)
	}
	for _, query := range []string{"fields=" + strings.Repeat("a", 4097), "fields=" + strings.Repeat("%61", 4097), "fields=" + strings.Repeat("a", 2048) + "&fields=" + strings.Repeat("b", 2048)} {
		if p, _ := refuse(t, partial.Config{}, query); !strings.Contains(p.Detail, "more than 4096 bytes") {
			t.Errorf("too long: %+v", p)
		}
	}
	// HEAD gets the header and no body.
	w := do(mustNew(t, partial.Config{}).Handler(serve(200, asJSON)), "HEAD", "/?fields=,")
	if w.Code != 400 || w.Body.Len() > 0 {
		t.Errorf("HEAD: %d %s", w.Code, w.Body)
	}
	// What outer layers put there stays, what described the answer goes.
	h := mustNew(t, partial.Config{}).Handler(serve(200, asJSON))
	rec := httptest.NewRecorder()
	rec.Header().Set("Vary", "Origin")
	rec.Header().Set("Etag", `"v1"`)
	h.ServeHTTP(rec, request("GET", "/?fields=,"))
	if rec.Header().Get("Vary") != "Origin" || rec.Header().Get("Etag") != "" {
		t.Errorf("header %v", rec.Header())
	}
}

type author struct {
	Name  string `json:"name"`
	Email string `json:"email,omitempty"`
}

type product struct {
	ID      int               `json:"id" db:"id"`
	Name    string            `json:"name" db:"name"`
	Price   float64           `json:"price" db:"price_cents,primary"`
	Author  *author           `json:"author" db:"author_id"`
	Tags    []string          `json:"tags"`
	Labels  map[string]author `json:"labels" db:"-"`
	Raw     json.RawMessage   `json:"raw"`
	Any     any               `json:"any"`
	Similar []product         `json:"similar"`
	Number  json.Number       `json:"number"`
	secret  string
	Hidden  string `json:"-" db:"hidden"`
}

type list struct {
	Items []product `json:"items"`
	Next  string    `json:"next"`
}

func TestR4_Allow(t *testing.T) {
	_ = product{}.secret
	cfg := partial.Config{Allow: partial.For[list]()}
	for query, want := range map[string]string{
		"items(id,name),next":      "items(id,name),next",
		"items/author/name":        "items/author/name",
		"items/*":                  "items/*",
		"items/*/name":             "items/*/name",
		"*/author/email":           "*/author/email",
		"items/labels/any/email":   "items/labels/any/email",
		"items/labels/*/email":     "items/labels/*/email",
		"items/raw/what/ever":      "items/raw/what/ever",
		"items/any/what":           "items/any/what",
		"items/similar/nothing/at": "items/similar/nothing/at",
		"items/id/x":               "refused",
		"items/tags/x":             "refused",
		"items/number/x":           "refused",
		"next/x":                   "refused",
		"items/prize":              "refused",
		"items/secret":             "refused",
		"items/Hidden":             "refused",
		"items/labels/x/phone":     "refused",
		"items/labels/*/nowhere":   "refused",
		"next/*":                   "refused",
		"Items":                    "refused",
		"items(id,x),y":            "refused",
	} {
		if got := masked(t, cfg, "GET", "/?fields="+query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	for query, want := range map[string]string{
		"fields=items/prize": "price", "fields=itmes": "items", "fields=items.author(name)": "items/author", "fields=items/author.email": "author/email",
		"fields=ITEMS": "items", "fields=zzz": "", "fields=items/author/nmae": "name", "fields=items.author.zzz": "", "fields=items/id/x": "", "fields=next/*": "",
	} {
		if p, _ := refuse(t, cfg, query); p.Suggestion != want {
			t.Errorf("%s: suggestion %q, want %q (%s)", query, p.Suggestion, want, p.Detail)
		}
	}
	// The first of several is named, with its place.
	if p, _ := refuse(t, cfg, "fields=items(id,x),y"); p.Position != 9 || p.Field != "items/x" {
		t.Errorf("%+v", p)
	}
	// What is spelt out by hand is open below its ends.
	if got := masked(t, partial.Config{Allow: partial.MustParse("a/b")}, "GET", "/?fields=a/b/c"); got != "a/b/c" {
		t.Errorf("below a/b: %s", got)
	}
}

func TestM10_Dots(t *testing.T) {
	if got := masked(t, partial.Config{}, "GET", "/?fields=a.b"); got != "a.b" {
		t.Errorf("a.b is %s, want the name a.b", got)
	}
	cfg := partial.Config{Allow: partial.MustParse("a/b(c,d)")}
	for query, want := range map[string]string{"fields=a.b(c)": "a/b", "fields=a.b.c": "a/b/c", "fields=a/b.c": "b/c", "fields=a.x": ""} {
		if p, _ := refuse(t, cfg, query); p.Suggestion != want {
			t.Errorf("%s: suggestion %q, want %q", query, p.Suggestion, want)
		}
	}
}

func TestR5_NoMask(t *testing.T) {
	f := mustNew(t, partial.Config{})
	for _, target := range []string{"/", "/?a=1&b=2", "/?fields=*", "/?fields="} {
		outer, r := httptest.NewRecorder(), request("GET", target)
		f.Handler(http.HandlerFunc(func(w http.ResponseWriter, got *http.Request) {
			if w != http.ResponseWriter(outer) || got != r {
				t.Errorf("%s: the handler got another writer or request", target)
			}
		})).ServeHTTP(outer, r)
	}
	// Inside of an active Filter only the names are checked.
	inner := mustNew(t, partial.Config{Allow: partial.MustParse("a")})
	var between http.ResponseWriter
	h := f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		between = w
		inner.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if w != between {
				t.Error("the inner Filter has a writer of its own")
			}
			serve(200, asJSON, `{"a":1,"b":2}`).ServeHTTP(w, r)
		})).ServeHTTP(w, r)
	}))
	if w := do(h, "GET", "/?fields=a"); w.Body.String() != `{"a":1}` {
		t.Errorf("twice: %s", w.Body)
	}
	if w := do(h, "GET", "/?fields=b"); w.Code != 400 {
		t.Errorf("a name that only the outer Filter allows: %d", w.Code)
	}
}

func TestR6_WhatTheHandlerGets(t *testing.T) {
	r := request("GET", "/x?a=1&fields=a&b=2", "Range: bytes=0-1", `If-Range: "v1"`, "Accept-Encoding: gzip, br", "X-Own: 1")
	header, target := r.Header.Clone(), r.URL.String()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /x", func(w http.ResponseWriter, got *http.Request) {
		if got.Header.Get("Range")+got.Header.Get("If-Range") != "" || got.Header.Get("Accept-Encoding") != "identity" || got.Header.Get("X-Own") != "1" {
			t.Errorf("header %v", got.Header)
		}
		if got.URL.String() != target {
			t.Errorf("URL %s, want it unchanged", got.URL)
		}
		if whole := rw.Whole(got); whole.URL.RawQuery != "a=1&b=2" || partial.FromContext(whole.Context()) != nil {
			t.Errorf("the whole of it is at %s with mask %v", whole.URL, partial.FromContext(whole.Context()))
		}
		got.Header.Set("Accept-Encoding", "changed")
		got.Header.Add("X-Own", "2")
	})
	mustNew(t, partial.Config{}).Handler(mux).ServeHTTP(httptest.NewRecorder(), r)
	if r.Pattern != "GET /x" {
		t.Errorf("Pattern %q is not visible outside", r.Pattern)
	}
	if fmt.Sprint(r.Header) != fmt.Sprint(header) {
		t.Errorf("the client's header has become %v", r.Header)
	}

	r = request("GET", "/x?fields=a")
	func() {
		defer func() { _ = recover() }()
		mustNew(t, partial.Config{}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			r.Pattern = "set"
			panic("on purpose")
		})).ServeHTTP(httptest.NewRecorder(), r)
	}()
	if r.Pattern != "set" {
		t.Error("Pattern does not come back on panic")
	}
}

// FuzzQuery compares the scan of the query with net/url.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{"fields=a", "a=1&fields=a%2Cb&fields=c", "fi%65lds=x", "fields=%zz", "fields=a;b", "&&fields", "fields=+"} {
		f.Add(q)
	}
	filter, err := partial.New(partial.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = query
		got, ran := "", false
		filter.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ran = true
			if m := partial.FromContext(r.Context()); m != nil {
				got = m.String()
				if rest, _ := url.ParseQuery(rw.Whole(r).URL.RawQuery); rest["fields"] != nil {
					t.Errorf("%q: the rest still has the parameter", query)
				}
			}
		})).ServeHTTP(httptest.NewRecorder(), r)

		values, err := url.ParseQuery(query)
		var texts []string
		for _, v := range values["fields"] {
			if strings.Trim(v, " \t") != "" {
				texts = append(texts, v)
			}
		}
		if err != nil {
			return // a bad pair may be ours
		}
		want, ok := "", true
		for _, text := range texts {
			m, err := partial.Parse(text)
			ok = ok && err == nil
			if m == nil && err == nil {
				want = "*"
			}
		}
		if ok && len(query) < 1000 && !ran {
			t.Errorf("%q is refused", query)
		}
		if !ok && ran {
			t.Errorf("%q is accepted as %q", query, got)
		}
		if len(texts) == 1 && ok && want == "" && got != partial.MustParse(texts[0]).String() {
			t.Errorf("%q: %q", query, got)
		}
	})
}
