package metrics_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hotpath-go/hotpath/internal/stat"
	"github.com/hotpath-go/hotpath/metrics"
)

type mails struct {
	Sent    uint64            `metric:"app_mails_total,result=sent" help:"Mails."`
	Failed  uint64            `metric:"app_mails_total,result=failed"`
	Last    time.Time         `metric:"app_last_timestamp_seconds" help:"The last mail."`
	Took    metrics.Histogram `metric:"app_mail_seconds" help:"Time of a mail."`
	Reasons map[string]uint64 `metric:"app_refused_total" label:"reason" help:"Refused mails."`
}

func described(c prometheus.Collector) (descs []string) {
	ch := make(chan *prometheus.Desc, 100)
	c.Describe(ch)
	close(ch)
	for d := range ch {
		descs = append(descs, d.String())
	}
	return descs
}

func TestM2_DescribeIsCompleteAndConstant(t *testing.T) {
	var s mails
	c := metrics.Collector("x", func() mails { return s })
	reg := prometheus.NewPedanticRegistry() // refuses series that were not described
	reg.MustRegister(c)
	before := described(c)
	if len(before) != 4 {
		t.Errorf("%d metrics described, want 4: %q", len(before), before)
	}
	if n := len(gather(t, reg)); n != 4 {
		t.Errorf("%d series of an empty Stats, want 4", n)
	}
	s = mails{Last: time.Now(), Reasons: map[string]uint64{"size": 1, "rate": 2}}
	if n := len(gather(t, reg)); n != 7 {
		t.Errorf("%d series, want 7", n)
	}
	if after := described(c); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("described %q, then %q", before, after)
	}
}

func TestM2_TwoInstancesSideBySide(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	one := metrics.Collector("one", always(mails{Sent: 1}))
	two := metrics.Collector("two", always(mails{Sent: 2, Reasons: map[string]uint64{"size": 3}}))
	reg.MustRegister(one, two)
	all := gather(t, reg)
	for series, want := range map[string]float64{
		`app_mails_total{name="one",result="sent"}`: 1,
		`app_mails_total{name="two",result="sent"}`: 2,
	} {
		if all[series] != want {
			t.Errorf("%s is %v, want %v", series, all[series], want)
		}
	}
	for series := range all {
		if !strings.Contains(series, `name="one"`) && !strings.Contains(series, `name="two"`) {
			t.Errorf("%s has no label name", series)
		}
	}
	if len(all) != 4+5 { // two counters, count and sum of a histogram; one has a key too
		t.Errorf("%d series, want 9: %v", len(all), all)
	}

	// Removed without the value that was registered, and there again.
	if !reg.Unregister(metrics.Collector("one", always(mails{}))) {
		t.Error("one was not found")
	}
	if reg.Unregister(metrics.Collector("three", always(mails{}))) {
		t.Error("three was found")
	}
	if _, there := gather(t, reg)[`app_mails_total{name="one",result="sent"}`]; there {
		t.Error("one is still there")
	}
	reg.MustRegister(metrics.Collector("one", always(mails{Sent: 10})))
	if got := gather(t, reg)[`app_mails_total{name="one",result="sent"}`]; got != 10 {
		t.Errorf("one again says %v, want 10", got)
	}
}

func TestM3_StatsIsCalledOncePerScrape(t *testing.T) {
	var calls atomic.Int64
	reg := registered(t, func() mails { calls.Add(1); return mails{} })
	if n := calls.Load(); n != 0 {
		t.Errorf("registering calls stats %d times", n)
	}
	for range 3 {
		gather(t, reg)
	}
	if n := calls.Load(); n != 3 {
		t.Errorf("3 scrapes call stats %d times", n)
	}
}

// No lock is held while stats runs: else the second would never come in.
func TestM3_ScrapesRunAtTheSameTime(t *testing.T) {
	var inside sync.WaitGroup
	inside.Add(2)
	c := metrics.Collector("x", func() mails {
		inside.Done()
		inside.Wait()
		return mails{Reasons: map[string]uint64{"size": 1}}
	})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			ch := make(chan prometheus.Metric, 100)
			c.Collect(ch)
			if len(ch) != 4 {
				t.Errorf("%d series, want 4", len(ch))
			}
		})
	}
	wg.Wait()
}

// A scrape whose receiver stands still holds up nobody: stats has returned before the first
// series is handed over, and others scrape on.
func TestM3_ASlowReceiverBlocksNobody(t *testing.T) {
	var mu sync.Mutex // what a Stats may lock
	var d metrics.Durations
	c := metrics.Collector("x", func() mails {
		mu.Lock()
		defer mu.Unlock()
		return mails{Took: d.Read(), Reasons: map[string]uint64{"size": 1}}
	})
	stuck := make(chan prometheus.Metric)
	var wg sync.WaitGroup
	wg.Go(func() { c.Collect(stuck); close(stuck) })
	<-stuck // it is in the middle of handing over

	mu.Lock()
	d.Observe(time.Second)
	mu.Unlock()
	ch := make(chan prometheus.Metric, 100)
	c.Collect(ch)
	if len(ch) != 4 {
		t.Errorf("%d series, want 4", len(ch))
	}
	for range stuck { // let it go
	}
	wg.Wait()
}

