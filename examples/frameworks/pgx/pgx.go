// Package pgx exports what a pgx pool counts, by a Stats of one's own. For database/sql there is
// collectors.NewDBStatsCollector in client_golang.
package pgx

import (
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// PoolStats are those of a pool.
type PoolStats struct {
	Open      int64         `metric:"app_pgx_open_connections" help:"Connections that are open."`
	InUse     int64         `metric:"app_pgx_in_use_connections" help:"Connections that somebody has."`
	Limit     int64         `metric:"app_pgx_connections_limit" help:"Connections that may be open."`
	Acquired  int64         `metric:"app_pgx_acquires_total" help:"Connections taken from the pool."`
	Waited    int64         `metric:"app_pgx_empty_acquires_total" help:"Of them those for which none was free."`
	Cancelled int64         `metric:"app_pgx_cancelled_acquires_total" help:"Callers that left before they had one."`
	WaitTime  time.Duration `metric:"app_pgx_acquire_seconds_total" help:"Time spent on getting connections."`
}

// Stats is for metrics.Collector: reg.MustRegister(metrics.Collector("orders", pgx.Stats(pool))).
func Stats(pool *pgxpool.Pool) func() PoolStats {
	return func() PoolStats {
		s := pool.Stat()
		return PoolStats{
			Open: int64(s.TotalConns()), InUse: int64(s.AcquiredConns()), Limit: int64(s.MaxConns()),
			Acquired: s.AcquireCount(), Waited: s.EmptyAcquireCount(), Cancelled: s.CanceledAcquireCount(), WaitTime: s.AcquireDuration(),
		}
	}
}
