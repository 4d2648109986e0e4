//go:build !race

package field_test

import (
	"net/http"
	"testing"

	"github.com/hotpath-go/hotpath/internal/field"
)

func TestAllocs_Lists(t *testing.T) {
	lines := []string{`a, "b,c"`, "close"}
	h := http.Header{"Trailer": {"X-Sum"}, "Accept-Ranges": {"bytes"}}
	for name, f := range map[string]func(){
		"Members": func() {
			for range field.Members(lines) {
			}
		},
		"Has":         func() { field.Has(lines, "close") },
		"DropDigests": func() { field.DropDigests(h) },
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}
