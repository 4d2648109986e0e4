package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shell runs the program with a temporary directory of its own and returns what it printed and
// what it left behind.
func shell(t *testing.T, ctx context.Context, args ...string) (code int, stdout, stderr string, left []string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out bytes.Buffer
	code = run(ctx, args, strings.NewReader(""), &out, file, nil)
	text, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	return code, out.String(), string(text), left
}

func TestBadFlags(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"-x"}, "flag provided but not defined: -x"},
		{[]string{"dance"}, `subcommand is "dance": must be serve, load, verify or ablate, or none`},
		{[]string{"-products", "100"}, "-products is 100: must be a multiple of 48"},
		{[]string{"-rounds", "0"}, "-rounds is 0: must be between 1 and 100"},
		{[]string{"-rate", "-1"}, "-rate is -1: must be"},
		{[]string{"-cpus", "-1"}, "-cpus is -1: must be"},
		{[]string{"-variants", "tuned,tuned"}, `-variants has "tuned" twice`},
		{[]string{"load", "-url", "https://shop.example"}, `-url is "https://shop.example": must be like http://`},
		{[]string{"serve", "-child"}, "-child needs -data"},
		{[]string{"-child"}, "flag provided but not defined: -child"},
		{[]string{"-d", "0s"}, "-d is 0s: must be above 0"},
		{[]string{"-checks", "0"}, "-checks is 0: must be at least 1"},
		{[]string{"-warm", "-1"}, "-warm is -1: must not be negative"},
		{[]string{"-rtt", "-1s"}, "-rtt is -1s: must be"},
		{[]string{"-variants", "tuned,best"}, `-variants has "best": must be of before, tuned, peers, after, after+ristretto`},
		{[]string{"serve", "-variant", "best"}, `-variant is "best": must be one of`},
		{[]string{"-admin", "127.0.0.1:9090"}, "-admin is for serve alone"},
		{[]string{"-engine", "steam"}, `-engine is "steam": must be ristretto`},
		{[]string{"-with", "magic"}, `-with is "magic": must be of cache, httpcache, partial, batch, compress, throttle`},
		{[]string{"-with", "cache", "-without", "cache"}, "give one of them"},
		{[]string{"verify", "-variants", "after"}, `-variants is "after": must be at least two`},
		{[]string{"verify", "now"}, `arguments are ["now"]`},
	} {
		code, stdout, stderr, left := shell(t, t.Context(), tc.args...)
		if code != exitUsage || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, tc.want) || stdout != "" || left != nil {
			t.Errorf("%v: exit %d, stderr %q, stdout %q, left %v", tc.args, code, stderr, stdout, left)
		}
	}
}

func TestHelp(t *testing.T) {
	code, stdout, _, _ := shell(t, t.Context(), "-h")
	if code != exitOK || !strings.Contains(stdout, "-products") || !strings.Contains(stdout, "./shop serve") {
		t.Errorf("exit %d: %s", code, stdout)
	}
}

func TestAPortInUseIsNamed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	code, _, stderr, left := shell(t, t.Context(), "serve", "-products", "96", "-addr", listener.Addr().String())
	if code != exitFailed || !strings.Contains(stderr, "cannot listen on "+listener.Addr().String()+": ") || strings.Count(stderr, "\n") != 1 || left != nil {
		t.Errorf("exit %d, stderr %q, left %v", code, stderr, left)
	}
}

func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	printed := make(chan string, 1)
	done := make(chan int)
	go func() {
		done <- run(ctx, []string{"serve", "-variant", "tuned", "-products", "96", "-addr", "127.0.0.1:0"}, nil, writerFunc(func(p []byte) { printed <- string(p) }), os.Stderr, nil)
	}()
	_, rest, _ := strings.Cut(<-printed, "is served at ")
	url, _, _ := strings.Cut(rest, ",")
	code, text, stderr, _ := shell(t, t.Context(), "load", "-url", url, "-products", "96", "-variant", "tuned", "-d", "300ms", "-rate", "100")
	if code != exitOK || !strings.Contains(text, "offered 100 actions/s") || !strings.Contains(text, "reads") {
		t.Errorf("load: exit %d, %s%s", code, text, stderr)
	}
	res, err := http.Get(url + "/products/1")
	if err != nil || res.StatusCode != 200 {
		t.Errorf("%v, %v", res, err)
	}
	if err == nil {
		res.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("exit %d", code)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// What cannot be known is null, and failures fail the command in whatever form it prints.
func TestLoad_JSON(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) }))
	defer server.Close()
	code, text, stderr, _ := shell(t, t.Context(), "load", "-json", "-url", server.URL, "-products", "96", "-d", "200ms", "-rate", "100")
	if code != exitFailed || !strings.Contains(stderr, "actions failed (status ") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	var report map[string]any
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"queries_per_action", "rows_per_action", "cpu_us_per_action", "allocs_per_action", "alloc_bytes_per_action"} {
		if v, there := report[name]; !there || v != nil {
			t.Errorf("%s is %v (there: %v), want null", name, v, there)
		}
	}
}

// Where the report can go is looked at before the run.
func TestDemo_LooksWhereItWrites(t *testing.T) {
	readme := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(readme, []byte("no markers"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-o", filepath.Join(readme, "report")}, {"-o", "", "-readme", readme}} {
		if code, stdout, stderr, left := shell(t, t.Context(), args...); code != exitFailed || stdout != "" || strings.Count(stderr, "\n") != 1 || left != nil {
			t.Errorf("%q: exit %d, %q, %q, left %v", args, code, stdout, stderr, left)
		}
	}
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

func TestWorkload_SameSeedSameActions(t *testing.T) {
	take := func(seed uint64) (list []string, kinds map[Kind]int) {
		w := NewWorkload(2_400, seed)
		kinds = map[Kind]int{}
		for range 20_000 {
			a := w.Next()
			kinds[a.Kind]++
			list = append(list, fmt.Sprint(a))
		}
		return list, kinds
	}
	first, kinds := take(1)
	second, _ := take(1)
	other, _ := take(2)
	if !slices.Equal(first, second) || slices.Equal(first, other) {
		t.Error("the seed must decide, and alone")
	}
	for _, s := range shares {
		if got := float64(kinds[s.kind]) / 200; math.Abs(got-float64(s.percent)) > 1 {
			t.Errorf("%s: %.1f %%, want %d", s.kind, got, s.percent)
		}
	}
}

func TestFigures(t *testing.T) {
	nan, one, small := math.NaN(), 1.25, 0.126
	for got, want := range map[string]string{
		group(1234567): "1 234 567", group(12): "12", group(nan): "-", group(999.6): "1 000",
		millis(&one): "1.2", millis(&small): "0.13", millis(nil): "-", millis(&nan): "-", decimals(nan): "-", percent(0.0123): "1.2 %",
		change(5, 10): "-50 %", change(20, 10): "+100 %", change(0.03, 10): "-99.7 %", change(nan, 1): "-", change(1, 0): "-",
		times(47, 10): "4.7x", times(1_000, 3): "333x", times(1, 0): "-",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	lines := align([][]string{{"a", "ms", "1 000"}, {"long", "", "7"}})
	if lines[0] != " a    ms  1 000" || lines[1] != " long         7" {
		t.Errorf("%q", lines)
	}
}
