package partial_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/partial"
)

// cutAll checks what a mask makes of each document, given at once and in single bytes.
func cutAll(t *testing.T, mask string, want map[string]string) {
	t.Helper()
	m := partial.MustParse(mask)
	for doc, cut := range want {
		got, err := m.Append(nil, []byte(doc))
		if err != nil || string(got) != cut {
			t.Errorf("%s of %s: %s, %v; want %s", mask, doc, got, err, cut)
		}
		if got, err := inBytes(m, doc); err != nil || got != cut {
			t.Errorf("%s of %s in bytes: %s, %v; want %s", mask, doc, got, err, cut)
		}
	}
}

func inBytes(m *partial.Mask, doc string) (string, error) {
	var out strings.Builder
	w := m.Writer(&out)
	for i := range len(doc) {
		if _, err := w.Write([]byte{doc[i]}); err != nil {
			return out.String(), err
		}
	}
	return out.String(), w.Close()
}

func faults(t *testing.T, mask string, want map[string]int) {
	t.Helper()
	m := partial.MustParse(mask)
	for doc, at := range want {
		got, err := m.Append([]byte("x"), []byte(doc))
		if err == nil || string(got) != "x" || !strings.Contains(err.Error(), fmt.Sprintf("not JSON at byte %d:", at)) {
			t.Errorf("%s of %s: %s, %v; want a fault at %d", mask, doc, got, err, at)
		}
		if _, inBytesErr := inBytes(m, doc); err == nil || inBytesErr == nil || err.Error() != inBytesErr.Error() {
			t.Errorf("%s of %s in bytes: %v, want %v", mask, doc, inBytesErr, err)
		}
	}
}

func TestB1_Verbatim(t *testing.T) {
	cutAll(t, "a(b,c)", map[string]string{
		`{"a":{"c":1e400,"x":0,"b":-0.0}}`:                        `{"a":{"c":1e400,"b":-0.0}}`,
		`{"a":{"b":123456789012345678901234567890,"b":"\u00e9"}}`: `{"a":{"b":123456789012345678901234567890,"b":"\u00e9"}}`,
		`{"a":{"b":"\ud800"},"a":{"c":{ "x" : [ 1 , 2 ] }}}`:      `{"a":{"b":"\ud800"},"a":{"c":{ "x" : [ 1 , 2 ] }}}`,
		" { \"a\" :\n{ \"b\" : 1 , \"x\" : 2 , \"c\" : 3 } } \n":  " {\"a\":{\"b\":1,\"c\":3}} \n",
		"{\"a\":{\"b\":1}}\n":                                     "{\"a\":{\"b\":1}}\n",
	})
}

func TestB2_Arrays(t *testing.T) {
	cutAll(t, "a/b", map[string]string{
		`[{"a":[{"b":1,"c":2},null,[{"b":3},[[]]]],"x":1},null,{"a":{"b":[1,{"c":2}]}}]`: `[{"a":[{"b":1},null,[{"b":3},[[]]]]},null,{"a":{"b":[1,{"c":2}]}}]`,
		`[]`:          `[]`,
		`[[ ] , [ ]]`: `[[],[]]`,
	})
}

func TestB3_EveryKind(t *testing.T) {
	cutAll(t, "a/b", map[string]string{
		`{"a":{}}`:                         `{"a":{}}`,
		`{"a":{"x":1}}`:                    `{"a":{}}`,
		`{"a":[]}`:                         `{"a":[]}`,
		`{"a":[1,"x",true,false,null,{}]}`: `{"a":[null,{}]}`,
		`{"a":null}`:                       `{"a":null}`,
		`{"a":1,"a":"x","a":true,"a":-1.5e3,"a":false}`: `{}`,
		`{"a":"x","a":{"b":1}}`:                         `{"a":{"b":1}}`,
		`[1,{"a":2},3]`:                                 `[{}]`,
		`{"a":"[{\"b\":1}]"}`:                           `{}`,
	})
}

func TestB4_ScalarsAndMark(t *testing.T) {
	cutAll(t, "a", map[string]string{
		`1`: `1`, ` "x" `: ` "x" `, `null`: `null`, `true`: `true`, ` -0.5E+10`: ` -0.5E+10`, "1\n": "1\n",
		"\xef\xbb\xbf{\"b\":1}": "\xef\xbb\xbf{}",
		"\xef\xbb\xbf":          "\xef\xbb\xbf",
	})
	faults(t, "a", map[string]int{"\xef\xbb": 2, "\xef\xbb{}": 2, "\xef{}": 1, " \xef\xbb\xbf{}": 1})
}

