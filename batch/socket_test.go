package batch_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/batch"
)

// listen serves h by HTTP/1.1, and by HTTP/2 too.
func listen(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

func envelopeOf(n int) string {
	var b strings.Builder
	b.WriteString(`{"requests":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"id":"` + strconv.Itoa(i) + `","method":"GET","url":"/` + strconv.Itoa(i) + `"}`)
	}
	return b.String() + `]}`
}

// Who reads slowly gets all of it: many times what fits into the buffers of a connection.
func TestSocket_SlowReader(t *testing.T) {
	const parts, size = 20, 256 << 10
	body := strings.Repeat("x", size)
	e := newEndpoint(t, batch.Config{MaxResponseBytes: 2 * parts * size})
	srv := httptest.NewServer(e.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, body)
	})))
	t.Cleanup(srv.Close)
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	envelope := envelopeOf(parts)
	_, err = io.WriteString(conn, "POST /$batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "+strconv.Itoa(len(envelope))+"\r\n\r\n"+envelope)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(smallReads{conn}, 16), nil)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(res.Body)
	var got struct{ Responses []answer }
	if err != nil || int64(len(all)) != res.ContentLength || json.Unmarshal(all, &got) != nil || len(got.Responses) != parts {
		t.Fatalf("%d of %d bytes, %d parts, %v", len(all), res.ContentLength, len(got.Responses), err)
	}
	for _, a := range got.Responses {
		if string(a.Body) != `"`+body+`"` {
			t.Errorf("part %s has %d bytes", a.ID, len(a.Body))
		}
	}
}

// smallReads gives a few bytes at a time.
type smallReads struct{ r io.Reader }

func (s smallReads) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), 1000)]) }

// A client that expects 100 is told to go on, but not to send what is refused by its header alone.
func TestSocket_ExpectContinue(t *testing.T) {
	e := newEndpoint(t, batch.Config{})
	srv := httptest.NewServer(e.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "ok") })))
	t.Cleanup(srv.Close)
	for _, typ := range []string{"application/json", "text/plain"} {
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		envelope, in := envelopeOf(2), bufio.NewReader(conn)
		_, _ = io.WriteString(conn, "POST /$batch HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: "+typ+"\r\nContent-Length: "+strconv.Itoa(len(envelope))+"\r\n\r\n")
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if typ != "application/json" {
			if !strings.HasPrefix(line, "HTTP/1.1 415 ") {
				t.Errorf("%s: %q", typ, line)
			}
			continue
		}
		if line != "HTTP/1.1 100 Continue\r\n" {
			t.Errorf("%q", line)
		}
		_, _ = in.ReadString('\n')
		_, _ = io.WriteString(conn, envelope)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != 200 || strings.Count(string(all), `"status":200`) != 2 {
			t.Errorf("%d %s, %v", res.StatusCode, all, err)
		}
	}
}

// What a part writes, its protocol and its peer are the same by HTTP/2.
func TestSocket_HTTP2(t *testing.T) {
	e := newEndpoint(t, batch.Config{})
	srv := listen(t, e.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, r.Proto+" "+strconv.FormatBool(r.TLS != nil)+" "+r.URL.Path)
	})))
	res, err := srv.Client().Post(srv.URL+"/$batch", "application/json", strings.NewReader(envelopeOf(30)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got struct{ Responses []answer }
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || res.ProtoMajor != 2 || len(got.Responses) != 30 {
		t.Fatalf("%s, %d parts, %v", res.Proto, len(got.Responses), err)
	}
	for _, a := range got.Responses {
		if a.Status != 200 || string(a.Body) != `"HTTP/2.0 true /`+a.ID+`"` {
			t.Errorf("%+v", a)
		}
	}
}

// When the client leaves, the parts that run are told so, and those that have not begun never do.
func TestSocket_ClientLeaves(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		e := newEndpoint(t, batch.Config{Concurrency: 2})
		began, ended, over := make(chan string, 10), make(chan error, 10), make(chan struct{})
		inner := e.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began <- r.Proto
			<-r.Context().Done()
			ended <- context.Cause(r.Context())
		}))
		srv := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(over)
			inner.ServeHTTP(w, r)
		}))
		if proto == "HTTP/1.1" {
			srv.Client().Transport.(*http.Transport).ForceAttemptHTTP2 = false
			srv.Client().Transport.(*http.Transport).TLSClientConfig.NextProtos = []string{"http/1.1"}
		}
		ctx, leave := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, "POST", srv.URL+"/$batch", strings.NewReader(envelopeOf(10)))
		r.Header.Set("Content-Type", "application/json")
		left := make(chan struct{})
		go func() {
			defer close(left)
			// An answer may still come: TLS says goodbye before it closes, and the server may be faster.
			if res, err := srv.Client().Do(r); err == nil {
				res.Body.Close()
			}
		}()
		for range 2 {
			if got := <-began; got != proto {
				t.Errorf("%s, want %s", got, proto)
			}
		}
		leave()
		<-left
		for range 2 {
			if err := <-ended; err != context.Canceled {
				t.Errorf("%s: the part's context ended with %v", proto, err)
			}
		}
		<-over
		if n := len(began); n > 0 {
			t.Errorf("%s: %d more parts began", proto, n)
		}
		s := e.Stats()
		if s.Running != 0 || s.Parts["refused"] != 8 {
			t.Errorf("%s: %+v", proto, s)
		}
	}
}
