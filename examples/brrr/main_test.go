package main

import (
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(&out, 2000, 0); err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{"built-in  level 2", "go-brrr   level 2", "built-in  level 5", "go-brrr   level 5"} {
		if !strings.Contains(out.String(), row) {
			t.Errorf("no row %q:\n%s", row, out.String())
		}
	}
}
