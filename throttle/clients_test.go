package throttle_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

// need returns the path of a program. Without it the test is skipped, but on the build server,
// where it is installed, it fails.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		missing(t, program+" is not on PATH")
	}
	return path
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s, and CI=true says that it is there", what)
	}
	t.Skipf("%s: this client is not tested here", what)
}

func run(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, stderr.String())
	}
	return string(out), err
}

// strict lets one request in every two seconds, of which the first is already gone: a client
// that obeys is refused once and then served.
func strict(t *testing.T) (url string, answered func() []int) {
	t.Helper()
	l := mustNew(t, throttle.Config{Rate: throttle.Per(1, 2*time.Second)})
	h := l.Handler(hello)
	var mu sync.Mutex
	var codes []int
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		mu.Lock()
		codes = append(codes, rec.Code)
		mu.Unlock()
		for name, lines := range rec.Header() {
			w.Header()[name] = lines
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	}))
	t.Cleanup(srv.Close)
	res, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	return srv.URL, func() []int { mu.Lock(); defer mu.Unlock(); return codes }
}

func obeyed(t *testing.T, body string, err error, codes []int) {
	t.Helper()
	if err != nil || strings.TrimSpace(body) != "hello" || !slices.Equal(codes, []int{200, 429, 200}) {
		t.Errorf("got %q, %v by %v, want one refusal, then hello", body, err, codes)
	}
}

func TestClients_Curl(t *testing.T) {
	curl := need(t, "curl")
	url, answered := strict(t)
	body, err := run(t, curl, "-sS", "--retry", "3", "--fail", url)
	obeyed(t, body, err, answered())
}

func TestClients_Urllib3(t *testing.T) {
	python := need(t, "python3")
	if _, err := run(t, python, "-c", "import urllib3"); err != nil {
		missing(t, "python3 has no urllib3 (Debian: python3-urllib3)")
	}
	url, answered := strict(t)
	body, err := run(t, python, "-c", `
import sys, urllib3
from urllib3.util import Retry
http = urllib3.PoolManager(retries=Retry(total=3, status_forcelist=[429], respect_retry_after_header=True))
print(http.request("GET", sys.argv[1]).data.decode())
`, url)
	obeyed(t, body, err, answered())
}

// Node's packages are found through $NODE_PATH or, on Debian, in /usr/share/nodejs.
func TestClients_Node(t *testing.T) {
	node := need(t, "node")
	for name, script := range map[string]string{
		"got": `import("got").catch(() => require("got")).then(async m => {
			const got = m.got || m.default || m;
			process.stdout.write(await got(process.argv[1], {retry: {limit: 3}}).text());
		})`,
		"axios-retry": `const axios = require("axios"), retry = require("axios-retry").default;
			retry(axios, {retries: 3, retryCondition: e => e.response && e.response.status === 429,
				retryDelay: (n, e) => 1000 * e.response.headers["retry-after"]});
			axios.get(process.argv[1]).then(r => process.stdout.write(r.data))`,
		"fetch": `(async () => {
			for (let i = 0; i < 3; i++) {
				const r = await fetch(process.argv[1]);
				if (r.status !== 429) { process.stdout.write(await r.text()); return; }
				await r.arrayBuffer();
				await new Promise(f => setTimeout(f, 1000 * r.headers.get("retry-after")));
			}
		})()`,
	} {
		t.Run(name, func(t *testing.T) {
			if name != "fetch" {
				if _, err := run(t, node, "-e", fmt.Sprintf("require.resolve(%q)", name)); err != nil {
					missing(t, "node has no package "+name)
				}
			}
			url, answered := strict(t)
			body, err := run(t, node, "-e", script, url)
			obeyed(t, body, err, answered())
		})
	}
}

// Every field parses with a library that is not ours.
func TestClients_StructuredFields(t *testing.T) {
	node := need(t, "node")
	if _, err := run(t, node, "-e", `require.resolve("structured-headers")`); err != nil {
		missing(t, "node has no package structured-headers")
	}
	l := mustNew(t, throttle.Config{Policies: []throttle.Policy{
		{Name: `odd "name" \ ~`, Rate: throttle.Per(10, time.Second)},
		{Name: "day", Rate: throttle.Per(999_999_999_999_999, 999_999_999_999_999)},
	}})
	for range 12 {
		w := serve(l.Handler(nothing), request())
		for _, name := range []string{"RateLimit-Policy", "RateLimit"} {
			out, err := run(t, node, "-e", `const {parseList} = require("structured-headers");
				for (const [item, params] of parseList(process.argv[1])) {
					if (typeof item !== "string") throw new Error("no String: " + item);
					for (const [k, v] of params) if (!Number.isInteger(v)) throw new Error(k);
					process.stdout.write(item + "\n");
				}`, w.Header().Get(name))
			if err != nil || out != "odd \"name\" \\ ~\nday\n" {
				t.Errorf("%s %q: %q, %v", name, w.Header().Get(name), out, err)
			}
		}
	}
}
