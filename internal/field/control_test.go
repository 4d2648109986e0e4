package field_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/internal/field"
)

func TestNoTransform(t *testing.T) {
	for line, want := range map[string]bool{
		"":                                 false,
		"no-transform":                     true,
		"max-age=1, No-Transform":          true,
		" no-transform =1":                 true,
		"no-transform-at-all":              false,
		`private="no-transform"`:           false,
		`ext="a, no-transform, b", public`: false,
	} {
		if got := field.NoTransform(http.Header{"Cache-Control": {"public", line}}); got != want {
			t.Errorf("NoTransform(%q) = %v, want %v", line, got, want)
		}
	}
}

// The twin takes the list apart first, and then its members.
func FuzzNoTransform(f *testing.F) {
	for _, seed := range []string{"a, b=1", `a="x,y"`, `a="\"\\", b`, `a="`, "=", "NO-TRANSFORM", ` no-transform = "b" c`, `a="no-transform"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		want := false
		for member := range field.Members([]string{line}) {
			name, _, _ := strings.Cut(member, "=")
			want = want || strings.EqualFold(strings.Trim(name, " \t"), "no-transform")
		}
		if got := field.NoTransform(http.Header{"Cache-Control": {line}}); got != want {
			t.Errorf("NoTransform(%q) = %v, the twin says %v", line, got, want)
		}
	})
}

func TestMediaType(t *testing.T) {
	for v, want := range map[string]string{
		"":                           "",
		"text/html":                  "text/html",
		" Text/HTML ; charset=utf-8": "text/html",
		"application/ld+json;":       "application/ld+json",
		"text":                       "",
		"text/":                      "",
		"/html":                      "",
		"text/ht ml":                 "",
		"text/html/x":                "",
		"a/b, c/d":                   "",
		"t\u00e9xt/html":             "",
	} {
		if got := field.MediaType(v); got != want {
			t.Errorf("MediaType(%q) = %q, want %q", v, got, want)
		}
	}
}

func FuzzMediaType(f *testing.F) {
	f.Add("text/html; charset=utf-8")
	f.Add(" A/B ;")
	f.Fuzz(func(t *testing.T, v string) {
		base, _, _ := strings.Cut(v, ";")
		base = strings.Trim(base, " \t")
		kind, sub, ok := strings.Cut(base, "/")
		token := func(s string) bool {
			return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
				return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
			})
		}
		want := ""
		if ok && token(kind) && token(sub) {
			want = strings.ToLower(base)
		}
		if got := field.MediaType(v); got != want {
			t.Errorf("MediaType(%q) = %q, the twin says %q", v, got, want)
		}
	})
}

func TestAddVary(t *testing.T) {
	shared := []string{"Origin"}
	for _, tc := range []struct {
		name     string
		in, want []string
	}{
		{"none", nil, []string{"Accept-Encoding"}},
		{"an empty one", []string{""}, []string{"Accept-Encoding"}},
		{"merged", []string{"Origin, Accept"}, []string{"Origin, Accept, Accept-Encoding"}},
		{"several lines", []string{"Origin", "Accept"}, []string{"Origin, Accept, Accept-Encoding"}},
		{"once, in any case", []string{"a", "ACCEPT-encoding"}, []string{"a", "ACCEPT-encoding"}},
		{"* says more", []string{"*"}, []string{"*"}},
		{"a slice of somebody else's", shared, []string{"Origin, Accept-Encoding"}},
		{"a longer name is another one", []string{"X-Accept-Encoding"}, []string{"X-Accept-Encoding, Accept-Encoding"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{"Vary": tc.in}
			field.AddVary(h, "Accept-Encoding")
			if !slices.Equal(h["Vary"], tc.want) {
				t.Errorf("got %q, want %q", h["Vary"], tc.want)
			}
		})
	}
	if shared[0] != "Origin" {
		t.Error("wrote into the slice of the header")
	}
}
