package cache

// Tests of what cannot be seen from outside: the table, the sketch and the climber by themselves.

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// The twin of the table is a map. Hashes are few, so that groups fill up and marks meet.
func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 64, 65, 128, 129, 1, 2})
	f.Add([]byte("a long run of inserts and removes that has to rebuild the table more than once"))
	f.Fuzz(func(t *testing.T, script []byte) {
		table, twin := newTable[byte, int](0), map[byte]*Entry[byte, int]{}
		hashOf := func(key byte) uint64 { return uint64(key%7) * 0x0101 }
		for i, op := range script {
			key := op % 64
			hash := hashOf(key)
			old := twin[key]
			switch {
			case op < 192: // set
				e := &Entry[byte, int]{Key: key, Value: i, hash: hash}
				if old != nil {
					table.replace(old, e)
				} else {
					if table.full() {
						table = table.rebuilt()
					}
					table.insert(e)
				}
				twin[key] = e
			case old != nil:
				table.remove(old)
				delete(twin, key)
			}
			if table.taken != len(twin) || table.used < table.taken || table.used > len(table.groups)*groupSize {
				t.Fatalf("step %d: taken %d, used %d, the twin has %d", i, table.taken, table.used, len(twin))
			}
		}
		for key := range byte(64) {
			if got := table.find(hashOf(key), key); got != twin[key] {
				t.Errorf("key %d: %v, the twin has %v", key, got, twin[key])
			}
		}
	})
}

// Readers without a lock see an entry from when its insert has returned until its remove begins,
// whatever is built anew meanwhile.
func TestTable_ReadersNeedNoLock(t *testing.T) {
	var sh shard[int, int]
	var c climber
	c.begin(1_000)
	sh.begin(&c)
	hashOf := func(key int) uint64 { return uint64(key) * 0x9E3779B97F4A7C15 }
	const stays = 50
	for key := range stays {
		sh.mu.Lock()
		sh.insert(&Entry[int, int]{Key: key, hash: hashOf(key)})
		sh.mu.Unlock()
	}
	var readers, writer sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for key := range stays {
					if e := sh.table.Load().find(hashOf(key), key); e == nil || e.Key != key {
						t.Errorf("key %d: %v", key, e)
						return
					}
				}
			}
		})
	}
	writer.Go(func() {
		for round := range 50 {
			for key := stays; key < 2_000; key++ {
				sh.mu.Lock()
				sh.insert(&Entry[int, int]{Key: key, Value: round, hash: hashOf(key)})
				sh.mu.Unlock()
			}
			for key := stays; key < 2_000; key++ {
				sh.mu.Lock()
				sh.remove(sh.table.Load().find(hashOf(key), key))
				sh.mu.Unlock()
			}
		}
	})
	writer.Wait()
	close(stop)
	readers.Wait()
}

// An estimate is never below what was counted since the last halving, up to its maximum, and for
// most keys it is exact.
func FuzzSketch(f *testing.F) {
	f.Add(uint64(1), uint16(500))
	f.Fuzz(func(t *testing.T, seed uint64, n uint16) {
		var s sketch
		s.begin(1_000)
		s.keys = math.MaxInt / 100 // never halved here
		rng := rand.New(rand.NewPCG(seed, 0))
		exact := map[uint64]int{}
		for range n % 2_000 {
			key := rng.Uint64N(500) * 0x9E3779B97F4A7C15
			uses := 1 + rng.IntN(3)
			exact[key] += uses
			s.add(key, uses)
		}
		for key, uses := range exact {
			if got := s.estimate(key); got < min(uses, counterMax) || got > counterMax {
				t.Fatalf("a key that was used %d times is estimated at %d", uses, got)
			}
		}
	})
}

func TestSketch_HalvesThePast(t *testing.T) {
	var s sketch
	s.begin(64)
	s.add(1, 12)
	s.keys = 1
	s.add(2, 1) // the limit of ten additions a key is passed
	if got := s.estimate(1); got != 6 {
		t.Errorf("12 uses are estimated at %d after halving, want 6", got)
	}
	for range 1_000 {
		s.add(3, 15) // saturates, and overflows into no neighbour
	}
	if got := s.estimate(3); got > counterMax {
		t.Errorf("%d", got)
	}
}

// The climber goes on while it gets better, turns back when it gets worse, and stays in bounds.
func TestClimber(t *testing.T) {
	var c climber
	c.begin(100)
	lookups := func(hits, misses int) {
		for range hits {
			c.hit(0)
		}
		for range misses {
			c.miss(0)
		}
		c.climb(100)
	}
	lookups(400, 600) // the base line
	if w := c.window(); w != firstWindow {
		t.Errorf("window %v before anything was tried", w)
	}
	lookups(420, 580)
	up := c.window()
	lookups(430, 570)
	further := c.window()
	lookups(410, 590)
	back := c.window()
	if !(up > firstWindow && further > up && back < further) {
		t.Errorf("windows %v, %v, %v: want up, further up, back", up, further, back)
	}
	for i := range 200 {
		lookups(i*5, 1_000-i*5)
		if w := c.window(); w < leastWindow || w > mostWindow {
			t.Fatalf("window %v", w)
		}
	}
}

