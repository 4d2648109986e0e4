package cache

import "time"

// started is the base of the clock of all caches. Its monotonic reading is what counts, so
// that a step of the wall clock changes nothing; time.Since of it costs half of time.Now.
var started = time.Now()

func now() time.Duration { return time.Since(started) }

const (
	forever = time.Duration(1<<63 - 1)
	never   = -forever // before any moment; 0 is one under testing/synctest, whose clock begins in 2000
)

// after returns t + d; what overflows is for ever.
func after(t, d time.Duration) time.Duration {
	if t > forever-d {
		return forever
	}
	return t + d
}
