//go:build !race

package stat_test

import (
	"sync/atomic"
	"testing"

	"github.com/hotpath-go/hotpath/internal/stat"
)

func TestAllocs_Counting(t *testing.T) {
	var d stat.Durations
	var s stat.Striped[struct{ n atomic.Uint64 }]
	for name, f := range map[string]func(){
		"Observe": func() { d.Observe(12345) },
		"Here":    func() { s.Here().n.Add(1) },
		"Each": func() {
			for stripe := range s.Each() {
				stripe.n.Load()
			}
		},
		"Read and Quantile": func() { h := d.Read(); h.Quantile(0.5) },
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}
