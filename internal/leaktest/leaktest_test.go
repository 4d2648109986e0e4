package leaktest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// The binary runs itself with one test that leaks, and has to fail.
func TestMain_FailsForALeak(t *testing.T) {
	if os.Getenv("LEAK") == "1" {
		go func() { select {} }()
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestMain_FailsForALeak$")
	cmd.Env = append(os.Environ(), "LEAK=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "TestMain_FailsForALeak") || !strings.Contains(string(out), "a goroutine is left") {
		t.Errorf("exit %v, output:\n%s", err, out)
	}
}

func TestWait_FindsAGoroutineThatStays(t *testing.T) {
	before := leaktest.Running()
	stop := make(chan struct{})
	go func() { <-stop }()

	left := leaktest.Wait(before, 20*time.Millisecond)
	if len(left) != 1 || !strings.Contains(left[0], "TestWait_FindsAGoroutineThatStays") {
		t.Errorf("left: %q, want the goroutine of this test", left)
	}
	close(stop)
	if left := leaktest.Wait(before, 5*time.Second); len(left) != 0 {
		t.Errorf("left after it ended: %q", left)
	}
}
