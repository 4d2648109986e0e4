package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A bad flag is one line on stderr and exit 2.
func TestRun_BadFlags(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"-to", "localhost:3000"},
		{"-to", "ftp://x"},
		{"-what"},
		{"-to", "http://x", "more"},
		{"-to", "http://x", "-cache-bytes", "5MB"},
		{"-to", "http://x", "-heuristic", "2"},
		{"-to", "http://x", "-rate", "-1"},
		{"-to", "http://x", "-burst", "5"},
		{"-to", "http://x", "-trust", "me"},
		{"-to", "http://x", "-stale-if-error", "-5s"},
	} {
		var stderr bytes.Buffer
		if code := run(t.Context(), args, io.Discard, &stderr); code != 2 {
			t.Errorf("%q: exit %d, want 2", args, code)
		}
		if line := stderr.String(); !strings.HasPrefix(line, "sidecar: ") || strings.Count(line, "\n") != 1 {
			t.Errorf("%q says %q, want one line", args, line)
		}
	}
}

// start runs the sidecar before a service and returns its URL, and how to stop it.
func start(t *testing.T, service http.Handler, args ...string) (url, admin string, origin *httptest.Server, stop func() int) {
	t.Helper()
	origin = httptest.NewServer(service)
	t.Cleanup(origin.Close)
	url, admin, stop = startBefore(t, origin.URL, args...)
	return url, admin, origin, stop
}

func startBefore(t *testing.T, origin string, args ...string) (url, admin string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		code := run(ctx, append([]string{"-listen", "127.0.0.1:0", "-admin", "127.0.0.1:0", "-to", origin}, args...), in, io.Discard)
		in.CloseWithError(errors.New("it ended"))
		ended <- code
	}()
	lines := bufio.NewScanner(out)
	for range 2 {
		if !lines.Scan() {
			t.Fatal("the sidecar did not start: ", lines.Err())
		}
		if rest, ok := strings.CutPrefix(lines.Text(), "admin "); ok {
			admin = rest
		} else {
			url = lines.Text()
		}
	}
	var once atomic.Bool
	stop = func() int {
		if !once.CompareAndSwap(false, true) {
			return -1
		}
		cancel()
		return <-ended
	}
	t.Cleanup(func() { stop() })
	return url, admin, stop
}

func fetch(t *testing.T, url string, fields ...string) (*http.Response, string) {
	t.Helper()
	r, _ := http.NewRequest("GET", url, nil)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func TestSidecar_CachesAndPurges(t *testing.T) {
	var calls atomic.Int64
	url, admin, _, _ := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprintf(w, "%d %s", calls.Add(1), strings.Repeat("text ", 1000))
	}))
	fetch(t, url)
	res, body := fetch(t, url, "Accept-Encoding: gzip")
	if res.Header.Get("Content-Encoding") != "gzip" || len(body) > 1000 || calls.Load() != 1 {
		t.Error(res.Header, len(body), calls.Load())
	}
	res, err := http.PostForm(admin+"/purge", map[string][]string{"url": {url + "/"}})
	if err != nil || res.StatusCode != 204 {
		t.Fatal(err, res)
	}
	res.Body.Close()
	if _, body = fetch(t, url); !strings.HasPrefix(body, "2 ") {
		t.Error("the purge did nothing")
	}
	if res, _ := fetch(t, url+"/purge"); res.Header.Get("Cache-Status") == "" {
		t.Error("the purge endpoint is public")
	}
}

// What the layers count is on the admin address, and nowhere else.
func TestSidecar_Metrics(t *testing.T) {
	url, admin, _, _ := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
	}), "-rate", "100")
	fetch(t, url)
	fetch(t, url)
	_, body := fetch(t, admin+"/metrics")
	for _, series := range []string{
		`hotpath_httpcache_requests_total{name="sidecar",outcome="hit"} 1`, `hotpath_httpcache_requests_total{name="sidecar",outcome="miss"} 1`,
		"hotpath_compress_", "hotpath_throttle_",
	} {
		if !strings.Contains(body, series) {
			t.Errorf("no %s in\n%s", series, body)
		}
	}
	if _, body := fetch(t, url+"/metrics"); strings.Contains(body, "hotpath_") {
		t.Error("the figures are public")
	}
}

