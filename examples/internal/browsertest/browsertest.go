// Package browsertest has a real browser look at a page in a test.
package browsertest

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Command is a headless Chromium with further arguments. Without one the test is skipped, and
// fails with CI=true.
func Command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	path := find(t)
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--user-data-dir=" + profile(t),
	}, args...)...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Open opens url until the page has said something, and returns that. The page must leave nothing
// on the console.
func Open(t testing.TB, url string, said <-chan []byte) []byte {
	t.Helper()
	cmd := Command(t, "--remote-debugging-port=0", "--enable-logging=stderr", url)
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	defer func() {
		_ = cmd.Process.Kill()
		<-ended
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, ":CONSOLE") {
				t.Errorf("the console says %s", line)
			}
		}
	}()
	select {
	case b := <-said:
		return b
	case <-ended:
		t.Fatal("the browser ended")
	case <-time.After(60 * time.Second):
		t.Fatal("the page said nothing")
	}
	return nil
}

func find(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("no chromium, which CI has to have")
	}
	t.Skip("no chromium")
	return ""
}

// profile is a directory for a browser, whose helpers write into it for a while after it was killed:
// that it cannot be removed at once is no failure, as it is of t.TempDir.
func profile(t testing.TB) string {
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
