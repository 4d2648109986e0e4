package main

import (
	"io"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	if err := run(io.Discard, 1, 1, "zstd"); err == nil || !strings.Contains(err.Error(), `-accept is "zstd"`) {
		t.Errorf("zstd, which the clients do not read: %v", err)
	}
	for _, accept := range []string{"gzip", "identity"} {
		var out strings.Builder
		if err := run(&out, 20, 5, accept); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "20 streams ("+accept+"), 5 events each") || !strings.Contains(out.String(), "; 0 encoders held") {
			t.Errorf("%s", out.String())
		}
	}
}
