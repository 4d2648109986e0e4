package stacktest_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// aborts: a handler that panics, ends its goroutine or writes less than it said leaves an answer that looks cut to
// its client, each time: the next one runs the handler again.
func aborts(t *testing.T, s *stack) {
	for _, accept := range []string{"gzip", "identity"} {
		for _, path := range []string{"/abort/nothing", "/abort/little", "/abort/much", "/abort/goexit", "/abort/short", "/abort/flushed", "/abort/much?fields=items/id", "/abort/short?fields=items/id", "/abort/panic", "/abort/hinted"} {
			if path == "/abort/goexit" && s.has("T") { // it waits for the goroutine's end, which has come
				continue
			}
			if path == "/abort/hinted" && s.has("T") { // it takes 103 for final
				continue
			}
			bare, _, _ := strings.Cut(path, "?")
			for range 2 {
				ran := s.ranFor(bare) // a client may ask again by itself where nothing has come
				a := s.ask(t, "GET", path, "Accept-Encoding: "+accept)
				if s.has("R") && (path == "/abort/panic" || path == "/abort/hinted" || path == "/abort/flushed") {
					s.recovered(t, path, accept, a)
					continue
				}
				if a.err == nil || s.ranFor(bare) == ran {
					t.Errorf("%s by %s: %s; the handler ran %d times before and %d after", path, accept, a, ran, s.ranFor(bare))
				}
			}
		}
	}
}

// recovered: with a recoverer around, net/http hears of no panic, and a plain answer that had begun looks whole. A coded one
// still has no end (nothing at all is none either), and where nothing had been sent the recoverer can answer.
func (s *stack) recovered(t *testing.T, path, accept string, a answer) {
	t.Helper()
	switch {
	case path != "/abort/flushed":
		if a.err != nil || a.status != http.StatusInternalServerError {
			t.Errorf("nothing was sent, and the recoverer cannot say so: %s", a)
		}
	case accept == "gzip" && s.around("R", "c") && !s.around("c", "R") && a.err == nil && a.status == http.StatusOK && a.raw != "":
		t.Errorf("a coded answer has an end: %s", a)
	}
}

// leaves: a client that goes away ends the context of his handler. What that has written by then is nobody's
// answer, though it may be stored by what it says.
func leaves(t *testing.T, s *stack) {
	for _, coding := range []string{"gzip", "identity"} {
		path, accept := "/slow/"+coding, "Accept-Encoding: "+coding
		s.quick.Store(false)
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan answer, 1)
		go func() { gone <- s.send(ctx, t, "GET", path, nil, accept) }()
		select {
		case <-s.started:
		case a := <-gone:
			t.Errorf("%s: %s", path, a)
			gone <- a
		}
		cancel()
		<-gone // with an error, or with what the server was quick enough to answer to the leaving
		select {
		case cause := <-s.left:
			if cause == nil {
				t.Error("the handler of a client that left has not heard of it")
			}
		case <-time.After(30 * time.Second):
			t.Fatal("the handler of a client that left goes on")
		}
		s.quick.Store(true)
		a := s.ask(t, "GET", path, accept)
		if a.status != http.StatusOK || a.body != string(longText[:2000]) || a.err != nil {
			t.Errorf("after a client that left: %s", a)
		}
	}
}
