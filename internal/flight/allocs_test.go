//go:build !race

package flight_test

import (
	"context"
	"testing"

	"github.com/hotpath-go/hotpath/internal/flight"
)

func TestAllocs_BlockedWithoutATask(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if got := testing.AllocsPerRun(100, func() { flight.Blocked(ctx)() }); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}
