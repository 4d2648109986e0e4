package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/hotpath-go/hotpath/examples/internal/load"
)

// withData makes the data in a directory of its own, which is gone when f has returned.
func withData(ctx context.Context, o Options, f func(dir, seeded string) error) error {
	dir, err := os.MkdirTemp("", "hotpath-shop-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	seeded, err := seedFile(ctx, dir, o.products, o.seed)
	if err != nil {
		return err
	}
	return f(dir, seeded)
}

// serve serves one variant until it is interrupted.
func serve(ctx context.Context, o Options, stdout io.Writer) error {
	return withData(ctx, o, func(dir, seeded string) error {
		s := Open(seeded, o.products, o.rtt)
		v, err := serveVariant(ctx, o.variant, s, o.on, o.addr, o.wrap)
		if err != nil {
			s.Close()
			return err
		}
		defer v.Close()
		url := "http://" + v.Addr
		fmt.Fprintf(stdout, "%s is served at %s, for example\n  curl %s/products/1\n  curl '%s/categories/1/products?page=0'\nCtrl-C ends it\n", v.Name, url, url, url)
		<-ctx.Done()
		return nil
	})
}

// loadOne loads a shop that is served elsewhere, and prints what was seen.
func loadOne(ctx context.Context, o Options, stdout io.Writer) error {
	target, err := url.Parse(o.url)
	if err != nil {
		return err
	}
	if o.rate == 0 {
		o.rate = defaultRate
	}
	s := &side{
		Child: &Child{Target: Target{Name: o.variant, Addr: target.Host}}, actions: NewWorkload(o.products, o.seed), docs: NewDocuments(o.products),
	}
	r, err := load.Open(ctx, load.Plan{Rate: o.rate, For: o.length, Seed: o.seed}, s.next)
	if err != nil {
		return err
	}
	p := newPhase(r, Counters{}, Counters{}, 0)
	if o.json {
		if err := writeJSON(stdout, loadReport{PhaseReport: p}); err != nil {
			return err
		}
		return failures(r)
	}
	rows := [][]string{{"", "", "actions", "p50 ms", "p95 ms", "p99 ms", "max ms"}}
	for _, kind := range append([]string{allKinds, reads}, r.Kinds()...) {
		k := p.Kinds[kind]
		rows = append(rows, []string{kind, "", group(float64(k.Count)), millis(k.P50), millis(k.P95), millis(k.P99), millis(k.Max)})
	}
	for _, line := range align(rows) {
		fmt.Fprintln(stdout, line)
	}
	fmt.Fprintf(stdout, "\noffered %.4g actions/s, done %s, generator lag p99 %.2f ms, %s requests, %s bytes in, %s out\n",
		o.rate, group(float64(p.Done)), p.LagP99, group(float64(r.Requests)), group(float64(r.In)), group(float64(r.Out)))
	if p.Invalid != "" {
		fmt.Fprintln(stdout, p.Invalid)
	}
	return failures(r)
}

// A loadReport is a phase of a server that cannot be asked: what only it knows is null.
type loadReport struct {
	PhaseReport
	Queries    *float64 `json:"queries_per_action"`
	Rows       *float64 `json:"rows_per_action"`
	Allocs     *float64 `json:"allocs_per_action"`
	AllocBytes *float64 `json:"alloc_bytes_per_action"`
}

func failures(r *load.Result) error {
	if r.Failed() == 0 {
		return nil
	}
	return fmt.Errorf("%d actions failed (%s), the first: %w", r.Failed(), causes(r.Failures), r.FirstErr)
}

func causes(failures map[string]int) string {
	var list []string
	for cause, n := range failures {
		list = append(list, fmt.Sprintf("%s %d", cause, n))
	}
	sort.Strings(list)
	return strings.Join(list, ", ")
}

func verify(ctx context.Context, o Options, stdout io.Writer) error {
	var c Checks
	err := withData(ctx, o, func(dir, seeded string) error {
		d := newDriver(o, dir, seeded, 2, 20*time.Second)
		err := d.check(ctx)
		c = d.report.Checks
		return err
	})
	if err != nil {
		return err
	}
	if o.json {
		return writeJSON(stdout, c)
	}
	_, err = fmt.Fprintf(stdout, "%s of %s answers equal, database digests equal, old prices %d of %s reads beside %s writes\n",
		group(float64(c.Compared)), group(float64(c.Of)), c.Stale.Stale, group(float64(c.Stale.Reads)), group(float64(c.Stale.Writes)))
	return err
}

func newDriver(o Options, dir, seeded string, steps int, estimate time.Duration) *drive {
	cores := splitCores(o.cpus)
	return &drive{
		o: o, cores: cores, dir: dir, seeded: seeded, progress: newProgress(o.terminal, steps, estimate),
		report: &Report{
			Schema: schemaVersion, Revision: revision(), Started: time.Now().UTC().Truncate(time.Second), Flags: o.args, Seed: o.seed,
			Database: "SQLite, synchronous=OFF: the disk is not what is measured", Layers: o.on.String(), Host: newHost(cores),
			Data:   fmt.Sprintf("%s products, %s reviews, SQLite, seed %d", group(float64(o.products)), group(float64(o.products*reviewsPerProduct)), o.seed),
			Checks: Checks{Of: o.checks},
		},
	}
}

// check compares the variants, and looks for old prices in all that remember something.
func (d *drive) check(ctx context.Context) error {
	var shops []Target
	for _, name := range d.o.variants {
		c, err := startChild(ctx, d.o, d.cores, d.dir, d.seeded, name)
		if err != nil {
			return err
		}
		defer c.Close()
		shops = append(shops, c.Target)
	}
	checks := &d.report.Checks
	d.progress.Next("%s answer alike", strings.Join(d.o.variants, ", "))
	compared, err := verifyAlike(ctx, shops, d.o.products, d.o.seed, d.o.checks)
	if err != nil {
		return err
	}
	checks.Compared, checks.Of = compared, compared
	if d.o.variants[0] == "before" && compared > verifyActionsBefore {
		checks.ComparedBefore = verifyActionsBefore
	}
	d.progress.Done(fmt.Sprintf("%s of %s equal", group(float64(compared)), group(float64(d.o.checks))))

	d.progress.Next("nobody shows an old price")
	for _, t := range shops {
		if t.Name == "before" || t.Name == "tuned" && len(shops) > 1 {
			continue // they remember nothing
		}
		seen, err := checkStale(ctx, t, d.o.products, d.o.seed, 2*d.o.checks)
		if err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
		checks.Stale.add(seen)
		if seen.Stale > 0 {
			return fmt.Errorf("%s: %d of %d reads were stale", t.Name, seen.Stale, seen.Reads)
		}
	}
	d.progress.Done(fmt.Sprintf("%d of %s reads", checks.Stale.Stale, group(float64(checks.Stale.Reads))))
	return nil
}

// demo is the demonstration: checks first, then interleaved rounds, then the report.
func demo(ctx context.Context, o Options, stdout io.Writer) error {
	if err := canPublish(o); err != nil {
		return err
	}
	n := len(o.variants)
	fmt.Fprintf(o.terminal, "hotpath shop: one service, written %d times\n", n)
	steps, estimate := 4+o.rounds*n, 14*time.Second+2*o.length+time.Duration(o.rounds*n)*(o.length*3/2+500*time.Millisecond)
	if o.full {
		steps, estimate = steps+2+ablations(), estimate+90*time.Second
	}
	var d *drive
	err := withData(ctx, o, func(dir, seeded string) error {
		d = newDriver(o, dir, seeded, steps, estimate)
		return d.run(ctx)
	})
	if err != nil {
		return err
	}
	return d.publish(stdout)
}

func ablations() int {
	if len(allSwitches) > 2 {
		return 2 + 2*len(allSwitches)
	}
	return 2 + len(allSwitches)
}

// run does all that is measured.
func (d *drive) run(ctx context.Context) error {
	began := time.Now()
	if err := d.check(ctx); err != nil {
		return err
	}
	checked := time.Now() // the servers of the check have ended: theirs is not foreign
	busy, known := busyTime()
	own := cpuTime()
	// Checked shops have another history each; what is measured starts alike.
	undo := d.cores.pinGenerator()
	defer undo()
	all, stop, err := d.sides(ctx, d.o.variants)
	if err != nil {
		return err
	}
	defer stop()
	if d.o.full {
		d.progress.Next("cold start")
		if err := d.cold(ctx, all); err != nil {
			return err
		}
	}
	d.progress.Next("warm-up")
	if err := d.warmUp(ctx, all); err != nil {
		return err
	}
	if err := d.offer(ctx, all); err != nil {
		return err
	}
	if err := d.rounds(ctx, all); err != nil {
		return err
	}
	for _, s := range all {
		if s.Name == "after" && d.o.on.Has("throttle") {
			d.progress.Next("one consumer floods")
			if err := d.abuse(ctx, s); err != nil {
				return err
			}
			d.progress.Done(fmt.Sprintf("%d actions of others lost", d.report.Abuse.Lost))
		}
	}
	if d.o.full {
		d.progress.Next("highest rates with a p99 of 100 ms")
		if err := d.limits(ctx, all); err != nil {
			return err
		}
		if err := d.ablate(ctx); err != nil {
			return err
		}
	}
	d.progress.Done("")
	d.report.Seconds = time.Since(began).Seconds()
	d.report.Host.LoadAfter = loadAverage()
	if now, ok := busyTime(); ok && known && !d.o.full { // with -full other children came and went
		ours := cpuTime() - own
		for _, s := range all {
			c, err := s.ask(ctx, "counters")
			if err != nil {
				return err
			}
			ours += c.CPU
		}
		foreign := max(now-busy-ours.Seconds(), 0) / time.Since(checked).Seconds() / float64(d.report.Host.Cores)
		d.report.Host.Foreign = &foreign
	}
	d.report.exact(d.o)
	d.report.judge()
	return ctx.Err()
}

// canPublish finds before the run what would else be found after it.
func canPublish(o Options) error {
	if o.readme != "" {
		text, err := os.ReadFile(o.readme)
		if err != nil {
			return err
		}
		if _, _, err := aroundMarkers(o.readme, string(text)); err != nil {
			return err
		}
	}
	if o.dir == "" {
		return nil
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(o.dir, ".writable-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// publish prints and writes the report, and says whether the run failed.
func (d *drive) publish(stdout io.Writer) error {
	r, o := d.report, d.o
	if o.json {
		if err := writeJSON(stdout, r); err != nil {
			return err
		}
	} else if _, err := fmt.Fprint(stdout, r.Text()); err != nil {
		return err
	}
	if o.dir != "" {
		dir, err := r.Write(o.dir)
		if err != nil {
			return err
		}
		if !o.json {
			fmt.Fprintf(stdout, "report    %s  report.json  report.svg\n", filepath.Join(dir, "report.md"))
		}
	}
	if len(r.Checks.Failed) > 0 {
		return errors.New(strings.Join(r.Checks.Failed, "; "))
	}
	if o.readme != "" { // figures of a run that failed are no figures
		if err := r.UpdateReadme(o.readme); err != nil {
			return err
		}
	}
	if o.strict && slices.ContainsFunc(r.Verdicts, func(v Verdict) bool { return v.Result == missed }) {
		return errors.New("a goal was missed")
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// ablate measures what each layer is worth alone.
func ablate(ctx context.Context, o Options, stdout io.Writer) error {
	return withData(ctx, o, func(dir, seeded string) error {
		n := ablations()
		d := newDriver(o, dir, seeded, n, time.Duration(n)*(3*time.Second+time.Duration(o.rounds)*o.length/2))
		undo := d.cores.pinGenerator()
		defer undo()
		if err := d.ablate(ctx); err != nil {
			return err
		}
		d.progress.Done("")
		if o.json {
			return writeJSON(stdout, d.report.Ablation)
		}
		for _, line := range align(d.report.ablationRows()) {
			fmt.Fprintln(stdout, line)
		}
		return nil
	})
}
