package partial_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/partial"
)

type level struct {
	Deep  string `json:"deep"`
	Named string
}

type Embedded struct {
	level
	Shown int `json:"shown,omitempty" db:"shown_col"`
	Twice int `db:"twice_embedded"`
}

type zoo struct {
	Embedded
	*author  `json:"by"`
	Twice    string            `json:"Twice" db:"twice_own"`
	HTML     string            `json:"html"`
	Float    float64           `json:"float"`
	Big      int64             `json:"big,string"`
	Bytes    []byte            `json:"bytes"`
	Nil      []int             `json:"nil"`
	NilMap   map[string]int    `json:"nilmap"`
	Map      map[int]level     `json:"map"`
	Time     time.Time         `json:"time"`
	Raw      json.RawMessage   `json:"raw"`
	Any      any               `json:"any"`
	Number   json.Number       `json:"number"`
	Text     map[string]string `json:"text"`
	OmitZero time.Time         `json:"oz,omitzero"`
	Array    [2][]level        `json:"array"`
}

func zoos() []any {
	z := zoo{
		Embedded: Embedded{level: level{"d", "n"}, Shown: 1},
		author:   &author{Name: "x", Email: "y"},
		HTML:     "<a&b>\u2028\xff", Float: 1e21, Big: 1 << 60, Bytes: []byte("bytes"),
		Map: map[int]level{10: {"a", "b"}, 2: {}}, Time: time.Unix(0, 1).UTC(), Raw: json.RawMessage(`{ "x" : [1, {"y":2}], "z":1}`),
		Any: map[string]any{"x": []any{map[string]any{"y": 1.5, "z": nil}, "s"}}, Number: "1.50", Text: map[string]string{"é": "1", "\xff": "2"},
		Array: [2][]level{{{"1", "2"}}, nil},
	}
	return []any{z, &z, []zoo{z, {}}, map[string]*zoo{"a": &z, "b": nil}, nil, 1.5, "s", []byte("x"), []any{z, nil, 1}, (*zoo)(nil)}
}

// The law: AppendValue gives the bytes of Append on what json.Marshal gives.
func TestE1_Law(t *testing.T) {
	masks := []string{"*", "html", "float,big,bytes", "map/*/deep", "map(2,10/Named)", "raw/x/y", "any/x(y,z)", "time,oz,number", "*/deep", "array/deep,nil,nilmap", "by/name,shown,deep", "text", "Twice", "a/map,b", "nothing"}
	for _, v := range zoos() {
		doc, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range masks {
			m := partial.MustParse(text)
			want, err := m.Append(nil, doc)
			if err != nil {
				t.Fatal(err)
			}
			got, err := m.AppendValue([]byte("before"), v)
			if err != nil || string(got) != "before"+string(want) {
				t.Errorf("%s of %T: %s, %v; want %s", text, v, got, err, want)
			}
		}
	}
	for _, v := range []any{math.NaN(), map[string]any{"a": 1, "b": make(chan int)}, json.RawMessage("{")} {
		if got, err := partial.MustParse("a").AppendValue([]byte("x"), v); err == nil || string(got) != "x" {
			t.Errorf("%v: %s, %v", v, got, err)
		}
	}
}

func writes(t *testing.T, cfg partial.Config, status int, fields string, v any) http.Handler {
	f := mustNew(t, cfg)
	return f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serve(0, fields).ServeHTTP(w, r)
		if err := f.WriteJSON(w, r, status, v); err != nil {
			t.Error(err)
		}
	}))
}

