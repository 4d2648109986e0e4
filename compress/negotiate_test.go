package compress_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/compress"
)

// chosen is the coding of a body that is worth it, "406" if there is no answer.
func chosen(h http.Handler, lines ...string) string {
	var fields []string
	for _, l := range lines {
		fields = append(fields, "Accept-Encoding: "+l)
	}
	w := get(h, fields...)
	if w.Code == http.StatusNotAcceptable {
		return "406"
	}
	return w.Header().Get("Content-Encoding")
}

func negotiations(t *testing.T, table []struct{ name, accept, want string }) {
	t.Helper()
	h := mustNew(t, compress.Config{}).Handler(serve(200, "Content-Type: text/plain", text(2000)))
	for _, tc := range table {
		t.Run(tc.name, func(t *testing.T) {
			if got := chosen(h, strings.Split(tc.accept, "\n")...); got != tc.want {
				t.Errorf("Accept-Encoding %q: coding %q, want %q", tc.accept, got, tc.want)
			}
		})
	}
}

func TestN1_WhoDoesNotAskGetsIdentity(t *testing.T) {
	h := mustNew(t, compress.Config{}).Handler(serve(200, "Content-Type: text/plain", text(2000)))
	if got := chosen(h); got != "" {
		t.Errorf("no field: %q", got)
	}
	negotiations(t, []struct{ name, accept, want string }{
		{"an empty field", "", ""},
		{"several lines are one list", "identity;q=0.5\ngzip", "gzip"},
		{"any case", "GZip", "gzip"},
		{"x-gzip is gzip", "x-gzip", "gzip"},
		{"tokens match whole", "gzipped, xgzip, zstd2, brr", ""},
		{"a weight of 0 is a no", "gzip;q=0", ""},
	})
}

func TestN2_TheHighestWeightWins(t *testing.T) {
	negotiations(t, []struct{ name, accept, want string }{
		{"the highest", "gzip;q=0.9, br;q=0.8, zstd;q=0.1", "gzip"},
		{"at equal weight our order", "gzip, br, zstd", "zstd"},
		{"* is for what is not named", "zstd;q=0, *;q=0.5", "br"},
		{"* refuses what is not named", "gzip;q=0.1, *;q=0", "gzip"},
		{"identity with a higher weight", "identity;q=0.5, gzip;q=0.4", ""},
		{"identity with the same weight", "identity;q=0.5, gzip;q=0.5", "gzip"},
		{"identity by *", "*;q=0.5, gzip;q=0.4, br;q=0.3, zstd;q=0.2", ""},
		{"identity unnamed comes last", "gzip;q=0.001", "gzip"},
		{"the first mention counts", "gzip;q=0.1, br;q=0.5, gzip;q=1", "br"},
		{"of either name", "x-gzip;q=0, gzip", ""},
	})
}

func TestN3_MalformedWeightsDropTheirMember(t *testing.T) {
	negotiations(t, []struct{ name, accept, want string }{
		{"above 1", "br;q=1.5, gzip", "gzip"},
		{"negative", "br;q=-1, gzip;q=0.1", "gzip"},
		{"empty", "br;q=, gzip;q=0.1", "gzip"},
		{"letters", "br;q=abc, gzip;q=0.1", "gzip"},
		{"four decimals", "br;q=0.1234, gzip;q=0.1", "gzip"},
		{"Q, white space, other parameters", "gzip ; \tx=1 ;\tQ=0.3, br;q=0.2", "gzip"},
		{"beyond 4 KiB", strings.Repeat("x,", 2040) + strings.Repeat(" ", 20) + "gzip", ""},
	})
}

func TestN4_RefusedIdentity(t *testing.T) {
	for _, tc := range []struct {
		name, fields, accept string
		body                 []byte
		want                 string
	}{
		{"a small body", "Content-Type: text/plain", "identity;q=0, gzip", []byte("hi"), "gzip"},
		{"a type that we do not want", "Content-Type: image/png", "*;q=0, br", text(2000), "br"},
		{"no gain", "Content-Type: text/plain", "identity;q=0, zstd", []byte("0123456789"), "zstd"},
		{"by *, identity unnamed", "Content-Type: text/plain", "*;q=0, gzip;q=0.1", []byte("hi"), "gzip"},
		{"a status that forbids it", "Content-Type: text/plain\nContent-Range: bytes 0-1/5", "identity;q=0, gzip", text(2000), ""},
		{"no-transform", "Content-Type: text/plain\nCache-Control: no-transform", "identity;q=0, gzip", text(2000), ""},
		{"nothing stays nothing", "Content-Type: text/plain", "identity;q=0, gzip", nil, ""},
		{"only foreign codings: the handler may know them", "Content-Type: text/plain", "identity;q=0, snappy", text(2000), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := mustNew(t, compress.Config{}).Handler(serve(200, tc.fields, tc.body))
			w := get(h, "Accept-Encoding: "+tc.accept)
			if got := w.Header().Get("Content-Encoding"); w.Code != 200 || got != tc.want {
				t.Fatalf("%d, coding %q, want %q", w.Code, got, tc.want)
			}
			if got := decoded(t, tc.want, w.Body.Bytes()); string(got) != string(tc.body) {
				t.Errorf("decodes to %d bytes, want %d", len(got), len(tc.body))
			}
		})
	}
	for _, accept := range []string{"identity;q=0", "*;q=0", "gzip;q=0, identity;q=0", "identity;q=0, br;q=x"} {
		w := get(mustNew(t, compress.Config{}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			t.Errorf("%s: the handler ran", accept)
		})), "Accept-Encoding: "+accept)
		if w.Code != 406 || w.Header().Get("Vary") != "Accept-Encoding" || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %v", accept, w.Code, w.Header())
		}
	}
}

