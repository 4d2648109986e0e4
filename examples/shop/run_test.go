package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// spoilEnv makes the children of a driver wrong.
const spoilEnv = "HOTPATH_SHOP_SPOIL"

// onlyAfter makes one variant wrong, so that it differs.
func onlyAfter(spoil func(next http.Handler) http.Handler) Wrap {
	return func(name string, next http.Handler) http.Handler {
		if name != "after" {
			return next
		}
		return spoil(next)
	}
}

// afterSome answers right at first, so that the checks before the measurement pass.
func afterSome(n int64, wrong http.HandlerFunc) Wrap {
	return onlyAfter(func(next http.Handler) http.Handler {
		var seen atomic.Int64
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if seen.Add(1) <= n {
				next.ServeHTTP(w, r)
				return
			}
			wrong(w, r)
		})
	})
}

var spoilers = map[string]Wrap{
	"drops a field": onlyAfter(func(next http.Handler) http.Handler {
		return record(next, func(_ *http.Request, body string) string { return strings.Replace(body, `"rating":`, `"x":`, 1) })
	}),
	"500, fast": onlyAfter(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) })
	}),
	"500, later": afterSome(100, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) }),
	"one old price": onlyAfter(func(next http.Handler) http.Handler {
		var first atomic.Pointer[string]
		var shown atomic.Int64
		return record(next, func(r *http.Request, body string) string {
			if r.URL.Path != "/products/5" || r.Method != http.MethodGet {
				return body
			}
			if !strings.HasPrefix(r.Header.Get("X-Api-Key"), "reader") { // only while old prices are looked for
				return body
			}
			if !first.CompareAndSwap(nil, &body) && shown.Add(1) == 20 {
				return *first.Load()
			}
			return body
		})
	}),
	"old prices, later": onlyAfter(func(next http.Handler) http.Handler {
		return record(next, func(r *http.Request, body string) string {
			if !strings.HasPrefix(r.Header.Get("X-Api-Key"), "probe") { // the checks before the run see nothing
				return body
			}
			return regexp.MustCompile(`"price":\d+`).ReplaceAllString(body, `"price":1`)
		})
	}),
	"falls asleep": onlyAfter(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { time.Sleep(time.Hour) })
	}),
}

var miniature = []string{"-products", "240", "-rounds", "2", "-d", "200ms", "-checks", "60", "-warm", "50", "-rate", "400"}

func mini(t *testing.T, more ...string) (args []string, dir string) {
	dir = filepath.Join(t.TempDir(), "report")
	return append(append([]string{}, miniature...), append([]string{"-o", dir}, more...)...), dir
}

