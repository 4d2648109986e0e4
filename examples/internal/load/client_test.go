package load_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/examples/internal/load"
)

// What net/http's server sends is read as net/http's client reads it.
func TestClient_RealServer(t *testing.T) {
	long := strings.Repeat("0123456789", 300_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/long":
			_, _ = io.WriteString(w, long)
		case "/chunked":
			w.Header().Set("Trailer", "X-Sum")
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, long[:40_000])
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "end")
			w.Header().Set("X-Sum", "1")
		case "/early":
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = io.WriteString(w, "late")
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/echo":
			w.Header().Set("Content-Encoding", "zstd")
			_, _ = io.WriteString(w, r.Method+" "+r.Header.Get("X-Api-Key")+" "+string(body))
		}
	}))
	defer server.Close()
	addr := server.Listener.Addr().String()
	c := load.NewClient()
	defer c.Close()
	for range 3 { // over the same connection
		for _, tc := range []struct {
			method, path, body string
			want               load.Answer
		}{
			{"GET", "/long", "", load.Answer{Status: 200, Type: "application/json", Body: []byte(long)}},
			{"HEAD", "/long", "", load.Answer{Status: 200, Type: "application/json"}},
			{"GET", "/chunked", "", load.Answer{Status: 200, Type: "application/json", Body: []byte(long[:40_000] + "end")}},
			{"GET", "/early", "", load.Answer{Status: 200, Type: "application/json", Body: []byte("late")}},
			{"GET", "/none", "", load.Answer{Status: 204, Type: "application/json"}},
			{"POST", "/echo", "hello", load.Answer{Status: 200, Type: "application/json", Coding: "zstd", Body: []byte("POST 7 hello")}},
			{"POST", "/echo", "", load.Answer{Status: 200, Type: "application/json", Coding: "zstd", Body: []byte("POST 7 ")}},
		} {
			err := c.Do(t.Context(), addr, load.Request(tc.method, addr, tc.path, tc.body, "X-Api-Key: 7"), func(a load.Answer) error {
				if a.Status != tc.want.Status || a.Type != tc.want.Type || a.Coding != tc.want.Coding || !bytes.Equal(a.Body, tc.want.Body) {
					t.Errorf("%s %s: %d %q %q, %d bytes", tc.method, tc.path, a.Status, a.Type, a.Coding, len(a.Body))
				}
				return nil
			})
			if err != nil {
				t.Errorf("%s %s: %v", tc.method, tc.path, err)
			}
		}
	}
}

// A connection that ends before its answer does is a failure, and the request is not sent
// again: net/http's client would do that, and count one.
func TestClient_SendsEachRequestOnce(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var arrived atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for i := range 2 {
					if _, err := http.ReadRequest(r); err != nil {
						return
					}
					arrived.Add(1)
					if i == 0 { // the second request on a connection gets no answer
						_, _ = io.WriteString(c, ok)
					}
				}
			})
		}
	})
	addr := listener.Addr().String()
	c := load.NewClient()
	cut := 0
	for range 10 {
		err := c.Do(t.Context(), addr, ping, func(load.Answer) error { return nil })
		if err != nil {
			cut++
			if load.CauseOf(err) != load.Cut {
				t.Error(err)
			}
		}
	}
	if requests, _, _ := c.Counts(); requests != 10 || arrived.Load() != 10 || cut != 5 {
		t.Errorf("%d counted, %d arrived, %d cut, want 10, 10 and 5", requests, arrived.Load(), cut)
	}
	// net/http's own client against the same server, to see that the test could fail.
	h := &http.Client{Transport: &http.Transport{}}
	for range 2 {
		if res, err := h.Get("http://" + addr); err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	}
	h.CloseIdleConnections()
	if n := arrived.Load() - 10; n != 3 {
		t.Errorf("net/http sent 2 requests %d times, which this test is about", n)
	}
	c.Close()
	listener.Close()
	wg.Wait()
}

func TestClient_Causes(t *testing.T) {
	c := load.NewClient()
	defer c.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "not all")
			panic(http.ErrAbortHandler)
		case "/cut-chunks":
			_, _ = io.WriteString(w, "not all")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/slow":
			<-r.Context().Done()
		case "/busy":
			w.WriteHeader(503)
		}
	}))
	defer server.Close()
	addr := server.Listener.Addr().String()
	for path, want := range map[string]string{"/cut": load.Cut, "/cut-chunks": load.Cut, "/slow": load.Timeout, "/busy": load.Refused} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		err := c.Do(ctx, addr, load.Request("GET", addr, path, ""), func(a load.Answer) error { return load.Expect(a, 200) })
		cancel()
		if load.CauseOf(err) != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	if err := c.Do(t.Context(), "127.0.0.1:1", ping, nil); load.CauseOf(err) != load.Connect {
		t.Errorf("nobody listens: %v", err)
	}
	odd := errors.New("odd")
	if got := load.CauseOf(load.Fail("mine", odd)); got != "mine" || load.CauseOf(odd) != load.Other || !errors.Is(load.Fail("mine", odd), odd) {
		t.Errorf("cause %q", got)
	}
}

func TestReadAnswer_RefusesWhatIsNoAnswer(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":             "",
		"no status":           "HTTP/1.1\r\n\r\n",
		"another protocol":    "ICY 200 OK\r\n\r\n",
		"a status of letters": "HTTP/1.1 2x0 OK\r\n\r\n",
		"a small status":      "HTTP/1.1 099 OK\r\n\r\n",
		"switching":           "HTTP/1.1 101 Yes\r\n\r\n",
		"a cut header":        "HTTP/1.1 200 OK\r\nContent-Le",
		"a space in a name":   "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx",
		"no colon":            "HTTP/1.1 200 OK\r\nhello\r\n\r\n",
		"a negative length":   "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"two lengths":         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"length and chunks":   "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"an unknown framing":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"a cut body":          "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nxx",
		"a huge body":         "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nxx",
		"a long line":         "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 9_000) + "\r\n\r\n",
		"endless fields":      "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: x\r\n", 300) + "\r\n",
		"a bad chunk":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
		"a long chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n",
		"no last chunk":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
		"cut trailers":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: x\r\n",
	} {
		if a, _, err := load.ReadAnswer([]byte(text)); err == nil {
			t.Errorf("%s: %d %q", name, a.Status, a.Body)
		}
	}
}

// What we read as an answer net/http reads as the same one.
func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte(ok))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 No\r\nContent-Encoding: br\r\n\r\nrest"))
	f.Add([]byte("HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\nConnection: close\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, _, err := load.ReadAnswer(b)
		if err != nil {
			return
		}
		r := bufio.NewReader(bytes.NewReader(b))
		for {
			res, err := http.ReadResponse(r, nil)
			if err != nil {
				// net/http also looks at fields that mean nothing to us.
				t.Skip()
			}
			if res.StatusCode < 200 && a.Status >= 200 {
				continue
			}
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Skip()
			}
			if res.StatusCode != a.Status || !bytes.Equal(body, a.Body) {
				t.Fatalf("%d %q, net/http: %d %q", a.Status, a.Body, res.StatusCode, body)
			}
			return
		}
	})
}
