//go:build !race

package throttle

const (
	floodKeys  = 10_000_000
	modelSeeds = 6
)
