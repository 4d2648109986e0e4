package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Cores are the ones that servers and generator run on.
type Cores struct {
	Server, Generator []int
	Pinned            bool
	all               unix.CPUSet
}

// splitCores gives the server n of the cores that this process may use, 0: half of them, and the
// generator the rest. With a single core both have that.
func splitCores(n int) Cores {
	c := Cores{}
	if unix.SchedGetaffinity(0, &c.all) != nil {
		return unpinned(n)
	}
	var usable []int
	for i := range 8 * len(c.all) * wordBytes {
		if c.all.IsSet(i) {
			usable = append(usable, i)
		}
	}
	c.Server, c.Generator = split(usable, n)
	c.Pinned = true
	return c
}

const wordBytes = strconv.IntSize / 8

func set(cores []int) *unix.CPUSet {
	var s unix.CPUSet
	for _, i := range cores {
		s.Set(i)
	}
	return &s
}

// serverStart runs start so that the process it starts is on the server's cores: affinity is
// inherited from the thread that forks.
func (c Cores) serverStart(start func() error) error {
	if !c.Pinned {
		return start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var was unix.CPUSet
	if err := unix.SchedGetaffinity(0, &was); err != nil {
		return err
	}
	if err := unix.SchedSetaffinity(0, set(c.Server)); err != nil {
		return err
	}
	defer func() { _ = unix.SchedSetaffinity(0, &was) }()
	return start()
}

// pinGenerator puts this process on the generator's cores and returns how to undo it.
func (c Cores) pinGenerator() (undo func()) {
	if !c.Pinned {
		return splitProcs(c)
	}
	// With one, the pacing thread, which sleeps in the system, would starve the workers.
	procs := runtime.GOMAXPROCS(max(len(c.Generator), 2))
	everyThread(set(c.Generator))
	return func() {
		everyThread(&c.all)
		runtime.GOMAXPROCS(procs)
	}
}

// everyThread sets the affinity of all threads of this process. New ones inherit it from one
// that has it, so after a pass without a new thread all have it.
func everyThread(s *unix.CPUSet) {
	seen := map[string]bool{}
	for found := true; found; {
		found = false
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", os.Getpid()))
		if err != nil {
			return
		}
		for _, t := range threads {
			if id, err := strconv.Atoi(t.Name()); err == nil && !seen[t.Name()] {
				seen[t.Name()], found = true, true
				_ = unix.SchedSetaffinity(id, s) // the thread may have ended
			}
		}
	}
}
