//go:build !race

package tagset_test

import (
	"testing"

	"github.com/hotpath-go/hotpath/internal/tagset"
)

func TestAllocs(t *testing.T) {
	table := tagset.New(0)
	born, tags := table.Now(), slots(t, table, "a", "b")
	table.Purge("c")
	table.Expire(1, "c")
	for name, f := range map[string]func(){
		"Gone":      func() { table.Gone(born, tags) },
		"ExpiredAt": func() { table.ExpiredAt(born, tags) },
		"Purge":     func() { table.Purge("d") },
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
}
