//go:build race

package load_test

// The race detector makes everything ten times slower: fewer samples, which say less.
const (
	stallSeconds   = 50
	stallTolerance = 30
)
