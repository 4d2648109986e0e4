package catalogue

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hotpath-go/hotpath/batch"
	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/metrics"
	"github.com/hotpath-go/hotpath/partial"
	"github.com/hotpath-go/hotpath/pool"
	"github.com/hotpath-go/hotpath/pool/bulkhead"
	"github.com/hotpath-go/hotpath/throttle"
)

// Fresh returns a pedantic registry with one of each package, two of some, to which nothing has happened yet:
// what it gathers has each value of a label that the code knows. end ends what works in the background.
func Fresh() (reg *prometheus.Registry, end func(), err error) {
	var mistakes []error
	note := func(err error) { mistakes = append(mistakes, err) }
	catalog, err := cache.New(cache.Config[string, int]{Load: func(context.Context, string) (int, error) { return 1, nil }})
	note(err)
	answers, err := httpcache.New(httpcache.Config{})
	note(err)
	small, err := compress.New(compress.Config{})
	note(err)
	plain, err := compress.NewDecompressor(compress.DecompressorConfig{})
	note(err)
	limit, err := throttle.New(throttle.Config{Rate: throttle.Per(1, time.Second)})
	note(err)
	many, err := batch.New(batch.Config{})
	note(err)
	loader, err := batch.NewLoader(batch.LoaderConfig[int, int]{Fetch: func(context.Context, []int) (map[int]int, error) { return nil, nil }})
	note(err)
	fields, err := partial.New(partial.Config{})
	note(err)
	work, err := pool.New(pool.Config{})
	note(err)
	hull, err := bulkhead.New(bulkhead.Config{})
	note(err)
	signals, err := metrics.New(metrics.Config{})
	note(err)
	if err := errors.Join(mistakes...); err != nil {
		return nil, nil, err
	}
	reg = prometheus.NewPedanticRegistry()
	for _, c := range []prometheus.Collector{
		metrics.Collector("a", catalog.Stats), metrics.Collector("b", catalog.Stats), metrics.Collector("a", answers.Stats),
		metrics.Collector("a", small.Stats), metrics.Collector("b", small.Stats), metrics.Collector("a", plain.Stats),
		metrics.Collector("a", limit.Stats), metrics.Collector("a", fields.Stats), metrics.Collector("a", many.Stats),
		metrics.Collector("a", loader.Stats), metrics.Collector("a", work.Stats), metrics.Collector("a", hull.Stats),
		metrics.Collector("a", signals.Stats),
	} {
		note(reg.Register(c))
	}
	return reg, func() { _ = work.Close(context.Background()) }, errors.Join(mistakes...)
}
