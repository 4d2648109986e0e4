package pool_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/hotpath-go/hotpath/internal/leaktest"
	"github.com/hotpath-go/hotpath/internal/statstest"
	"github.com/hotpath-go/hotpath/pool"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var errDown = errors.New("down")

func newPool(t testing.TB, cfg pool.Config) *pool.Pool {
	t.Helper()
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	p, err := pool.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func closed(t testing.TB, p *pool.Pool) {
	t.Helper()
	if err := p.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestNew_EveryProblemAtOnce(t *testing.T) {
	_, err := pool.New(pool.Config{Workers: -3, TaskTimeout: -1, IdleTimeout: -1})
	if err == nil || strings.Count(err.Error(), "\n") != 2 || !strings.Contains(err.Error(), "pool: Workers is -3: must be at least 1 (0 means 4 x GOMAXPROCS, at least 16)") {
		t.Errorf("got %v", err)
	}
}

func nop(context.Context) error { return nil }

// hold occupies a worker until release.
func hold(t *testing.T, p *pool.Pool) (release func()) {
	t.Helper()
	started, end := make(chan struct{}), make(chan struct{})
	if err := p.Go(context.Background(), func(context.Context) error { close(started); <-end; return nil }); err != nil {
		t.Fatal(err)
	}
	<-started
	return sync.OnceFunc(func() { close(end) })
}

func TestStats_CanBeExported(t *testing.T) {
	p := newPool(t, pool.Config{Workers: 1, Queue: -1})
	_ = p.Go(t.Context(), func(context.Context) error { return errDown })
	closed(t, p)
	_ = p.Go(t.Context(), nop)
	got := statstest.Check(t, p.Stats)
	for series, want := range map[string]float64{
		`hotpath_pool_tasks_total{outcome="failed"}`:  1,
		`hotpath_pool_refused_total{reason="closed"}`: 1,
		`hotpath_pool_running`:                        0,
		`hotpath_pool_run_seconds_count`:              1,
		`hotpath_pool_wait_seconds_count`:             1,
	} {
		if v, there := got[series]; !there || v != want {
			t.Errorf("%s is %v (there: %t), want %v", series, v, there, want)
		}
	}
}
