// Package storetest is the contract of cache.Store as tests: run it on an engine of your own.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) cache.Store[string, []byte] {
//			s, err := mine.New(storetest.MaxBytes)
//			if err != nil {
//				t.Fatal(err)
//			}
//			t.Cleanup(s.Close)
//			return s
//		})
//	}
//
// Run it with -race too: half of the contract is about what happens at once.
package storetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hotpath-go/hotpath/cache"
)

// MaxBytes is the bound that the stores under test must have, in bytes.
const MaxBytes = 1 << 20

// A Store is what is tested.
type Store = cache.Store[string, []byte]

// Run tests the stores that newStore makes, each empty and bounded by MaxBytes.
func Run(t *testing.T, newStore func(t *testing.T) Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s Store)
	}{
		{"what was set is here when Set returns", visible},
		{"a new entry takes the place of the old one", replaces},
		{"what was deleted is gone when Delete returns", deletes},
		{"Clear removes everything and works on", clears},
		{"keys are compared whole", keys},
		{"usage is what is here", usage},
		{"what is too heavy is refused, and replaces all the same", refuses},
		{"the bound holds whenever one looks", bounded},
		{"nobody sees an older entry after a newer one", ordered},
		{"everything at once", storm},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newStore(t)) })
	}
}

// entry makes an entry that is charged for its value and a little more.
func entry(key string, value []byte) *cache.Entry[string, []byte] {
	return cache.NewEntry(key, value, int64(len(key)+len(value))+100, 0, 0)
}

func name(i int) string { return fmt.Sprintf("key-%d", i) }

// set fails the test if the store refuses e.
func set(t *testing.T, s Store, e *cache.Entry[string, []byte]) {
	t.Helper()
	if !s.Set(e) {
		t.Fatalf("Set of %s, %d of %d bytes, was refused", e.Key, e.Weight(), MaxBytes)
	}
}

func visible(t *testing.T, s Store) {
	for i := range 20_000 { // far more than there is room for
		e := entry(name(i), make([]byte, 200))
		if !s.Set(e) {
			if got := s.Get(e.Key); got != nil {
				t.Fatalf("%s was refused and is here", e.Key)
			}
			t.Fatalf("%s was refused: a newcomer must get a chance, or a key that has become hot is loaded for ever", e.Key)
		}
		if got := s.Get(e.Key); got != e {
			t.Fatalf("Get(%s) directly after Set gives %v, want the entry that was set", e.Key, got)
		}
		if got := s.Peek(e.Key); got != e {
			t.Fatalf("Peek(%s) directly after Set gives %v", e.Key, got)
		}
	}
	if _, _, evicted := s.Usage(); evicted == 0 {
		t.Error("nothing was evicted, or it was not counted")
	}
}

func replaces(t *testing.T, s Store) {
	for i := range 2_000 {
		for version := range 3 {
			e := entry(name(i%100), []byte{byte(version)})
			set(t, s, e)
			if got := s.Get(e.Key); got != e {
				t.Fatalf("version %d of %s: Get gives %v", version, e.Key, got)
			}
		}
	}
	if items, _, _ := s.Usage(); items > 100 {
		t.Errorf("%d items of 100 keys", items)
	}
}

func deletes(t *testing.T, s Store) {
	s.Delete("never seen")
	for i := range 1_000 {
		set(t, s, entry(name(i), make([]byte, 100)))
	}
	for i := range 1_000 {
		s.Delete(name(i))
		if s.Get(name(i)) != nil || s.Peek(name(i)) != nil {
			t.Fatalf("%s is here after Delete", name(i))
		}
	}
	if items, bytes, _ := s.Usage(); items != 0 || bytes != 0 {
		t.Errorf("%d items, %d bytes after everything was deleted", items, bytes)
	}
	set(t, s, entry(name(1), nil))
	if s.Get(name(1)) == nil {
		t.Error("a key that was deleted cannot be set again")
	}
}

func clears(t *testing.T, s Store) {
	for range 3 {
		for i := range 1_000 {
			set(t, s, entry(name(i), make([]byte, 100)))
		}
		s.Clear()
		for i := range 1_000 {
			if s.Get(name(i)) != nil {
				t.Fatalf("%s is here after Clear", name(i))
			}
		}
		if items, bytes, evicted := s.Usage(); items != 0 || bytes != 0 || evicted != 0 {
			t.Errorf("%d items, %d bytes after Clear, %d evicted, and nobody had to make room", items, bytes, evicted)
		}
	}
}

func keys(t *testing.T, s Store) {
	long := string(make([]byte, 500))
	all := []string{"", "a", "A", "a ", "a\x00", "\x00", long, long + "1", long + "2", "1" + long}
	for _, key := range all {
		set(t, s, entry(key, []byte(key)))
	}
	for _, key := range all {
		if got := s.Get(key); got == nil || got.Key != key || string(got.Value) != key {
			t.Errorf("key %.10q of %d bytes: %v", key, len(key), got != nil)
		}
	}
	for i := range 50_000 {
		if s.Get(name(i)) != nil {
			t.Fatalf("%s was never set", name(i))
		}
	}
}