// The whole demonstration in miniature, with all that it writes.
func TestDemo(t *testing.T) {
	readme := filepath.Join(t.TempDir(), "README.md")
	if err := os.WriteFile(readme, []byte("head\n"+readmeBegin+"\nold\n"+readmeEnd+"\ntail\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args, dir := mini(t, "-products", "96", "-rounds", "1", "-readme", readme, "-with", "cache,compress", "-variants", "before,tuned,after")
	columns := 3
	if !quick() {
		args, columns = append(args, "-variants", "before,tuned,peers,after", "-engine", "ristretto"), 5
	}
	code, stdout, stderr, left := shell(t, t.Context(), args...)
	if code != exitOK || left != nil {
		t.Fatalf("exit %d, left %v, stderr %s\n%s", code, left, stderr, stdout)
	}
	for _, want := range []string{
		"machine", "open loop, Poisson", "after/tuned", "after/before", "promised", "throughput", "answers equal 60 of 60",
		"old prices 0 of", "lookups were hits", "answers encoded", "goal ", "latency   0.1 ms |", "report.md",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if strings.Contains(stderr+stdout, "\x1b") {
		t.Error("escape sequences where there is no terminal")
	}
	var r Report
	text, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil || r.Schema != 1 || len(r.Variants) != columns || len(r.Variants[0].Rounds) != 1 || r.Checks.Stale.Reads == 0 || len(r.Checks.Failed) > 0 {
		t.Errorf("report.json: %v, %+v", err, r.Checks)
	}
	for _, v := range r.Variants {
		for _, p := range v.Rounds {
			if p.Open.Done == 0 || p.Saturated.Done == 0 || p.Saturated.Queries == 0 || p.Saturated.WireIn == 0 || p.Saturated.WireOut == 0 || p.Open.Unexplained != 0 {
				t.Errorf("%s: %+v", v.Name, p)
			}
		}
	}
	if peers := r.variant("peers"); peers != nil && (peers.Rounds[0].Saturated.Requests != 1 || !strings.Contains(stdout, "after/peers")) {
		t.Errorf("%v requests per action with a batch endpoint", peers.Rounds[0].Saturated.Requests)
	}
	checkSVG(t, filepath.Join(dir, "report.svg"))
	checkSameTable(t, stdout, filepath.Join(dir, "report.md"))
	page, err := os.ReadFile(readme)
	if err != nil || !strings.HasPrefix(string(page), "head\n"+readmeBegin+"\n```text\nmachine ") || !strings.HasSuffix(string(page), "```\n"+readmeEnd+"\ntail\n") || strings.Contains(string(page), "old\n") {
		t.Errorf("README: %v\n%s", err, page)
	}
}

// R3: rounds are interleaved.
func TestR3_RoundsAreInterleaved(t *testing.T) {
	if testing.Short() {
		t.Skip("a run of two rounds")
	}
	args, _ := mini(t, "-variants", "tuned,after", "-json")
	code, stdout, stderr, _ := shell(t, t.Context(), args...)
	var got []string
	for _, m := range regexp.MustCompile(`round (\d) of 2: (\w+)`).FindAllStringSubmatch(stderr, -1) {
		got = append(got, m[1]+m[2])
	}
	if want := "1tuned 1after 2tuned 2after"; code != exitOK || strings.Join(got, " ") != want {
		t.Errorf("exit %d, %v, want %s", code, got, want)
	}
	if !strings.Contains(stderr, "s left") {
		t.Errorf("progress without the time left:\n%s", stderr)
	}
	if err := json.Unmarshal([]byte(stdout), new(Report)); err != nil {
		t.Errorf("-json: %v", err)
	}
}

// A wrong variant fails verify and the run.
func TestWrongVariantsFail(t *testing.T) {
	for spoil, want := range map[string]string{
		"drops a field": "answers differ",
		"500, fast":     "status 500",
		"500, later":    "status 500",
		"one old price": "reads were stale",

		"old prices, later": "showed an old price",
	} {
		t.Setenv(spoilEnv, spoil)
		for _, command := range []string{"verify", "demo"} {
			later := strings.HasSuffix(spoil, "later")
			if quick() && (command == "demo") != later {
				continue // verify is what the run does first
			}
			args, _ := mini(t, "-variants", "tuned,after", "-products", "96", "-with", "cache") // plain bodies, to be spoilt
			if command == "verify" {
				if later {
					continue
				}
				args = append([]string{command}, args...)
			} else if later {
				args = append(args, "-checks", "20")
			}
			if spoil == "one old price" {
				args = append(args, "-checks", "600")
			}
			code, _, stderr, left := shell(t, t.Context(), args...)
			if code != exitFailed || !strings.Contains(stderr, want) || left != nil {
				t.Errorf("%s, %s: exit %d, left %v, %s", command, spoil, code, left, stderr)
			}
		}
	}
}

// Whenever it is interrupted, nothing is left: no child, no file, no goroutine (TestMain looks).
func TestR12_InterruptLeavesNothing(t *testing.T) {
	phases := []string{"old price", "round 1 of 2: after", "answer alike", "warm-up", "round 1 of 2: before", "round 2 of 2: tuned"}
	variants := []string{"before", "tuned", "after"}
	if quick() {
		phases, variants = phases[:2], variants[1:]
	}
	for _, phase := range phases {
		args, _ := mini(t, "-products", "96", "-checks", "20", "-variants", strings.Join(variants, ","))
		code, stdout, stderr, left := interrupt(t, phase, args)
		if code != exitInterrupted || left != nil || stdout != "" || !strings.HasSuffix(stderr, "shop: interrupted\n") {
			t.Errorf("at %q: exit %d, left %v, stdout %q, stderr %q", phase, code, left, stdout, stderr)
		}
	}
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 50 * time.Millisecond} { // the data is being made
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(after, cancel)
		code, stdout, _, left := shell(t, ctx, "-products", "480")
		if code != exitInterrupted || left != nil || stdout != "" {
			t.Errorf("after %v: exit %d, left %v, stdout %q", after, code, left, stdout)
		}
	}
}

// A server that hangs does not hold up Ctrl-C.
func TestR12_InterruptOfAHangingServer(t *testing.T) {
	t.Setenv(spoilEnv, "falls asleep")
	args, _ := mini(t, "-variants", "tuned,after")
	began := time.Now()
	code, _, stderr, left := interrupt(t, "answer alike", args)
	if code != exitInterrupted || left != nil {
		t.Errorf("exit %d, left %v, %s", code, left, stderr)
	}
	if took := time.Since(began); took > 9*time.Second {
		t.Errorf("it took %v", took)
	}
}

// interrupt runs the program and interrupts it when its progress says phase.
func interrupt(t *testing.T, phase string, args []string) (code int, stdout, stderr string, left []string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	said := make(chan string)
	go func() {
		var all bytes.Buffer
		buf := make([]byte, 4096)
		for {
			n, err := r.Read(buf)
			all.Write(buf[:n])
			if strings.Contains(all.String(), phase) {
				cancel()
			}
			if err != nil {
				said <- all.String()
				return
			}
		}
	}()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var out bytes.Buffer
	code = run(ctx, args, nil, &out, w, nil)
	w.Close()
	stderr = <-said
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	return code, out.String(), stderr, left
}

// A child ends when its stdin does, and clears up: nobody else would.
func TestR12_AChildEndsWithItsDriver(t *testing.T) {
	d := testDrive(t, Options{})
	c, err := startChild(t.Context(), d.o, d.cores, d.seeded, "after")
	if err != nil {
		t.Fatal(err)
	}
	_ = c.in.Close() // as if the driver had been killed
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("the child: %v", err)
	}
	if _, err := os.Stat(filepath.Dir(d.seeded)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its directory is still there: %v", err)
	}
}

// The same with a real driver that is killed in the middle.
func TestR12_AKilledDriverLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args, _ := mini(t, "-d", "1m", "-variants", "tuned,after")
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), childEnv+"=1", "TMPDIR="+dir)
	progress, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	buf := make([]byte, 4096)
	for !strings.Contains(said.String(), "round 1 of 2") {
		n, err := progress.Read(buf)
		said.Write(buf[:n])
		if err != nil {
			t.Fatalf("%v: %s", err, said.String())
		}
	}
	_ = cmd.Process.Kill()
	_, _ = io.Copy(io.Discard, progress) // ends when the last process that writes to it has ended
	_ = cmd.Wait()
	for range 300 { // children that end
		if entries, _ := os.ReadDir(dir); len(entries) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	entries, _ := os.ReadDir(dir)
	t.Errorf("left: %v", entries)
}

func checkSVG(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	elements := map[string]int{}
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if e, ok := token.(xml.StartElement); ok {
			elements[e.Name.Local]++
		}
	}
	if elements["title"] != 1 || elements["desc"] != 1 || elements["path"] < 10 || len(text) > 30_000 || !strings.Contains(string(text), "prefers-color-scheme:dark") {
		t.Errorf("%d bytes, %v", len(text), elements)
	}
}

// checkSameTable: every cell of the terminal's table stands in report.md.
func checkSameTable(t *testing.T, terminal, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	plain := func(s string) string {
		return strings.Join(strings.Fields(strings.NewReplacer("|", " ", "&nbsp;", " ").Replace(s)), " ")
	}
	lines := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		lines[plain(line)] = true
	}
	checked := 0
	for line := range strings.Lines(terminal) {
		if strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "      ") {
			checked++
			if !lines[plain(line)] {
				t.Errorf("report.md has no line %q", plain(line))
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d lines of the table were found", checked)
	}
}
