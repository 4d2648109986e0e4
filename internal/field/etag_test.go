package field_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/internal/field"
)

func TestETags(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"none", nil, nil},
		{"as sent", []string{`"a", W/"b" ,*`, `x`}, []string{`"a"`, `W/"b"`, "*", "x"}},
		{"a comma in a tag", []string{`"a,b","c"`}, []string{`"a,b"`, `"c"`}},
		{"a backslash escapes nothing", []string{`"a\", "b"`}, []string{`"a\"`, `"b"`}},
		{"one never closed", []string{`"a, "b`, `"c"`}, []string{`"a, "b`, `"c"`}},
		{"empty members", []string{", ,"}, nil},
		{"8 KiB", []string{`"` + strings.Repeat("a", 8<<10-2) + `"`}, []string{`"` + strings.Repeat("a", 8<<10-2) + `"`}},
		{"more than 8 KiB", []string{`"` + strings.Repeat("a", 8<<10-2) + `"`, "b"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := slices.Collect(field.ETags(tc.lines)); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	for tag := range field.ETags([]string{"a, b", "c"}) {
		if tag == "b" {
			return
		}
	}
	t.Error("never saw b")
}

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		a, b         string
		weak, strong bool
	}{ // the table of RFC 9110 section 8.8.3.2, and what is no tag
		{`W/"1"`, `W/"1"`, true, false},
		{`W/"1"`, `W/"2"`, false, false},
		{`W/"1"`, `"1"`, true, false},
		{`"1"`, `"1"`, true, true},
		{`w/"1"`, `"1"`, false, false},
		{`*`, `*`, false, false},
		{`"a"b"`, `"a"b"`, false, false},
		{`"`, `"`, false, false},
		{``, ``, false, false},
	} {
		if got := field.WeakMatch(tc.a, tc.b); got != tc.weak {
			t.Errorf("WeakMatch(%s, %s) = %v", tc.a, tc.b, got)
		}
		if got := field.StrongMatch(tc.a, tc.b); got != tc.strong {
			t.Errorf("StrongMatch(%s, %s) = %v", tc.a, tc.b, got)
		}
	}
}

func TestSuffixETag(t *testing.T) {
	for tag, want := range map[string]string{`"v1"`: `"v1~zstd"`, `W/"v1"`: `W/"v1~zstd"`, `""`: `"~zstd"`, `v1`: `v1`, `"`: `"`, `"v1`: `"v1`, `*`: `*`, ``: ``} {
		if got := field.SuffixETag(tag, "~zstd"); got != want {
			t.Errorf("SuffixETag(%s) = %s, want %s", tag, got, want)
		}
	}
}

func TestMapETags(t *testing.T) {
	cut := func(tag string) (string, bool) { return strings.ReplaceAll(tag, "~x", ""), tag != `"gone"` }
	for _, tc := range []struct {
		name     string
		in, want []string
	}{
		{"untouched stays as sent", []string{`"a" ,"b"`, "*"}, []string{`"a" ,"b"`, "*"}},
		{"one changed", []string{`"a~x" ,"b"`, `W/"c"`}, []string{`"a", "b", W/"c"`}},
		{"one dropped", []string{`"gone","b"`}, []string{`"b"`}},
		{"none left", []string{`"gone"`}, nil},
		{"over 8 KiB it is left alone", []string{`"a~x"` + strings.Repeat(" ", 8<<10)}, []string{`"a~x"` + strings.Repeat(" ", 8<<10)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			given := slices.Clone(tc.in)
			h := http.Header{"If-Match": given}
			field.MapETags(h, "If-Match", cut)
			if got, ok := h["If-Match"]; !slices.Equal(got, tc.want) || ok != (tc.want != nil) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if !slices.Equal(given, tc.in) {
				t.Error("wrote into the slice of the header")
			}
		})
	}
}

// Any list: members are found as a literal reading finds them, the identity changes nothing,
// and a suffix that is put on and taken off again leaves every tag as it was.
func FuzzETags(f *testing.F) {
	for _, seed := range []string{`"a", W/"b"`, `*`, `"a,b"`, `"a\"`, `"`, `W/`, `,,"",`, `"a"b"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if len(line) > 4<<10 {
			return
		}
		var want []string
		quoted, from := false, 0
		for i := 0; i <= len(line); i++ {
			if i == len(line) || line[i] == ',' && !quoted {
				if tag := strings.Trim(line[from:i], " \t"); tag != "" {
					want = append(want, tag)
				}
				from = i + 1
			} else if line[i] == '"' {
				quoted = !quoted
			}
		}
		if got := slices.Collect(field.ETags([]string{line})); !slices.Equal(got, want) {
			t.Errorf("ETags(%q) = %q, the twin says %q", line, got, want)
		}
		h := http.Header{"If-Match": {line}}
		field.MapETags(h, "If-Match", func(tag string) (string, bool) { return tag, true })
		if h["If-Match"][0] != line {
			t.Errorf("an identity changed %q to %q", line, h["If-Match"])
		}
		for _, tag := range want {
			suffixed := field.SuffixETag(tag, "~s")
			if suffixed != tag && strings.TrimSuffix(suffixed, `~s"`)+`"` != tag {
				t.Errorf("SuffixETag(%q) = %q", tag, suffixed)
			}
			if isTag := suffixed != tag; field.WeakMatch(tag, tag) != isTag || field.WeakMatch(suffixed, tag) {
				t.Errorf("%q: a tag matches itself, and not with a suffix", tag)
			}
		}
	})
}
