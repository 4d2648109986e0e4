//go:build !race

package load_test

const (
	stallSeconds   = 100
	stallTolerance = 5 // ms
)