func TestB5_Names(t *testing.T) {
	m := `id,a\/b,𝄞,é,x\"y,sub/n`
	cutAll(t, m, map[string]string{
		`{"\u0069d":1}`:            `{"\u0069d":1}`,
		`{"\u0069\u0064":1}`:       `{"\u0069\u0064":1}`,
		`{"a\/b":1,"a/b":2}`:       `{"a\/b":1,"a/b":2}`,
		`{"\ud834\udd1e":1,"𝄞":2}`: `{"\ud834\udd1e":1,"𝄞":2}`,
		`{"\ud834":1,"\udd1e":2,"\udd1e\ud834":3,"\ud834\u0069d":4}`: `{}`,
		`{"\u00E9":1,"\u00e9":2,"é":3}`:                              `{"\u00E9":1,"\u00e9":2,"é":3}`,
		`{"x\"y":1,"x\\\"y":2}`:                                      `{"x\"y":1}`,
		`{"\u0073ub":{"\u006e":1,"m":2}}`:                            `{"\u0073ub":{"\u006e":1}}`,
		`{"ID":1,"id ":2,"":3,"i":4,"idd":5}`:                        `{}`,
		`{"id\":":3}`:                                                `{}`,
	})
	cutAll(t, "\ufffd", map[string]string{`{"\ud834":1,"\ufffd":2,"\udd1e\ud834":3}`: `{"\ufffd":2}`})
	cutAll(t, "*/n", map[string]string{`{"\ud834":{"n":1,"m":2},"x\ty":{"n":1}}`: `{"\ud834":{"n":1},"x\ty":{"n":1}}`})
}

func TestB6_SeveralTexts(t *testing.T) {
	cutAll(t, "a", map[string]string{
		"{\"a\":1,\"b\":2}\n{\"b\":3}\n": "{\"a\":1}\n{}\n",
		"\x1e{\"b\":1}\n\x1e{\"a\":2}\n": "\x1e{}\n\x1e{\"a\":2}\n",
		"1 2\n\"x\" {\"b\":1}":           "1 2\n\"x\" {}",
		"":                               "", " \n\t": " \n\t",
	})
	faults(t, "a", map[string]int{`{}{}`: 2, `{},{}`: 2, `1"x"`: 1, `[]1`: 2, `{}x`: 2, "{} ,": 3})
}

func TestB7_Faults(t *testing.T) {
	faults(t, "a/b,k", map[string]int{
		`{`: 1, `{"a"`: 4, `{"a":`: 5, `{"a":{`: 6, `[`: 1, `[1`: 2, `"x`: 2, `{"k":[1`: 7, `{"k":"x`: 7, `{"z":{"y":[`: 11, `{"z":1`: 6, `tru`: 3, `-`: 1, `1.`: 2, `1e+`: 3,
		`{"a" 1}`: 5, `{"a"}`: 4, `{"z" 1}`: 5, `{"k"}`: 4, `{"a":}`: 5, `{"z":}`: 5, `{"k":,}`: 5, `{"a":{}"b":1}`: 7, `{"k":1 "b":1}`: 7, `{"z":1 2}`: 7,
		`{,}`: 1, `{"k":1,}`: 7, `{"k":1,,}`: 7, `[1,]`: 3, `[,1]`: 1, `{k:1}`: 1, `{"k":1]`: 6, `[}`: 1, `[1}`: 2, `]`: 0, `}`: 0, `{"k":[1}}`: 7, `{"z":{"y":1]}`: 11,
		`<html>`: 0, `nul`: 3, `nulL`: 3, `{"a":nul}`: 8, `{"a":tru}`: 8, `{"a":01}`: 6, `{"a":-}`: 6, `{"a":1.}`: 7, `{"a":.5}`: 5, `{"a":+1}`: 5, `{"a":1e}`: 7, `01`: 1, `'x'`: 0, `{"k":x}`: 5, `{"z":'x'}`: 5,
		`{"z":1"x"}`: 6, `{"z":1:2}`: 6,
	})
	// Within what is kept or skipped only strings and brackets count.
	cutAll(t, "k", map[string]string{`{"k":[1 2,,tru],"z":{1}}`: `{"k":[1 2,,tru]}`, `{"k":truth,"z":0x}`: `{"k":truth}`})
}

