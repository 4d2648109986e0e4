//go:build !unix

package load

import "time"

// sleepUntil is what the platform gives; the lag shows how good that is.
func sleepUntil(t time.Time) { time.Sleep(time.Until(t)) }
