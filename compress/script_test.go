package compress_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// wire stands for net/http: it copies the header when the status is settled, and counts lengths.
type wire struct {
	header, sent http.Header
	status       int
	declared     int64
	body         bytes.Buffer
	over         bool
}

func newWire() *wire { return &wire{header: http.Header{}, declared: -1} }

func (w *wire) Header() http.Header { return w.header }

func (w *wire) WriteHeader(status int) {
	if w.status != 0 || status < 200 && status != 101 {
		return
	}
	if status == 204 || status == 205 {
		w.header.Del("Content-Length")
	}
	w.status, w.sent = status, w.header.Clone()
	if n := w.sent.Get("Content-Length"); n != "" {
		w.declared = int64(len(n)) // replaced below
		w.declared = atoi(n)
	}
}

func atoi(s string) (n int64) {
	for _, c := range s {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int64(c-'0')
	}
	return n
}

func (w *wire) Write(p []byte) (int, error) {
	w.WriteHeader(200)
	switch {
	case len(p) > 0 && !rw.BodyAllowed(w.status):
		return 0, http.ErrBodyNotAllowed
	case len(p) > 0 && (w.over || w.declared >= 0 && int64(w.body.Len()+len(p)) > w.declared):
		w.over = true
		return 0, http.ErrContentLength
	}
	return w.body.Write(p)
}

func (w *wire) FlushError() error { w.WriteHeader(200); return nil }

// cut reports whether the response looks cut to its client.
func (w *wire) cut() bool { return w.declared >= 0 && int64(w.body.Len()) < w.declared }

var errScript = errors.New("the script's panic")

// play runs a script of what handlers do, one byte an operation.
func play(w http.ResponseWriter, script []byte) (log []string) {
	note := func(n int, err error) {
		if err != nil {
			log = append(log, err.Error())
		} else {
			log = append(log, itoa(n))
		}
	}
	for i, op := range script {
		h, arg := w.Header(), int(op>>4)
		switch op & 15 {
		case 0:
			h.Set("Content-Type", []string{"text/plain", "image/png", "application/json", "text/event-stream"}[arg%4])
		case 1:
			h.Set("Etag", []string{`"a"`, `W/"b"`, `"c~gzip"`}[arg%3])
		case 2:
			h.Set("X-Own", itoa(i))
		case 3:
			h.Set("Cache-Control", []string{"no-transform", "no-store"}[arg%2])
		case 4:
			h.Set("Content-Length", []string{"0", "10", "1500", "70000", "131072"}[arg%5])
		case 5, 6:
			note(w.Write(text(arg * 700)))
		case 7:
			note(w.Write(text(arg * 9000)))
		case 8:
			s := string(text(arg * 500))
			note(io.WriteString(w, s))
		case 9:
			n, err := io.Copy(w, struct{ io.Reader }{bytes.NewReader(text(arg * 5000))})
			note(int(n), err)
		case 10:
			if err := http.NewResponseController(w).Flush(); err != nil {
				log = append(log, err.Error())
			}
		case 11:
			w.WriteHeader([]int{200, 404, 204, 206, 304, 201, 500, 103}[arg%8])
		case 12:
			h.Set("Vary", []string{"Origin", "Accept-Encoding"}[arg%2])
		case 13:
			h.Del("Content-Type")
		case 14:
			compress.Off(w)
		case 15:
			if arg > 12 {
				panic(errScript)
			}
			h.Set("Incremental", "?1")
		}
	}
	return log
}

