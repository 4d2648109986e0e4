package httpcache_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/hotpath-go/hotpath/cache/httpcache"
)

// A goneWriter is of a client that goes away while the whole body is written at once.
type goneWriter struct {
	http.ResponseWriter
	meanwhile func()
}

func (w goneWriter) Write([]byte) (int, error) {
	w.meanwhile()
	return 0, io.ErrClosedPipe
}

// Who joins while the leader's client goes away gets the whole answer: the handler has written it.
func TestL6_TheLeadersClientFailsInTheOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := strings.Repeat("x", 90_000)
		s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Content-Length", "90000")
			_, _ = io.WriteString(w, whole)
		})
		var wg sync.WaitGroup
		follower := httptest.NewRecorder()
		s.ServeHTTP(goneWriter{httptest.NewRecorder(), func() {
			wg.Go(func() {
				defer func() {
					if p := recover(); p != nil {
						t.Errorf("cut: %v", p)
					}
				}()
				s.ServeHTTP(follower, request("GET", "http://example.com/a"))
			})
			synctest.Wait() // it has joined
		}}, request("GET", "http://example.com/a"))
		wg.Wait()
		if follower.Body.String() != whole || s.calls.Load() != 1 {
			t.Errorf("%d bytes, %d calls", follower.Body.Len(), s.calls.Load())
		}
	})
}
