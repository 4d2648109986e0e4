package compress_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/compress"
)

// need returns the first of programs that is here. Without one the test is skipped, but on
// the build server, where they are installed, it fails.
func need(t *testing.T, programs ...string) string {
	t.Helper()
	for _, p := range programs {
		if path, err := exec.LookPath(p); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed, and CI=true says that it is", programs[0])
	}
	t.Skipf("%s is not on PATH: this client is not tested here", programs[0])
	return ""
}

// output runs a program and returns what it prints.
func output(t *testing.T, stdin []byte, program string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s %s: %v: %s", program, strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// bodies are whole, streamed, flushed and resumed.
func bodies() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/whole", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(text(20_000)) })
	mux.HandleFunc("/streamed", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(text(300_000)) })
	mux.HandleFunc("/flushed", func(w http.ResponseWriter, r *http.Request) {
		for _, n := range []int{100, 3000, 60_000, 5} {
			_, _ = w.Write(text(n))
			_ = http.NewResponseController(w).Flush()
		}
	})
	return mux
}

var paths = [...]string{"/whole", "/streamed", "/flushed"}

func TestClients_Curl(t *testing.T) {
	curl := need(t, "curl")
	features := string(output(t, nil, curl, "--version"))
	srv := httptest.NewServer(mustNew(t, compress.Config{}).Handler(bodies()))
	defer srv.Close()
	for coding, feature := range map[string]string{"gzip": "libz", "br": "brotli", "zstd": "zstd"} {
		t.Run(coding, func(t *testing.T) {
			if !strings.Contains(features, feature) {
				if os.Getenv("CI") == "true" {
					t.Fatalf("this curl has no %s", feature)
				}
				t.Skipf("this curl has no %s", feature)
			}
			for _, path := range paths {
				want := httptest.NewRecorder()
				bodies().ServeHTTP(want, httptest.NewRequest("GET", path, nil))
				for _, version := range []string{"--http1.1", "--http1.0"} {
					if got := output(t, nil, curl, "-sS", "--compressed", version, "-H", "Accept-Encoding: "+coding, srv.URL+path); !bytes.Equal(got, want.Body.Bytes()) {
						t.Errorf("%s %s: %d bytes, want %d", path, version, len(got), want.Body.Len())
					}
					head := output(t, nil, curl, "-sS", "-o", os.DevNull, "-D", "-", version, "-H", "Accept-Encoding: "+coding, srv.URL+path)
					if path != "/flushed" && !strings.Contains(string(head), "Content-Encoding: "+coding) {
						t.Errorf("%s %s: not encoded: %s", path, version, head)
					}
				}
			}
		})
	}
}

func TestClients_NodeFetch(t *testing.T) {
	node := need(t, "node", "nodejs")
	srv := httptest.NewServer(mustNew(t, compress.Config{}).Handler(bodies()))
	defer srv.Close()
	for _, coding := range []string{"gzip", "br"} {
		for _, path := range paths {
			want := httptest.NewRecorder()
			bodies().ServeHTTP(want, httptest.NewRequest("GET", path, nil))
			script := fmt.Sprintf(`fetch(%q, {headers: {"Accept-Encoding": %q}}).then(async r => {
				const body = await r.text();
				process.stdout.write(r.headers.get("content-encoding") + "\n" + body);
			})`, srv.URL+path, coding)
			got, body, _ := strings.Cut(string(output(t, nil, node, "-e", script)), "\n")
			if got != coding && (path != "/flushed" || got != "gzip") || body != want.Body.String() {
				t.Errorf("%s by %s: coding %q, %d bytes, want %d", path, coding, got, len(body), want.Body.Len())
			}
		}
	}
}

func TestClients_Tools(t *testing.T) {
	for coding, tool := range map[string]string{"gzip": "gzip", "br": "brotli", "zstd": "zstd"} {
		t.Run(tool, func(t *testing.T) {
			program := need(t, tool)
			h := mustNew(t, compress.Config{}).Handler(bodies())
			for _, path := range paths {
				want, w := httptest.NewRecorder(), httptest.NewRecorder()
				bodies().ServeHTTP(want, httptest.NewRequest("GET", path, nil))
				r := httptest.NewRequest("GET", path, nil)
				r.Header.Set("Accept-Encoding", coding)
				h.ServeHTTP(w, r)
				if got := output(t, w.Body.Bytes(), program, "-dc"); w.Header().Get("Content-Encoding") != coding || !bytes.Equal(got, want.Body.Bytes()) {
					t.Errorf("%s: coding %q, %d bytes, want %d", path, w.Header().Get("Content-Encoding"), len(got), want.Body.Len())
				}
			}
		})
	}
}

// profile is a directory for a browser, whose helpers write into it for a while after it was killed:
// that it cannot be removed at once is no failure, as it is of t.TempDir.
func profile(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hotpath-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 20 {
			if os.RemoveAll(dir) == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	return dir
}

// A browser gets each event before the next one is made: the server makes the next when the
// page has said that it saw the last.
func TestClients_ChromiumEventSource(t *testing.T) {
	chromium := need(t, "chromium", "chromium-browser", "google-chrome")
	const events = 20
	seen, coding, all := make(chan string, events+2), make(chan string, 1), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<!doctype html><script>
			const es = new EventSource("/events");
			const say = what => fetch("/seen?" + what, {method: "POST"});
			es.onopen = () => say("open");
			es.onmessage = e => say(e.data);
		</script>`)
	})
	mux.HandleFunc("POST /seen", func(w http.ResponseWriter, r *http.Request) { seen <- r.URL.RawQuery })
	var streams atomic.Int64
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		if streams.Add(1) > 1 {
			w.WriteHeader(http.StatusNoContent) // the stream was over: do not come again
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		rc := http.NewResponseController(w)
		_ = rc.Flush()
		select {
		case coding <- w.Header().Get("Content-Encoding"):
		default:
		}
		for i := -1; i < events; i++ {
			want := "open"
			if i >= 0 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				_ = rc.Flush()
				want = itoa(i)
			}
			select {
			case got := <-seen:
				if got != want {
					t.Errorf("the page saw %q, want %q", got, want)
				}
			case <-r.Context().Done():
				return
			case <-time.After(30 * time.Second):
				t.Errorf("the page did not see %q: it is held back", want)
				return
			}
		}
		close(all)
	})
	srv := httptest.NewServer(mustNew(t, compress.Config{}).Handler(mux))
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--user-data-dir="+profile(t), "--remote-debugging-port=0", srv.URL)
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	select {
	case got := <-coding:
		if got != "gzip" {
			t.Errorf("the stream was sent as %q, want gzip", got)
		}
	case <-done:
		t.Error("the browser ended before it asked for the stream")
	case <-ctx.Done():
		t.Error("the browser never asked for the stream")
	}
	select {
	case <-all:
	case <-done:
		t.Error("the browser ended before it saw all events")
	case <-time.After(60 * time.Second):
		t.Error("the page has not seen all events")
	}
	cancel()
	<-done
}