// What is gone from a map is forgotten: rows are remembered from scrape to scrape only.
func TestM3_RemembersOnlyWhatIsThere(t *testing.T) {
	n, more := 0, 500
	reg := registered(t, func() mails {
		s := mails{Reasons: map[string]uint64{"always": 1}}
		for range more {
			n++
			s.Reasons[fmt.Sprint("reason ", n)] = 1
		}
		return s
	})
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	if _, err := reg.Gather(); err != nil {
		t.Fatal(err)
	}
	before := heap()
	for range 100 { // 50,000 keys, of 200 bytes and more each
		if _, err := reg.Gather(); err != nil {
			t.Fatal(err)
		}
	}
	if after := heap(); after > before+2<<20 {
		t.Errorf("100 scrapes of changing keys keep %d KiB", (after-before)>>10)
	}

	more = 20_000
	for range 2 { // many, then only the one that is always there
		if _, err := reg.Gather(); err != nil {
			t.Fatal(err)
		}
		more = 0
	}
	if after := heap(); after > before+2<<20 {
		t.Errorf("keys that are gone keep %d KiB", (after-before)>>10)
	}
	runtime.KeepAlive(reg)
}

// counted is a Stats under load, as packages have it.
type counted struct {
	counters stat.Striped[struct{ hits, misses atomic.Uint64 }]
	took     metrics.Durations
	sizes    metrics.Sizes
}

type countedStats struct {
	Hits    uint64                       `metric:"app_lookups_total,outcome=hit" help:"Lookups."`
	Misses  uint64                       `metric:"app_lookups_total,outcome=miss"`
	Took    metrics.Histogram            `metric:"app_took_seconds" help:"Time of a lookup."`
	Sizes   metrics.Histogram            `metric:"app_size_bytes" help:"Size of a value."`
	Routes  map[string]metrics.Histogram `metric:"app_route_seconds" label:"route" help:"Time of a route."`
	Merging map[string]uint64            `metric:"app_merging_total" label:"key" help:"Keys that become one."`
}

func (c *counted) stats() countedStats {
	s := countedStats{Took: c.took.Read(), Sizes: c.sizes.Read()}
	for n := range c.counters.Each() {
		s.Hits += n.hits.Load()
		s.Misses += n.misses.Load()
	}
	s.Routes = map[string]metrics.Histogram{"/": s.Took, "/items": s.Took}
	s.Merging = map[string]uint64{"\xff": s.Hits, "\xfe": s.Misses, "plain": s.Hits}
	return s
}

func TestM4_CountersNeverGoDown(t *testing.T) {
	var c counted
	reg := registered(t, c.stats)
	const writers, scrapers = 16, 3
	var done atomic.Bool
	var writing, scraping sync.WaitGroup
	var wrote atomic.Uint64
	for w := range writers {
		writing.Go(func() {
			n := uint64(0)
			for ; !done.Load(); n++ {
				here := c.counters.Here()
				here.hits.Add(1)
				here.misses.Add(2)
				c.took.Observe(time.Duration(n%1e6) * time.Microsecond)
				c.sizes.Observe(int64(w) << (n % 12))
				if n%64 == 0 {
					runtime.Gosched()
				}
			}
			wrote.Add(n)
		})
	}
	for range scrapers {
		scraping.Go(func() {
			earlier := map[string]float64{}
			for range 60 {
				now := scrape(t, reg)
				for series, v := range now {
					if v < earlier[series] {
						t.Errorf("%s goes down from %v to %v", series, earlier[series], v)
					}
				}
				checkHistograms(t, now)
				earlier = now
			}
		})
	}
	scraping.Wait()
	done.Store(true)
	writing.Wait()
	if end := scrape(t, reg); end[`app_lookups_total{name="x",outcome="hit"}`] != float64(wrote.Load()) ||
		end[`app_took_seconds_count{name="x"}`] != float64(wrote.Load()) || wrote.Load() == 0 {
		t.Errorf("%d were counted, the scrape says %v", wrote.Load(), end)
	}
}

// checkHistograms: buckets are cumulative, and the last is what _count says. All observations
// of the test are below the highest bound, so that one must say it too.
func checkHistograms(t *testing.T, all map[string]float64) {
	t.Helper()
	for _, h := range []struct {
		name, labels string
		from, to     int
	}{
		{"app_took_seconds", `name="x"`, -17, 4},
		{"app_size_bytes", `name="x"`, 0, 16},
		{"app_route_seconds", `name="x",route="/items"`, -17, 4},
	} {
		var last float64
		for e := h.from; e <= h.to; e++ {
			v, ok := all[fmt.Sprintf(`%s_bucket{%s,le="%v"}`, h.name, h.labels, math.Ldexp(1, e))]
			if !ok || v < last {
				t.Errorf("%s: bucket 2^%d is %v (there: %t) after %v", h.name, e, v, ok, last)
			}
			last = v
		}
		inf, count := all[h.name+"_bucket{"+h.labels+`,le="+Inf"}`], all[h.name+"_count{"+h.labels+"}"]
		if inf != count || last != count {
			t.Errorf("%s: count is %v, bucket +Inf %v, the last but one %v", h.name, count, inf, last)
		}
	}
}

