package ristrettostore

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/storetest"
	"github.com/hotpath-go/hotpath/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func newTestStore[K comparable, V any](t testing.TB, cfg Config) *Store[K, V] {
	t.Helper()
	s, err := New[K, V](cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Store {
		return newTestStore[string, []byte](t, Config{MaxBytes: storetest.MaxBytes})
	})
}

// Keys of one hash have one place in ristretto: the later one takes it, and neither ever gets
// what is the other's.
func TestCollisions(t *testing.T) {
	s, err := newStore[int, int](Config{MaxBytes: 1 << 20}, func(int) uint64 { return 7 })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	for i := range 20_000 {
		key := i % 1_000
		e := cache.NewEntry(key, i, 208, 0, 0)
		if !s.Set(e) || s.Get(key) != e {
			t.Fatalf("key %d is not here directly after Set", key)
		}
		if other := s.Get((key + 500) % 1_000); other != nil && other.Key != (key+500)%1_000 {
			t.Fatalf("key %d gets the entry of %d", (key+500)%1_000, other.Key)
		}
		if i%3 == 0 {
			s.Delete(key)
			if s.Get(key) != nil {
				t.Fatalf("key %d is here after Delete", key)
			}
		}
	}
	items, bytes, evicted := s.Usage()
	if int64(items)*(208+overhead) != bytes || evicted == 0 {
		t.Errorf("%d items, %d bytes, %d evicted", items, bytes, evicted)
	}
}

func TestNew_ReportsEveryProblem(t *testing.T) {
	_, err := New[string, int](Config{MaxBytes: 1, Items: -1})
	for _, want := range []string{"ristrettostore: MaxBytes is 1: must be at least 65536", "ristrettostore: Items is -1: must not be negative"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}

// Close during everything: no panic, and afterwards nothing is here.
func TestClose_DuringAStorm(t *testing.T) {
	for range 20 {
		s := newTestStore[int, int](t, Config{MaxBytes: 1 << 20})
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				for i := range 200 {
					key := worker*1_000 + i%50
					s.Set(cache.NewEntry(key, i, 100, 0, 0))
					s.Get(key)
					if i%10 == 0 {
						s.Delete(key)
					}
					if i == 100 && worker < 2 {
						_ = s.Close(context.Background())
					}
				}
			})
		}
		wg.Wait()
		if items, bytes, _ := s.Usage(); items != 0 || bytes != 0 || s.Get(1) != nil || s.Set(cache.NewEntry(1, 1, 1, 0, 0)) {
			t.Errorf("after Close: %d items, %d bytes", items, bytes)
		}
		s.Clear()
		s.Delete(1)
	}
}

func TestClose_WithAnEndedContext(t *testing.T) {
	s := newTestStore[int, int](t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Close(ctx); err != context.Canceled {
		t.Errorf("%v", err)
	}
}

// What is charged is what the heap has, within a fifth.
func TestUsageIsHeap(t *testing.T) {
	if strconv.IntSize == 32 {
		t.Skip("what ristretto adds was measured on 64 bits; here it is less")
	}
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	s := newTestStore[string, []byte](t, Config{MaxBytes: 1 << 30, Items: 50_000})
	c, err := cache.New(cache.Config[string, []byte]{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	for i := range 50_000 {
		c.Set(fmt.Sprintf("key-%09d", i), make([]byte, 16))
	}
	grown := heap() - before
	items, bytes, _ := s.Usage()
	ratio := float64(bytes) / float64(grown)
	t.Logf("%d items, usage %d, heap %d: %.2f", items, bytes, grown, ratio)
	if items != 50_000 || ratio < 0.8 || ratio > 1.2 {
		t.Errorf("usage is %.2f of the heap, want within 20%%", ratio)
	}
	runtime.KeepAlive(s)
}

// A key that becomes hot while the cache is full gets in.
func TestNewcomersGetIn(t *testing.T) {
	s := newTestStore[int, []byte](t, Config{MaxBytes: 1 << 20})
	loads := 0
	c, err := cache.New(cache.Config[int, []byte]{Store: s, Load: func(_ context.Context, key int) ([]byte, error) {
		if key == -1 {
			loads++
		}
		return make([]byte, 500), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	get := func(key int) {
		if _, err := c.Get(context.Background(), key); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		for key := range 3_000 {
			get(key)
		}
	}
	for i := range 500 {
		get(-1)
		get(10_000 + i) // others come too
	}
	// Bare ristretto loads it 86 times: it refuses whoever it has not seen often.
	if loads > 10 {
		t.Errorf("%d loads of a hot key in 500 Gets, want at most 10", loads)
	}
}

func Example() {
	engine, err := New[int64, string](Config{MaxBytes: 16 << 20})
	if err != nil {
		panic(err)
	}
	defer engine.Close(context.Background())
	users, err := cache.New(cache.Config[int64, string]{
		Store: engine,
		Load:  func(_ context.Context, id int64) (string, error) { return fmt.Sprint("user ", id), nil },
	})
	if err != nil {
		panic(err)
	}
	for range 3 {
		fmt.Println(users.Get(context.Background(), 7))
	}
	fmt.Println(users.Stats().Hits)
	// Output:
	// user 7 <nil>
	// user 7 <nil>
	// user 7 <nil>
	// 2
}
