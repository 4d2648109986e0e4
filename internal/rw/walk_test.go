package rw_test

import (
	"context"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/internal/rw"
)

// named is a wrapper that implements every contract between layers and notes who was asked.
type named struct {
	rw.Writer
	name    string
	refuses bool
	log     *[]string
}

func (n *named) note(what string) {
	if n.log != nil {
		*n.log = append(*n.log, n.name+" "+what)
	}
}

func (n *named) VaryBy(string, func(http.Header) string)          { n.note("vary") }
func (n *named) RestoreTags(http.Header)                          { n.note("tags") }
func (n *named) Invalidate(_ *http.Request, _ int, _ http.Header) { n.note("wrote") }
func (n *named) Return(*http.Request)                             { n.note("return") }
func (n *named) Charge(*http.Request) (refusal http.Handler) {
	n.note("charge")
	if n.refuses {
		return http.NotFoundHandler()
	}
	return nil
}

// envelope is the sink of a part.
type envelope struct {
	sink
	around http.ResponseWriter
	part   *http.Request
}

func (e *envelope) Envelope() (http.ResponseWriter, *http.Request) { return e.around, e.part }

// foreign is a wrapper of others, with Unwrap; its type cannot be compared.
type foreign struct {
	http.ResponseWriter
	_ []func()
}

func (f foreign) Unwrap() http.ResponseWriter { return f.ResponseWriter }

// nest returns outside > foreign > envelope of a part > inside, which is innermost.
func nest(log *[]string) (outside, inside *named, part *http.Request) {
	outside = &named{name: "outside", log: log}
	outside.Wrap(httptest.NewRecorder(), nil)
	part = httptest.NewRequest("GET", "/part", nil)
	inside = &named{name: "inside", log: log}
	inside.Wrap(&envelope{around: foreign{ResponseWriter: outside}, part: part}, nil)
	return outside, inside, part
}

func TestWalk(t *testing.T) {
	var log []string
	outside, inside, part := nest(&log)

	n := 0
	for range rw.Walk(inside) {
		n++
	}
	if n != 2 {
		t.Errorf("Walk from the part went %d steps, want 2: it ends at the sink", n)
	}
	var parts []*http.Request
	for w, p := range rw.WalkOut(inside) {
		parts = append(parts, p)
		if w == http.ResponseWriter(outside) {
			break
		}
	}
	if !slices.Equal(parts, []*http.Request{nil, nil, part, part}) {
		t.Errorf("parts on the way out: %v", parts)
	}
	// A part inside a part: the innermost one is what counts.
	first := httptest.NewRequest("GET", "/innermost", nil)
	deepest := &envelope{around: inside, part: first}
	for w, p := range rw.WalkOut(deepest) {
		if w == http.ResponseWriter(outside) && p != first {
			t.Errorf("outside sees %v, want the innermost part", p.URL)
		}
	}
	for range rw.Walk(nil) {
		t.Error("a walk from nil went somewhere")
	}
}

type circle struct{ bare }

func (c *circle) Unwrap() http.ResponseWriter { return c }

func TestWalk_EndsInACircle(t *testing.T) {
	n := 0
	for range rw.Walk(&circle{}) {
		n++
	}
	for range rw.WalkOut(&circle{}) {
		n++
	}
	if n != 128 {
		t.Errorf("%d steps, want 64 each", n)
	}
}

func TestContracts_WhoIsAsked(t *testing.T) {
	for _, tc := range []struct {
		name string
		ask  func(w http.ResponseWriter, part *http.Request)
		want string
	}{
		{"VaryBy: the first, inside the part", func(w http.ResponseWriter, _ *http.Request) { rw.VaryBy(w, "Accept-Encoding", nil) }, "inside vary"},
		{"RestoreTags: all, from the inside out", func(w http.ResponseWriter, _ *http.Request) { rw.RestoreTags(w, nil) }, "inside tags, outside tags"},
		{"Wrote: all", func(w http.ResponseWriter, p *http.Request) { rw.Wrote(w, p, 200, nil) }, "inside wrote, outside wrote"},
		{"Charge: all", func(w http.ResponseWriter, p *http.Request) { rw.Charge(w, p) }, "inside charge, outside charge"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log []string
			_, inside, part := nest(&log)
			tc.ask(inside, part)
			if got := strings.Join(log, ", "); got != tc.want {
				t.Errorf("asked %s, want %s", got, tc.want)
			}
		})
	}
}

func TestCharge_ARefusalGivesBackWhatOthersTook(t *testing.T) {
	var log []string
	outside, inside, part := nest(&log)
	outside.refuses = true
	if refusal := rw.Charge(inside, part); refusal == nil {
		t.Fatal("no refusal")
	}
	if got := strings.Join(log, ", "); got != "inside charge, outside charge, inside return" {
		t.Errorf("asked %s", got)
	}
}

func TestOuter(t *testing.T) {
	envelope := httptest.NewRequest("POST", "/batch", nil)
	part := httptest.NewRequestWithContext(context.WithValue(t.Context(), rw.OuterKey{}, envelope), "GET", "/a", nil)
	if rw.Outer(part) != envelope || rw.Outer(envelope) != envelope {
		t.Error("a part's outer request is its envelope's, any other's itself")
	}
}

func TestWhole(t *testing.T) {
	plain := httptest.NewRequest("GET", "/a?x=1", nil)
	if rw.Whole(plain) != plain {
		t.Error("an unmasked request must be handed on itself")
	}
	ctx := context.WithValue(t.Context(), rw.ProjectionKey{}, &rw.Projection{Mask: "id", Query: "x=1"})
	masked := httptest.NewRequestWithContext(ctx, "GET", "/a?x=1&fields=id", nil)
	_ = masked.FormValue("x") // an outer layer has parsed it
	whole := rw.Whole(masked)
	if whole.FormValue("fields") != "" {
		t.Error("the parameter is still in the form")
	}
	if rw.Masked(whole.Context()) != nil || whole.URL.RawQuery != "x=1" || whole.RequestURI != "/a?x=1" {
		t.Errorf("masked %v, query %q, URI %q", rw.Masked(whole.Context()), whole.URL.RawQuery, whole.RequestURI)
	}
	if rw.Masked(masked.Context()) == nil || masked.URL.RawQuery != "x=1&fields=id" {
		t.Error("the masked request was changed")
	}
	if again := rw.Whole(whole); again != whole {
		t.Error("a whole request is copied again")
	}

	ctx = context.WithValue(t.Context(), rw.ProjectionKey{}, &rw.Projection{Mask: "id"})
	if uri := rw.Whole(httptest.NewRequestWithContext(ctx, "GET", "/a?fields=id", nil)).RequestURI; uri != "/a" {
		t.Errorf("URI %q, want no question mark", uri)
	}
}

func TestCopyBack(t *testing.T) {
	r := httptest.NewRequest("GET", "/items/7", nil)
	inner := r.WithContext(t.Context())
	form := new(multipart.Form)
	func() {
		defer func() { _ = recover() }()
		defer rw.CopyBack(r, inner)
		inner.Pattern, inner.MultipartForm = "/items/{id}", form
		panic("x")
	}()
	if r.Pattern != "/items/{id}" || r.MultipartForm != form {
		t.Errorf("Pattern %q, form %v", r.Pattern, r.MultipartForm)
	}
}

func TestBackground(t *testing.T) {
	if rw.IsBackground(t.Context()) || !rw.IsBackground(rw.Background(t.Context())) {
		t.Error("only what was marked is background")
	}
}
