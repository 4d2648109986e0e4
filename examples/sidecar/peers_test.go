package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A peer is a cache of others, started before a service.
type peer struct {
	name   string
	counts bool // it computes Age
	start  func(t *testing.T, service string) (url string)
}

var peers = [...]peer{{"nginx", false, nginx}, {"varnish", true, varnish}}

// find returns the path of a program; daemons are often not in the PATH of users.
func find(t *testing.T, program string) string {
	t.Helper()
	for _, name := range []string{program, "/usr/sbin/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no ", program)
	}
	t.Skip("no ", program)
	return ""
}

// daemon runs a program until the test ends, and waits until it answers.
func daemon(t *testing.T, port, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	for range 200 {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			_ = c.Close()
			return "http://127.0.0.1:" + port
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", program, said.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not answer", program)
	return ""
}

func nginx(t *testing.T, service string) string {
	path, dir, port := find(t, "nginx"), t.TempDir(), freePort(t)
	conf := fmt.Sprintf(`
daemon off; master_process off; pid %[1]s/pid; error_log stderr warn;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/temp; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	proxy_cache_path %[1]s/cache keys_zone=all:1m;
	server {
		listen 127.0.0.1:%[2]s;
		location / {
			proxy_pass %[3]s; proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Connection "";
			proxy_cache all; proxy_cache_revalidate on; proxy_force_ranges on;
			proxy_pass_header Date;
		}
	}
}`, dir, port, service)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return daemon(t, port, path, "-p", dir, "-e", "stderr", "-c", file)
}

func varnish(t *testing.T, service string) string {
	path, dir, port := find(t, "varnishd"), t.TempDir(), freePort(t)
	return daemon(t, port, path, "-F", "-j", "none", "-n", dir, "-a", "127.0.0.1:"+port, "-b", strings.TrimPrefix(service, "http://"),
		"-s", "malloc,16m", "-p", "default_grace=0", "-p", "default_keep=60")
}

// aged is a service whose answers say when they were made, and that counts loads and validations.
type aged struct {
	loads, validations atomic.Int64
}

func (a *aged) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Etag", `"v1"`)
	h.Set("Cache-Control", "max-age="+r.URL.Query().Get("max-age"))
	h.Set("Content-Type", "text/plain")
	if r.Header.Get("If-None-Match") == `"v1"` {
		a.validations.Add(1)
		w.WriteHeader(http.StatusNotModified)
		return
	}
	a.loads.Add(1)
	h.Set("X-Made", strconv.FormatInt(time.Now().UnixMilli(), 10))
	_, _ = io.WriteString(w, "0123456789")
}

// Caches of others before us and behind us: one load, Age adds up over both, 304s agree, and what is
// stale is revalidated through both.
func TestPeers(t *testing.T) {
	for _, p := range peers {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/before us %t", p.name, before), func(t *testing.T) {
				service := new(aged)
				origin := httptest.NewServer(service)
				t.Cleanup(origin.Close)
				var url, inner string // inner is the cache next to the service
				if before {
					inner, _, _ = startBefore(t, origin.URL)
					url = p.start(t, inner)
				} else {
					inner = p.start(t, origin.URL)
					url, _, _ = startBefore(t, inner)
				}
				// The inner cache has it for a while before the outer one asks.
				path := "/doc?max-age=60"
				if res, body := fetch(t, inner+path); res.StatusCode != 200 || body != "0123456789" {
					t.Fatal(res.Status, body)
				}
				time.Sleep(1100 * time.Millisecond)
				var age int64
				for range 2 {
					res, body := fetch(t, url+path)
					made, _ := strconv.ParseInt(res.Header.Get("X-Made"), 10, 64)
					if res.StatusCode != 200 || body != "0123456789" || made == 0 {
						t.Fatal(res.Status, body, res.Header)
					}
					// Whole seconds, rounded down by each of two. nginx does not count, so behind it
					// we can only go by Date.
					real := time.Now().UnixMilli() - made
					age, _ = strconv.ParseInt(res.Header.Get("Age"), 10, 64)
					if least := real/1000 - 2; p.counts && age < least || age > real/1000+1 {
						t.Errorf("Age: %d, made %d ms ago: %v", age, real, res.Header)
					}
					time.Sleep(1100 * time.Millisecond)
				}
				if p.counts && age == 0 {
					t.Error("Age stands still")
				}
				// A condition is answered without the service, by the same tag.
				res, body := fetch(t, url+path, `If-None-Match: "v1"`)
				if res.StatusCode != 304 || body != "" || strings.TrimPrefix(res.Header.Get("Etag"), "W/") != `"v1"` {
					t.Error(res.Status, body, res.Header)
				}
				if res, body := fetch(t, url+path, "Range: bytes=2-4", "Accept-Encoding: gzip"); res.StatusCode != 206 || body != "234" || res.Header.Get("Content-Range") != "bytes 2-4/10" {
					t.Error(res.Status, body, res.Header)
				}
				if res, body := fetch(t, url+path, `If-None-Match: "v2"`); res.StatusCode != 200 || body != "0123456789" {
					t.Error(res.Status, body)
				}
				if n, v := service.loads.Load(), service.validations.Load(); n > 2 || v > 0 {
					t.Errorf("%d loads, %d validations of what is fresh", n, v)
				}
				// What has become stale is validated, not loaded.
				stale := "/stale?max-age=1"
				fetch(t, url+stale)
				loads := service.loads.Load()
				time.Sleep(2100 * time.Millisecond)
				if res, body := fetch(t, url+stale); res.StatusCode != 200 || body != "0123456789" {
					t.Error(res.Status, body)
				}
				if n, v := service.loads.Load(), service.validations.Load(); n != loads || v == 0 {
					t.Errorf("stale: %d loads more, %d validations", n-loads, v)
				}
			})
		}
	}
}

