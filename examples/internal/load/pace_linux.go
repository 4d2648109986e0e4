package load

import "golang.org/x/sys/unix"

// attend makes the sleeps of the calling thread end at their moment: the kernel may else put a
// wake-up off by 50 us, to have several at once.
func attend() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) }
