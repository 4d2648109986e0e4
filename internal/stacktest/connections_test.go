package stacktest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/pool"
	"github.com/hotpath-go/hotpath/throttle"
)

func working(t *testing.T) middleware {
	t.Helper()
	p, err := pool.New(pool.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return middleware{name: "pool", wrap: p.Handler, work: p}
}

// connections are what a handler does with its connection rather than with its answer: it must reach it
// through any stack.
func connections(t *testing.T, letters, proto string) {
	var work *pool.Pool
	var limit *throttle.Limiter
	var aborts, later atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hijack", func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotImplemented)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := buffered.ReadString('\n')
		_, _ = io.WriteString(conn, "echo "+line)
	})
	mux.HandleFunc("POST /duplex", func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if r.ProtoMajor == 1 {
			if err := rc.EnableFullDuplex(); err != nil {
				t.Errorf("%s: full duplex: %v", letters, err)
			}
		}
		for _, set := range []func(time.Time) error{rc.SetReadDeadline, rc.SetWriteDeadline} {
			if err := set(time.Now().Add(time.Minute)); err != nil {
				t.Errorf("%s: a deadline: %v", letters, err)
			}
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		lines := bufio.NewReader(r.Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(w, "echo "+line)
			if err := rc.Flush(); err != nil {
				t.Errorf("%s: flush: %v", letters, err)
			}
		}
	})
	mux.HandleFunc("PUT /length", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	mux.HandleFunc("GET /cut", func(w http.ResponseWriter, _ *http.Request) {
		aborts.Add(1)
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write(text(100_000))
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("GET /work", func(w http.ResponseWriter, r *http.Request) {
		if err := work.After(r.Context(), func(context.Context) error { later.Add(1); return nil }); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusAccepted)
	})
	mux.HandleFunc("GET /own/{n}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusNoContent)
	})

	h := http.Handler(mux)
	for i := len(letters) - 1; i >= 0; i-- {
		m := layerOf(t, letters[i])
		if letters[i] == 't' { // one that does not fill while we count
			l, err := throttle.New(throttle.Config{Rate: throttle.Per(1, time.Hour), Burst: 1_000})
			if err != nil {
				t.Fatal(err)
			}
			m.wrap, limit = l.Handler, l
		}
		if m.work != nil {
			work = m.work
		}
		h = m.wrap(h)
	}
	srv := httptest.NewUnstartedServer(h)
	if srv.EnableHTTP2 = proto == "HTTP/2"; srv.EnableHTTP2 {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	defer srv.Close()
	client := srv.Client()
	client.Transport.(*http.Transport).DisableCompression = true

	hijack(t, client, srv, proto)
	duplex(t, client, srv.URL+"/duplex")
	body := strings.NewReader(strings.Repeat("x", 100_000))
	if r, _ := http.NewRequestWithContext(t.Context(), "PUT", srv.URL+"/length", body); true {
		r.Header.Set("Accept-Encoding", "identity")
		if res, err := client.Do(r); err != nil {
			t.Error("a request body:", err)
		} else if b, err := io.ReadAll(res.Body); string(b) != "100000 <nil>" {
			t.Errorf("a request body: %s, %v", b, err)
		}
	}
	for range 2 {
		ran := aborts.Load() // a client may ask again by itself where nothing has come
		if a := ask(t, client, "GET", srv.URL+"/cut"); a.err == nil || aborts.Load() == ran {
			t.Errorf("an abort: status %d, %v, the handler ran %d times before and %d after", a.status, a.err, ran, aborts.Load())
		}
	}
	if work != nil {
		if a := ask(t, client, "GET", srv.URL+"/work"); a.status != http.StatusAccepted {
			t.Errorf("work after the response: %d %v", a.status, a.err)
		}
		for end := time.Now().Add(20 * time.Second); later.Load() == 0 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if later.Load() != 1 || work.Stats().Unwrapped != 0 {
			t.Errorf("work after the response ran %d times, %d outside", later.Load(), work.Stats().Unwrapped)
		}
	}
	if limit != nil && strings.Contains(letters, "b") {
		key := throttle.KeyAddr(netip.MustParseAddr("127.0.0.1"), 32)
		before := limit.Peek(t.Context(), key, 1).Remaining
		r, _ := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/$batch", strings.NewReader(envelopeOf("/own/1", "/own/2", "/own/3", "/own/4")))
		r.Header.Set("Content-Type", "application/json")
		res, err := client.Do(r)
		if err != nil {
			t.Fatal("a batch:", err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if paid := before - limit.Peek(t.Context(), key, 1).Remaining; paid != 4 {
			t.Errorf("four parts cost %d tokens", paid)
		}
	}
}

// hijack takes the connection over, where the protocol has one for each request.
func hijack(t *testing.T, client *http.Client, srv *httptest.Server, proto string) {
	t.Helper()
	if proto == "HTTP/2" {
		if a := ask(t, client, "GET", srv.URL+"/hijack", "Accept-Encoding: identity"); a.status != http.StatusNotImplemented || a.err != nil {
			t.Errorf("a hijack over HTTP/2: %d %v", a.status, a.err)
		}
		return
	}
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
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
func duplex(t *testing.T, client *http.Client, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	body, out := io.Pipe()
	r, _ := http.NewRequestWithContext(ctx, "POST", url, body)
	r.Header.Set("Accept-Encoding", "identity")
	go func() { fmt.Fprintln(out, "0") }()
	res, err := client.Do(r)
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
