//go:build unix

package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleepUntil sleeps in the system, on a thread that the caller has locked. time.Sleep waits in
// the network poller, which counts in whole milliseconds: it overshoots by 0.75 ms (median),
// this by 0.09 ms. select is the one sleep that every Unix has.
func sleepUntil(t time.Time) {
	for {
		left := time.Until(t)
		if left <= 0 {
			return
		}
		timeout := unix.NsecToTimeval(int64(min(left, time.Second)))
		_, _ = unix.Select(0, nil, nil, nil, &timeout) // EINTR: another round
	}
}
