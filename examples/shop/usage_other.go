//go:build !unix

package main

import "time"

// cpuTime is not known here; the table shows a dash.
func cpuTime() time.Duration { return 0 }
