package bulkhead

import (
	"hash/maphash"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// queuesOf are the queues that a tenant has in b.
func queuesOf(b *Bulkhead, tenant string) (all []uint64) {
	hash := maphash.String(b.seed, tenant)
	for range choices {
		all = append(all, hash%flows)
		hash >>= 8
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// apart finds two tenants that have all their queues, and share none of them: the hash is seeded
// anew in each run, and two that meet in a queue share its turns.
func apart(b *Bulkhead) (one, other string) {
	one = ""
	for i := 0; ; i++ {
		name := strconv.Itoa(i)
		mine := queuesOf(b, name)
		switch {
		case len(mine) < choices:
		case one == "":
			one = name
		case !slices.ContainsFunc(mine, func(q uint64) bool { return slices.Contains(queuesOf(b, one), q) }):
			return one, name
		}
	}
}

// By count the one with the long services would get four times as much of the only slot.
func TestQ5_TurnsAreChargedByServiceTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := New(Config{Limit: 1, Fixed: true})
		if err != nil {
			t.Fatal(err)
		}
		long, short := apart(b)
		var mu sync.Mutex
		served := map[string]time.Duration{}
		end := time.Now().Add(20 * time.Second)
		var wg sync.WaitGroup
		for tenant, takes := range map[string]time.Duration{long: 40 * time.Millisecond, short: 10 * time.Millisecond} {
			for range 8 {
				wg.Go(func() {
					for time.Now().Before(end) {
						release, err := b.Acquire(t.Context(), Class{Tenant: tenant})
						if err != nil {
							continue
						}
						time.Sleep(takes)
						release()
						mu.Lock()
						served[tenant] += takes
						mu.Unlock()
					}
				})
			}
		}
		wg.Wait()
		if ratio := float64(served[long]) / float64(served[short]); ratio > 1.25 || ratio < 1/1.25 {
			t.Errorf("long %v, short %v", served[long], served[short])
		}
	})
}
