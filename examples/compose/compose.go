// Package compose puts every layer around a handler in the recommended order: docs/composition.md says why
// each stands where it does.
package compose

import (
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hotpath-go/hotpath/batch"
	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/metrics"
	"github.com/hotpath-go/hotpath/partial"
	"github.com/hotpath-go/hotpath/pool"
	"github.com/hotpath-go/hotpath/pool/bulkhead"
	"github.com/hotpath-go/hotpath/throttle"
)

// Stack returns mux with every layer around it, what they count in reg, and the pool that has to be closed
// when the server has stopped.
func Stack(mux http.Handler, reg prometheus.Registerer) (http.Handler, *pool.Pool, error) {
	signals, err1 := metrics.New(metrics.Config{})
	work, err2 := pool.New(pool.Config{})
	limit, err3 := throttle.New(throttle.Config{Rate: throttle.Per(100, time.Second)})
	small, err4 := compress.New(compress.Config{})
	envelope, err5 := batch.New(batch.Config{})
	fields, err6 := partial.New(partial.Config{})
	answers, err7 := httpcache.New(httpcache.Config{})
	slots, err8 := bulkhead.New(bulkhead.Config{Limit: 200})
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8); err != nil {
		return nil, nil, err
	}

	// order:begin
	h := mux
	h = slots.Handler(h)    // bulkhead: only what is really done takes a slot
	h = answers.Handler(h)  // httpcache: hits end here
	h = fields.Handler(h)   // partial: one stored document for all masks
	h = envelope.Handler(h) // batch: each part goes through all of the above
	h = small.Handler(h)    // compress: encodes what is left, once, and kept forms of hits
	h = limit.Handler(h)    // throttle: n parts cost n; who asks too much costs no more than that
	h = work.Handler(h)     // pool: work after the response, for all of the above
	h = signals.Handler(h)  // metrics: what the client saw
	// order:end

	for _, c := range []prometheus.Collector{
		metrics.Collector("api", signals.Stats), metrics.Collector("api", work.Stats), metrics.Collector("api", limit.Stats),
		metrics.Collector("api", small.Stats), metrics.Collector("api", envelope.Stats), metrics.Collector("api", fields.Stats),
		metrics.Collector("api", answers.Stats), metrics.Collector("api", slots.Stats),
	} {
		if err := reg.Register(c); err != nil {
			return nil, nil, err
		}
	}
	return h, work, nil
}
