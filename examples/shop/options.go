package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

const usage = `usage, from the root of the repository:
  go run -C examples ./shop [flags]          before, tuned and after, side by side; about 80 s
  go run -C examples ./shop -full            with peers, cold start, highest rates, ablation; about 7 minutes
  go run -C examples ./shop verify [flags]   only: do all variants answer alike?
  go run -C examples ./shop serve [flags]    one variant, to try with curl, a browser, Locust
  go run -C examples ./shop load [flags]     the load generator against a variant that is served
  go run -C examples ./shop ablate [flags]   only: what each technique is worth, from both sides

environment:
  DATABASE_URL=postgres://user@host/name     PostgreSQL instead of SQLite: a schema for each shop, dropped at the end
  REDIS_URL=redis://127.0.0.1:6379           also after+redis: after in two processes that share their pages

flags:
`

// Options are the flags of all subcommands.
type Options struct {
	args     []string
	products int
	seed     uint64
	rtt      time.Duration
	rounds   int
	rate     float64
	length   time.Duration
	cpus     int
	full     bool
	variants []string
	variant  string
	addr     string
	url      string
	admin    string // address; empty: none
	on       Switches
	checks   int // actions that are compared; twice as many reads and writes look for old prices
	warm     int // at most so many actions of warm-up; 0: no bound
	dir      string
	json     bool
	strict   bool
	readme   string

	db    Database // of DATABASE_URL
	child bool     // see serveChild
	data  string   // the child's database

	terminal *os.File
	wrap     Wrap
}

var commands = []string{"demo", "serve", "load", "verify", "ablate"}

// parse reads the flags and says what is wrong with one line.
func parse(command string, args []string, help io.Writer) (o Options, err error) {
	if !slices.Contains(commands, command) {
		return o, fmt.Errorf("subcommand is %q: must be serve, load, verify or ablate, or none", command)
	}
	f := flag.NewFlagSet("shop", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.IntVar(&o.products, "products", 2_400, "products, in categories of 48")
	f.Uint64Var(&o.seed, "seed", 1, "seed of data, actions and moments")
	f.DurationVar(&o.rtt, "rtt", 0, "delay of every query: stands for a database across a network")
	f.IntVar(&o.rounds, "rounds", 3, "rounds; with -full 5")
	f.Float64Var(&o.rate, "rate", 0, "actions a second of the open loop, before a tenth of it; 0: ten times 70 % of what before can do, 150 without before")
	f.DurationVar(&o.length, "d", 4*time.Second, "length of an open loop; one to saturation takes half of it")
	f.IntVar(&o.cpus, "cpus", 0, "cores of the server; 0: half of them")
	f.BoolVar(&o.full, "full", false, "also peers, cold start, highest rates and ablation")
	f.IntVar(&o.checks, "checks", verifyActions, "actions that are compared; twice as many look for old prices")
	f.IntVar(&o.warm, "warm", 0, "at most so many actions of warm-up; 0: 30 for before, 500 for tuned, 10000 for the others")
	variants := f.String("variants", "before,tuned,after", "variants to run")
	engine := f.String("engine", "", "ristretto: after on cache/ristrettostore too; for serve, instead")
	f.StringVar(&o.variant, "variant", "after", "variant to serve")
	f.StringVar(&o.addr, "addr", "127.0.0.1:8080", "address to serve at")
	f.StringVar(&o.admin, "admin", "", "second address to serve at, for the live page, /metrics and /debug/pprof/; empty: none")
	f.StringVar(&o.url, "url", "http://127.0.0.1:8080", "what to load")
	with := f.String("with", "", "the only layers of after; none: no layer")
	without := f.String("without", "", "layers to leave out of after")
	f.StringVar(&o.dir, "o", "report", "directory of report.md, report.json and report.svg; empty: none")
	f.BoolVar(&o.json, "json", false, "only the report as JSON on stdout")
	f.BoolVar(&o.strict, "strict", false, "a missed goal for times is a failure")
	f.StringVar(&o.readme, "readme", "", "file whose figures are replaced, between its markers")
	if command == "serve" { // not for people: see serveChild
		f.BoolVar(&o.child, "child", false, "be asked over stdin, and end with it")
		f.StringVar(&o.data, "data", "", "database of a child")
	}
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(help, usage)
			f.SetOutput(help)
			f.PrintDefaults()
		}
		return o, err
	}
	given := map[string]bool{}
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, only := range map[string]string{"addr": "serve", "admin": "serve", "variant": "serve, load", "url": "load"} {
		if given[name] && !strings.Contains(only, command) {
			return o, fmt.Errorf("-%s is for %s alone", name, only)
		}
	}
	o.args, o.variants = args, strings.Split(*variants, ",")
	if o.on, err = parseSwitches(*with, *without); err != nil {
		return o, err
	}
	if o.full && !given["rounds"] {
		o.rounds = 5
	}
	if o.full && !given["variants"] {
		o.variants = []string{"before", "tuned", "peers", "after"}
	}
	if *engine == "ristretto" {
		o.variants = append(o.variants, ristrettoName)
		if o.variant == "after" {
			o.variant = ristrettoName
		}
	}
	if address := redisURL(); address != "" {
		if err := checkRedisURL(address); err != nil {
			return o, err
		}
		if !given["variants"] {
			o.variants = append(o.variants, redisName)
		}
	} else if slices.Contains(o.variants, redisName) || o.variant == redisName {
		return o, fmt.Errorf("%s needs REDIS_URL, like redis://127.0.0.1:6379", redisName)
	}
	if *engine != "" && *engine != "ristretto" {
		return o, fmt.Errorf("-engine is %q: must be ristretto", *engine)
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("arguments are %q: there are only flags", f.Args())
	}
	if command == "verify" && len(o.variants) < 2 {
		return o, fmt.Errorf("-variants is %q: must be at least two, or nothing is compared", *variants)
	}
	if err := o.check(); err != nil {
		return o, err
	}
	o.db, err = openDatabase(os.Getenv("DATABASE_URL"))
	return o, err
}