// Clients that people use: curl, Node's fetch, and Go's over HTTP/1.1 and HTTP/2.
func TestClients(t *testing.T) {
	service := new(aged)
	url, _, _, _ := start(t, service)
	url += "/doc?max-age=60"
	fetch(t, url)
	output := func(t *testing.T, program string, args ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	t.Run("curl", func(t *testing.T) {
		curl, tag := find(t, "curl"), filepath.Join(t.TempDir(), "tag")
		for _, version := range []string{"--http1.1", "--http2-prior-knowledge"} {
			// The first writes the tag down, the second asks by it.
			if out := output(t, curl, "-s", version, "--compressed", "--etag-save", tag, "-w", " %{http_code}", url); out != "0123456789 200" {
				t.Errorf("%s: %q", version, out)
			}
			if out := output(t, curl, "-s", version, "--compressed", "--etag-compare", tag, "-w", "%{http_code}", url); out != "304" {
				t.Errorf("%s, by its tag: %q", version, out)
			}
			if out := output(t, curl, "-s", version, "-r", "3-5", "-w", " %{http_code}", url); out != "345 206" {
				t.Errorf("%s, a range: %q", version, out)
			}
			if out := output(t, curl, "-sI", version, url); !strings.Contains(strings.ToLower(out), "content-length: 10") || !strings.Contains(out, "hotpath; hit") {
				t.Errorf("%s, HEAD: %q", version, out)
			}
		}
	})
	t.Run("Node", func(t *testing.T) {
		node := find(t, "node")
		out := output(t, node, "--input-type=module", "-e", `
const url = process.argv[1]
const a = await fetch(url)
const b = await fetch(url, { headers: { 'If-None-Match': a.headers.get('etag') } })
const c = await fetch(url, { headers: { Range: 'bytes=-2' } })
console.log(a.status, await a.text(), a.headers.get('cache-status'), b.status, (await b.text()).length, c.status, await c.text())
`, url)
		if !strings.HasPrefix(out, "200 0123456789 hotpath; hit; ttl=") || !strings.HasSuffix(out, " 304 0 206 89\n") {
			t.Errorf("%q", out)
		}
	})
	t.Run("Go", func(t *testing.T) {
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		for name, transport := range map[string]*http.Transport{"HTTP/1.1": {}, "HTTP/2": {Protocols: protocols}} {
			defer transport.CloseIdleConnections()
			for field, status := range map[string]int{"": 200, `"v1"`: 304, `"v2"`: 200} {
				r, _ := http.NewRequest("GET", url, nil)
				r.Header.Set("If-None-Match", field)
				res, err := transport.RoundTrip(r)
				if err != nil {
					t.Fatal(name, err)
				}
				b, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || res.StatusCode != status || status == 200 && string(b) != "0123456789" || !strings.HasPrefix(res.Proto, name) {
					t.Error(name, field, res.Status, string(b), err, res.Proto)
				}
			}
		}
	})
	// Fetch adds no-cache where a program gives its own condition, so that is validated.
	if n, v := service.loads.Load(), service.validations.Load(); n != 1 || v > 1 {
		t.Errorf("%d loads, %d validations", n, v)
	}
}
