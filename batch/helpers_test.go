package batch_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/batch"
	"github.com/hotpath-go/hotpath/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// A source answers key n with 10n after a millisecond and 2 us a key, and remembers what it was asked.
type source struct {
	mu      sync.Mutex
	fetches [][]int
	now     int // fetches that run
	most    int
	delay   time.Duration
	fetch   func(ctx context.Context, keys []int) (map[int]int, error) // nil: answer
}

func (s *source) Fetch(ctx context.Context, keys []int) (map[int]int, error) {
	s.mu.Lock()
	s.fetches = append(s.fetches, slices.Sorted(slices.Values(keys)))
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}()
	if s.fetch != nil {
		return s.fetch(ctx, keys)
	}
	return s.answer(ctx, keys)
}

func (s *source) answer(ctx context.Context, keys []int) (map[int]int, error) {
	if s.delay == 0 {
		s.delay = time.Millisecond
	}
	select {
	case <-time.After(s.delay + time.Duration(len(keys))*2*time.Microsecond):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	m := map[int]int{}
	for _, k := range keys {
		m[k] = 10 * k
	}
	return m, nil
}

func (s *source) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.fetches)
}

func (s *source) seen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.fetches)
}

func newLoader[K comparable, V any](t testing.TB, cfg batch.LoaderConfig[K, V]) *batch.Loader[K, V] {
	t.Helper()
	l, err := batch.NewLoader(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// setup returns a source and a loader of it; cfg may lack Fetch.
func setup(t testing.TB, cfg batch.LoaderConfig[int, int]) (*source, *batch.Loader[int, int]) {
	t.Helper()
	s := &source{delay: time.Millisecond}
	cfg.Fetch = s.Fetch
	return s, newLoader(t, cfg)
}

func wantLoad(t testing.TB, ctx context.Context, l *batch.Loader[int, int], key int) {
	t.Helper()
	if v, err := l.Load(ctx, key); v != 10*key || err != nil {
		t.Errorf("Load(%d): %v, %v", key, v, err)
	}
}