func TestN5_RangeBesideRefusedIdentity(t *testing.T) {
	h := mustNew(t, compress.Config{}).Handler(fileHandler())
	w := get(h, "Accept-Encoding: identity;q=0, gzip", "Range: bytes=0-9", `If-Range: "v1"`)
	if w.Code != 200 || w.Header().Get("Content-Encoding") != "gzip" || string(decoded(t, "gzip", w.Body.Bytes())) != string(text(20_000)) {
		t.Errorf("%d %v: want a coded 200 of everything", w.Code, w.Header())
	}
	w = get(h, "Accept-Encoding: gzip", "Range: bytes=0-9")
	if w.Code != 206 || w.Body.Len() != 10 || w.Header().Get("Content-Encoding") != "" || w.Header().Get("Vary") != "Accept-Encoding" {
		t.Errorf("%d %v: want a plain 206 with Vary", w.Code, w.Header())
	}
}

// The twin reads the field a member at a time into a map and asks the rules one by one.
func FuzzAcceptEncoding(f *testing.F) {
	for _, seed := range []string{"", "gzip", "gzip, br;q=0.5", "*", "*;q=0", "identity;q=0", "identity;q=0, zstd;q=0.001", "x-gzip;q=0, gzip", "br;q=2, *;q=0.1", " , ;q=1", "identity, gzip;q=0.999"} {
		f.Add(seed)
	}
	h := mustNew(f, compress.Config{}).Handler(serve(200, "Content-Type: text/plain", text(2000)))
	f.Fuzz(func(t *testing.T, line string) {
		if len(line) > 4<<10 || strings.ContainsAny(line, `"\`) { // quotes: FuzzWeighted's
			return
		}
		named, fine := map[string]float64{}, false
	members:
		for _, member := range strings.Split(line, ",") {
			parts := strings.Split(member, ";")
			token, q := strings.ToLower(strings.Trim(parts[0], " \t")), 1.0
			for _, p := range parts[1:] {
				p = strings.ToLower(strings.Trim(p, " \t"))
				if !strings.HasPrefix(p, "q=") {
					continue
				}
				v := p[2:]
				if v == "" || len(v) > 5 || strings.Trim(v, "0123456789.") != "" || len(v) > 1 && v[1] != '.' || strings.Count(v, ".") > 1 {
					continue members
				}
				q, _ = strconv.ParseFloat(strings.TrimSuffix(v, "."), 64)
				if q > 1 || v[0] == '.' {
					continue members
				}
				break
			}
			if token == "x-gzip" {
				token = "gzip"
			}
			if token == "" {
				continue
			}
			fine = fine || q > 0
			if _, ok := named[token]; !ok {
				named[token] = q
			}
		}
		weight := func(token string, otherwise float64) float64 {
			if q, ok := named[token]; ok {
				return q
			}
			if q, ok := named["*"]; ok {
				return q
			}
			return otherwise
		}
		want, best := "", 0.0
		for _, token := range []string{"zstd", "br", "gzip"} {
			if q := weight(token, 0); q > best {
				want, best = token, q
			}
		}
		plain := weight("identity", 0.0001)
		switch {
		case plain == 0 && !fine:
			want = "406"
		case plain > best:
			want = ""
		}
		if got := chosen(h, line); got != want {
			t.Errorf("Accept-Encoding %q: %q, the twin says %q", line, got, want)
		}
	})
}

func TestNew_ReportsEveryProblem(t *testing.T) {
	_, err := compress.New(compress.Config{
		Codings: []compress.Coding{
			nil, named("BR"), named("identity"), named("*"), named("deflate"), named("x-gzip"), named(""), named("a~b"),
			compress.Zstd(4), compress.Brotli(12), compress.Gzip(-1), named("lz"), named("lz"),
			broken{"bad"},
		},
		MaxEncoders: -1,
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"compress: Codings[0] is nil: must be a Coding",
		`compress: Codings[1]: token is "BR": must be lower case`,
		`compress: Codings[2]: token is "identity": must be a coding`,
		`compress: Codings[3]: token is "*": must be a coding`,
		`compress: Codings[4]: token is "deflate": must not be ambiguous`,
		`compress: Codings[5]: token is "x-gzip": must be "gzip"`,
		`compress: Codings[6]: token is "": must not be empty`,
		`compress: Codings[7]: token is "a~b": must consist of`,
		"compress: Codings[8]: level of zstd is 4: must be between 1 and 3 (0 means 1)",
		"compress: Codings[9]: level of br is 12: must be between 2 and 11 (0 means 2)",
		"compress: Codings[10]: level of gzip is -1: must be between 1 and 9 (0 means 5)",
		`compress: Codings[12]: token is "lz": must not be that of Codings[11]`,
		"compress: Codings[13]: bad: no encoder today",
		"compress: MaxEncoders is -1: must be at least 1",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	if _, err := compress.New(compress.Config{Codings: []compress.Coding{}}); err == nil || !strings.Contains(err.Error(), "compress: Codings has 0 members: must be 1 to 16") {
		t.Errorf("no codings: %v", err)
	}
	var many []compress.Coding
	for i := range 17 {
		many = append(many, named(fmt.Sprint("c", i)))
	}
	if _, err := compress.New(compress.Config{Codings: many}); err == nil {
		t.Error("17 codings: no error")
	}
	if _, err := compress.NewDecompressor(compress.DecompressorConfig{MaxBytes: -1}); err == nil || err.Error() != "compress: MaxBytes is -1: must be at least 1 (0 means 8 MiB)" {
		t.Errorf("MaxBytes -1: %v", err)
	}
}
