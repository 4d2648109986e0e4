// Package leaktest fails a test binary that leaves goroutines behind.
package leaktest

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience is how long a goroutine that is ending may take: server connections and
// timers wind down after the test that used them.
const patience = 3 * time.Second

// Main runs the tests of m and exits. It is the whole body of a TestMain:
//
//	func TestMain(m *testing.M) { leaktest.Main(m) }
//
// Tests that passed still fail the binary if a goroutine is left that was not there before.
func Main(m *testing.M) {
	before := Running()
	code := m.Run()
	if code == 0 {
		code = report(os.Stderr, Wait(before, patience))
	}
	os.Exit(code)
}

func report(w io.Writer, left []string) (code int) {
	for _, stack := range left {
		fmt.Fprintf(w, "leaktest: a goroutine is left after the tests:\n%s\n\n", stack)
		code = 1
	}
	return code
}

// Wait returns the stacks of goroutines that are not in before, once there are none or
// patience is over.
func Wait(before []string, patience time.Duration) (left []string) {
	known := make(map[string]bool, len(before))
	for _, stack := range before {
		known[id(stack)] = true
	}
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		left = slices.DeleteFunc(Running(), func(stack string) bool { return known[id(stack)] })
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

// Running returns the stack of every goroutine but the caller's and those that belong to
// the runtime or to package testing.
func Running() []string {
	buf := make([]byte, 64<<10)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	stacks := strings.Split(strings.TrimSpace(string(buf)), "\n\n")
	return slices.DeleteFunc(stacks[1:], func(stack string) bool { // the first one is the caller's
		return strings.Contains(stack, "testing.(*M).") ||
			strings.Contains(stack, "testing.runFuzzing") ||
			strings.Contains(stack, "os/signal.loop") ||
			strings.Contains(stack, "created by runtime.")
	})
}

// id is the "goroutine 12" of a stack: unique for the life of the process.
func id(stack string) string {
	head, _, _ := strings.Cut(stack, " [")
	return head
}
