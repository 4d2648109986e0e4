//go:build !linux

package main

// Cores are the ones that servers and generator run on: here only so many, not which.
type Cores struct {
	Server, Generator []int
	Pinned            bool
}

func splitCores(n int) Cores { return unpinned(n) }

func (c Cores) serverStart(start func() error) error { return start() }

func (c Cores) pinGenerator() (undo func()) { return splitProcs(c) }
