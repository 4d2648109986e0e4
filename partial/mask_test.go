package partial_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/partial"
)

// canon checks that each text is accepted and what its canonical text is.
func canon(t *testing.T, want map[string]string) {
	t.Helper()
	for text, canonical := range want {
		m, err := partial.Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := m.String(); got != canonical {
			t.Errorf("%q is %q, want %q", text, got, canonical)
		}
		if again, err := partial.Parse(canonical); err != nil || again.String() != canonical {
			t.Errorf("%q: its canonical text %q gives %q, %v", text, canonical, again.String(), err)
		}
	}
}

// refused checks that each text is refused at a position.
func refused(t *testing.T, want map[string]int) {
	t.Helper()
	for text, pos := range want {
		m, err := partial.Parse(text)
		var e *partial.MaskError
		if !errors.As(err, &e) || m != nil {
			t.Errorf("%q gives %v, %v; want an error at %d", text, m, err, pos)
			continue
		}
		if e.Pos != pos {
			t.Errorf("%q: %v; want byte %d", text, err, pos)
		}
	}
}

func TestM1_Grammar(t *testing.T) {
	canon(t, map[string]string{
		"a":                           "a",
		"a,b":                         "a,b",
		"a/b/c":                       "a/b/c",
		"a(b,c)":                      "a(b,c)",
		"a(b)/c":                      "a/b/c",
		"a(b,c)/d":                    "a(b/d,c/d)",
		"a(b(c,d)/e,f)/g(h,i)":        "a(b(c/e/g(h,i),d/e/g(h,i)),f/g(h,i))",
		"a/b(c)":                      "a/b/c",
		"a(b,b)/c":                    "a/b/c",
		"ä,日本":                        "ä,日本",
		"a{b}":                        "a{b}",
		"a.b":                         "a.b",
		"items(id,author/email),kind": "items(author/email,id),kind",
	})
}

func TestM2_Blanks(t *testing.T) {
	canon(t, map[string]string{
		" a , b ":                        "a,b",
		"nextPageToken, files(id, name)": "files(id,name),nextPageToken",
		"a ( b ) , c":                    "a/b,c",
		"a ( b )\t/ c":                   "a/b/c",
		"a b":                            "a b",
		`\ a\ `:                          `\ a\ `,
		`a \ `:                           `a \ `,
		"a\nb":                           "a\nb",
		"\n":                             "\n",
	})
}