func TestE5_WriteJSON(t *testing.T) {
	v := map[string]any{"a": "<", "b": []int{1, 2}}
	all, some := `{"a":"\u003c","b":[1,2]}`, `{"a":"\u003c"}`
	for _, tc := range []struct {
		target string
		status int
		fields string
		want   string
	}{
		{"/", 200, "", all},
		{"/?fields=a", 200, "", some},
		{"/?fields=a", 201, "Content-Type: application/hal+json", some},
		{"/?fields=a", 404, "", all},
		{"/?fields=a", 200, "Cache-Control: no-transform", all},
		{"/?fields=a", 200, "Content-Type: text/plain", all},
		{"/?fields=a", 404, "Content-Type: application/problem+json", all},
	} {
		h := writes(t, partial.Config{}, tc.status, tc.fields+"\nEtag: \"v1\"\nAccept-Ranges: bytes", v)
		w := do(h, "GET", tc.target)
		wantType := "application/json"
		if _, set, ok := strings.Cut(tc.fields, "Content-Type: "); ok {
			wantType = set
		}
		if w.Code != tc.status || w.Body.String() != tc.want || w.Header().Get("Content-Type") != wantType || w.Header().Get("Content-Length") != fmt.Sprint(len(tc.want)) {
			t.Errorf("%+v: %d %s %v", tc, w.Code, w.Body, w.Header())
		}
		if masked := tc.target != "/" && tc.status < 300; masked != (w.Header().Get("Etag") != `"v1"`) {
			t.Errorf("%+v: %v", tc, w.Header())
		}
		if isCut := tc.want == some; isCut != (w.Header().Get("Accept-Ranges") == "") {
			t.Errorf("%+v: %v", tc, w.Header())
		}
		if head := do(h, "HEAD", tc.target); fmt.Sprint(head.Header()) != fmt.Sprint(w.Header()) {
			t.Errorf("%+v: HEAD %v, GET %v", tc, head.Header(), w.Header())
		}
	}
	if w := do(writes(t, partial.Config{}, 204, "", v), "GET", "/?fields=a"); w.Code != 204 || w.Body.Len() > 0 {
		t.Errorf("204: %d %s", w.Code, w.Body)
	}
}

func TestE5_CutOnce(t *testing.T) {
	for path, want := range map[string]partial.Stats{
		"/":       {Projected: 1, OutBytes: 7},
		"/hidden": {Filtered: 1, OutBytes: 7, InBytes: 13}, // WriteJSON cannot see that somebody cuts
	} {
		f := mustNew(t, partial.Config{})
		h := f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hidden" {
				w = struct{ http.ResponseWriter }{w} // no Unwrap
			}
			if err := f.WriteJSON(w, r, 200, map[string]int{"a": 1, "b": 2}); err != nil {
				t.Error(err)
			}
		}))
		w := &countWrites{ResponseWriter: httptest.NewRecorder()}
		h.ServeHTTP(w, request("GET", path+"?fields=a"))
		if got := w.ResponseWriter.(*httptest.ResponseRecorder).Body.String(); got != `{"a":1}` || w.writes != 1 {
			t.Errorf("%s: %s in %d Writes", path, got, w.writes)
		}
		if got := f.Stats(); got != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
}

func TestE5_Errors(t *testing.T) {
	f := mustNew(t, partial.Config{})
	w := httptest.NewRecorder()
	if err := f.WriteJSON(w, request("GET", "/"), 200, make(chan int)); err == nil {
		t.Error("a channel is encoded")
	}
	if len(w.Header()) > 0 || w.Body.Len() > 0 || w.Flushed {
		t.Errorf("after an error: %v %s", w.Header(), w.Body)
	}
	if err := f.WriteJSON(&goneWriter{http.Header{}}, request("GET", "/"), 200, 1); !errors.Is(err, errGone) {
		t.Errorf("a Write that fails: %v", err)
	}
	w = httptest.NewRecorder()
	if err := (*partial.Filter)(nil).WriteJSON(w, request("GET", "/"), 200, []int{1}); err != nil || w.Body.String() != "[1]" {
		t.Errorf("a nil Filter: %v, %s", err, w.Body)
	}
}

type goneWriter struct{ h http.Header }

func (g *goneWriter) Header() http.Header       { return g.h }
func (g *goneWriter) WriteHeader(int)           {}
func (g *goneWriter) Write([]byte) (int, error) { return 0, errGone }

func TestE5_Encode(t *testing.T) {
	cfg := partial.Config{Encode: func(dst []byte, v any) ([]byte, error) { return append(dst, `{"a":"encoded"}`...), nil }}
	if w := do(writes(t, cfg, 200, "", 1), "GET", "/"); w.Body.String() != `{"a":"encoded"}` {
		t.Errorf("without a mask: %s", w.Body)
	}
	if w := do(writes(t, cfg, 200, "", map[string]int{"a": 1}), "GET", "/?fields=a"); w.Body.String() != `{"a":1}` {
		t.Errorf("with a mask: %s", w.Body)
	}
}

