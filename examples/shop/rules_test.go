package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/examples/internal/load"
)

// testDrive is a driver over children, with small data.
func testDrive(t *testing.T, o Options) *drive {
	t.Helper()
	o.products, o.seed, o.warm, o.length, o.rounds = 96, 1, 20, 300*time.Millisecond, 1
	if o.on == nil {
		o.on = AllOn()
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	o.terminal = null
	o.db = sqliteFiles{}
	data, err := seedData(t.Context(), o.db, t.TempDir(), o.products, o.seed)
	if err != nil {
		t.Fatal(err)
	}
	name, settings, err := o.db.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return newDriver(o, Seeded{data, name, settings}, 1, time.Second)
}

func (d *drive) testSides(t *testing.T, names ...string) []*side {
	t.Helper()
	all, stop, err := d.sides(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return all
}

// fakeSide is a side whose server is h in this process.
func fakeSide(t *testing.T, h http.Handler) *side {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return &side{
		Child:   &Child{Target: Target{Name: "fake", Addr: server.Listener.Addr().String()}},
		actions: NewWorkload(96, 1), docs: NewDocuments(96), report: &VariantReport{Name: "fake"},
	}
}

// The server is a process of its own, on cores of its own where the system can be told so.
func TestR1_ServersAreProcessesOfTheirOwn(t *testing.T) {
	d := testDrive(t, Options{})
	s := d.testSides(t, "tuned")[0]
	if s.cmd.Process.Pid == os.Getpid() || s.Addr == "" {
		t.Error("the server is in this process")
	}
	want := "GOMAXPROCS split"
	if runtime.GOOS == "linux" {
		want = "pinned"
	}
	if got := d.report.Host.Split; !strings.Contains(got, want) {
		t.Errorf("the report says %q, want %q", got, want)
	}
	undo := d.cores.pinGenerator()
	defer undo()
	if n := runtime.GOMAXPROCS(0); n < 2 {
		t.Errorf("GOMAXPROCS of the generator is %d: the pacing thread would starve the others", n)
	}
	checkAffinity(t, d.cores, s.cmd.Process.Pid)
}

func TestR1_CoresAreSplit(t *testing.T) {
	for _, tc := range []struct{ cores, n, server, generator int }{
		{1, 0, 1, 1}, {2, 0, 1, 1}, {3, 0, 1, 2}, {8, 0, 4, 4}, {8, 6, 6, 2}, {4, 9, 3, 1},
	} {
		server, generator := split(make([]int, tc.cores), tc.n)
		if len(server) != tc.server || len(generator) != tc.generator {
			t.Errorf("%d cores, -cpus %d: server %d, generator %d", tc.cores, tc.n, len(server), len(generator))
		}
	}
}

// A generator that is slowed down makes its phase invalid, and the report says so.
func TestR2_ALateGeneratorMakesThePhaseInvalid(t *testing.T) {
	t.Parallel()
	s := fakeSide(t, http.NotFoundHandler())
	slow := func(int) load.Action {
		time.Sleep(5 * time.Millisecond) // at 1,000 a second
		return load.Action{Kind: "x", Do: func(context.Context, *load.Client) error { return nil }}
	}
	r, err := load.Open(t.Context(), load.Plan{Rate: 1_000, For: 200 * time.Millisecond}, slow)
	if err != nil {
		t.Fatal(err)
	}
	p := newPhase(r, Counters{}, Counters{}, 0)
	if !strings.Contains(p.Invalid, "the generator was late") {
		t.Errorf("lag p99 %.2f ms: invalid %q", p.LagP99, p.Invalid)
	}
	s.report.Rounds = []RoundReport{{Open: p}}
	report := Report{Variants: []VariantReport{*s.report}}
	if notes := strings.Join(report.notes(), "\n"); !strings.Contains(notes, "INVALID   times of fake, round 1: the generator was late") {
		t.Errorf("the report does not say it:\n%s", notes)
	}
}

func TestR2_LagIsJudged(t *testing.T) {
	ms := func(v float64) *float64 { return &v }
	for _, tc := range []struct {
		lag   float64
		p99   *float64
		valid bool
	}{
		{1.9, nil, true}, {2.1, nil, false}, {0.9, ms(10), true}, {1.1, ms(10), false}, {2.1, ms(1000), false},
	} {
		p := PhaseReport{Offered: 100, LagP99: tc.lag, Kinds: map[string]Percentiles{allKinds: {P99: tc.p99}}}
		if got := p.lagProblem(); (got == "") != tc.valid {
			t.Errorf("lag %v, p99 %v: %q", tc.lag, value(tc.p99), got)
		}
		p.Offered = 0
		if got := p.lagProblem(); got != "" {
			t.Errorf("a closed loop has no lag: %q", got)
		}
	}
}

func TestR3_TheTableShowsMedians(t *testing.T) {
	v := VariantReport{}
	for _, x := range []float64{5, 1, 100} {
		v.Rounds = append(v.Rounds, RoundReport{Saturated: PhaseReport{Throughput: x, CPU: &x}})
	}
	throughput := func(r RoundReport) *float64 { return &r.Saturated.Throughput }
	if m, all := v.median(throughput); *m != 5 || !all {
		t.Errorf("median %v", *m)
	}
	v.Rounds = append(v.Rounds, RoundReport{Saturated: PhaseReport{Throughput: 7}})
	if m, _ := v.median(throughput); *m != 6 {
		t.Errorf("median of four %v", *m)
	}
	cpu := func(r RoundReport) *float64 { return r.Saturated.CPU }
	if m, all := v.median(cpu); *m != 5 || all {
		t.Errorf("median of what three of four rounds have: %v, %v", *m, all)
	}
	if *v.least(cpu) != 1 || *v.most(throughput) != 100 {
		t.Errorf("least %v, most %v", *v.least(cpu), *v.most(throughput))
	}
}

// A percentile of a round that has too few samples is that of all rounds together; where even
// those are too few it is a dash, in JSON null.
func TestR4_PercentilesNeedSamples(t *testing.T) {
	instant := func(int) load.Action {
		return load.Action{Kind: string(Detail), Do: func(context.Context, *load.Client) error { return nil }}
	}
	v := VariantReport{Name: "after"}
	var opens []*load.Result
	for range 3 {
		r, err := load.Closed(t.Context(), 1, 100, instant)
		if err != nil {
			t.Fatal(err)
		}
		opens = append(opens, r)
		v.Rounds = append(v.Rounds, RoundReport{Open: newPhase(r, Counters{}, Counters{}, 0)})
	}
	if p := v.Rounds[0].Open.Kinds[allKinds]; p.P50 == nil || p.P95 != nil || p.P99 != nil {
		t.Errorf("100 samples: %+v", p)
	}
	v.finish(opens)
	if p := v.Kinds[allKinds]; p.P50 == nil || p.P95 == nil || p.P99 != nil || p.Count != 300 {
		t.Errorf("300 samples: %+v", p)
	}
	r := Report{Variants: []VariantReport{v}}
	for _, row := range r.rows() {
		if strings.TrimSpace(row[0]) == "p99" && row[2] != dash {
			t.Errorf("%q", row)
		}
	}
	text, err := r.JSON()
	if err != nil || !strings.Contains(string(text), `"p99_ms": null`) {
		t.Errorf("no null in JSON: %v", err)
	}
}

func TestR4_BeforeGetsATenth(t *testing.T) {
	t.Parallel()
	d := testDrive(t, Options{})
	all := d.testSides(t, "before", "tuned")
	if err := d.offer(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if before, tuned := all[0].rate, all[1].rate; before < 0.7 || tuned < 9.9*before-1 || tuned > 10.1*before+1 {
		t.Errorf("before %v, tuned %v", before, tuned)
	}
	d.o.rate, all[0].rate, all[1].rate = 200, 0, 0
	if err := d.offer(t.Context(), all); err != nil || all[0].rate != 20 || all[1].rate != 200 {
		t.Errorf("-rate 200: before %v, tuned %v, %v", all[0].rate, all[1].rate, err)
	}
	r := Report{Variants: []VariantReport{{Name: "before"}}}
	if text := strings.Join(r.explained(), "\n"); !strings.Contains(text, "this flatters before") {
		t.Errorf("the table does not say it: %s", text)
	}
}

// Throughput counts successes only.
func TestR5_FailuresAreNoThroughput(t *testing.T) {
	r, err := load.Closed(t.Context(), 16, 100, func(i int) load.Action {
		return load.Action{Kind: "x", Do: func(context.Context, *load.Client) error {
			if i%4 > 0 {
				return load.Fail(load.Status, io.EOF)
			}
			return nil
		}}
	})
	if err != nil {
		t.Fatal(err)
	}
	cpu := Counters{CPU: 100 * time.Millisecond, Allocs: 500, Queries: 300}
	p := newPhase(r, Counters{}, cpu, 0)
	if p.Done != 25 || p.Throughput != 25/p.Seconds || p.failed() != 0.75 {
		t.Errorf("%+v", p)
	}
	if *p.CPU != 1_000 || p.Allocs != 5 || p.Queries != 3 {
		t.Errorf("CPU %v, allocations %v, queries %v", *p.CPU, p.Allocs, p.Queries)
	}
	// What the probe did is among the actions of the server.
	if p = newPhase(r, Counters{}, cpu, 100); *p.CPU != 500 || p.Queries != 1.5 {
		t.Errorf("with the probe: CPU %v, queries %v", *p.CPU, p.Queries)
	}
}

// Every side does the same in the same phase, however far it came in the one before.
func TestR3_PhasesBeginAlike(t *testing.T) {
	d := testDrive(t, Options{})
	drawn := map[string][]string{}
	for i, s := range d.testSides(t, "tuned", "after") {
		for number, n := range []int{3 + 20*i, 10} {
			_, _, err := d.phase(t.Context(), s, number, func(context.Context) (*load.Result, error) {
				for range n {
					a := s.actions.Next()
					if number == 1 {
						drawn[s.Name] = append(drawn[s.Name], fmt.Sprint(a))
					}
				}
				return load.Closed(t.Context(), 1, 1, func(int) load.Action {
					return load.Action{Kind: "none", Do: func(context.Context, *load.Client) error { return nil }}
				})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if a, b := drawn["tuned"], drawn["after"]; len(a) != 10 || !slices.Equal(a, b) {
		t.Errorf("tuned did\n%q\nand after\n%q", a, b)
	}
}

func TestR6_WarmUpIsByCount(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{"before": 30, "tuned": 500, "after": 10_000, "peers": 10_000, ristrettoName: 10_000} {
		if got := warmUpActions(name); got != want {
			t.Errorf("%s: %d actions, want %d", name, got, want)
		}
	}
	d := testDrive(t, Options{})
	s := d.testSides(t, "tuned")[0]
	began := time.Now()
	if err := d.warmUp(t.Context(), []*side{s}); err != nil {
		t.Fatal(err)
	}
	if time.Since(began) < rest {
		t.Error("no rest after it")
	}
	want, w := 0, NewWorkload(96, d.o.seed+1)
	for range 20 {
		want += len(w.Next().Requests)
	}
	if c, err := s.ask(t.Context(), "counters"); err != nil || int(c.Requests) != want {
		t.Errorf("%d requests, want the %d of 20 actions: %v", c.Requests, want, err)
	}
}

// Whatever goes wrong with an answer, it is a failure with a cause, and never a fast success.
func TestR7_NoFailureIsASuccess(t *testing.T) {
	right := shop(t, "tuned", nil).server.Handler
	for name, tc := range map[string]struct {
		h    http.Handler
		want string
	}{
		"a wrong status": {http.NotFoundHandler(), load.Status},
		"a refusal":      {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }), load.Refused},
		"a cut body": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"id":1`)
		}), load.Cut},
		"no document": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.Method {
			case http.MethodPut:
				w.WriteHeader(http.StatusNoContent)
			case http.MethodPost:
				w.WriteHeader(http.StatusCreated)
				_, _ = io.WriteString(w, "thanks")
			default:
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{}`)
			}
		}), load.Document},
		"another product": {http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = strings.Replace(r.URL.Path, "/products/", "/products/1", 1)
			right.ServeHTTP(w, r)
		}), load.Document},
	} {
		s := fakeSide(t, tc.h)
		r, err := load.Closed(t.Context(), 4, 60, func(int) load.Action {
			for {
				if a := s.next(0); a.Kind == string(Detail) || tc.want != load.Document {
					return a
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if r.Done() != 0 && name != "another product" || r.Failures[tc.want] < 30 {
			t.Errorf("%s: %d done, failures %v, %v", name, r.Done(), r.Failures, r.FirstErr)
		}
	}
}

func TestR7_TheDocumentIsLookedAt(t *testing.T) {
	d := NewDocuments(testProducts)
	s := shop(t, "tuned", nil)
	c := newTestClient(t, s)
	for _, a := range []Action{action(Detail), action(List), action(Top)} {
		want := a.Requests[0]
		bodies, err := c.Do(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		body := string(bodies[0])
		answer := func(body string) load.Answer {
			return load.Answer{Status: 200, Type: "application/json", Body: []byte(body)}
		}
		for range 2 {
			if err := d.Check(want, answer(body)); err != nil {
				t.Errorf("%s: %v", want.Path, err)
			}
		}
		for name, wrong := range map[string]string{
			"empty": "", "cut": body[:len(body)-5], "another id": strings.Replace(body, `"id":`, `"id":-`, 1),
			"a field dropped": strings.Replace(body, `"rating":`, `"x":`, 1), "no price": strings.Replace(body, `"price":`, `"price":-`, 1),
			"nothing in it": "[]",
		} {
			if err := d.Check(want, answer(wrong)); load.CauseOf(err) != load.Document {
				t.Errorf("%s, %s: %v", want.Path, name, err)
			}
		}
		html := answer(body)
		html.Type = "text/html"
		if err := d.Check(want, html); err == nil {
			t.Errorf("%s as HTML", want.Path)
		}
	}
	parts := Request{"POST", "/batch", "1,2", 200}
	if err := d.Check(parts, load.Answer{Status: 200, Type: "application/json", Body: []byte("[{},{}]")}); load.CauseOf(err) != load.Document {
		t.Errorf("batch: %v", err)
	}
}

// The probe sees a page that is older than its own last write, and never one that is not.
func TestR9_TheProbeSeesOldPrices(t *testing.T) {
	t.Parallel()
	for name, stale := range map[string]bool{"right": false, "wrong": true} {
		var mu sync.Mutex
		old := map[string]string{}
		target := spoilt(t, func(next http.Handler) http.Handler {
			return record(next, func(r *http.Request, body string) string {
				mu.Lock()
				defer mu.Unlock()
				if r.Method != http.MethodGet || !stale {
					return body
				}
				if kept := old[r.RequestURI]; kept != "" {
					return kept
				}
				old[r.RequestURI] = body
				return body
			})
		})
		p := NewProbe(t.Context(), target, testProducts)
		for range 3 * probed * 2 {
			if err := p.cycle(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		p.Close()
		if (p.seen.Stale > 0) != stale || p.seen.Reads != 6*probed || p.seen.Writes != 6*probed {
			t.Errorf("%s: %+v", name, p.seen)
		}
		r := Report{Checks: Checks{Stale: p.seen}}
		if r.exact(Options{}); (len(r.Checks.Failed) > 0) != stale {
			t.Errorf("%s: the run: %v", name, r.Checks.Failed)
		}
	}
}

// One version below the last is as stale as a hundred.
func TestR9_TheProbeSeesEveryOldPrice(t *testing.T) {
	version := regexp.MustCompile(`"price":1(\d{6})`)
	p := NewProbe(t.Context(), spoilt(t, func(next http.Handler) http.Handler {
		return record(next, func(_ *http.Request, body string) string {
			return version.ReplaceAllStringFunc(body, func(price string) string {
				n, _ := strconv.Atoi(strings.TrimPrefix(price, `"price":`))
				return fmt.Sprintf(`"price":%d`, n-1)
			})
		})
	}), testProducts)
	defer p.Close()
	for range 6 {
		if err := p.cycle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if p.seen.Reads != 6 || p.seen.Stale != 6 {
		t.Errorf("%+v", p.seen)
	}
}

func TestR9_NobodyElseWritesThoseProducts(t *testing.T) {
	for _, products := range []int{96, 240, 2_400} {
		reserved := map[string]bool{}
		for k := range probed {
			reserved[priceRequest(probedProduct(k, products), 0).Path] = true
		}
		if len(reserved) != probed {
			t.Errorf("%d products: %d of %d are different", products, len(reserved), probed)
		}
		w := NewWorkload(products, rand.Uint64())
		for range 20_000 {
			if a := w.Next(); a.Kind == Price && reserved[a.Requests[0].Path] {
				t.Fatalf("%d products: %v", products, a)
			}
		}
	}
}

// With every layer on more is expected than of a cache alone, which the ablation shows beside it.
func TestVerdicts_GoalsOfTheLayersThatAreOn(t *testing.T) {
	phase := func(cpu float64) []RoundReport {
		return []RoundReport{{Saturated: PhaseReport{Throughput: 1e6 / cpu, CPU: &cpu, Done: 10_000}}}
	}
	cpu, half := 1000.0, 500.0
	r := Report{
		Layers: AllOn().String(), Variants: []VariantReport{{Name: "tuned", Rounds: phase(1000)}, {Name: "after", Rounds: phase(300)}},
		Ablation: []AblationRow{
			{Technique: "compress", Added: Change{Ablated{CPU: &half, Throughput: 1}, Ablated{CPU: &cpu, Throughput: 1}}},
			{Technique: "cache", Added: Change{Ablated{CPU: &cpu, Throughput: 1_000}, Ablated{CPU: &half, Throughput: 2_000}}},
		},
	}
	r.judge()
	var got []string
	for _, v := range r.Verdicts {
		got = append(got, fmt.Sprintf("%s %s %s", v.Goal, v.Want, v.Result))
	}
	want := "CPU per action, after/tuned at most 0.25 missed; throughput, after/tuned at least 4x missed; " +
		"CPU per action, tuned with cache/tuned at most 0.4 missed; throughput, tuned with cache/tuned at least 2x met"
	if strings.Join(got, "; ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "; "), want)
	}
	// "httpcache" alone has no cache in it.
	r = Report{Layers: "httpcache", Variants: r.Variants}
	if r.judge(); len(r.Verdicts) != 0 {
		t.Errorf("of httpcache alone: %+v", r.Verdicts)
	}
}

func TestR10_VerdictsAreWithheldWhenTheMachineIsBusy(t *testing.T) {
	phase := func(cpu float64) PhaseReport {
		return PhaseReport{Throughput: 1e6 / cpu, CPU: &cpu, Done: 10_000}
	}
	half, more := 1.0, 1.2 // on two cores
	for name, tc := range map[string]struct {
		change func(r *Report)
		want   string
	}{
		"calm":      {func(r *Report) { r.Host.LoadBefore = &half }, met},
		"loaded":    {func(r *Report) { r.Host.LoadBefore = &more }, withheld},
		"generator": {func(r *Report) { r.Variants[1].Rounds[0].Saturated.GeneratorShare = 0.81 }, withheld},
		"failures": {func(r *Report) {
			r.Variants[0].Rounds[0].Open.Done = 998
			r.Variants[0].Rounds[0].Open.Failures = map[string]int{"timeout": 2}
		}, withheld},
		"few failed": {func(r *Report) {
			r.Variants[0].Rounds[0].Open.Done = 9999
			r.Variants[0].Rounds[0].Open.Failures = map[string]int{"timeout": 1}
		}, met},
		"late": {func(r *Report) { r.Variants[1].Rounds[0].Open.Invalid = "late" }, withheld},
		"slow": {func(r *Report) { *r.Variants[1].Rounds[0].Saturated.CPU = 401 }, missed},
	} {
		r := Report{Layers: "cache", Host: Host{Cores: 2}, Variants: []VariantReport{
			{Name: "tuned", Rounds: []RoundReport{{phase(1000), phase(1000)}}},
			{Name: "after", Rounds: []RoundReport{{phase(400), phase(400)}}},
		}}
		tc.change(&r)
		if r.judge(); len(r.Verdicts) != 2 || r.Verdicts[0].Result != tc.want {
			t.Errorf("%s: %+v", name, r.Verdicts)
		}
		if text := strings.Join(r.notes(), "\n"); strings.Contains(text, "busy machine: times are rough, counts stand") != (tc.want == withheld) {
			t.Errorf("%s: %s", name, text)
		}
	}
	// Counts are judged all the same.
	r := Report{Host: Host{Cores: 2, LoadBefore: &more}, Checks: Checks{Stale: Staleness{Stale: 1}}}
	if r.exact(Options{}); len(r.Checks.Failed) != 1 {
		t.Error("a stale read on a busy machine is one")
	}
}

func TestR10_CountsAreJudged(t *testing.T) {
	report := func(after float64) *Report {
		r := &Report{}
		for name, queries := range map[string]float64{"before": 16.8, "tuned": 3.7, "after": after} {
			r.Variants = append(r.Variants, VariantReport{Name: name, Rounds: []RoundReport{{Saturated: PhaseReport{Queries: queries}}}})
		}
		return r
	}
	o := Options{products: 2_400, on: AllOn()}
	for after, failures := range map[float64]int{0.3: 0, 0.38: 1, 0.6: 2} {
		if r := report(after); true {
			if r.exact(o); len(r.Checks.Failed) != failures {
				t.Errorf("%v queries: %v", after, r.Checks.Failed)
			}
		}
	}
}

// The disk is not what is measured, for any variant, and the report says so.
func TestR11_NoFsync(t *testing.T) {
	for _, name := range variantNames {
		if name == redisName {
			continue // has the database of after
		}
		s := shop(t, name, AllOn()).Store
		for what, db := range map[string]interface {
			QueryFresh(context.Context, string, ...any) (*Rows, error)
			Query(context.Context, string, ...any) (*Rows, error)
		}{"pool": s} {
			for how, query := range map[string]func(context.Context, string, ...any) (*Rows, error){"pooled": db.Query, "fresh": db.QueryFresh} {
				rows, err := query(t.Context(), "PRAGMA synchronous")
				if err != nil {
					t.Fatal(err)
				}
				n := -1
				for rows.Next() {
					_ = rows.Scan(&n)
				}
				rows.Close()
				if n != 0 {
					t.Errorf("%s, %s, %s: synchronous is %d", name, what, how, n)
				}
			}
		}
	}
	if d := testDrive(t, Options{}); !strings.Contains(d.report.Markdown(), "synchronous=OFF") {
		t.Error("the report does not say it")
	}
}

// Each request is sent once. One that a dead connection swallowed is a failure, not a success at
// the second try, and a server that got more than was sent fails the run.
func TestR13_RequestsAreSentOnce(t *testing.T) {
	var arrived atomic.Int64
	s := fakeSide(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if arrived.Add(1)%2 == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	put := priceRequest(1, 2)
	r, err := load.Closed(t.Context(), 1, 40, func(int) load.Action {
		return load.Action{Kind: "price", Do: func(ctx context.Context, c *load.Client) error {
			return c.Do(ctx, s.Addr, put.bytes(s.Addr, "x"), func(a load.Answer) error { return s.docs.Check(put, a) })
		}}
	})
	if err != nil || r.Done() != 20 || r.Failures[load.Cut] != 20 || r.Requests != 40 || arrived.Load() != 40 {
		t.Errorf("done %d, failures %v, %d sent, %d arrived, %v", r.Done(), r.Failures, r.Requests, arrived.Load(), err)
	}
	report := Report{Variants: []VariantReport{{Name: "after", Rounds: []RoundReport{{Open: PhaseReport{Unexplained: 1}}}}}}
	if report.exact(Options{}); !slices.ContainsFunc(report.Checks.Failed, func(s string) bool { return strings.Contains(s, "+1 requests more than were sent") }) {
		t.Errorf("%v", report.Checks.Failed)
	}
}
