package rw_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/internal/rw"
)

// shortener keeps the first byte of a body, as compressors and filters keep less of it than there was: held
// to the end, or sent as it comes.
type shortener struct {
	rw.Writer
	streams bool
	kept    []byte
}

func (s *shortener) OnHeader(status int) {
	if s.streams {
		s.Send(status)
	}
}

func (s *shortener) OnWrite(p []byte) (int, error) {
	if s.kept == nil {
		s.kept = []byte{p[0]}
		if s.streams {
			_, _ = s.Unwrap().Write(s.kept)
		}
	}
	return len(p), nil
}

func (s *shortener) OnFlush() error { return s.FlushInner() }

func (s *shortener) OnReturn() {
	if s.streams {
		s.KeepTrailers()
		return
	}
	s.Send(http.StatusOK)
	_, _ = s.Unwrap().Write(s.kept)
}

func serveShort(s *shortener, w http.ResponseWriter, next http.Handler, r *http.Request) {
	s.Wrap(w, s)
	s.Serve(s, next, r)
}

// What a client gets of trailers that nobody announced does not depend on what a Layer makes of the body: net/http
// drops them where it gives a length to what fits into its buffer.
func TestWriter_UnannouncedTrailersOfAShortenedBody(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat(text, 100))
		w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
	})
	stacks := map[string]func(w http.ResponseWriter, r *http.Request){
		"bare":     handler,
		"held":     func(w http.ResponseWriter, r *http.Request) { serveShort(&shortener{}, w, handler, r) },
		"streamed": func(w http.ResponseWriter, r *http.Request) { serveShort(&shortener{streams: true}, w, handler, r) },
	}
	for name, h := range stacks {
		for _, http2 := range []bool{false, true} {
			client, url := serve(t, http.HandlerFunc(h), http2)
			a := ask(client, "GET", url, nil)
			if a.err != nil || a.trailer.Get("X-Sum") != "1" || a.header.Get(http.TrailerPrefix+"X-Sum") != "" {
				t.Errorf("%s, HTTP/2 %v: %d bytes, header %v, trailer %v, %v", name, http2, len(a.body), a.header, a.trailer, a.err)
			}
		}
	}
}