// Names and strings on the path are checked to the last escape, whatever becomes of them.
func TestB7_StringsOnThePath(t *testing.T) {
	faults(t, "a/b", map[string]int{
		`{"\q":{"b":1}}`: 3, "{\"a\x01\":{\"b\":1}}": 3, "{\"z\x1f\":1}": 3, "{\"a\":\"x\ny\"}": 7, `{"a":"\q"}`: 7, "\"\n\"": 1, `"\q"`: 2,
		`{"a":{"\u00zz":1}}`: 11, `{"a":{"\u006":1}}`: 12, `{"i\d":1}`: 4, `"\u00"`: 5, "\"abcdefgh\x00\"": 9, `"\u123g"`: 6, `"\u 123"`: 3, `["ok","\x"]`: 8,
		"{\"a name that is longer than what the mask asks for\\x\":1}": 52, "\"\\": 2, "\"\\u": 3, "\"\x7f": 2,
	})
	cutAll(t, "a/b", map[string]string{
		`["\"\\\/\b\f\n\r\t\u00e9\uD834\udd1e\ud800",{"\"\\\/\b\f\n\r\t\u00Fa\ud800":1}]`: `[{}]`,
		"\"\x7f\xff \u2028\"": "\"\x7f\xff \u2028\"",
	})
	faults(t, "*/b", map[string]int{"{\"a\tb\":1}": 3, `{"\a":{"b":1}}`: 3})
	faults(t, "a/*", map[string]int{"{\"a\":{\"a\tb\":1}}": 8, `{"a":{"\a":1}}`: 8}) // kept by its star
	// What is kept or skipped as a whole is not looked into.
	cutAll(t, "k", map[string]string{"{\"k\":\"\\q\n\",\"z\":\"\\q\n\"}": "{\"k\":\"\\q\n\"}"})
}

// The kinds of the outermost 64 brackets are known.
func TestB8_TheLastKnownBracket(t *testing.T) {
	open := `{"z":` + strings.Repeat("[", 64)
	faults(t, "a", map[string]int{open + "}" + strings.Repeat("]", 63) + "}": len(open), open + strings.Repeat("]", 63) + "}}": len(open) + 63})
}

func TestB8_Nesting(t *testing.T) {
	const n = 100_000
	deep := func(open, middle, shut string) string {
		return strings.Repeat(open, n) + middle + strings.Repeat(shut, n)
	}
	m := partial.MustParse("a/b,k")
	for name, tc := range map[string]struct{ doc, want string }{
		"arrays on the path": {deep("[", `{"k":1,"z":2}`, "]"), deep("[", `{"k":1}`, "]")},
		"arrays below":       {`{"a":` + deep("[", "", "]") + "}", `{"a":` + deep("[", "", "]") + "}"},
		"skipped arrays":     {`{"z":` + deep("[", "", "]") + "}", `{}`},
		"skipped objects":    {`{"z":` + deep(`{"a":`, "1", "}") + "}", `{}`},
		"kept objects":       {`{"k":` + deep(`{"a":`, "1", "}") + "}", `{"k":` + deep(`{"a":`, "1", "}") + "}"},
	} {
		got, err := m.Append(nil, []byte(tc.doc))
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(tc.want))
		}
		if _, err := m.Append(nil, []byte(tc.doc[:len(tc.doc)-1])); err == nil {
			t.Errorf("%s: no error without the last bracket", name)
		}
	}
}

func TestB8_LongNames(t *testing.T) {
	name := func(n int) string { return strings.Repeat("n", n) }
	doc := func(n int) string { return `{"` + name(n) + `":{"x":1,"y":2},"k":1}` }
	for _, tc := range []struct {
		mask string
		n    int
		want string // "": a fault
	}{
		{"k", 200_000, `{"k":1}`},
		{"*,k", 100, doc(100)},
		{"*/x,k", 64 << 10, `{"` + name(64<<10) + `":{"x":1},"k":1}`},
		{"*/x,k", 64<<10 + 1, ""},
		{"*/x,k", 200_000, ""},
	} {
		m := partial.MustParse(tc.mask)
		got, err := m.Append(nil, []byte(doc(tc.n)))
		if (err != nil) != (tc.want == "") || string(got) != tc.want {
			t.Errorf("%s, a name of %d: %d bytes, %v", tc.mask, tc.n, len(got), err)
		}
		inPieces, pieceErr := inBytes(m, doc(tc.n))
		if fmt.Sprint(pieceErr) != fmt.Sprint(err) || err == nil && inPieces != tc.want {
			t.Errorf("%s, a name of %d in bytes: %d bytes, %v, want %v", tc.mask, tc.n, len(inPieces), pieceErr, err)
		}
	}
	// Below a "*" that keeps everything a name needs not be held.
	long := `{"a":{"` + name(200_000) + `":1}}`
	cutAll(t, "a/*", map[string]string{long: long})
	// A name that is escaped all over is six times as long, and still found.
	escaped := `{"` + strings.Repeat(`\u006e`, 20) + `":{"x":1,"y":2}}`
	cutAll(t, name(20)+"/x", map[string]string{escaped: strings.Replace(escaped, `,"y":2`, "", 1)})
}

