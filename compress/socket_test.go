package compress_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/compress"
)

// overSockets runs f against a server with h behind a Compressor, by HTTP/1.1 and HTTP/2. The client
// asks for nothing by itself.
func overSockets(t *testing.T, h http.Handler, f func(t *testing.T, client *http.Client, url string)) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(mustNew(t, compress.Config{}).Handler(h))
			srv.Config.ErrorLog = quietLog()
			srv.EnableHTTP2 = proto == "HTTP/2.0"
			srv.StartTLS()
			defer srv.Close()
			client := srv.Client()
			client.Transport.(*http.Transport).DisableCompression = true
			f(t, client, srv.URL)
		})
	}
}

func fetch(t *testing.T, client *http.Client, method, url string, fields ...string) (*http.Response, []byte, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	res, err := client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, body, err
}

func TestSockets_MethodsAndStatuses(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/file", fileHandler())
	mux.HandleFunc("/204", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(text(200_000)) })
	overSockets(t, mux, func(t *testing.T, client *http.Client, url string) {
		for _, tc := range []struct {
			name, method, path string
			fields             []string
			status             int
			coding             string
			body               int // plain bytes
			tag                string
		}{
			{"GET", "GET", "/file", nil, 200, "gzip", 20_000, `"v1~gzip"`},
			{"HEAD", "HEAD", "/file", nil, 200, "gzip", 0, `"v1~gzip"`},
			{"204", "GET", "/204", nil, 204, "", 0, ""},
			{"304", "GET", "/file", []string{`If-None-Match: "v1~gzip"`}, 304, "", 0, `"v1~gzip"`},
			{"range", "GET", "/file", []string{"Range: bytes=5-14"}, 206, "", 10, `"v1"`},
			{"two ranges", "GET", "/file", []string{"Range: bytes=5-14,20-29"}, 206, "", -1, `"v1"`},
			{"If-Range with our tag", "GET", "/file", []string{"Range: bytes=5-14", `If-Range: "v1~gzip"`}, 200, "gzip", 20_000, `"v1~gzip"`},
			{"416", "GET", "/file", []string{"Range: bytes=50000-"}, 416, "", -1, ""},
			{"412", "GET", "/file", []string{`If-Match: "v0~gzip"`}, 412, "", 0, `"v1"`},
			{"streamed", "GET", "/stream", nil, 200, "gzip", 200_000, ""},
			{"404", "GET", "/none", nil, 404, "", 19, ""},
		} {
			res, body, err := fetch(t, client, tc.method, url+tc.path, append(tc.fields, "Accept-Encoding: gzip")...)
			if err != nil {
				t.Errorf("%s: %v", tc.name, err)
				continue
			}
			if res.StatusCode != tc.status || res.Header.Get("Content-Encoding") != tc.coding || tc.tag != "" && res.Header.Get("Etag") != tc.tag {
				t.Errorf("%s: %d %v", tc.name, res.StatusCode, res.Header)
			}
			if tc.method != "HEAD" && tc.body >= 0 {
				if got := decoded(t, tc.coding, body); len(got) != tc.body {
					t.Errorf("%s: %d plain bytes, want %d", tc.name, len(got), tc.body)
				}
			}
		}
		get, _, _ := fetch(t, client, "GET", url+"/file", "Accept-Encoding: gzip")
		head, _, _ := fetch(t, client, "HEAD", url+"/file", "Accept-Encoding: gzip")
		if h := head.Header.Get("Content-Length"); h != "" && h != get.Header.Get("Content-Length") {
			t.Errorf("HEAD has length %q, GET %q", h, get.Header.Get("Content-Length"))
		}
	})
}

// H3: a body that shrinks into net/http's buffer, where unannounced trailers are dropped, has them all the same.
func TestH3_UnannouncedTrailersArrive(t *testing.T) {
	for name, n := range map[string]int{"held": 3000, "streamed": 200_000} {
		body := bytes.Repeat([]byte("x"), n)
		overSockets(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write(body)
			w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
		}), func(t *testing.T, client *http.Client, url string) {
			for _, accept := range []string{"gzip", "zstd", "br", "identity"} {
				res, got, err := fetch(t, client, "GET", url, "Accept-Encoding: "+accept)
				if err != nil || !bytes.Equal(decoded(t, res.Header.Get("Content-Encoding"), got), body) || res.Trailer.Get("X-Sum") != "1" {
					t.Errorf("%s, %s: %d bytes, trailers %v, %v", name, accept, len(got), res.Trailer, err)
				}
			}
		})
	}
}

