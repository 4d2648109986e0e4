package tagset_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/internal/leaktest"
	"github.com/hotpath-go/hotpath/internal/tagset"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func slots(t testing.TB, table *tagset.Table, tags ...string) []uint32 {
	t.Helper()
	s, err := table.Slots(tags)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPurge(t *testing.T) {
	table := tagset.New(0)
	before := table.Now()
	a, b, none := slots(t, table, "a"), slots(t, table, "b", "c"), slots(t, table)
	table.Purge("a", "")
	after := table.Now()
	for _, tc := range []struct {
		name string
		born uint64
		tags []uint32
		gone bool
	}{
		{"born before", before, a, true},
		{"born after", after, a, false},
		{"another tag", before, b, false},
		{"no tag", before, none, false},
	} {
		if got := table.Gone(tc.born, tc.tags); got != tc.gone {
			t.Errorf("%s: gone %v, want %v", tc.name, got, tc.gone)
		}
	}
	table.PurgeAll()
	if !table.Gone(after, none) || !table.Gone(after, b) || table.Gone(table.Now(), b) {
		t.Error("PurgeAll takes all that was born before and nothing else")
	}
}

func TestPurge_OfATagThatNobodyHasYet(t *testing.T) {
	table := tagset.New(0)
	born := table.Now()
	table.Purge("a")
	if !table.Gone(born, slots(t, table, "a")) {
		t.Error("a load that began before the purge and ends with the tag must be gone")
	}
}

func TestExpire(t *testing.T) {
	table := tagset.New(0)
	born := table.Now()
	a := slots(t, table, "x", "a")
	if _, ok := table.ExpiredAt(born, a); ok {
		t.Error("expired before Expire")
	}
	table.Expire(time.Second, "a")
	at, ok := table.ExpiredAt(born, a)
	if !ok || at != time.Second || table.Gone(born, a) {
		t.Errorf("expired %v at %v, gone %v, want stale since 1s and not gone", ok, at, table.Gone(born, a))
	}
	if _, ok := table.ExpiredAt(table.Now(), a); ok {
		t.Error("what was born after Expire is not expired, at the same moment or not")
	}
	table.Expire(3*time.Second, "x")
	if at, _ := table.ExpiredAt(born, a); at != time.Second {
		t.Errorf("stale since %v, want the earlier of two tags", at)
	}
}

func TestSlots_Limits(t *testing.T) {
	table := tagset.New(1)
	many := make([]string, 65)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	for name, tc := range map[string]struct {
		tags []string
		ok   bool
		n    int
	}{
		"none": {nil, true, 0}, "empty ones go": {[]string{"", "a", ""}, true, 1}, "64": {many[:64], true, 64}, "64 and empty ones": {append([]string{"", ""}, many[:64]...), true, 64}, "65": {many, false, 0},
		"1 KiB": {[]string{strings.Repeat("x", 1024)}, true, 1}, "more": {[]string{strings.Repeat("x", 1025)}, false, 0},
	} {
		got, err := table.Slots(tc.tags)
		if (err == nil) != tc.ok || len(got) != tc.n {
			t.Errorf("%s: %d slots, %v", name, len(got), err)
		}
	}
}

func TestNew_TakesAtMostA64th(t *testing.T) {
	for maxBytes, most := range map[int64]uint32{1: 1 << 12, 2 << 20: 1 << 12, 4 << 20: 1 << 13, 64 << 20: 1 << 17, 1 << 40: 1 << 20, 0: 1 << 17} {
		table := tagset.New(maxBytes)
		var highest uint32
		for i := range 1 << 14 {
			for _, s := range slots(t, table, fmt.Sprint(i)) {
				highest = max(highest, s)
			}
		}
		if highest >= most || highest < most-most/8 {
			t.Errorf("of %d bytes: highest slot %d, want just under %d", maxBytes, highest, most)
		}
	}
}

// The numbers of concurrent purges never go back.
func TestPurge_Concurrent(t *testing.T) {
	table := tagset.New(0)
	tag := slots(t, table, "a")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1_000 {
				born := table.Now()
				table.Purge("a")
				table.Expire(1, "a")
				if !table.Gone(born, tag) {
					t.Error("not gone after the own purge")
					return
				}
				if _, ok := table.ExpiredAt(born, tag); !ok {
					t.Error("not expired after the own Expire")
					return
				}
			}
		})
	}
	wg.Wait()
}

// The twin keeps the tags themselves. Where the table says less than the twin it would serve
// what was purged; more is allowed only where two tags share a slot.
func FuzzPurge(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5})
	f.Fuzz(func(t *testing.T, script []byte) {
		table := tagset.New(0)
		type entry struct {
			born  uint64
			slots []uint32
			tags  [2]string
			gone  bool
		}
		var entries []*entry
		for _, op := range script {
			tags := [2]string{string('a' + op>>2&7), string('a' + op>>5)}
			switch op & 3 {
			case 0, 1:
				entries = append(entries, &entry{table.Now(), slots(t, table, tags[:]...), tags, false})
			case 2:
				table.Purge(tags[0])
				for _, e := range entries {
					e.gone = e.gone || e.tags[0] == tags[0] || e.tags[1] == tags[0]
				}
			case 3:
				if op>>2&7 == 0 {
					table.PurgeAll()
					for _, e := range entries {
						e.gone = true
					}
				}
			}
		}
		letters := map[uint32]string{}
		for c := range 8 {
			tag := string(rune('a' + c))
			s := slots(t, table, tag)[0]
			if letters[s] != "" {
				t.Skip("two of eight letters share a slot")
			}
			letters[s] = tag
		}
		for _, e := range entries {
			if got := table.Gone(e.born, e.slots); got != e.gone {
				t.Errorf("an entry with tags %v: gone %v, the twin says %v", e.tags, got, e.gone)
			}
		}
	})
}
