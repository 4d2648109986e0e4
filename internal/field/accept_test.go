package field_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/internal/field"
)

func weighted(lines ...string) (got []string) {
	for token, q := range field.Weighted(lines) {
		got = append(got, fmt.Sprintf("%s=%d", token, q))
	}
	return got
}

func TestWeighted(t *testing.T) {
	for _, tc := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"nothing", nil, nil},
		{"empty", []string{""}, nil},
		{"without a weight it is 1", []string{"gzip"}, []string{"gzip=1000"}},
		{"several lines are one list", []string{"br;q=0.5", "gzip"}, []string{"br=500", "gzip=1000"}},
		{"decimals", []string{"a;q=0.001, b;q=1.000, c;q=0., d;q=1., e;q=0"}, []string{"a=1", "b=1000", "c=0", "d=1000", "e=0"}},
		{"a capital Q and white space", []string{"a \t; \tQ=0.3 "}, []string{"a=300"}},
		{"other parameters", []string{"a;x=1;q=0.2;y=2, b;x=\"q=0;q=0,\";q=0.4"}, []string{"a=200", "b=400"}},
		{"a malformed weight drops its member alone", []string{"a;q=1.5, b;q=-1, c;q=, d;q=abc, e;q=0.1234, f;q=1.001, g;q=00, h;q=0.5"}, []string{"h=500"}},
		{"a weight without a token", []string{";q=1, a"}, []string{"a=1000"}},
		{"a quote never closed", []string{`a;x="b, c`}, []string{"a=1000"}},
		{"what lies beyond 4 KiB is not read", []string{"a," + strings.Repeat(" ", 4090) + "gzip;q=0.5", "b"}, []string{"a=1000"}},
		{"up to 4 KiB it is", []string{"a", strings.Repeat(" ", 4091) + "gzip"}, []string{"a=1000", "gzip=1000"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := weighted(tc.lines...); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestWeighted_StopsWhenAsked(t *testing.T) {
	for token := range field.Weighted([]string{"a, b", "c"}) {
		if token == "b" {
			return
		}
	}
	t.Error("never saw b")
}

// The twin reads members by Members, parameters by hand, and weights by the regular
// expression that the grammar of RFC 9110 section 12.4.2 is.
func FuzzWeighted(f *testing.F) {
	for _, seed := range []string{"gzip, br;q=0.5", "*;q=0", "a;q=1.5,b", `a;x="q=0;,";q=1`, "identity;q=0.000;q=1", ";q=1", "a;;q=0.1", "a;q", `a;"`} {
		f.Add(seed)
	}
	qvalue := regexp.MustCompile(`^(0(\.[0-9]{0,3})?|1(\.0{0,3})?)$`)
	f.Fuzz(func(t *testing.T, line string) {
		if len(line) > 4<<10 {
			weighted(line, line)
			return
		}
		var want []string
	members:
		for member := range field.Members([]string{line}) {
			var parts []string
			var b strings.Builder
			quoted, escaped := false, false
			for i := range len(member) {
				c := member[i]
				switch {
				case escaped:
					escaped = false
				case quoted && c == '\\' && len(parts) > 0: // a token has no quotes: nothing in it is escaped
					escaped = true
				case c == '"':
					quoted = !quoted
				case c == ';' && (!quoted || len(parts) == 0):
					parts = append(parts, b.String())
					b.Reset()
					quoted = false
					continue
				}
				b.WriteByte(c)
			}
			parts = append(parts, b.String())
			token, q := strings.Trim(parts[0], " \t"), 1000
			for _, p := range parts[1:] {
				p = strings.Trim(p, " \t")
				if v, ok := strings.CutPrefix(strings.Replace(p, "Q=", "q=", 1), "q="); ok && strings.EqualFold(p[:2], "q=") {
					if !qvalue.MatchString(v) {
						continue members
					}
					x, _ := strconv.ParseFloat(strings.TrimSuffix(v, "."), 64)
					q = int(x*1000 + 0.5)
					break
				}
			}
			if token != "" {
				want = append(want, fmt.Sprintf("%s=%d", token, q))
			}
		}
		if got := weighted(line); !slices.Equal(got, want) {
			t.Errorf("Weighted(%q) = %q, the twin says %q", line, got, want)
		}
	})
}
