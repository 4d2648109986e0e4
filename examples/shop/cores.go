package main

import (
	"fmt"
	"runtime"
)

// split gives the server n of the cores, 0: half, and the generator the rest, at least one each.
func split(cores []int, n int) (server, generator []int) {
	if len(cores) < 2 {
		return cores, cores
	}
	if n == 0 {
		n = len(cores) / 2
	}
	n = min(n, len(cores)-1)
	return cores[:n], cores[n:]
}

// unpinned splits GOMAXPROCS where a process cannot be told its cores.
func unpinned(n int) Cores {
	cores := make([]int, runtime.NumCPU())
	for i := range cores {
		cores[i] = i
	}
	var c Cores
	c.Server, c.Generator = split(cores, n)
	return c
}

// splitProcs leaves this process the generator's share.
func splitProcs(c Cores) (undo func()) {
	procs := runtime.GOMAXPROCS(max(len(c.Generator), 2))
	return func() { runtime.GOMAXPROCS(procs) }
}

func (c Cores) String() string {
	how := "GOMAXPROCS split"
	if c.Pinned {
		how = "pinned"
	}
	return fmt.Sprintf("server %d, generator %d cores, %s", len(c.Server), len(c.Generator), how)
}
