package pgx

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/hotpath-go/hotpath/metrics"
)

// A pool connects when it is first asked, so its figures can be had without a server.
func TestStats(t *testing.T) {
	pool, err := pgxpool.New(t.Context(), "postgres://127.0.0.1:1/nobody?pool_max_conns=7")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(metrics.Collector("orders", Stats(pool)))
	families, err := reg.Gather()
	if err != nil || len(families) != 7 {
		t.Fatalf("%d families, %v", len(families), err)
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	if limit := Stats(pool)().Limit; limit != 7 {
		t.Errorf("limit %d, want 7", limit)
	}
}
