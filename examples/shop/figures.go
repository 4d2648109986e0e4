package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// align pads the cells: the first two columns to the left, figures to the right.
func align(rows [][]string) (lines []string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if i < 2 {
				b.WriteString(" " + cell + pad)
			} else {
				b.WriteString("  " + pad + cell)
			}
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}

const dash = "-" // a figure without enough samples is no zero

// value is NaN for a figure that is not there.
func value(v *float64) float64 {
	if v == nil {
		return math.NaN()
	}
	return *v
}

// millis is a time in milliseconds; a service worth measuring has some below 10 us.
func millis(v *float64) string {
	switch {
	case v == nil || math.IsNaN(*v):
		return dash
	case *v < 1:
		return strconv.FormatFloat(*v, 'f', 2, 64)
	}
	return strconv.FormatFloat(*v, 'f', 1, 64)
}

func decimals(v float64) string {
	if math.IsNaN(v) {
		return dash
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func percent(v float64) string {
	if math.IsNaN(v) {
		return dash
	}
	return strconv.FormatFloat(100*v, 'f', 1, 64) + " %"
}

// group writes a whole number with a space between thousands.
func group(v float64) string {
	if math.IsNaN(v) {
		return dash
	}
	digits := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + " " + digits[i:]
	}
	return digits
}

// change is by how much after is less, or more, than other. Beyond -99 % it needs a decimal.
func change(after, other float64) string {
	v := 100 * (after/other - 1)
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return dash
	case v < -99:
		return strconv.FormatFloat(v, 'f', 1, 64) + " %"
	}
	return fmt.Sprintf("%+.0f %%", v+0) // +0: no -0
}

func times(after, other float64) string {
	v := after / other
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return dash
	case v < 10:
		return fmt.Sprintf("%.1fx", v)
	}
	return fmt.Sprintf("%.0fx", v)
}
