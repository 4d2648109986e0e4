package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hotpath-go/hotpath/metrics"
)

// Seeded is the data of which every shop of a run gets a copy.
type Seeded struct{ Data, Database, Settings string }

// withData makes the data of a run, which is gone when f has returned.
func withData(ctx context.Context, o Options, f func(Seeded) error) (err error) {
	var s Seeded
	if s.Database, s.Settings, err = o.db.Describe(ctx); err != nil {
		return err
	}
	run, err := o.db.Begin()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.db.End(run)) }()
	if s.Data, err = seedData(ctx, o.db, run, o.products, o.seed); err != nil {
		return err
	}
	return f(s)
}

// serve serves one variant until it is interrupted.
func serve(ctx context.Context, o Options, stdout io.Writer) error {
	return withData(ctx, o, func(seeded Seeded) error {
		s := Open(o.db, seeded.Data, o.products, o.rtt)
		a, wrap := new(admin), o.wrap
		if o.admin != "" {
			a.signals = must(metrics.New(metrics.Config{}))
			wrap = a.wrap(wrap)
		}
		v, err := serveVariant(ctx, o.variant, s, o.on, o.addr, wrap)
		if err != nil {
			s.Close()
			return err
		}
		defer v.Close()
		if o.admin != "" {
			page, err := a.listen(o.admin, v)
			if err != nil {
				return err
			}
			defer a.close()
			fmt.Fprintf(stdout, "what it does is shown at %s, and counted at %s/metrics\n", page, page)
		}
		url := "http://" + v.Addr
		fmt.Fprintf(stdout, "%s is served at %s, for example\n  curl %s/products/1\n  curl '%s/categories/1/products?page=0'\nCtrl-C ends it\n", v.Name, url, url, url)
		<-ctx.Done()
		return nil
	})
}

func verify(ctx context.Context, o Options, stdout io.Writer) error {
	var c Checks
	err := withData(ctx, o, func(seeded Seeded) error {
		d := newDriver(o, seeded, 2, 20*time.Second)
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

func newDriver(o Options, seeded Seeded, steps int, estimate time.Duration) *drive {
	cores := splitCores(o.cpus)
	return &drive{
		o: o, cores: cores, seeded: seeded.Data, progress: newProgress(o.terminal, steps, estimate),
		report: &Report{
			Schema: schemaVersion, Revision: revision(), Started: time.Now().UTC().Truncate(time.Second), Flags: o.args, Seed: o.seed,
			Database: seeded.Settings + ": the disk is not what is measured", Layers: o.on.String(), Host: newHost(cores),
			Data:   fmt.Sprintf("%s products, %s reviews, %s, seed %d", group(float64(o.products)), group(float64(o.products*reviewsPerProduct)), seeded.Database, o.seed),
			Checks: Checks{Of: o.checks},
		},
	}
}

// check compares the variants, and looks for old prices in all that remember something.
func (d *drive) check(ctx context.Context) error {
	var shops []Target
	for _, name := range d.o.variants {
		c, err := startChild(ctx, d.o, d.cores, d.seeded, name)
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
		steps, estimate = steps+2+ablations(), estimate+time.Minute+ablationTime(o)
	}
	var d *drive
	err := withData(ctx, o, func(seeded Seeded) error {
		d = newDriver(o, seeded, steps, estimate)
		return d.run(ctx)
	})
	if err != nil {
		return err
	}
	return d.publish(stdout)
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

// ablate measures what each layer is worth alone.
func ablate(ctx context.Context, o Options, stdout io.Writer) error {
	return withData(ctx, o, func(seeded Seeded) error {
		n := ablations()
		d := newDriver(o, seeded, n, ablationTime(o))
		undo := d.cores.pinGenerator()
		defer undo()
		if err := d.ablate(ctx); err != nil {
			return err
		}
		d.progress.Done("")
		if o.json {
			return writeJSON(stdout, d.report.Ablation)
		}
		fmt.Fprintln(stdout, "machine", d.report.machine())
		if why := d.report.busy(); why != "" {
			fmt.Fprintln(stdout, "busy machine: times are rough, counts stand ("+why+")")
		}
		for _, table := range d.report.ablationTables() {
			fmt.Fprintln(stdout, table.title)
			for _, line := range align(table.rows) {
				fmt.Fprintln(stdout, line)
			}
		}
		return nil
	})
}