func TestM5_BucketsArePowersOfTwo(t *testing.T) {
	type stats struct {
		Took  metrics.Histogram `metric:"app_took_seconds" help:"."`
		Sizes metrics.Histogram `metric:"app_size_bytes" help:"."`
		Depth metrics.Histogram `metric:"app_depth" help:"."`
	}
	var d metrics.Durations
	var s metrics.Sizes
	var seconds, sizes []float64
	note := func(took time.Duration, size int64) {
		d.Observe(took)
		s.Observe(size)
		seconds, sizes = append(seconds, took.Seconds()), append(sizes, float64(size))
	}
	note(0, 0)
	note(time.Hour, 1<<40)
	for e := range 20 { // a bound belongs to the bucket that it ends
		for _, off := range []int64{-1, 0, 1} {
			note(time.Duration(int64(16*time.Second)>>e+off), int64(1)<<e+off)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		note(time.Duration(math.Exp(rng.Float64()*26)), int64(math.Exp(rng.Float64()*14)))
	}
	all := scrape(t, registered(t, func() stats { return stats{Took: d.Read(), Sizes: s.Read()} }))
	buckets := 0
	for series := range all {
		if strings.Contains(series, "_bucket{") {
			buckets++
		}
	}
	if buckets != 23+18+18 {
		t.Errorf("%d buckets, want 22, 17 and 17, each with +Inf", buckets)
	}
	for _, h := range []struct {
		name     string
		from, to int
		seen     []float64
	}{{"app_took_seconds", -17, 4, seconds}, {"app_size_bytes", 0, 16, sizes}, {"app_depth", 0, 16, nil}} {
		for e := h.from; e <= h.to; e++ {
			bound := math.Ldexp(1, e)
			var want float64
			for _, v := range h.seen {
				if v <= bound {
					want++
				}
			}
			series := fmt.Sprintf(`%s_bucket{name="x",le="%v"}`, h.name, bound)
			if got, ok := all[series]; !ok || got != want {
				t.Errorf("%s is %v (there: %t), want %v", series, got, ok, want)
			}
		}
		if got := all[h.name+`_count{name="x"}`]; got != float64(len(h.seen)) {
			t.Errorf("%s_count is %v, want %d", h.name, got, len(h.seen))
		}
	}
}

func TestM6_LabelValuesNeverFailAScrape(t *testing.T) {
	long := strings.Repeat("ä", 64) // 128 bytes
	keys := map[string]string{      // and what they become
		"plain":                       "plain",
		"":                            "",
		"\xff\xfe bad":                "\uFFFD bad",
		"quote\" \\ and\nline":        "quote\" \\ and\nline",
		long:                          long,
		"x" + long:                    "x" + strings.Repeat("ä", 63),
		strings.Repeat("\xff", 5000):  "\uFFFD",
		strings.Repeat("a\xff", 5000): strings.Repeat("a\uFFFD", 32),
		"\x00":                        "\x00",
	}
	s := mails{Reasons: map[string]uint64{}}
	want := map[string]bool{}
	for key, value := range keys {
		s.Reasons[key] = 1
		want[value] = true
	}
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(metrics.Collector("in\xffstance", always(s)))
	scrape(t, reg) // fails for one bad byte
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				v := l.GetValue()
				if !utf8.ValidString(v) || len(v) > 128 {
					t.Errorf("%s=%q: %d bytes", l.GetName(), v, len(v))
				}
				switch l.GetName() {
				case "reason":
					if !want[v] {
						t.Errorf("reason %q, want one of %v", v, want)
					}
					delete(want, v)
				case "name":
					if v != "in\uFFFDstance" {
						t.Errorf("name is %q", v)
					}
				}
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("missing reasons: %v", want)
	}
}

func TestM6_ANilStatsIsAMistake(t *testing.T) {
	err := prometheus.NewRegistry().Register(metrics.Collector[mails]("x", nil))
	if want := `metrics: Collector("x"): stats is nil: must be a function`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v\nwant: %s", err, want)
	}
}

func FuzzM6_LabelValue(f *testing.F) {
	f.Add("plain", "\xff")
	f.Add(strings.Repeat("\xe2\x82", 100), strings.Repeat("\u20ac", 60))
	f.Fuzz(func(t *testing.T, a, b string) {
		all := scrape(t, registered(t, always(mails{Reasons: map[string]uint64{a: 1, b: 2}})))
		var sum float64
		for series, v := range all {
			if strings.HasPrefix(series, "app_refused_total{") {
				sum += v
			}
		}
		want := 3.0
		if a == b {
			want = 2
		}
		if sum != want {
			t.Errorf("%q and %q add up to %v, want %v", a, b, sum, want)
		}
	})
}
