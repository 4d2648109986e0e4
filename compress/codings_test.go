package compress_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/hotpath-go/hotpath/compress"
)

// named is a coding of the test's own: each byte pair "ab" becomes half of it.
type named string

func (n named) Token() string                         { return string(n) }
func (n named) NewEncoder() (compress.Encoder, error) { return &halver{}, nil }

// halver writes "!" and then every second byte of what it gets. It is no coding that can be
// undone, but what it does is easy to see.
type halver struct {
	w     io.Writer
	begun bool
	n     int
	fail  error // of each Write from failAt bytes on
}

func (h *halver) Reset(w io.Writer) { h.w, h.begun, h.n = w, false, 0 }
func (h *halver) Write(p []byte) (int, error) {
	if h.fail != nil {
		return 0, h.fail
	}
	var out []byte
	if !h.begun {
		h.begun, out = true, []byte("!")
	}
	for _, c := range p {
		if h.n++; h.n%2 == 0 {
			out = append(out, c)
		}
	}
	if _, err := h.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}
func (h *halver) Flush() error { return nil }
func (h *halver) Close() error { _, err := h.w.Write([]byte(".")); return err }

// broken cannot make encoders.
type broken struct{ token string }

func (b broken) Token() string                         { return b.token }
func (b broken) NewEncoder() (compress.Encoder, error) { return nil, errors.New("no encoder today") }

// failing makes one encoder that works, for New, and then what next returns.
type failing struct {
	made int
	next func() (compress.Encoder, error)
}

func (f *failing) Token() string { return "lz" }
func (f *failing) NewEncoder() (compress.Encoder, error) {
	if f.made++; f.made == 1 {
		return &once{}, nil
	}
	return f.next()
}

// once is an encoder that fails in everything but New's check, so that the pool's is no use.
type once struct{ halver }

func (o *once) Write([]byte) (int, error) { return 0, errors.New("out of order") }

// fileHandler serves 20,000 bytes as http.ServeContent does.
func fileHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"v1"`)
		w.Header().Set("Content-Type", "text/plain")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text(20_000)))
	})
}
