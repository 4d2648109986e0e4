package compress_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/hotpath-go/hotpath/compress"
)

// coded returns body in coding, as a Compressor streams it.
func coded(t testing.TB, coding string, body []byte) []byte {
	t.Helper()
	out := &plainWriter{header: http.Header{}}
	mustNew(t, compress.Config{MinSize: -1}).Handler(serve(200, "Content-Type: text/plain", body)).
		ServeHTTP(out, request("GET", "Accept-Encoding: identity;q=0, "+coding))
	if out.header.Get("Content-Encoding") != coding {
		t.Fatalf("not encoded as %s", coding)
	}
	return out.body
}

// post sends body to a handler behind a Decompressor.
func post(t testing.TB, cfg compress.DecompressorConfig, h http.HandlerFunc, body io.Reader, codings ...string) *httptest.ResponseRecorder {
	t.Helper()
	d, err := compress.NewDecompressor(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/", body)
	r.Header["Content-Encoding"] = codings
	w := httptest.NewRecorder()
	d.Handler(h).ServeHTTP(w, r)
	return w
}

// readAll returns what a handler reads of body.
func readAll(t testing.TB, cfg compress.DecompressorConfig, body io.Reader, codings ...string) (got []byte, err error) {
	t.Helper()
	err = errors.New("the handler did not run")
	post(t, cfg, func(w http.ResponseWriter, r *http.Request) { got, err = io.ReadAll(r.Body) }, body, codings...)
	return got, err
}

func TestQ1_PlainBodiesPass(t *testing.T) {
	d, err := compress.NewDecompressor(compress.DecompressorConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, fields := range [][]string{nil, {"Content-Encoding: identity"}, {"Content-Encoding: Identity, identity"}, {"Content-Encoding: "}} {
		r := request("POST", fields...)
		d.Handler(http.HandlerFunc(func(w http.ResponseWriter, inner *http.Request) {
			if inner != r {
				t.Errorf("%q: a copy was handed on", fields)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
	}
}

func TestQ2_Codings(t *testing.T) {
	body := text(200_000)
	for _, tc := range []struct {
		name  string
		lines []string
		wire  []byte
	}{
		{"gzip", []string{"gzip"}, coded(t, "gzip", body)},
		{"x-gzip in any case", []string{"X-GZip"}, coded(t, "gzip", body)},
		{"zstd", []string{"zstd"}, coded(t, "zstd", body)},
		{"br", []string{"br"}, coded(t, "br", body)},
		{"identity beside it", []string{"identity, br"}, coded(t, "br", body)},
		{"two, undone from right to left", []string{"gzip, br"}, coded(t, "br", coded(t, "gzip", body))},
		{"two lines", []string{"zstd", "gzip"}, coded(t, "gzip", coded(t, "zstd", body))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := readAll(t, compress.DecompressorConfig{}, bytes.NewReader(tc.wire), tc.lines...)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes: %v", len(got), err)
			}
		})
	}
	for _, lines := range [][]string{{"deflate"}, {"gzip, gzip, gzip"}, {"gzip", "lz"}, {"*"}, {"gzip;q=1"}} {
		w := post(t, compress.DecompressorConfig{}, func(http.ResponseWriter, *http.Request) { t.Errorf("%q: the handler ran", lines) }, strings.NewReader("x"), lines...)
		if w.Code != 415 || w.Header().Get("Accept-Encoding") != "zstd, br, gzip" || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%q: %d %v", lines, w.Code, w.Header())
		}
	}
}

func TestQ3_TheHandlersCopy(t *testing.T) {
	d, _ := compress.NewDecompressor(compress.DecompressorConfig{})
	r := httptest.NewRequest("POST", "/", bytes.NewReader(coded(t, "gzip", text(2000))))
	for name, value := range map[string]string{"Content-Encoding": "gzip", "Content-Length": "9", "Content-Digest": "x", "Repr-Digest": "x", "Digest": "x", "Content-Md5": "x", "X-Own": "1"} {
		r.Header.Set(name, value)
	}
	d.Handler(http.HandlerFunc(func(w http.ResponseWriter, inner *http.Request) {
		if len(inner.Header) != 1 || inner.Header.Get("X-Own") != "1" || inner.ContentLength != -1 {
			t.Errorf("%v, length %d", inner.Header, inner.ContentLength)
		}
		inner.Pattern = "POST /x"
	})).ServeHTTP(httptest.NewRecorder(), r)
	if r.Pattern != "POST /x" || r.Header.Get("Content-Encoding") != "gzip" || r.ContentLength < 0 {
		t.Errorf("Pattern %q, %v", r.Pattern, r.Header)
	}
}

func TestQ4_MaxBytes(t *testing.T) {
	for _, coding := range []string{"gzip", "zstd", "br"} {
		wire := coded(t, coding, text(10_000))
		for _, tc := range []struct {
			limit int64
			fits  bool
		}{{10_000, true}, {9_999, false}, {1, false}, {10_001, true}} {
			for _, whole := range []bool{true, false} {
				src := io.Reader(bytes.NewReader(wire))
				if !whole {
					src = iotest.OneByteReader(src)
				}
				got, err := readAll(t, compress.DecompressorConfig{MaxBytes: tc.limit}, src, coding)
				var tooLarge *http.MaxBytesError
				switch {
				case tc.fits && (err != nil || len(got) != 10_000):
					t.Errorf("%s, limit %d: %d bytes, %v", coding, tc.limit, len(got), err)
				case !tc.fits && (!errors.As(err, &tooLarge) || tooLarge.Limit != tc.limit || int64(len(got)) != tc.limit):
					t.Errorf("%s, limit %d: %d bytes, %v", coding, tc.limit, len(got), err)
				}
			}
		}
	}
	d, _ := compress.NewDecompressor(compress.DecompressorConfig{MaxBytes: 10})
	r := httptest.NewRequest("POST", "/", bytes.NewReader(coded(t, "gzip", text(100))))
	r.Header.Set("Content-Encoding", "gzip")
	d.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			if _, err := io.ReadAll(r.Body); err == nil {
				t.Error("the error went away")
			}
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
	if s := d.Stats(); s.Refused["too_large"] != 1 || s.Requests["gzip"] != 1 || s.OutBytes != 10 || s.InBytes == 0 {
		t.Errorf("%+v", s)
	}
	// The layer between counts too: it is what takes the time.
	inner := coded(t, "gzip", bytes.Repeat(coded(t, "gzip", nil2()), 2000))
	if _, err := readAll(t, compress.DecompressorConfig{MaxBytes: 10_000}, bytes.NewReader(inner), "gzip, gzip"); err == nil {
		t.Error("40 KB of empty members between two layers pass a limit of 10 KB")
	}
	if got, err := readAll(t, compress.DecompressorConfig{}, bytes.NewReader(inner), "gzip, gzip"); err != nil || len(got) != 2000 {
		t.Errorf("%d bytes: %v", len(got), err)
	}
}

func nil2() []byte { return []byte("x") }

func TestQ5_CutsAndGarbage(t *testing.T) {
	body := text(3000)
	var named bytes.Buffer
	zw := gzip.NewWriter(&named)
	zw.Name, zw.Comment, zw.Extra = "file name", "comment", []byte("extra")
	_, _ = zw.Write(body)
	_ = zw.Close()
	bodies := map[string][]byte{"gzip": named.Bytes(), "zstd": coded(t, "zstd", body), "br": coded(t, "br", body)}
	for coding, wire := range bodies {
		for cut := range len(wire) + 1 {
			for _, chunks := range []bool{false, true} {
				src := io.Reader(bytes.NewReader(wire[:cut]))
				if chunks {
					src = iotest.DataErrReader(iotest.HalfReader(src))
				}
				got, err := readAll(t, compress.DecompressorConfig{}, src, coding)
				switch {
				case cut == 0 && (err != nil || len(got) > 0):
					t.Errorf("%s: no bytes must be an empty body: %v", coding, err)
				case cut == len(wire) && (err != nil || !bytes.Equal(got, body)):
					t.Errorf("%s: %d bytes, %v", coding, len(got), err)
				case cut > 0 && cut < len(wire) && !errors.Is(err, io.ErrUnexpectedEOF):
					t.Fatalf("%s, cut at %d of %d: %d bytes, %v", coding, cut, len(wire), len(got), err)
				}
			}
		}
		for _, garbage := range []string{"\x00", "garbage behind the end of the body", "\x03", "\x1f\x8b\x08"} {
			_, err := readAll(t, compress.DecompressorConfig{}, io.MultiReader(bytes.NewReader(wire), strings.NewReader(garbage)), coding)
			if err == nil || err == io.EOF {
				t.Errorf("%s: %q behind the end: %v", coding, garbage, err)
			}
		}
		if _, err := readAll(t, compress.DecompressorConfig{}, strings.NewReader(strings.Repeat("\x11 this is no coded body", 20)), coding); err == nil || !strings.Contains(err.Error(), coding) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: garbage: %v", coding, err)
		}
		// What went wrong on the wire is not the coding's fault.
		gone := errors.New("connection reset")
		if _, err := readAll(t, compress.DecompressorConfig{}, io.MultiReader(bytes.NewReader(wire[:len(wire)/2]), iotest.ErrReader(gone)), coding); !errors.Is(err, gone) {
			t.Errorf("%s: %v, want the connection's error", coding, err)
		}
	}
	for _, coding := range []string{"gzip", "zstd"} {
		two := append(slices.Clone(bodies[coding]), bodies[coding]...)
		if got, err := readAll(t, compress.DecompressorConfig{}, bytes.NewReader(two), coding); err != nil || len(got) != 6000 {
			t.Errorf("%s: two members: %d bytes, %v", coding, len(got), err)
		}
	}
}

// Q5: the time of 10^6 empty members grows with their number, and no further.
func TestQ5_ManyEmptyMembers(t *testing.T) {
	var empty bytes.Buffer
	_ = gzip.NewWriter(&empty).Close()
	emptyFrame := coded(t, "zstd", []byte("x"))
	took := func(coding string, member []byte, n int) time.Duration {
		begin := time.Now()
		_, err := readAll(t, compress.DecompressorConfig{}, io.LimitReader(&repeated{of: member}, int64(n*len(member))), coding)
		if err != nil {
			t.Errorf("%s: %v", coding, err)
		}
		return time.Since(begin)
	}
	for coding, member := range map[string][]byte{"gzip": empty.Bytes(), "zstd": emptyFrame} {
		const n = 100_000
		few, many := took(coding, member, n), took(coding, member, 10*n)
		if many > 40*few {
			t.Errorf("%s: 10 times as many members took %v, %v before", coding, many, few)
		}
	}
}

type repeated struct {
	of []byte
	at int
}

func (r *repeated) Read(p []byte) (n int, err error) {
	for n < len(p) {
		m := copy(p[n:], r.of[r.at:])
		n, r.at = n+m, (r.at+m)%len(r.of)
	}
	return n, nil
}

func TestQ6_Windows(t *testing.T) {
	// A frame header of our own: magic, descriptor without content size, window descriptor.
	frame := func(exponent byte) []byte {
		return append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, exponent << 3}, 0x09, 0, 0, 'x') // a last raw block of one byte
	}
	if got, err := readAll(t, compress.DecompressorConfig{}, bytes.NewReader(frame(13)), "zstd"); err != nil || string(got) != "x" { // 2^(10+13): 8 MiB
		t.Errorf("8 MiB: %q %v", got, err)
	}
	for _, exponent := range []byte{14, 16, 21, 31} {
		if got, err := readAll(t, compress.DecompressorConfig{}, bytes.NewReader(frame(exponent)), "zstd"); err == nil {
			t.Errorf("a window of 2^%d: %q, no error", 10+exponent, got)
		}
	}
	dictionary := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x38, 0x07, 0x09, 0, 0, 'x'}
	if got, err := readAll(t, compress.DecompressorConfig{}, bytes.NewReader(dictionary), "zstd"); err == nil {
		t.Errorf("a dictionary: %q, no error", got)
	}
}

