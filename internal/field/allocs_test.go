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
	weights := []string{"gzip, br;q=0.5", "*;q=0"}
	tags := http.Header{"If-Match": {`"a", W/"b"`}, "Vary": {"accept-encoding"}, "Cache-Control": {"public, max-age=1"}}
	for name, f := range map[string]func(){
		"Members": func() {
			for range field.Members(lines) {
			}
		},
		"Has":         func() { field.Has(lines, "close") },
		"DropDigests": func() { field.DropDigests(h) },
		"Weighted": func() {
			for range field.Weighted(weights) {
			}
		},
		"ETags": func() {
			for range field.ETags(tags["If-Match"]) {
			}
		},
		"MapETags":    func() { field.MapETags(tags, "If-Match", func(tag string) (string, bool) { return tag, true }) },
		"NoTransform": func() { field.NoTransform(tags) },
		"MediaType":   func() { field.MediaType("text/html; charset=utf-8") },
		"AddVary":     func() { field.AddVary(tags, "Accept-Encoding") },
		"WeakMatch":   func() { field.WeakMatch(`W/"a"`, `"a"`) },
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}

func TestAllocs_SuffixETag(t *testing.T) {
	tag := `"v1"`
	if got := testing.AllocsPerRun(100, func() { field.SuffixETag(tag, "~zstd") }); got != 1 {
		t.Errorf("%v allocations, want 1, the tag", got)
	}
}