// check says the first thing that is wrong: flag, value, rule.
func (o *Options) check() error {
	target, err := url.Parse(o.url)
	for _, rule := range []struct {
		ok   bool
		text string
	}{
		{o.products >= 2*perCategory && o.products%perCategory == 0 && o.products <= 96_000, fmt.Sprintf("-products is %d: must be a multiple of 48 from 96 to 96000", o.products)},
		{o.rounds >= 1 && o.rounds <= 100, fmt.Sprintf("-rounds is %d: must be between 1 and 100", o.rounds)},
		{o.rate >= 0 && o.rate <= 1e6, fmt.Sprintf("-rate is %v: must be between 0 and 1000000", o.rate)},
		{o.length > 0, fmt.Sprintf("-d is %v: must be above 0", o.length)},
		{o.cpus >= 0 && o.cpus <= 1_024, fmt.Sprintf("-cpus is %d: must be between 0 and 1024", o.cpus)},
		{o.checks >= 1, fmt.Sprintf("-checks is %d: must be at least 1", o.checks)},
		{o.warm >= 0, fmt.Sprintf("-warm is %d: must not be negative", o.warm)},
		{o.rtt >= 0 && o.rtt <= time.Second, fmt.Sprintf("-rtt is %v: must be between 0 and 1s", o.rtt)},
		{slices.Contains(variantNames, o.variant), fmt.Sprintf("-variant is %q: must be one of %s", o.variant, strings.Join(variantNames, ", "))},
		{err == nil && target.Scheme == "http" && target.Host != "" && strings.Trim(target.Path, "/") == "", fmt.Sprintf("-url is %q: must be like http://127.0.0.1:8080", o.url)},
		{!o.child || o.data != "", "-child needs -data"},
	} {
		if !rule.ok {
			return errors.New(rule.text)
		}
	}
	seen := map[string]bool{}
	for _, name := range o.variants {
		if !slices.Contains(variantNames, name) {
			return fmt.Errorf("-variants has %q: must be of %s", name, strings.Join(variantNames, ", "))
		}
		if seen[name] {
			return fmt.Errorf("-variants has %q twice", name)
		}
		seen[name] = true
	}
	return nil
}
