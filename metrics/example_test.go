package metrics_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/hotpath-go/hotpath/metrics"
)

// Any Stats with tags is exported by one line: that of a cache, or one of your own.
func ExampleCollector() {
	type Stats struct {
		Sent   uint64 `metric:"shop_mails_total,result=sent" help:"Mails, by how they ended."`
		Failed uint64 `metric:"shop_mails_total,result=failed"`
	}
	mails := func() Stats { return Stats{Sent: 41, Failed: 1} }

	reg := prometheus.NewRegistry()
	reg.MustRegister(metrics.Collector("newsletter", mails))

	admin := promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	w := httptest.NewRecorder()
	admin.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	fmt.Print(w.Body)
	// Output:
	// # HELP shop_mails_total Mails, by how they ended.
	// # TYPE shop_mails_total counter
	// shop_mails_total{name="newsletter",result="failed"} 1
	// shop_mails_total{name="newsletter",result="sent"} 41
}

// All mistakes are reported when the Collector is registered, not when somebody scrapes.
func ExampleCollector_mistakes() {
	type Stats struct {
		Sent    metrics.Histogram `metric:"shop_mails_total" help:"Mails sent."`
		Waiting time.Duration     `metric:"shop_mails_waiting" help:"Age of the oldest mail."`
	}
	err := prometheus.NewRegistry().Register(metrics.Collector("newsletter", func() (s Stats) { return s }))
	_, mistakes, _ := strings.Cut(err.Error(), "is invalid: ")
	fmt.Println(mistakes)
	// Output:
	// metrics: Collector("newsletter"): metrics_test.Stats.Sent: "shop_mails_total" has a histogram value: counters end in _total, histograms do not
	// metrics: Collector("newsletter"): metrics_test.Stats.Waiting: "shop_mails_waiting" has a time.Duration value: exported in seconds, its name must end in _seconds or _seconds_total
}

// Recorders cost an atomic add or two per event, and are read once per scrape.
func ExampleDurations() {
	type Stats struct {
		Took metrics.Histogram `metric:"shop_mail_seconds" help:"Time to send a mail."`
	}
	var took metrics.Durations
	for i := range 100 {
		took.Observe(time.Duration(i) * time.Millisecond)
	}
	stats := func() Stats { return Stats{Took: took.Read()} }

	reg := prometheus.NewRegistry()
	reg.MustRegister(metrics.Collector("newsletter", stats))
	fmt.Printf("%d mails, half of them within %.2f s\n", stats().Took.Count(), stats().Took.Quantile(0.5))
	// Output: 100 mails, half of them within 0.05 s
}

// Golden signals by route: the route is what the mux has found, so that no client makes series.
func ExampleNew() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "an item") })

	signals, err := metrics.New(metrics.Config{})
	if err != nil {
		panic(err)
	}
	prometheus.NewRegistry().MustRegister(metrics.Collector("api", signals.Stats))
	h := signals.Handler(mux)

	for _, target := range []string{"/items/1", "/items/2", "/wp-login.php"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
	}
	routes := signals.Stats().Routes
	fmt.Println(routes["GET /items/{id}"].Duration["2xx"].Count(), "items")
	fmt.Println(routes["other"].Duration["4xx"].Count(), "not found")
	// Output:
	// 2 items
	// 1 not found
}

// Every key of a map is a series for as long as it is in the map. A key that clients choose
// lets them fill the memory of Prometheus: the route is bounded by the code, the path is not.
func ExampleCollector_pitfall() {
	type Stats struct {
		Requests map[string]uint64 `metric:"shop_requests_total" label:"route" help:"Requests."`
	}
	byPath, byRoute := Stats{map[string]uint64{}}, Stats{map[string]uint64{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) {
		byPath.Requests[r.URL.Path]++
		byRoute.Requests[r.Pattern]++
	})
	for id := range 1000 {
		mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprint("/items/", id), nil))
	}
	for _, stats := range []Stats{byPath, byRoute} {
		reg := prometheus.NewRegistry()
		reg.MustRegister(metrics.Collector("shop", func() Stats { return Stats{maps.Clone(stats.Requests)} }))
		families, _ := reg.Gather()
		fmt.Println(len(families[0].GetMetric()), "series")
	}
	// Output:
	// 1000 series
	// 1 series
}
