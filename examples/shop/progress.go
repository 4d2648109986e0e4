package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// A Progress is what a run says on stderr while it works.
type Progress struct {
	w        io.Writer
	terminal bool
	steps    int
	step     int
	end      time.Time
	started  bool
}

// newProgress writes to f. It moves the cursor only on a terminal.
func newProgress(f *os.File, steps int, estimate time.Duration) *Progress {
	info, err := f.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == ""
	return &Progress{w: f, terminal: terminal, steps: steps, end: time.Now().Add(estimate)}
}

// Next begins a step; the line of the one before gets what Done said of it.
func (p *Progress) Next(format string, args ...any) {
	p.Done("")
	p.step++
	text := fmt.Sprintf(format, args...)
	left := "soon done"
	if d := time.Until(p.end).Round(time.Second); d > 0 {
		left = d.String() + " left"
	}
	fmt.Fprintf(p.w, "  %2d/%d  %s %s %s", p.step, p.steps, text, strings.Repeat(".", max(52-len(text), 3)), left)
	p.started = true
	if !p.terminal {
		fmt.Fprintln(p.w)
	}
}

// Done ends the step under way.
func (p *Progress) Done(result string) {
	if !p.started {
		return
	}
	p.started = false
	switch {
	case p.terminal && result == "":
		fmt.Fprintln(p.w)
	case p.terminal:
		fmt.Fprintf(p.w, "   %s\n", result)
	case result != "":
		fmt.Fprintf(p.w, "         %s\n", result)
	}
}
