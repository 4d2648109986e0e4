package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// Host is the machine.
type Host struct {
	System     string   `json:"system"`
	CPU        string   `json:"cpu,omitempty"`
	Kernel     string   `json:"kernel,omitempty"`
	Go         string   `json:"go"`
	Cores      int      `json:"cores"`
	Split      string   `json:"split"`
	LoadBefore *float64 `json:"load_before"` // average of a minute; null: not known here
	LoadAfter  *float64 `json:"load_after"`
	// Foreign is the share of all cores that others used during the run.
	Foreign *float64 `json:"foreign_cpu"`
}

func newHost(cores Cores) Host {
	return Host{
		System: runtime.GOOS + "/" + runtime.GOARCH, CPU: cpuModel(), Kernel: firstWord("/proc/sys/kernel/osrelease"),
		Go: runtime.Version(), Cores: runtime.NumCPU(), Split: cores.String(), LoadBefore: loadAverage(),
	}
}

// foreign is what is said of the load after the run.
func (h Host) foreign() (text string) {
	if h.LoadBefore != nil && h.LoadAfter != nil {
		text = fmt.Sprintf(", load average %.1f -> %.1f", *h.LoadBefore, *h.LoadAfter)
	}
	if h.Foreign != nil {
		text += fmt.Sprintf(", others used %.0f %% of the machine", 100**h.Foreign)
	}
	return text
}

func firstWord(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	word, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	return word
}

func loadAverage() *float64 {
	v, err := strconv.ParseFloat(firstWord("/proc/loadavg"), 64)
	if err != nil {
		return nil
	}
	return &v
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range bytes.Lines(text) {
		if name, value, found := strings.Cut(string(line), ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// busyTime is how long all cores together have worked since the machine was started, in seconds;
// ok is false where that is not known.
func busyTime() (seconds float64, ok bool) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	first, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(first)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, false
	}
	for i, field := range fields[1:9] { // user nice system idle iowait irq softirq steal
		if i == 3 || i == 4 {
			continue
		}
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return 0, false
		}
		seconds += n / 100 // USER_HZ, which is 100 on every Linux
	}
	return seconds, true
}

// revision is the commit that this binary was built from, if the build knew.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	revision, modified := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "+changes"
		}
	}
	return revision + modified
}
