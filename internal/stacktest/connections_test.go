package stacktest_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// streams: what was flushed is read, and decoded, while the handler waits.
func streams(t *testing.T, s *stack) {
	for _, accept := range []string{"gzip", "br", "zstd", "identity"} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		res, err := s.client.Do(newRequest(ctx, t, "GET", s.srv.URL+"/live", nil, "Accept-Encoding: "+accept))
		if err != nil {
			t.Error("an event stream:", err)
			return
		}
		defer res.Body.Close()
		err = decoding(res.Header.Get("Content-Encoding"), res.Body, func(body io.Reader) error {
			first := make([]byte, len("data: first\n\n"))
			if _, err := io.ReadFull(body, first); err != nil || string(first) != "data: first\n\n" {
				return fmt.Errorf("%q does not arrive while the handler runs: %w", first, err)
			}
			s.release <- struct{}{}
			if rest, err := io.ReadAll(body); err != nil || string(rest) != "data: last\n\n" {
				return fmt.Errorf("at last %q, %w", rest, err)
			}
			return nil
		})
		if err != nil {
			t.Errorf("by %s: %v", accept, err)
			return
		}
	}
}

// hijack takes the connection over, where the protocol has one for each request; elsewhere the error arrives.
func hijack(t *testing.T, s *stack) {
	if s.proto == "HTTP/2" {
		if a := s.ask(t, "GET", "/hijack"); a.status != http.StatusNotImplemented || a.err != nil {
			t.Errorf("a hijack over HTTP/2: %s", a)
		}
		return
	}
	conn, err := net.Dial("tcp", s.srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "GET /hijack HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\nAccept-Encoding: gzip\r\n\r\n")
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("an upgrade: %v, %v", res, err)
		return
	}
	fmt.Fprintln(conn, "ping")
	if line, err := in.ReadString('\n'); line != "echo ping\n" {
		t.Errorf("an upgrade: %q, %v", line, err)
	}
}

// duplex reads each line of the answer before it sends the next one.
func duplex(t *testing.T, s *stack) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	body, out := io.Pipe()
	go func() { fmt.Fprintln(out, "0") }()
	res, err := s.client.Do(newRequest(ctx, t, "POST", s.srv.URL+"/duplex", body, "Accept-Encoding: gzip"))
	if err != nil {
		t.Error("full duplex:", err)
		return
	}
	defer res.Body.Close()
	in := bufio.NewReader(res.Body)
	const lines = 5
	for i := range lines {
		if line, err := in.ReadString('\n'); line != fmt.Sprintf("echo %d\n", i) {
			t.Errorf("full duplex: %q, %v", line, err)
			return
		}
		if i+1 < lines {
			fmt.Fprintln(out, i+1)
		}
	}
	_ = out.Close()
	_, _ = io.Copy(io.Discard, in) // to its end, or the handler sees a client that left
}

// echoLines is the handler of duplex.
func echoLines(t *testing.T, w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	if r.ProtoMajor == 1 {
		if err := rc.EnableFullDuplex(); err != nil {
			t.Error("full duplex:", err)
		}
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	for in := bufio.NewReader(r.Body); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		_, _ = io.WriteString(w, "echo "+line)
		if err := rc.Flush(); err != nil {
			t.Error("flush:", err)
		}
	}
}

// deadlines: one that has passed ends the reading of a body that never comes.
func deadlines(t *testing.T, s *stack) {
	body, out := io.Pipe()
	defer out.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if a := s.send(ctx, t, "POST", "/deadline", body); a.body != "true" {
		t.Errorf("a read deadline: %s", a)
	}
}

// counting is a body of n bytes that knows how many of them were asked for.
type counting struct {
	io.Reader
	read atomic.Int64
}

func upload(n int) *counting { return &counting{Reader: io.LimitReader(endless{}, int64(n))} }

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, strings.Repeat("x", len(p))), nil }

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// forms: the files that a form was kept in go when its request has been answered. net/http looks for them in the request that
// it gave to the outermost layer.
func forms(t *testing.T, s *stack) {
	for _, target := range []string{"/form", "/form?fields=id"} {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		file, err := form.CreateFormFile("file", "a.txt")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = file.Write(longText)
		_ = form.Close()
		a := s.send(t.Context(), t, "POST", target, &body, "Content-Type: "+form.FormDataContentType(), `If-Match: "1~gzip"`)
		if a.status != http.StatusOK || a.err != nil || !filepath.IsAbs(a.body) {
			t.Errorf("%s: %s", target, a)
			continue
		}
		left := func() bool { _, err := os.Stat(a.body); return err == nil }
		for end := time.Now().Add(10 * time.Second); left() && time.Now().Before(end); {
			time.Sleep(time.Millisecond) // the client may have its answer before the handler has returned
		}
		if left() {
			_ = os.Remove(a.body)
			t.Errorf("%s: a file is left of a form", target)
		}
	}
}

// uploads: the handler reads all of a body; one that it does not want is never sent by a client that asked first.
func uploads(t *testing.T, s *stack) {
	for _, expect := range []string{"X-None: 1", "Expect: 100-continue"} {
		if a := s.send(t.Context(), t, "POST", "/length", upload(100_000), expect); a.body != "100000 <nil>" {
			t.Errorf("a request body, %s: %s", expect, a)
		}
	}
	unread := upload(100_000)
	if a := s.send(t.Context(), t, "POST", "/unread", unread, "Expect: 100-continue"); a.status != http.StatusRequestEntityTooLarge || unread.read.Load() != 0 {
		t.Errorf("a body that nobody wants: %s, %d bytes of it were sent", a, unread.read.Load())
	}
}