func TestSockets_EarlyHintsAndTrailers(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(103)
		w.Header().Set("Trailer", "X-Sum")
		_, _ = w.Write(text(3000))
		w.Header().Set("X-Sum", "1")
		w.Header().Set(http.TrailerPrefix+"X-More", "2")
	})
	overSockets(t, h, func(t *testing.T, client *http.Client, url string) {
		hints := 0
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == 103 && h.Get("Link") != "" && h.Get("Content-Encoding") == "" {
				hints++
			}
			return nil
		}})
		r, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
		r.Header.Set("Accept-Encoding", "gzip")
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || string(decoded(t, "gzip", body)) != string(text(3000)) {
			t.Errorf("%d bytes: %v", len(body), err)
		}
		if hints != 1 || res.Trailer.Get("X-Sum") != "1" || res.Trailer.Get("X-More") != "2" {
			t.Errorf("%d hints, trailers %v", hints, res.Trailer)
		}
	})
}

// A response that was cut looks cut, whatever was sent of it.
func TestSockets_AbortsLookCut(t *testing.T) {
	for _, n := range []int{0, 100, 36_000, 200_000} {
		for _, flush := range []bool{false, true} {
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				_, _ = w.Write([]byte(noise(n)))
				if flush {
					_ = http.NewResponseController(w).Flush()
				}
				panic(http.ErrAbortHandler)
			})
			overSockets(t, h, func(t *testing.T, client *http.Client, url string) {
				for _, coding := range []string{"gzip", "zstd", "br", "identity"} {
					res, body, err := fetch(t, client, "GET", url, "Accept-Encoding: "+coding)
					if err == nil {
						t.Errorf("%d bytes, flush %v, %s: a well-formed %d of %d bytes", n, flush, coding, res.StatusCode, len(body))
					}
				}
			})
		}
	}
}

func TestSockets_ShortBodiesLookCut(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "300000")
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write(text(len(r.URL.Query().Get("n")) * 1000))
	})
	overSockets(t, h, func(t *testing.T, client *http.Client, url string) {
		for _, n := range []int{1, 100} {
			if res, body, err := fetch(t, client, "GET", url+"?n="+strings.Repeat("x", n), "Accept-Encoding: gzip"); err == nil {
				t.Errorf("%d KB of 300: a well-formed %d of %d bytes", n, res.StatusCode, len(body))
			}
		}
	})
}

// Each event can be decoded before the next one is made, through a proxy on the way too.
func TestSockets_EventsArriveOneByOne(t *testing.T) {
	var streams sync.Map // of chan int, by query: each stream has its own, or one that has ended takes from the next
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next, _ := streams.Load(r.URL.RawQuery)
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		for i := range next.(chan int) {
			fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
		}
	})
	overSockets(t, h, func(t *testing.T, client *http.Client, target string) {
		u, _ := url.Parse(target)
		proxy := httputil.NewSingleHostReverseProxy(u)
		proxy.FlushInterval, proxy.Transport = -1, client.Transport
		outer := httptest.NewServer(mustNew(t, compress.Config{}).Handler(proxy))
		defer outer.Close()
		for name, base := range map[string]string{"direct": target, "proxied": outer.URL} {
			next := make(chan int)
			streams.Store(name, next)
			r, _ := http.NewRequestWithContext(t.Context(), "GET", base+"/?"+name, nil)
			r.Header.Set("Accept-Encoding", "zstd, gzip")
			res, err := client.Do(r) // returns at the header, before the first event
			if err != nil {
				t.Fatal(err)
			}
			if res.Header.Get("Content-Encoding") != "gzip" {
				t.Fatalf("%s: %v", name, res.Header)
			}
			next <- 0
			zr, err := gzip.NewReader(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(zr)
			for i := range 50 {
				if i > 0 {
					next <- i
				}
				got, err := lines.ReadString('\n')
				if err != nil || got != fmt.Sprintf("data: %d\n", i) {
					t.Fatalf("%s, event %d: %q %v", name, i, got, err)
				}
				_, _ = lines.ReadString('\n')
			}
			close(next)
			if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
				t.Errorf("%s: behind the last event %q, %v", name, rest, err)
			}
			res.Body.Close()
		}
	})
}