// The service is down: what is stored if that is allowed, else 502 as problem+json.
func TestSidecar_ServiceDown(t *testing.T) {
	url, _, origin, _ := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=0")
		w.Header().Set("Etag", `"1"`)
		fmt.Fprint(w, "good")
	}), "-stale-if-error", "60s")
	for { // it is stored when the client has it, or a moment later
		if res, _ := fetch(t, url+"/known"); strings.Contains(res.Header.Get("Cache-Status"), "fwd=stale") {
			break
		}
	}
	origin.Close()
	if res, body := fetch(t, url+"/known"); res.StatusCode != 200 || body != "good" {
		t.Error(res.StatusCode, body)
	}
	if res, _ := fetch(t, url+"/new"); res.StatusCode != 502 || res.Header.Get("Content-Type") != "application/problem+json" || res.Header.Get("Cache-Control") != "no-store" {
		t.Error(res.StatusCode, res.Header)
	}
}

// K5: forwarded fields are those of trusted peers, and then in the key.
func TestK5_ForwardedFields(t *testing.T) {
	service := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, r.Header.Get("X-Forwarded-Proto"), " ", r.Header.Get("X-Forwarded-Host"))
	})
	stranger, _, _, _ := start(t, service)
	if _, body := fetch(t, stranger, "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example"); strings.Contains(body, "https") || strings.Contains(body, "evil") {
		t.Errorf("a stranger's fields arrived: %q", body)
	}
	trusted, _, _, _ := start(t, service, "-trust", "127.0.0.0/8")
	for _, proto := range []string{"https", "http", "https"} {
		if _, body := fetch(t, trusted, "X-Forwarded-Proto: "+proto, "X-Forwarded-Host: a.example"); body != proto+" a.example" {
			t.Errorf("%q for %s", body, proto)
		}
	}
}

// A stream arrives while it is written, and a stop lets it end.
func TestSidecar_StreamsAndDrains(t *testing.T) {
	release := make(chan struct{})
	url, _, _, stop := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		<-release
		fmt.Fprint(w, "data: 2\n\n")
	}))
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, 9)
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "data: 1\n\n" {
		t.Fatalf("%q %v", first, err)
	}
	code := make(chan int)
	go func() { code <- stop() }()
	time.Sleep(50 * time.Millisecond) // the stop has begun, most likely
	close(release)
	rest, err := io.ReadAll(res.Body)
	if string(rest) != "data: 2\n\n" || err != nil {
		t.Errorf("%q %v", rest, err)
	}
	if c := <-code; c != 0 {
		t.Errorf("exit %d", c)
	}
}

// At once pass those of a second, and one of a slower rate.
func TestSidecar_BurstOfASecond(t *testing.T) {
	for rate, want := range map[string]string{"5": "q=5;", "2.5": "q=3;", "0.01": "q=1;"} {
		url, _, _, stop := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), "-rate", rate)
		if res, _ := fetch(t, url); !strings.Contains(res.Header.Get("RateLimit-Policy"), want) {
			t.Errorf("-rate %s: %q, want %s", rate, res.Header.Get("RateLimit-Policy"), want)
		}
		stop()
	}
}

func TestSidecar_Limits(t *testing.T) {
	url, _, _, _ := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), "-rate", "0.5", "-burst", "2")
	fetch(t, url)
	fetch(t, url)
	if res, _ := fetch(t, url); res.StatusCode != 429 {
		t.Error(res.StatusCode)
	}
}

// A live page that somebody looks at ends with the sidecar, as if it had come to its end, and holds up nothing.
func TestSidecar_StopsWhileSomebodyLooks(t *testing.T) {
	_, admin, _, stop := start(t, http.NotFoundHandler())
	res, err := http.Get(admin + "/?events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	if line, err := lines.ReadString('\n'); line != "event: start\n" || err != nil {
		t.Fatal(line, err)
	}
	code := make(chan int)
	go func() { code <- stop() }()
	if _, err := io.Copy(io.Discard, lines); err != nil { // what is cut off after the time to drain ends in the middle
		t.Errorf("the page was cut off: %v", err)
	}
	if c := <-code; c != 0 {
		t.Errorf("exit %d", c)
	}
}
