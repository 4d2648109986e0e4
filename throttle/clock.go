package throttle

import "time"

// A clock counts from the making of a limiter. It is monotonic: setting the wall clock back
// blocks nobody. Where the machine is suspended it stands, which errs to refusal.
type clock struct {
	start time.Time
	fake  func() int64 // for tests whose readings come out of order
}

// now is never 0, the word of a slot that was never used.
func (c *clock) now() int64 {
	if c.fake != nil {
		return c.fake()
	}
	return int64(time.Since(c.start)) + 1
}

func (c *clock) units(l *law) uint64 { return uint64(c.now()) * l.unit }