// Bombs: little comes in, and little memory is used.
func TestQ4_Bombs(t *testing.T) {
	for _, coding := range []string{"gzip", "zstd", "br"} {
		wire := coded(t, coding, make([]byte, 32<<20))
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var n int64
		var err error
		post(t, compress.DecompressorConfig{}, func(w http.ResponseWriter, r *http.Request) {
			n, err = io.Copy(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r.Body})
		}, bytes.NewReader(wire), coding)
		runtime.ReadMemStats(&after)
		var tooLarge *http.MaxBytesError
		if n != 8<<20 || !errors.As(err, &tooLarge) {
			t.Errorf("%s: %d bytes, %v", coding, n, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
			t.Errorf("%s: %d KiB allocated for %d bytes on the wire", coding, used>>10, len(wire))
		}
	}
}

func TestQ7_DecodersAreTakenLate(t *testing.T) {
	touched := false
	src := readerFunc(func(p []byte) (int, error) { touched = true; return 0, io.EOF })
	var kept io.ReadCloser
	post(t, compress.DecompressorConfig{}, func(w http.ResponseWriter, r *http.Request) { kept = r.Body }, src, "gzip")
	if touched {
		t.Error("the body was read before the handler read")
	}
	if _, err := kept.Read(make([]byte, 1)); err != http.ErrBodyReadAfterClose {
		t.Errorf("after the handler returned: %v", err)
	}
	post(t, compress.DecompressorConfig{}, func(w http.ResponseWriter, r *http.Request) {
		if n, err := r.Body.Read(make([]byte, 10)); n == 0 || err != nil {
			t.Errorf("%d %v", n, err)
		}
		if err := r.Body.Close(); err != nil {
			t.Error(err)
		}
		if _, err := r.Body.Read(make([]byte, 1)); err != http.ErrBodyReadAfterClose {
			t.Errorf("after Close: %v", err)
		}
	}, bytes.NewReader(coded(t, "gzip", text(3000))), "gzip")
	// A goroutine that is left behind in Read must not meet its decoder in another request.
	pr, pw := io.Pipe()
	reading, done := make(chan struct{}), make(chan error)
	post(t, compress.DecompressorConfig{}, func(w http.ResponseWriter, r *http.Request) {
		go func() {
			close(reading)
			_, err := io.ReadAll(r.Body)
			done <- err
		}()
		<-reading
	}, pr, "gzip")
	_ = pw.CloseWithError(errors.New("gone"))
	if err := <-done; err == nil {
		t.Error("a body that never came was read")
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Q7: trailers arrive, over a real socket.
func TestQ7_Trailers(t *testing.T) {
	d, _ := compress.NewDecompressor(compress.DecompressorConfig{})
	srv := httptest.NewServer(d.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(body, text(3000)) || r.Trailer.Get("X-Sum") != "1" {
			http.Error(w, "bad", 500)
		}
	})))
	defer srv.Close()
	r, _ := http.NewRequest("POST", srv.URL, struct{ io.Reader }{bytes.NewReader(coded(t, "zstd", text(3000)))})
	r.Header.Set("Content-Encoding", "zstd")
	r.Trailer = http.Header{"X-Sum": {"1"}}
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
}

