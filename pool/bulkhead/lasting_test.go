//go:build !race

package bulkhead_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/pool/bulkhead"
)

// A limit that is too high does not creep up for as long as the load lasts: by 21 to 26 it would in three
// minutes, were its base forgotten meanwhile. It moves by up to 6.
func TestL2_OverloadThatLastsLiftsNoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const servers = 10
		b := newBulkhead(t, bulkhead.Config{})
		took := func(n int64) time.Duration { return 10 * time.Millisecond * time.Duration(max(n, servers)) / servers }
		scripted(t, b, 40, 10*time.Second, took)
		before := b.Stats().Limit
		scripted(t, b, 40, 3*time.Minute, took)
		if after := b.Stats().Limit; after > before+12 || after < servers {
			t.Errorf("it was %d and is %d", before, after)
		}
	})
}
