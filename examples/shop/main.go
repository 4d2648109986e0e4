// Shop is one small web shop written several times: as many programs start, as a good engineer
// tunes it, and with hotpath. Without a subcommand it runs them against each other on this
// machine and prints what the cures are worth.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

const usage = `usage, from the root of the repository:
  go run -C examples ./shop [flags]          before, tuned and after, side by side; about a minute
  go run -C examples ./shop verify [flags]   only: do all variants answer alike?
  go run -C examples ./shop serve [flags]    one variant, to try with curl or a browser

flags:
`

// Exit codes, as the README says.
const (
	exitOK          = 0
	exitFailed      = 1 // a check failed, or something could not be done
	exitUsage       = 2
	exitInterrupted = 130
)

// Options are the flags of all subcommands.
type Options struct {
	products  int
	seed      uint64
	rtt       time.Duration
	rounds    int
	clients   int
	length    time.Duration
	variants  []string
	variant   string
	addr      string
	on        Switches
	checks    int // actions that are compared; twice as many reads and writes look for old prices
	warm      int // at most so many actions of warm-up; 0: no bound
	terminals *os.File
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program. It leaves nothing behind, however it ends.
func run(ctx context.Context, args []string, stdout io.Writer, stderr *os.File) int {
	command := "demo"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command, args = args[0], args[1:]
	}
	o, err := parse(command, args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(stderr, "shop: %v (shop -h lists the flags)\n", err)
		return exitUsage
	}
	o.terminals = stderr
	switch command {
	case "serve":
		err = serve(ctx, o, stdout)
	case "verify":
		err = verify(ctx, o, stdout)
	default:
		err = demo(ctx, o, stdout)
	}
	switch {
	case ctx.Err() != nil && command != "serve":
		fmt.Fprintln(stderr, "shop: interrupted")
		return exitInterrupted
	case err != nil:
		fmt.Fprintf(stderr, "shop: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// parse reads the flags and says all that is wrong with one line.
func parse(command string, args []string, help io.Writer) (o Options, err error) {
	if !slices.Contains([]string{"demo", "serve", "verify"}, command) {
		return o, fmt.Errorf("subcommand is %q: must be serve or verify, or none", command)
	}
	f := flag.NewFlagSet("shop", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.IntVar(&o.products, "products", 2_400, "products, in categories of 48")
	f.Uint64Var(&o.seed, "seed", 1, "seed of data and actions")
	f.DurationVar(&o.rtt, "rtt", 0, "delay of every query: stands for a database across a network")
	f.IntVar(&o.rounds, "rounds", 3, "rounds of the demonstration")
	f.IntVar(&o.clients, "clients", 16, "clients of the closed loop")
	f.DurationVar(&o.length, "d", 4*time.Second, "length of each measured phase")
	f.IntVar(&o.checks, "checks", verifyActions, "actions that are compared; twice as many look for old prices")
	f.IntVar(&o.warm, "warm", 0, "at most so many actions of warm-up; 0: 30 for before, 500 for tuned, 10000 for after")
	variants := f.String("variants", "before,tuned,after", "variants to run")
	engine := f.String("engine", "", "ristretto: after on cache/ristrettostore too; for serve, instead")
	f.StringVar(&o.variant, "variant", "after", "variant to serve")
	f.StringVar(&o.addr, "addr", "127.0.0.1:8080", "address to serve at")
	with := f.String("with", "", "the only layers of after")
	without := f.String("without", "", "layers to leave out of after")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(help, usage)
			f.SetOutput(help)
			f.PrintDefaults()
		}
		return o, err
	}
	o.variants = strings.Split(*variants, ",")
	o.on, err = parseSwitches(*with, *without)
	if err != nil {
		return o, err
	}
	if *engine == "ristretto" {
		o.variants = append(o.variants, ristrettoName)
		if o.variant == "after" {
			o.variant = ristrettoName
		}
	}
	for _, check := range []struct {
		ok   bool
		text string
	}{
		{*engine == "" || *engine == "ristretto", fmt.Sprintf("-engine is %q: must be ristretto", *engine)},
		{f.NArg() == 0, fmt.Sprintf("arguments are %q: there are only flags", f.Args())},
		{o.products >= 2*perCategory && o.products%perCategory == 0 && o.products <= 96_000, fmt.Sprintf("-products is %d: must be a multiple of 48 from 96 to 96000", o.products)},
		{o.rounds >= 1 && o.rounds <= 100, fmt.Sprintf("-rounds is %d: must be between 1 and 100", o.rounds)},
		{o.clients >= 1 && o.clients <= 1_000, fmt.Sprintf("-clients is %d: must be between 1 and 1000", o.clients)},
		{o.length > 0, fmt.Sprintf("-d is %v: must be above 0", o.length)},
		{o.checks >= 1, fmt.Sprintf("-checks is %d: must be at least 1", o.checks)},
		{o.warm >= 0, fmt.Sprintf("-warm is %d: must not be negative", o.warm)},
		{o.rtt >= 0 && o.rtt <= time.Second, fmt.Sprintf("-rtt is %v: must be between 0 and 1s", o.rtt)},
		{slices.Contains(variantNames, o.variant), fmt.Sprintf("-variant is %q: must be one of %s", o.variant, strings.Join(variantNames, ", "))},
	} {
		if !check.ok {
			return o, errors.New(check.text)
		}
	}
	for _, name := range o.variants {
		if !slices.Contains(variantNames, name) {
			return o, fmt.Errorf("-variants has %q: must be of %s", name, strings.Join(variantNames, ", "))
		}
	}
	return o, nil
}

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

// start serves a variant on a copy of the data at a free port of the loopback.
func start(ctx context.Context, o Options, dir, seeded, name string) (*Variant, error) {
	return startAt(ctx, o, dir, seeded, name, "127.0.0.1:0")
}

func startAt(ctx context.Context, o Options, dir, seeded, name, addr string) (*Variant, error) {
	s, err := copyOf(seeded, dir, name, o.products, o.rtt)
	if err != nil {
		return nil, err
	}
	v, err := serveVariant(ctx, name, s, o.on, addr)
	if err != nil {
		s.Close()
		return nil, err
	}
	return v, nil
}

// serve serves one variant until it is interrupted.
func serve(ctx context.Context, o Options, stdout io.Writer) error {
	return withData(ctx, o, func(dir, seeded string) error {
		v, err := startAt(ctx, o, dir, seeded, o.variant, o.addr)
		if err != nil {
			return err
		}
		defer v.Close()
		fmt.Fprintf(stdout, "%s is served at %s, for example\n  curl %s/products/1\n  curl '%s/categories/1/products?page=0'\nCtrl-C ends it\n", v.Name, v.URL, v.URL, v.URL)
		<-ctx.Done()
		return nil
	})
}

// startAll serves all of names on copies of the same data.
func startAll(ctx context.Context, o Options, dir, seeded string) (all []*Variant, stop func(), err error) {
	stop = func() {
		for _, v := range all {
			v.Close()
		}
	}
	for _, name := range o.variants {
		v, err := start(ctx, o, dir, seeded, name)
		if err != nil {
			stop()
			return nil, nil, err
		}
		all = append(all, v)
	}
	return all, stop, nil
}

func verify(ctx context.Context, o Options, stdout io.Writer) error {
	return withData(ctx, o, func(dir, seeded string) error {
		compared, stale, err := check(ctx, o, dir, seeded, newProgress(o.terminals, 2, 20*time.Second))
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s answers equal, database digests equal, stale reads %d of %s beside %s writes\n", compared, stale.Stale, group(float64(stale.Reads)), group(float64(stale.Writes)))
		return nil
	})
}

// check compares the variants, and looks for stale reads in the last of them.
func check(ctx context.Context, o Options, dir, seeded string, p *Progress) (compared string, stale Staleness, err error) {
	all, stop, err := startAll(ctx, o, dir, seeded)
	if err != nil {
		return "", stale, err
	}
	defer stop()
	p.Next("%s answer alike", strings.Join(o.variants, ", "))
	done, err := verifyAlike(ctx, all, o.seed, o.checks, func(int) {})
	if err != nil {
		return "", stale, err
	}
	compared = fmt.Sprintf("%s of %s", group(float64(done)), group(float64(o.checks)))
	if o.variants[0] == "before" && len(o.variants) > 1 && o.checks > verifyActionsBefore {
		compared += fmt.Sprintf(" (before: %d)", verifyActionsBefore)
	}
	p.Done(compared + " equal")

	last := all[len(all)-1]
	p.Next("%s never shows an old price", last.Name)
	if stale, err = checkStale(ctx, last, o.seed, 2*o.checks); err != nil {
		return "", stale, err
	}
	if stale.Stale > 0 {
		return "", stale, fmt.Errorf("%s: %d of %d reads were stale", last.Name, stale.Stale, stale.Reads)
	}
	p.Done(fmt.Sprintf("%d stale of %s", stale.Stale, group(float64(stale.Reads))))
	return compared, stale, nil
}

// demo is the demonstration: checks first, then interleaved rounds, then the table.
func demo(ctx context.Context, o Options, stdout io.Writer) error {
	fmt.Fprintf(o.terminals, "hotpath shop: one service, written %d times\n", len(o.variants))
	estimate := 22*time.Second + time.Duration(o.rounds*len(o.variants))*(o.length+500*time.Millisecond)
	p := newProgress(o.terminals, 3+o.rounds*len(o.variants), estimate)
	r := &Report{
		Host: host(), Clients: o.clients, Rounds: o.rounds,
		Data: fmt.Sprintf("%s products, %s reviews, SQLite, seed %d", group(float64(o.products)), group(float64(o.products*reviewsPerProduct)), o.seed),
	}
	err := withData(ctx, o, func(dir, seeded string) (err error) {
		if r.Compared, r.Stale, err = check(ctx, o, dir, seeded, p); err != nil {
			return err
		}
		all, stop, err := startAll(ctx, o, dir, seeded)
		if err != nil {
			return err
		}
		defer stop()
		measure(ctx, o, all, p, r)
		return ctx.Err()
	})
	p.Done("")
	if err != nil {
		return err
	}
	r.Print(stdout)
	for _, c := range r.Columns {
		if c.FirstErr != nil {
			return fmt.Errorf("%s: %d actions failed, the first: %w", c.Name, c.Failed, c.FirstErr)
		}
	}
	return nil
}

// measure runs the rounds, interleaved, so that a machine that changes its pace changes it for all.
func measure(ctx context.Context, o Options, all []*Variant, p *Progress, r *Report) {
	workloads := make([]*Workload, len(all))
	phases := make([][]*Phase, len(all))
	p.Next("warm-up")
	for i, v := range all {
		workloads[i] = NewWorkload(o.products, o.seed+1)
		n := warmUp(v.Name)
		if o.warm > 0 {
			n = min(n, o.warm)
		}
		closedLoop(ctx, v, workloads[i], o.clients, n, 0)
	}
	for round := range o.rounds {
		for i, v := range all {
			if ctx.Err() != nil {
				return
			}
			p.Next("round %d of %d: %s", round+1, o.rounds, v.Name)
			phase := closedLoop(ctx, v, workloads[i], o.clients, 0, o.length)
			phases[i] = append(phases[i], phase)
			p.Done(fmt.Sprintf("%s actions/s", group(float64(phase.Done())/phase.Took.Seconds())))
		}
	}
	for i, v := range all {
		r.Columns = append(r.Columns, newColumn(v.Name, phases[i]))
		if pages := v.Layers.Pages; pages != nil {
			r.Caches = append(r.Caches, CacheStats{v.Name, pages.Stats()})
		}
		if small := v.Layers.Small; small != nil {
			r.Codings = append(r.Codings, CodingStats{v.Name, small.Stats()})
		}
	}
}
