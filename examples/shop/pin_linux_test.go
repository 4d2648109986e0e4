package main

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// checkAffinity: every thread of the server is on its cores, and every one of ours on the others.
func checkAffinity(t *testing.T, cores Cores, server int) {
	t.Helper()
	for pid, want := range map[int]*unix.CPUSet{server: set(cores.Server), os.Getpid(): set(cores.Generator)} {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil || len(threads) < 2 {
			t.Fatalf("%d threads, %v", len(threads), err)
		}
		for _, thread := range threads {
			id, _ := strconv.Atoi(thread.Name())
			var got unix.CPUSet
			if err := unix.SchedGetaffinity(id, &got); err == nil && got != *want {
				t.Errorf("a thread of process %d is on other cores", pid)
			}
		}
	}
	if len(cores.Server)+len(cores.Generator) > 2 || cores.Server[0] != cores.Generator[0] {
		for _, i := range cores.Server {
			if set(cores.Generator).IsSet(i) {
				t.Errorf("core %d is the server's and the generator's", i)
			}
		}
	}
}