func TestB9_EverySplit(t *testing.T) {
	docs := []string{
		`{"items":[{"id":1,"name":"a\\\"b","x":{"y":[1,"]"]}},null,[{"id":2}]],"next":"t"}`,
		"\xef\xbb\xbf {\"\\u0069tems\" : { \"id\" : true , \"i\\ud834\\udd1ed\" : -1.5e+3 } }\n\x1e[ ]\n\"\\\\\"",
		`{"items":-1.5,"items":"a\"b","items":false,"next":null,"a\\":"\\\\"}`,
	}
	for _, mask := range []string{"items/id", "items(id,name),next", "*/id", "items/*", "x", "items"} {
		m := partial.MustParse(mask)
		for _, doc := range docs {
			want, err := m.Append(nil, []byte(doc))
			if err != nil {
				t.Fatalf("%s: %v", doc, err)
			}
			for i := range len(doc) + 1 {
				var out bytes.Buffer
				w := m.Writer(&out)
				_, err1 := w.Write([]byte(doc[:i]))
				_, err2 := w.Write([]byte(doc[i:]))
				if err := errors.Join(err1, err2, w.Close()); err != nil || out.String() != string(want) {
					t.Errorf("%s of %s, split at %d: %s, %v; want %s", mask, doc, i, out.String(), err, want)
				}
				// A document that ends anywhere: a fault or a shorter sequence of texts.
				if got, err := m.Append(nil, []byte(doc[:i])); err == nil && !strings.HasPrefix(string(want), strings.TrimRight(string(got), " \n\x1e")) {
					t.Errorf("%s of %s gives %s", mask, doc[:i], got)
				}
			}
		}
	}
}

type failing struct{ after int }

var errGone = errors.New("gone")

func (f *failing) Write(p []byte) (int, error) {
	if f.after--; f.after < 0 {
		return 0, errGone
	}
	return len(p), nil
}

func TestWriter_Errors(t *testing.T) {
	m := partial.MustParse("a")
	w := m.Writer(&failing{after: 1})
	if _, err := w.Write([]byte(`[`)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := w.Write([]byte(`[`)); !errors.Is(err, errGone) {
			t.Errorf("Write behind a failed writer: %v", err)
		}
	}
	if err := w.Close(); !errors.Is(err, errGone) {
		t.Errorf("Close: %v", err)
	}
	if _, err := w.Write([]byte(`[`)); err == nil {
		t.Error("Write after Close succeeds")
	}
	if err := w.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}

	w = m.Writer(io.Discard)
	if _, err := w.Write([]byte(`{"a":1`)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "at byte 6: unexpected end") {
		t.Errorf("Close of half a document: %v", err)
	}
}

// Write hands on what is decided: all but the current name.
func TestWriter_HandsOn(t *testing.T) {
	var out bytes.Buffer
	w := partial.MustParse("a/b,k").Writer(&out)
	for _, step := range []struct{ write, want string }{
		{`{"k"`, `{"k"`}, {`:"hel`, `:"hel`}, {`lo"`, `lo"`}, {`,"a":`, ``}, {` {"b":1`, `,"a":{"b":1`}, {`},"a`, `}`}, {`":1}`, `}`}, {"\n", "\n"},
	} {
		out.Reset()
		if _, err := io.WriteString(w, step.write); err != nil || out.String() != step.want {
			t.Errorf("after %s: %q, %v; want %q", step.write, out.String(), err, step.want)
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestWriter_Nil(t *testing.T) {
	var out bytes.Buffer
	w := (*partial.Mask)(nil).Writer(&out)
	_, _ = io.WriteString(w, "no JSON")
	if err := w.Close(); err != nil || out.String() != "no JSON" {
		t.Errorf("%q, %v", out.String(), err)
	}
}
