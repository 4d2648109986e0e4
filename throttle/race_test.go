//go:build race

package throttle

// What has one goroutine is not run at length under the race detector, which makes it ten times
// slower and finds nothing there.
const (
	floodKeys  = 300_000
	modelSeeds = 1
)
