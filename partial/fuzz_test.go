package partial_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hotpath-go/hotpath/partial"
)

// checkAgainstTwin cuts doc in one piece and in random pieces, and compares with the twin.
func checkAgainstTwin(t *testing.T, r *rand.Rand, text string, doc []byte) {
	t.Helper()
	m, err := partial.Parse(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	want, ok := twinCut(twinMask(text), doc)
	got, err := m.Append([]byte("before"), doc)
	if (err == nil) != ok {
		t.Fatalf("mask %q, %q: error %v, the twin says ok: %t and %q", text, doc, err, ok, want)
	}
	if ok && string(got) != "before"+string(want) || !ok && string(got) != "before" {
		t.Fatalf("mask %q, %q:\n%q, want\n%q", text, doc, got, want)
	}
	out, failed := inPieces(r, m, doc)
	if (failed != nil) != (err != nil) || failed != nil && failed.Error() != err.Error() {
		t.Fatalf("mask %q, %q: in pieces %v, at once %v", text, doc, failed, err)
	}
	if ok && string(out) != string(want) {
		t.Fatalf("mask %q, %q: in pieces\n%q, want\n%q", text, doc, out, want)
	}
	if !ok {
		return
	}
	if again, err := m.Append(nil, want); err != nil || !bytes.Equal(again, want) {
		t.Fatalf("mask %q, %q: again %q, %v; once %q", text, doc, again, err, want)
	}
	if json.Valid(doc) && !json.Valid(want) {
		t.Fatalf("mask %q makes of valid %q invalid %q", text, doc, want)
	}
}

func inPieces(r *rand.Rand, m *partial.Mask, doc []byte) ([]byte, error) {
	var out bytes.Buffer
	w := m.Writer(&out)
	for rest := doc; len(rest) > 0; {
		n := 1 + r.IntN(len(rest))
		if r.IntN(2) == 0 {
			n = min(n, 1+r.IntN(9))
		}
		piece := bytes.Clone(rest[:n])
		if _, err := w.Write(piece); err != nil {
			_ = w.Close()
			return out.Bytes(), err
		}
		for i := range piece { // it was only lent
			piece[i] = '#'
		}
		rest = rest[n:]
	}
	return out.Bytes(), w.Close()
}

// FuzzAppend compares the filter with a naive twin, in one piece and in random ones.
func FuzzAppend(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed, "", []byte(nil))
	}
	f.Add(uint64(1), "a/b", []byte(`{"a":{"b":1,"c":[{"b":2}]},"b":"x"}`))
	f.Fuzz(func(t *testing.T, seed uint64, text string, doc []byte) {
		r := rand.New(rand.NewPCG(seed, 1))
		mask := randomMask(r, 2)
		random := randomText(r)
		checkAgainstTwin(t, r, mask, random)
		checkAgainstTwin(t, r, mask, damaged(r, random))
		if len(doc) > 0 {
			checkAgainstTwin(t, r, mask, doc)
		}
		if m, err := partial.Parse(text); err == nil { // any mask, any document: no panic
			_, _ = m.Append(nil, doc)
		}
	})
}

// What random masks and documents say, and the same documents damaged, without a fuzzer.
func TestB9_RandomDocuments(t *testing.T) {
	for seed := range uint64(4_000) {
		r := rand.New(rand.NewPCG(seed, 2))
		mask, doc := randomMask(r, 2), randomText(r)
		checkAgainstTwin(t, r, mask, doc)
		checkAgainstTwin(t, r, mask, damaged(r, doc))
	}
}

// FuzzKey compares names with what encoding/json makes of them.
func FuzzKey(f *testing.F) {
	for _, raw := range []string{"id", `\u0069d`, `a\/b`, `\ud834\udd1e`, `\ud834`, `\"\\\n`, `\x`, "é", `a\u0000`, ` \u0020`} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var name string
		if json.Unmarshal([]byte(`"`+raw+`"`), &name) != nil || strings.ContainsRune(name, utf8.RuneError) || name == "" || len(name) > 500 {
			return
		}
		var mask strings.Builder
		for i := range len(name) {
			mask.WriteByte('\\')
			mask.WriteByte(name[i])
		}
		m, err := partial.Parse(mask.String())
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		for _, value := range []string{"1", `{"x":1}`} {
			doc := `{"` + raw + `":` + value + `}`
			if got, err := m.Append(nil, []byte(doc)); err != nil || string(got) != doc {
				t.Errorf("%s is %q, but its mask gives %s, %v", doc, name, got, err)
			}
		}
		doc := `{"` + raw + `x":1,"y":2,"":3}`
		if got, err := m.Append(nil, []byte(doc)); err != nil || string(got) != "{}" && name != "y" {
			t.Errorf("%s is not %q, but its mask gives %s, %v", doc, name, got, err)
		}
	})
}

// FuzzParse: no panic; String is a fixpoint; order and repetition of terms never matter.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"a", "a,b(c,d/e)/f", `\*,a\,b, x y ,*/b,a/c`, "a(b", "**", "!a", "a[", "*", " ", `\ a\ `, `a\`, "a(*,b/c)", "*/*/b,a(b,c)/d"} {
		f.Add(text, uint64(1))
	}
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		m, err := partial.Parse(text)
		if err != nil {
			_ = err.Error()
			return
		}
		canonical := m.String()
		again, err := partial.Parse(canonical)
		if err != nil && len(canonical) <= 4096 {
			t.Fatalf("%q: its text %q: %v", text, canonical, err)
		}
		if err == nil && again.String() != canonical {
			t.Fatalf("%q: %q, and again %q", text, canonical, again.String())
		}
		if doubled, err := partial.Parse(text + "," + text); err == nil && strings.Trim(text, " \t") != "" && text[len(text)-1] != '\\' && doubled.String() != canonical {
			t.Fatalf("%q: %q, but twice %q", text, canonical, doubled.String())
		}

		r := rand.New(rand.NewPCG(seed, 3))
		terms := []string{randomMask(r, 2), randomMask(r, 1), randomMask(r, 3)}
		one := partial.MustParse(strings.Join(terms, ",")).String()
		r.Shuffle(len(terms), func(i, j int) { terms[i], terms[j] = terms[j], terms[i] })
		if other := partial.MustParse(strings.Join(append(terms, terms[0]), ",")).String(); other != one {
			t.Fatalf("%q: %q, but shuffled %q", terms, one, other)
		}
	})
}