func TestSockets_FullDuplex(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := rc.EnableFullDuplex(); err != nil && r.ProtoMajor == 1 {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "text/plain")
		_ = rc.Flush()
		in := bufio.NewScanner(r.Body)
		for in.Scan() {
			fmt.Fprintln(w, "echo", in.Text())
			_ = rc.Flush()
		}
	})
	overSockets(t, h, func(t *testing.T, client *http.Client, url string) {
		pr, pw := io.Pipe()
		defer pw.Close()
		r, _ := http.NewRequestWithContext(t.Context(), "POST", url, pr)
		r.Header.Set("Accept-Encoding", "gzip")
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		fmt.Fprintln(pw, 0)
		zr, err := gzip.NewReader(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(zr)
		for i := range 10 {
			if i > 0 {
				fmt.Fprintln(pw, i)
			}
			if got, err := lines.ReadString('\n'); err != nil || got != fmt.Sprintln("echo", i) {
				t.Fatalf("%q %v", got, err)
			}
		}
	})
}

func TestSockets_ClientGone(t *testing.T) {
	gone := make(chan error, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := 0; ; i++ {
			_, err := io.WriteString(w, noise(3000))
			if err == nil {
				err = http.NewResponseController(w).Flush()
			}
			if err != nil {
				gone <- err
				return
			}
		}
	})
	overSockets(t, h, func(t *testing.T, client *http.Client, url string) {
		ctx, cancel := context.WithCancel(t.Context())
		r, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
		r.Header.Set("Accept-Encoding", "gzip")
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadFull(res.Body, make([]byte, 1000))
		cancel()
		res.Body.Close()
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			t.Error("the handler never learned that its client is gone")
		}
	})
}

func TestSockets_Deadlines(t *testing.T) {
	failed := make(chan error, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
			t.Errorf("the deadline does not reach the connection: %v", err)
		}
		w.Header().Set("Content-Type", "text/plain")
		var err error
		for i := 0; i < 1000 && err == nil; i++ {
			if _, err = io.WriteString(w, noise(10_000)); err == nil {
				err = http.NewResponseController(w).Flush()
			}
		}
		failed <- err
	})
	overSockets(t, h, func(t *testing.T, client *http.Client, url string) {
		if res, body, err := fetch(t, client, "GET", url, "Accept-Encoding: gzip"); err == nil {
			t.Errorf("a well-formed %d of %d bytes", res.StatusCode, len(body))
		}
		if err := <-failed; err == nil {
			t.Error("10 MB were written past the deadline")
		}
	})
}

// Hijack and Upgrade are HTTP/1.1's.
func TestSockets_Hijack(t *testing.T) {
	srv := httptest.NewServer(mustNew(t, compress.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = buffered.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
		_ = buffered.Flush()
		line, _ := buffered.ReadString('\n')
		_, _ = io.WriteString(conn, line)
	})))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhello\n")
	got, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 101 ") || !strings.HasSuffix(string(got), "\r\n\r\nhello\n") {
		t.Errorf("%q %v", got, err)
	}
}

// HTTP/1.0 knows no chunks: the connection's end is the body's.
func TestSockets_HTTP10(t *testing.T) {
	srv := httptest.NewServer(mustNew(t, compress.Config{}).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(text(100_000))
	})))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")
	got, err := io.ReadAll(conn)
	_, body, ok := bytes.Cut(got, []byte("\r\n\r\n"))
	if err != nil || !ok || string(decoded(t, "gzip", body)) != string(text(100_000)) {
		t.Errorf("%v, %d bytes", err, len(body))
	}
}

// 64 clients at once, each checks its own bytes.
func TestSockets_ManyClients(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seed := r.URL.Query().Get("seed")
		body := bytes.ReplaceAll(text(40_000), []byte("item"), []byte(seed))
		switch len(seed) % 4 {
		case 0:
			_, _ = w.Write(body)
		case 1:
			_, _ = w.Write(body[:100])
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(body[100:])
		case 2:
			_, _ = w.Write(body)
			_, _ = w.Write(body)
		case 3:
			_, _ = w.Write(body[:50])
			panic(http.ErrAbortHandler)
		}
	})
	overSockets(t, h, func(t *testing.T, client *http.Client, url string) {
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				seed := strings.Repeat("s", i%4) + fmt.Sprint(1000+i)
				want := bytes.ReplaceAll(text(40_000), []byte("item"), []byte(seed))
				if len(seed)%4 == 2 {
					want = append(want, want...)
				}
				coding := []string{"gzip", "zstd", "br", "identity"}[i/4%4]
				for range 3 {
					res, body, err := fetch(t, client, "GET", url+"/?seed="+seed, "Accept-Encoding: "+coding)
					if len(seed)%4 == 3 {
						if err == nil {
							t.Errorf("%s: an abort looks whole", seed)
						}
						continue
					}
					if err != nil || !bytes.Equal(decoded(t, res.Header.Get("Content-Encoding"), body), want) {
						t.Errorf("%s by %s: %d bytes, %v", seed, coding, len(body), err)
					}
				}
			})
		}
		wg.Wait()
	})
}
