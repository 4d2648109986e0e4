package cache_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/ristrettostore"
	"github.com/hotpath-go/hotpath/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var errDown = errors.New("the source is down")

var onRistretto = flag.Bool("ristretto", false, "run the tests on cache/ristrettostore, but those of the bounds and for goroutines at rest")

// longTime is far beyond every TTL. Not so far that ristretto's ticker, which goes once in some
// years, has work to do.
const longTime = 3 * 365 * 24 * time.Hour

func newCache[K comparable, V any](t testing.TB, cfg cache.Config[K, V]) *cache.Cache[K, V] {
	t.Helper()
	if *onRistretto && cfg.Store == nil {
		if cfg.MaxItems != 0 || cfg.MaxBytes != 0 {
			t.Skip("it is about the bounds of the built-in engine")
		}
		store, err := ristrettostore.New[K, V](ristrettostore.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close(context.Background()) })
		cfg.Store = store
	}
	c, err := cache.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// restsOnly skips what holds for the built-in engine: ristretto has goroutines until it is closed.
func restsOnly(t *testing.T) {
	t.Helper()
	if *onRistretto {
		t.Skip("ristretto has goroutines of its own")
	}
}

// source is a loader of numbers whose answers and pace the test decides.
type source struct {
	mu    sync.Mutex
	calls int
	say   func(n int) (int, error) // n: which call, from 1 on
}

func (s *source) load(context.Context, string) (int, error) {
	s.mu.Lock()
	s.calls++
	n, say := s.calls, s.say
	s.mu.Unlock()
	if say == nil {
		return n, nil
	}
	return say(n)
}

func (s *source) set(say func(n int) (int, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.say = say
}

func (s *source) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func fails(int) (int, error) { return 0, errDown }

func mustGet[V comparable](t *testing.T, c interface {
	Get(context.Context, string) (V, error)
}, key string, want V,
) {
	t.Helper()
	if got, err := c.Get(t.Context(), key); got != want || err != nil {
		t.Errorf("Get(%q) = %v, %v, want %v", key, got, err, want)
	}
}

// behind waits until the refreshes that were started are over.
func behind() { synctest.Wait() }

// logbook is a Logger that keeps what it is told.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// every runs f n times at once and waits.
func every(n int, f func(i int)) {
	var wg sync.WaitGroup
	var start sync.WaitGroup
	start.Add(1)
	for i := range n {
		wg.Go(func() {
			start.Wait()
			f(i)
		})
	}
	start.Done()
	wg.Wait()
}
