package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
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
	code = run(ctx, args, &out, file)
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
		{[]string{"dance"}, `subcommand is "dance": must be serve or verify, or none`},
		{[]string{"-products", "100"}, "-products is 100: must be a multiple of 48"},
		{[]string{"-rounds", "0"}, "-rounds is 0: must be between 1 and 100"},
		{[]string{"-clients", "-1"}, "-clients is -1: must be"},
		{[]string{"-d", "0s"}, "-d is 0s: must be above 0"},
		{[]string{"-checks", "0"}, "-checks is 0: must be at least 1"},
		{[]string{"-warm", "-1"}, "-warm is -1: must not be negative"},
		{[]string{"-rtt", "-1s"}, "-rtt is -1s: must be"},
		{[]string{"-variants", "tuned,best"}, `-variants has "best": must be of before, tuned, after, after+ristretto`},
		{[]string{"serve", "-variant", "best"}, `-variant is "best": must be one of`},
		{[]string{"-engine", "steam"}, `-engine is "steam": must be ristretto`},
		{[]string{"-with", "magic"}, `-with is "magic": must be of cache, compress`},
		{[]string{"-with", "cache", "-without", "cache"}, "give one of them"},
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

// The whole demonstration in miniature.
func TestDemo(t *testing.T) {
	code, stdout, stderr, left := shell(t, t.Context(), "-products", "96", "-rounds", "1", "-d", "300ms", "-checks", "100", "-warm", "50", "-engine", "ristretto")
	if code != exitOK || left != nil {
		t.Fatalf("exit %d, left %v, stderr %s", code, left, stderr)
	}
	for _, want := range []string{"machine", "closed loop", "after/tuned", "throughput", "answers equal 100 of 100", "stale reads 0 of", "after: ", "after+ristretto: ", "lookups were hits", "saved", "answers encoded"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if !strings.Contains(stderr, "round 1 of 1: after") || strings.Contains(stderr+stdout, "\x1b") {
		t.Errorf("progress: %s", stderr)
	}
}

// Whenever it is interrupted, nothing is left: no file, no goroutine (TestMain looks), no port.
func TestInterrupt(t *testing.T) {
	for _, after := range []time.Duration{0, 30 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		code, stdout, stderr, left := shell(t, ctx, "-products", "480", "-d", "1h")
		cancel()
		if code != exitInterrupted || left != nil || stdout != "" || !strings.HasSuffix(stderr, "shop: interrupted\n") {
			t.Errorf("after %v: exit %d, left %v, stdout %q, stderr %q", after, code, left, stdout, stderr)
		}
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
		done <- run(ctx, []string{"serve", "-variant", "tuned", "-products", "96", "-addr", "127.0.0.1:0"}, writerFunc(func(p []byte) { printed <- string(p) }), os.Stderr)
	}()
	_, rest, _ := strings.Cut(<-printed, "is served at ")
	url, _, _ := strings.Cut(rest, ",")
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

func TestPhase_AQuantileNeedsTenSamplesBeyond(t *testing.T) {
	for n, want := range map[int]bool{0: false, 199: false, 200: true, 1_000: true} {
		p := new(Phase)
		for i := range n {
			p.Latencies = append(p.Latencies, time.Duration(i+1))
		}
		d, ok := p.Quantile(0.95)
		if ok != want || ok && d != time.Duration(n*95/100) {
			t.Errorf("p95 of %d samples: %v, %v", n, d, ok)
		}
	}
}

func TestFigures(t *testing.T) {
	nan := math.NaN()
	for got, want := range map[string]string{
		group(1234567): "1 234 567", group(12): "12", group(nan): "-", group(999.6): "1 000",
		millis(1.25): "1.2", millis(nan): "-", percent(0.0123): "1.2 %",
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
