package leaktest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

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