// Pools stay clean: what a body left behind never shows in the next.
func TestQ_PoolsStayClean(t *testing.T) {
	d, _ := compress.NewDecompressor(compress.DecompressorConfig{MaxBytes: 5000})
	for i := range 200 {
		for _, coding := range []string{"gzip", "zstd", "br"} {
			body := text(1000 + i)
			wire := coded(t, coding, body)
			cut, tooLarge := i%4 == 1, i%4 == 2
			switch {
			case cut:
				wire = wire[:len(wire)/2]
			case tooLarge:
				wire = coded(t, coding, text(20_000))
			case i%4 == 3:
				wire = append(wire, "garbage"...)
			}
			r := httptest.NewRequest("POST", "/", bytes.NewReader(wire))
			r.Header.Set("Content-Encoding", coding)
			d.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if i%8 == 4 { // and is left there
					_, _ = r.Body.Read(make([]byte, 10))
					return
				}
				got, err := io.ReadAll(r.Body)
				if i%4 == 0 && (err != nil || !bytes.Equal(got, body)) {
					t.Errorf("%s, body %d: %d bytes, %v", coding, i, len(got), err)
				}
				if i%4 != 0 && err == nil {
					t.Errorf("%s, body %d: no error", coding, i)
				}
			})).ServeHTTP(httptest.NewRecorder(), r)
		}
	}
}