// With no bound in bytes and few items the engine is one shard; with many it has more, and still
// holds to its bound in all of them together.
func TestEngine_Shards(t *testing.T) {
	for _, items := range []int{1, 2, 100, 5_000, 100_000} {
		s, err := NewStore[string, int](-1, items)
		if err != nil {
			t.Fatal(err)
		}
		e := s.(*engine[string, int])
		if n := len(e.shards); n > 1 && items/n < itemsPerShard {
			t.Errorf("%d items in %d shards", items, n)
		}
		for i := range 2*items + 10 {
			key := fmt.Sprint(i)
			if !s.Set(NewEntry(key, i, 1, 0, 0)) || s.Get(key) == nil {
				t.Fatalf("%d items: key %s is not here directly after Set", items, key)
			}
		}
		if n, bytes, evicted := s.Usage(); n != items || bytes != int64(16*items) || evicted != uint64(items+10) {
			t.Errorf("%d items, %d bytes, %d evicted, want %d, %d, %d", n, bytes, evicted, items, 16*items, items+10)
		}
	}
}

// A shard that was emptied for one large entry fills up again.
func TestEngine_AnEmptiedShardRegrows(t *testing.T) {
	const items = 8_192
	s, err := NewStore[int, int](items*100, 0)
	if err != nil {
		t.Fatal(err)
	}
	e := s.(*engine[int, int])
	e.shards = make([]shard[int, int], 4)
	e.shift = 62
	for i := range e.shards {
		e.shards[i].begin(&e.climber)
	}
	read := func() {
		for key := range items * 9 / 10 {
			if s.Get(key) == nil {
				s.Set(NewEntry(key, key, 100, 0, 0))
			}
		}
	}
	for range 3 {
		read()
	}
	s.Set(NewEntry(-1, 0, items*50, 0, 0))
	s.Delete(-1)
	for range 5 {
		read()
	}
	least := int64(items)
	for i := range e.shards {
		least = min(least, e.shards[i].window.items+e.shards[i].main.items)
	}
	if least < items/8 {
		t.Errorf("the smallest of four shards has %d of %d entries", least, items)
	}
}

// Memory goes with the entries: tables shrink, and an entry that is kept keeps no others.
func TestEngine_GivesMemoryBack(t *testing.T) {
	s, _ := NewStore[int, int](-1, 1<<20)
	e := s.(*engine[int, int])
	first := NewEntry(0, 0, 1, 0, 0)
	s.Set(first)
	for key := 1; key < 50_000; key++ {
		s.Set(NewEntry(key, key, 1, 0, 0))
	}
	for key := 1; key < 50_000; key++ {
		s.Delete(key)
	}
	places := 0
	for i := range e.shards {
		places += len(e.shards[i].table.Load().groups) * groupSize
	}
	if places > 128*len(e.shards) {
		t.Errorf("%d places for one entry", places)
	}
	s.Clear()
	if first.prev != nil || first.next != nil {
		t.Error("an entry is still linked after Clear")
	}
	for range 2 {
		if !s.Set(first) || s.Get(0) != first {
			t.Error("an entry cannot be set again")
		}
	}
	s.Delete(0)
	if items, bytes, _ := s.Usage(); items != 0 || bytes != 0 {
		t.Errorf("%d items, %d bytes", items, bytes)
	}
}

// An update keeps what is known of how often its key is used, and its place.
func TestEngine_AnUpdateKeepsTheUses(t *testing.T) {
	s, _ := NewStore[int, int](-1, 100)
	s.Set(NewEntry(1, 1, 1, 0, 0))
	for range 5 {
		s.Get(1)
	}
	again := NewEntry(1, 2, 1, 0, 0)
	s.Set(again)
	if got := again.used(); got != 5 {
		t.Errorf("%d uses after an update, want the 5 that the key had", got)
	}
}

// A table that is built anew while the broom is on its way has entries behind the broom that it has
// not seen: it begins again, and does not rest before they are dead.
func TestEngine_TheBroomMissesNothing(t *testing.T) {
	behind := 0
	for trial := range 100 {
		s, _ := NewStore[int, int](-1, 2_047) // one shard
		sh := &s.(*engine[int, int]).shards[0]
		for key := range 300 {
			s.Set(NewEntry(key, key, 1, 0, 0))
		}
		mortal := NewEntry(1_000+trial, 0, 1, 0, time.Hour)
		s.Set(mortal)
		where := func() int {
			for i := range sh.table.Load().groups {
				for at := range groupSize {
					if sh.table.Load().groups[i].entry[at].Load() == mortal {
						return i*groupSize + at
					}
				}
			}
			return -1
		}
		// Something has died, and the broom has come to the place before the mortal's.
		sh.broom = broom{at: where() - 1, soonest: now() - 1, next: forever}
		at := sh.broom.at
		bigger := newTable[int, int](4 * sh.table.Load().taken)
		for i := range sh.table.Load().groups {
			for j := range groupSize {
				if e := sh.table.Load().groups[i].entry[j].Load(); e != nil {
					bigger.insert(e)
				}
			}
		}
		sh.publish(bigger)
		if where() <= at {
			behind++
		}
		for range 3 * len(bigger.groups) { // three rounds
			sh.sweep(now())
		}
		if sh.broom.soonest > mortal.dies() {
			t.Fatalf("an entry dies at %v, and the broom rests until %v", mortal.dies(), sh.broom.soonest)
		}
	}
	if behind == 0 {
		t.Error("no entry came to stand behind the broom")
	}
}
