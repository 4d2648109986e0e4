package pool

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"time"
)

// Config of a Pool. The zero value is sound: no goroutine runs before the first task, and none
// is left 2 x IdleTimeout after the last.
type Config struct {
	// Workers is how many tasks run at a time, never more. 0: 4 x GOMAXPROCS, at least 16.
	Workers int

	// Queue is how many accepted tasks may wait, 24 bytes each besides what they hold.
	// 0: 10,000; negative: none waits, a task is accepted only if a worker is free.
	Queue int

	// TaskTimeout is how long after its start a task's context ends, or that of one call of Map and
	// Stream. A task that ignores it keeps its worker; it counts in Stats.Overdue and is logged once,
	// by name. 0: never.
	TaskTimeout time.Duration

	// IdleTimeout is for how long workers that were not needed are kept. 0: 10 s.
	IdleTimeout time.Duration

	// Logger gets panics of tasks with their stack, tasks that are overdue, and failed tasks, of
	// these at most one a second. nil: slog.Default().
	Logger *slog.Logger
}

const (
	minWorkers      = 16
	workersPerCore  = 4
	defaultQueue    = 10_000
	defaultIdleTime = 10 * time.Second
	unbounded       = math.MaxInt / 4 // more is the same, and sums of it would overflow
)

// withDefaults returns cfg with zero fields filled in, or every problem at once.
func (cfg Config) withDefaults() (Config, error) {
	var problems []error
	bad := func(field string, value any, rule string) {
		problems = append(problems, fmt.Errorf("pool: %s is %v: %s", field, value, rule))
	}
	if cfg.Workers < 0 {
		bad("Workers", cfg.Workers, "must be at least 1 (0 means 4 x GOMAXPROCS, at least 16)")
	}
	if cfg.TaskTimeout < 0 {
		bad("TaskTimeout", cfg.TaskTimeout, "must not be negative (0 means never)")
	}
	if cfg.IdleTimeout < 0 {
		bad("IdleTimeout", cfg.IdleTimeout, "must not be negative (0 means 10s)")
	}
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	if cfg.Workers == 0 {
		cfg.Workers = max(minWorkers, workersPerCore*runtime.GOMAXPROCS(0))
	}
	switch {
	case cfg.Queue == 0:
		cfg.Queue = defaultQueue
	case cfg.Queue < 0:
		cfg.Queue = 0
	}
	cfg.Workers, cfg.Queue = min(cfg.Workers, unbounded), min(cfg.Queue, unbounded)
	if cfg.IdleTimeout == 0 {
		cfg.IdleTimeout = defaultIdleTime
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg, nil
}