// Whatever comes in, it ends, and what a body of ours became decodes to a prefix or fails.
func FuzzDecompress(f *testing.F) {
	for _, coding := range []string{"gzip", "zstd", "br"} {
		f.Add(coding, coded(f, coding, text(300)), 10, byte(0))
		f.Add(coding, coded(f, coding, text(3)), 5, byte(0x55))
	}
	d, _ := compress.NewDecompressor(compress.DecompressorConfig{MaxBytes: 100_000})
	f.Fuzz(func(t *testing.T, coding string, wire []byte, at int, x byte) {
		if coding != "gzip" && coding != "zstd" && coding != "br" {
			return
		}
		wire = slices.Clone(wire)
		if len(wire) > 0 && at >= 0 {
			wire[at%len(wire)] ^= x
		}
		read := func(src io.Reader) (got []byte, err error) {
			r := httptest.NewRequest("POST", "/", src)
			r.Header.Set("Content-Encoding", coding)
			d.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got, err = io.ReadAll(r.Body) })).
				ServeHTTP(httptest.NewRecorder(), r)
			return got, err
		}
		got, err := read(bytes.NewReader(wire))
		slow, slowErr := read(iotest.OneByteReader(bytes.NewReader(wire)))
		if (err == nil) != (slowErr == nil) || err == nil && !bytes.Equal(got, slow) {
			t.Errorf("%s %x: %d bytes, %v; a byte at a time %d bytes, %v", coding, wire, len(got), err, len(slow), slowErr)
		}
		if coding == "gzip" && err == nil && len(wire) > 0 {
			zr, err := gzip.NewReader(bytes.NewReader(wire))
			if err != nil {
				t.Fatalf("%x: the standard library says %v", wire, err)
			}
			want, err := io.ReadAll(zr)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%x: the standard library says %d bytes, %v", wire, len(want), err)
			}
		}
	})
}
