package field_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/internal/field"
)

func directives(lines ...string) (got []string) {
	for name, argument := range field.Directives(lines) {
		got = append(got, name+"="+argument)
	}
	return got
}

func TestDirectives(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"nothing", nil, nil},
		{"names in lower case, arguments as sent", []string{"Public, S-MaxAge=60"}, []string{"public=", "s-maxage=60"}},
		{"several lines", []string{"a", "b = c"}, []string{"a=", "b=c"}},
		{"quotes go", []string{`private="x, y", no-cache`}, []string{"private=x, y", "no-cache="}},
		{"escapes are undone", []string{`a="x\"y\\z\q"`}, []string{`a=x"y\zq`}},
		{"a quote never closed", []string{`a="b`, "c"}, []string{"a=b", "c="}},
		{"a backslash at the end", []string{`a="b\`}, []string{`a=b\`}},
		{"no name", []string{"=x, a"}, []string{"a="}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := directives(tc.lines...); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

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

// The twin takes a member apart a character at a time.
func FuzzDirectives(f *testing.F) {
	for _, seed := range []string{"a, b=1", `a="x,y"`, `a="\"\\", b`, `a="`, `a="\`, "=", "NO-TRANSFORM", ` a = "b" c`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var want []string
		noTransform := false
		for member := range field.Members([]string{line}) {
			name, rest, _ := strings.Cut(member, "=")
			name, rest = strings.ToLower(strings.Trim(name, " \t")), strings.Trim(rest, " \t")
			if name == "" {
				continue
			}
			argument := rest
			if strings.HasPrefix(rest, `"`) {
				var b strings.Builder
				escaped := false
				for i := 1; i < len(rest); i++ {
					c := rest[i]
					if !escaped && c == '"' {
						break
					}
					if !escaped && c == '\\' && i+1 < len(rest) {
						escaped = true
						continue
					}
					escaped = false
					b.WriteByte(c)
				}
				argument = b.String()
			}
			noTransform = noTransform || strings.EqualFold(name, "no-transform")
			want = append(want, fmt.Sprintf("%s=%s", name, argument))
		}
		if got := directives(line); !slices.Equal(got, want) {
			t.Errorf("Directives(%q) = %q, the twin says %q", line, got, want)
		}
		if got := field.NoTransform(http.Header{"Cache-Control": {line}}); got != noTransform {
			t.Errorf("NoTransform(%q) = %v, Directives say %v", line, got, noTransform)
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
