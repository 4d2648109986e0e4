//go:build !linux

package load

// attend is for Linux alone.
func attend() {}