func TestM3_Escapes(t *testing.T) {
	canon(t, map[string]string{
		`a\,b`:  `a\,b`,
		`\a\b`:  `ab`,
		`a\\`:   `a\\`,
		`a\`:    `a\\`,
		`\*`:    `\*`,
		`a*`:    `a*`,
		`*a`:    `*a`,
		`\**`:   `\**`,
		`*\*`:   `\**`,
		`***`:   `***`,
		`\!a`:   `\!a`,
		`a!`:    `a!`,
		`a\[\]`: `a\[\]`,
	})
	m := partial.MustParse(`\*`)
	if got, err := m.Append(nil, []byte(`{"*":1,"a":2}`)); string(got) != `{"*":1}` || err != nil {
		t.Errorf(`\* gives %s, %v: it is a name`, got, err)
	}
}

func TestM4_Refused(t *testing.T) {
	refused(t, map[string]int{
		",a": 0, "a,,b": 2, "/a": 0, "a/": 2, "a//b": 2, "a()": 2, "a(b,)": 4, "a,": 2, ",": 0,
		"a/(b)": 2, "a(": 2, "a(b": 1, "a)": 1, "a(b))": 4, "a(b)c": 4, "a(b)(c)": 4, "a(b) c": 5, "(a)": 0,
		"**": 0, "a/**": 2, " ** ": 1,
		"a[": 1, "]": 0, "a,!b": 2, "!": 0, "a/ !b": 3,
	})
	_, err := partial.Parse("a,,b")
	if got, want := fmt.Sprint(err), `partial: empty name at byte 2 of "a,,b"`; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
	_, err = partial.Parse(strings.Repeat("a", 200) + "\xff,")
	if got := fmt.Sprint(err); len(got) > 120 {
		t.Errorf("error %q echoes too much", got)
	}
}

func TestM5_Union(t *testing.T) {
	canon(t, map[string]string{
		"a,a/b":             "a",
		"a/b,a":             "a",
		"a(b),a(c)":         "a(b,c)",
		"a/b,c,a/b":         "a/b,c",
		"a(b),a(b(c))":      "a/b",
		"*/b,a/c":           "*/b,a/c",
		"*/b,a(b,c)":        "*/b,a/c",
		"*/b/x,a/*/y,a/b/x": "*/b/x,a/*/y",
	})
	m := partial.MustParse("*/b,a/c")
	if got, _ := m.Append(nil, []byte(`{"a":{"b":1,"c":2,"d":3},"z":{"b":1,"c":2}}`)); string(got) != `{"a":{"b":1,"c":2},"z":{"b":1}}` {
		t.Errorf("*/b,a/c gives %s", got)
	}
}

func TestM6_Everything(t *testing.T) {
	for _, text := range []string{"*", "", " ", "\t", " * ", "a,*", "*,a/b", "*,*/a"} {
		if m, err := partial.Parse(text); m != nil || err != nil {
			t.Errorf("%q gives %v, %v: want nil, which selects everything", text, m, err)
		}
	}
	doc := []byte(` {"a" : [1 , "x"]} junk`)
	if got, err := (*partial.Mask)(nil).Append(nil, doc); string(got) != string(doc) || err != nil {
		t.Errorf("nil gives %q, %v: want it byte for byte", got, err)
	}
	if got, _ := partial.MustParse("a/*").Append(nil, []byte(`{"a":"x","a":{"b":1},"a":[{"c":2},3]}`)); string(got) != `{"a":{"b":1},"a":[{"c":2}]}` {
		t.Errorf("a/* gives %s", got)
	}
}

func TestM7_Canonical(t *testing.T) {
	canon(t, map[string]string{
		"b,a,c":        "a,b,c",
		"b,B,a":        "B,a,b",
		"a(*,b/c)":     "a/*",
		"*/b,a/b":      "*/b",
		"*(a,b),c(a)":  "*(a,b)",
		"x(b,a),x(c)":  "x(a,b,c)",
		"a(b/c),a/b/d": "a/b(c,d)",
		"a(b)":         "a/b",
	})
	if got := (*partial.Mask)(nil).String(); got != "*" {
		t.Errorf("nil is %q, want *", got)
	}
}

func TestM8_Limits(t *testing.T) {
	for _, text := range []string{strings.Repeat("a(", 200_000), strings.Repeat("a,", 200_000)} {
		refused(t, map[string]int{text: 4096})
	}
	refused(t, map[string]int{
		strings.Repeat("a/", 32) + "a":            64,
		"a(" + strings.Repeat("b/", 30) + "b)/c":  65,
		strings.Repeat("a,", 256) + "b":           512,
		"a(" + strings.Repeat("b,", 254) + "c)/d": 513,
		"*(" + names(40) + ")," + kidsOf(30):      0, // merging
	})
	canon(t, map[string]string{
		strings.Repeat("a/", 31) + "a":  strings.Repeat("a/", 31) + "a",
		strings.Repeat("a,", 255) + "b": "a,b",
	})
	if m, err := partial.Parse(names(256)); err != nil || m.String() != sorted(names(256)) {
		t.Errorf("256 names: %v, %v", m, err)
	}
	if _, err := partial.Parse(strings.Repeat("a", 4096)); err != nil {
		t.Errorf("a name of 4096 bytes: %v", err)
	}
}

func names(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("n%d", i))
	}
	return strings.Join(all, ",")
}

func kidsOf(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("k%d/x", i))
	}
	return strings.Join(all, ",")
}

func sorted(list string) string {
	all := strings.Split(list, ",")
	slices.Sort(all)
	return strings.Join(all, ",")
}

func TestM9_Paths(t *testing.T) {
	m := partial.MustParse(`items(id,author/email,__proto__,0),a\/b,map/*/x,length`)
	for path, want := range map[string]bool{
		"": true, "items": true, "items/id": true, "items/id/below": true, "items/author": true, "items/author/name": false,
		"items/price": false, "items/0": true, "items/1": false, "items/__proto__": true, "length": true, `a\/b`: true, "a/b": false, "a": false,
		"map/anything/x": true, "map/anything/y": false, "map/*/x": true, "*/author/email": true, "*/*/email": true,
		" items / id ": true, "items(id)": false, "items,a": false, "items/": false, "/items": false, "items//id": false, "items/[": false, "**": false,
	} {
		if got := m.Has(path); got != want {
			t.Errorf("Has(%q) is %t, want %t", path, got, want)
		}
		if !want {
			if got := m.Sub(path).String(); got != "" {
				t.Errorf("Sub(%q) is %q, want a mask that selects nothing", path, got)
			}
		}
	}
	for path, want := range map[string]string{
		"": m.String(), "items": "0,__proto__,author/email,id", "items/id": "*", "items/author": "email", "map": "*/x", "map/q": "x",
		"*": "*", "items/*": "*", "map/*": "x",
	} {
		if got := m.Sub(path).String(); got != want {
			t.Errorf("Sub(%q) is %q, want %q", path, got, want)
		}
	}
	var all *partial.Mask
	if !all.Has("any/thing") || all.Sub("any/thing") != nil || all.Has("a//b") || all.Sub("a//b").Has("x") {
		t.Error("nil has every well-formed path and no other")
	}
	if none := m.Sub("nothing"); none.Has("") || none.Has("a") {
		t.Error("a mask that selects nothing has something")
	}
	got, everything := m.Names()
	if want := []string{"a/b", "items", "length", "map"}; !slices.Equal(got, want) || everything {
		t.Errorf("Names: %q, %t; want %q", got, everything, want)
	}
	if got, everything := m.Sub("map").Names(); len(got) > 0 || !everything {
		t.Errorf("Names of */x: %q, %t", got, everything)
	}
	if _, everything := all.Names(); !everything {
		t.Error("nil has not every name")
	}
	if got := partial.MustParse("a/b,c/b,d(e,b)").Sub("*").String(); got != "b,e" {
		t.Errorf("Sub(*) is %q, want what one of the members has at least", got)
	}
}

func TestMustParse_Panics(t *testing.T) {
	defer func() {
		if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "at byte 2") {
			t.Errorf("panic %v", p)
		}
	}()
	partial.MustParse("a,")
}

// More names than are searched one by one, with beginnings that are alike.
func TestNames_Many(t *testing.T) {
	var all []string
	for i := range 60 {
		all = append(all, fmt.Sprintf("a_common_beginning_%d", i), fmt.Sprintf("n%d", i))
	}
	m := partial.MustParse(strings.Join(all, ",") + ",*/x")
	doc, want := "{", "{"
	for i, name := range all {
		if i > 0 {
			doc, want = doc+",", want+","
		}
		doc += fmt.Sprintf(`"%s":{"y":1},"%s_":{"y":1,"x":2}`, name, name)
		want += fmt.Sprintf(`"%s":{"y":1},"%s_":{"x":2}`, name, name)
	}
	if got, err := m.Append(nil, []byte(doc+"}")); string(got) != want+"}" || err != nil {
		t.Errorf("%v: %s", err, got)
	}
}