func TestP1_MoreIsCut(t *testing.T) {
	f := mustNew(t, partial.Config{})
	h := f.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := partial.FromContext(r.Context())
		v := map[string]any{"items": []int{1}}
		if m.Has("total") {
			v["total"] = 7
		}
		_ = f.WriteJSON(w, r, 200, v)
	}))
	for target, want := range map[string]string{
		"/": `{"items":[1],"total":7}`, "/?fields=total": `{"total":7}`, "/?fields=items": `{"items":[1]}`, "/?fields=*/x": `{"items":[]}`,
	} {
		if w := do(h, "GET", target); w.Body.String() != want {
			t.Errorf("%s: %s, want %s", target, w.Body, want)
		}
	}
}

func TestP2_Columns(t *testing.T) {
	for _, tc := range []struct {
		mask   string
		always []string
		want   []string
	}{
		{"*", nil, []string{"id", "name", "price_cents", "author_id"}},
		{"price,id", nil, []string{"id", "price_cents"}},
		{"author/email", []string{"id"}, []string{"id", "author_id"}},
		{"id,name", []string{"tenant", "id"}, []string{"tenant", "id", "name"}},
		{"nothing,tags,Hidden,hidden", nil, nil},
		{"*/x", []string{"id"}, []string{"id", "name", "price_cents", "author_id"}},
	} {
		always := slices.Clone(tc.always)
		if got := partial.Columns[product](partial.MustParse(tc.mask), "db", tc.always...); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.mask, got, tc.want)
		}
		if !slices.Equal(always, tc.always) {
			t.Error("always was written into")
		}
	}
	if got := partial.Columns[*zoo](nil, "db"); !slices.Equal(got, []string{"shown_col", "twice_own"}) {
		t.Errorf("embedded: %q", got)
	}
	defer func() {
		if p := recover(); fmt.Sprint(p) != "partial: Columns of int: must be a struct" {
			t.Errorf("panic %v", p)
		}
	}()
	partial.Columns[int](nil, "db")
}

func TestP3_InsideOfNothing(t *testing.T) {
	if m := partial.FromContext(t.Context()); m != nil {
		t.Errorf("mask %v of a context that has none", m)
	}
}

// For knows the names that encoding/json writes.
func TestFor_IsWhatMarshalWrites(t *testing.T) {
	if got, want := partial.For[list]().String(), "items(Hidden"; strings.HasPrefix(got, want) {
		t.Errorf("For: %s", got)
	}
	m := partial.For[zoo]()
	doc, err := json.Marshal(zoos()[0])
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Append(nil, doc); err != nil || string(got) != string(doc) {
		t.Errorf("a zoo cut to its own type: %s, %v; want all of %s", got, err, doc)
	}
	var all map[string]any
	if err := json.Unmarshal(doc, &all); err != nil {
		t.Fatal(err)
	}
	all["oz"] = nil // left out when it is zero
	names, _ := m.Names()
	for _, name := range names {
		if _, ok := all[name]; !ok {
			t.Errorf("For has %s, which json.Marshal does not write", name)
		}
	}
	if len(names) != len(all) {
		t.Errorf("For has %q, json.Marshal writes %d members", names, len(all))
	}
	if m := partial.For[any](); m != nil {
		t.Errorf("For[any] is %v, want nil", m)
	}
	if m := partial.For[map[string]level](); m.String() != "*(Named,deep)" {
		t.Errorf("For of a map is %v", m)
	}
	if m := partial.For[int](); m == nil || m.Has("") {
		t.Errorf("For[int] is %v, want a mask of no fields", m)
	}
	if got := masked(t, partial.Config{Allow: partial.For[[]string]()}, "GET", "/?fields=a"); got != "refused" {
		t.Errorf("a field of strings: %s", got)
	}
}

// Two embedded fields of one name hide each other, unless one is tagged or less deep.
func TestFor_Dominance(t *testing.T) {
	type X struct{ A, B, C int }
	type Y struct {
		A int
		B int `json:"B"`
		D int
	}
	type Z struct {
		X
		Y
		D string
	}
	doc, _ := json.Marshal(Z{})
	if got, err := partial.For[Z]().Append(nil, doc); err != nil || string(got) != string(doc) || partial.For[Z]().Has("A") {
		t.Errorf("%v cuts %s to %s", partial.For[Z](), doc, got)
	}
}

type loop []loop

type tree struct {
	Name string
	Kids map[string]*tree
}

func TestFor_Recursion(t *testing.T) {
	if got := partial.For[tree]().String(); got != "Kids/*,Name" {
		t.Errorf("a tree: %s", got)
	}
	if got := partial.For[loop](); got != nil {
		t.Errorf("a loop: %v", got)
	}
}