// Whatever a handler does, its client decodes what the bare handler sends.
func FuzzScript(f *testing.F) {
	for _, seed := range [][]byte{{0x00, 0x35, 0x0a, 0x75}, {0x20, 0x24, 0x25}, {0x01, 0xf7, 0x0a, 0x17}, {0xf7, 0xff}, {0x34, 0xf7}, {0x0b, 0x25, 0x02, 0x85}, {0x0f, 0x35, 0x45}, {0x10, 0xf9, 0xf9}, {0x44, 0xf7, 0xf7}} {
		for accept := range byte(6) {
			f.Add(seed, accept)
		}
	}
	c := mustNew(f, compress.Config{MaxEncoders: 3})
	accepts := []string{"gzip", "zstd, gzip", "br", "identity", "gzip, identity;q=0", "zstd"}
	run := func(h http.Handler, accept string) (out *wire, log []string, p any) {
		out = newWire()
		defer func() { p = recover() }()
		h.ServeHTTP(out, request("GET", "Accept-Encoding: "+accept))
		out.WriteHeader(200)
		return out, log, nil
	}
	f.Fuzz(func(t *testing.T, script []byte, a byte) {
		if len(script) > 40 {
			return
		}
		accept := accepts[int(a)%len(accepts)]
		var bareLog, log []string
		bare, _, bareP := run(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { bareLog = play(w, script) }), accept)
		got, _, p := run(c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { log = play(w, script) })), accept)
		coding := got.sent.Get("Content-Encoding")
		fail := func(what string) {
			t.Errorf("%s\nscript %x, %s\nbare %d %v %d bytes, panic %v, %v\n got %d %v %d bytes, panic %v, %v", what, script, accept,
				bare.status, bare.sent, bare.body.Len(), bareP, bareLog, got.status, got.sent, got.body.Len(), p, log)
		}
		if bareP != nil {
			switch {
			case p != bareP:
				fail("the panic did not pass")
			case coding != "" && got.body.Len() > 0:
				if _, err := decode(coding, got.body.Bytes()); err == nil && got.declared < 0 {
					fail("a cut body decodes as if it were whole")
				}
			}
			return
		}
		if bare.cut() {
			if p != http.ErrAbortHandler && !got.cut() {
				fail("a short body does not look cut")
			}
			return
		}
		if p != nil || !slices.Equal(log, bareLog) {
			fail("the handler saw something else")
			return
		}
		plain := got.body.Bytes()
		if coding != "" {
			plain = decoded(t, coding, plain)
		}
		if got.status != bare.status || !bytes.Equal(plain, bare.body.Bytes()) {
			fail("the client sees something else")
		}
		if got.declared >= 0 && got.declared != int64(got.body.Len()) && rw.BodyAllowed(got.status) {
			fail("the length is wrong")
		}
		for _, name := range []string{"X-Own", "Cache-Control", "Content-Type"} {
			if want := bare.sent.Get(name); got.sent.Get(name) != want && !(name == "Content-Type" && want == "" && coding != "") {
				fail(name + " is another one")
			}
		}
		want := bare.sent.Get("Etag")
		if coding != "" && strings.HasPrefix(want, `"`) {
			if tag := got.sent.Get("Etag"); !strings.HasPrefix(strings.TrimPrefix(tag, "W/"), want[:len(want)-1]+"~"+coding) {
				fail("the tag is " + tag)
			}
		} else if got.sent.Get("Etag") != want {
			fail("the tag was changed")
		}
	})
	if s := c.Stats(); s.Encoders != 0 || s.Streams != 0 {
		f.Errorf("%d encoders and %d streams are left", s.Encoders, s.Streams)
	}
}

// FuzzCuts: a body cut into any Writes and Flushes is one body, in every coding.
func FuzzCuts(f *testing.F) {
	f.Add([]byte{1, 200, 0, 3, 255, 255, 0}, byte(2))
	f.Add([]byte{255, 255, 255, 0, 1, 0, 1}, byte(5))
	f.Fuzz(func(t *testing.T, cuts []byte, a byte) {
		codings := []compress.Coding{compress.Zstd(1 + int(a)%3), compress.Brotli(2 + int(a)%10), compress.Gzip(1 + int(a)%9)}
		if len(cuts) > 60 {
			return
		}
		source := text(len(cuts) * 255 * 40)
		for _, coding := range codings {
			var sent int
			w := httptest.NewRecorder()
			mustNew(t, compress.Config{Codings: []compress.Coding{coding}, MaxEncoders: 1 + int(a)%2}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				for _, n := range cuts {
					if n == 0 {
						_ = http.NewResponseController(w).Flush()
						continue
					}
					_, _ = w.Write(source[sent : sent+int(n)*40])
					sent += int(n) * 40
				}
			})).ServeHTTP(w, request("GET", "Accept-Encoding: "+coding.Token()))
			if got := decoded(t, w.Header().Get("Content-Encoding"), w.Body.Bytes()); !bytes.Equal(got, source[:sent]) {
				t.Errorf("%s, cuts %v: %d of %d bytes", coding.Token(), cuts, len(got), sent)
			}
		}
	})
}
