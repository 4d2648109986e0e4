package field_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/internal/field"
	"github.com/hotpath-go/hotpath/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestMembers(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"nothing", nil, nil},
		{"an empty line", []string{""}, nil},
		{"one", []string{"gzip"}, []string{"gzip"}},
		{"several lines are one list", []string{"a, b", "c"}, []string{"a", "b", "c"}},
		{"empty members go", []string{", a,, ,b,"}, []string{"a", "b"}},
		{"spaces and tabs around go, inside stay", []string{" \ta b\t ,c"}, []string{"a b", "c"}},
		{"a comma in quotes", []string{`"a,b", c`}, []string{`"a,b"`, "c"}},
		{"an escaped quote", []string{`"a\",b", c`}, []string{`"a\",b"`, "c"}},
		{"quotes in the middle", []string{`private="x,y", max-age=1`}, []string{`private="x,y"`, "max-age=1"}},
		{"a quote never closed ends with its line", []string{`"a,b`, "c"}, []string{`"a,b`, "c"}},
		{"a backslash at the end", []string{`"a\`}, []string{`"a\`}},
		{"a backslash outside quotes is a character", []string{`a\,b`}, []string{`a\`, "b"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := slices.Collect(field.Members(tc.lines)); !slices.Equal(got, tc.want) {
				t.Errorf("Members(%q) = %q, want %q", tc.lines, got, tc.want)
			}
		})
	}
}

func TestMembers_StopsWhenAsked(t *testing.T) {
	for member := range field.Members([]string{"a, b", "c"}) {
		if member == "b" {
			return
		}
	}
	t.Error("never saw b")
}

func TestHas(t *testing.T) {
	lines := []string{"X-Sum, Close", `"Upgrade, x"`}
	for token, want := range map[string]bool{"close": true, "CLOSE": true, "X-Sum": true, "clos": false, "x": false, "Upgrade": false, "": false} {
		if got := field.Has(lines, token); got != want {
			t.Errorf("Has(%q, %q) = %v, want %v", lines, token, got, want)
		}
	}
}

// The twin reads a character at a time into a builder, with no shortcut.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{"", "a, b", `"a,b", c`, `"a\",b",c`, `x="`, `\`, `"\`, ",,", " \t,\"\"", "a\"b,c\"d,e"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var want []string
		var b strings.Builder
		quoted, escaped := false, false
		end := func() {
			if s := strings.Trim(b.String(), " \t"); s != "" {
				want = append(want, s)
			}
			b.Reset()
		}
		for _, c := range []byte(line) {
			switch {
			case escaped:
				escaped = false
			case quoted && c == '\\':
				escaped = true
			case c == '"':
				quoted = !quoted
			case c == ',' && !quoted:
				end()
				continue
			}
			b.WriteByte(c)
		}
		end()
		if got := slices.Collect(field.Members([]string{line})); !slices.Equal(got, want) {
			t.Errorf("Members(%q) = %q, the twin says %q", line, got, want)
		}
		if got := slices.Collect(field.Members([]string{line, line})); !slices.Equal(got, append(want, want...)) {
			t.Errorf("two lines %q are not the list twice: %q", line, got)
		}
	})
}