func usage(t *testing.T, s Store) {
	if items, bytes, evicted := s.Usage(); items != 0 || bytes != 0 || evicted != 0 {
		t.Fatalf("an empty store has %d items, %d bytes, %d evicted", items, bytes, evicted)
	}
	var weight int64
	for i := range 100 {
		e := entry(name(i), make([]byte, i*10))
		weight += e.Weight()
		set(t, s, e)
	}
	items, bytes, _ := s.Usage()
	if items != 100 || bytes < weight || bytes > 2*weight {
		t.Errorf("%d items, %d bytes, want 100 and the %d that they weigh, with a little of the engine's own", items, bytes, weight)
	}
	set(t, s, entry(name(0), make([]byte, 10_000)))
	if _, more, _ := s.Usage(); more < bytes+9_000 {
		t.Errorf("an entry that has grown by 10000 bytes: usage went from %d to %d", bytes, more)
	}
	set(t, s, entry(name(0), nil))
	if _, again, _ := s.Usage(); again != bytes {
		t.Errorf("and back: %d bytes, want %d", again, bytes)
	}
}

func refuses(t *testing.T, s Store) {
	set(t, s, entry("a", []byte("old")))
	heavy := cache.NewEntry("a", []byte("new"), MaxBytes+1, 0, 0)
	if s.Set(heavy) || s.Get("a") != nil {
		t.Errorf("an entry over the bound: Get gives %v, want nothing", s.Get("a"))
	}
	huge := cache.NewEntry("b", []byte("x"), 1<<62, 0, 0)
	if s.Set(huge) || s.Get("b") != nil {
		t.Error("an entry of 2^62 bytes was kept")
	}
	if items, bytes, _ := s.Usage(); items != 0 || bytes != 0 {
		t.Errorf("%d items, %d bytes of what was refused", items, bytes)
	}
}

func bounded(t *testing.T, s Store) {
	var done atomic.Bool
	var watcher, writers sync.WaitGroup
	watcher.Go(func() {
		for !done.Load() {
			if items, bytes, _ := s.Usage(); bytes > MaxBytes || bytes < 0 || items < 0 {
				t.Errorf("%d items, %d bytes: the bound is %d", items, bytes, MaxBytes)
				return
			}
		}
	})
	for writer := range 8 {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(writer), 1))
			for range 1_000 {
				// A writer has keys of its own: of one key there is one writer at a time.
				s.Set(entry(fmt.Sprint(writer, "/", rng.IntN(500)), make([]byte, 1<<rng.IntN(19))))
			}
		})
	}
	writers.Wait()
	done.Store(true)
	watcher.Wait()
	if items, _, _ := s.Usage(); items == 0 {
		t.Error("nothing is here")
	}
}

// ordered lets one goroutine write each key while others read: once a version was seen, or its
// Set has returned, no older one is.
func ordered(t *testing.T, s Store) {
	const keys, versions = 4, 3_000
	var written [keys]atomic.Int64
	var writers, readers sync.WaitGroup
	var done atomic.Bool
	version := func(e *cache.Entry[string, []byte]) int64 {
		return int64(e.Value[0]) | int64(e.Value[1])<<8
	}
	for k := range keys {
		writers.Go(func() {
			for v := range int64(versions) {
				s.Set(entry(name(k), []byte{byte(v), byte(v >> 8)}))
				written[k].Store(v)
				if v%7 == 0 {
					s.Delete(name(k))
					if s.Get(name(k)) != nil {
						t.Errorf("version %d of %s is here after Delete", v, name(k))
						return
					}
				}
			}
		})
	}
	for range 4 {
		readers.Go(func() {
			var seen [keys]int64
			for !done.Load() {
				for k := range keys {
					least := max(written[k].Load(), seen[k])
					if e := s.Get(name(k)); e != nil {
						v := version(e)
						if v < least {
							t.Errorf("%s: version %d after %d", name(k), v, least)
							return
						}
						seen[k] = v
					}
				}
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
}

func storm(t *testing.T, s Store) {
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(worker), 2))
			for range 3_000 {
				own, any := fmt.Sprint(worker, "/", rng.IntN(200)), fmt.Sprint(rng.IntN(8), "/", rng.IntN(200))
				switch rng.IntN(20) {
				case 0:
					s.Delete(own)
				case 1:
					if rng.IntN(50) == 0 {
						s.Clear()
					}
				case 2, 3, 4:
					s.Set(entry(own, make([]byte, rng.IntN(5_000))))
				case 5:
					s.Usage()
				case 6:
					s.Peek(any)
				default:
					if e := s.Get(any); e != nil && e.Key != any {
						t.Errorf("Get(%s) gives the entry of %s", any, e.Key)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	s.Clear()
	if items, bytes, _ := s.Usage(); items != 0 || bytes != 0 {
		t.Errorf("after all: %d items, %d bytes", items, bytes)
	}
}
