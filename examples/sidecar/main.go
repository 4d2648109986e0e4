// Command sidecar is a caching, compressing, limiting reverse proxy in front of any service, in
// whatever language that is written: see README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/hotpath-go/hotpath/cache/httpcache"
	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/examples/internal/live"
	"github.com/hotpath-go/hotpath/metrics"
	"github.com/hotpath-go/hotpath/throttle"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the flags.
type options struct {
	listen, admin        string
	to                   *url.URL
	cacheBytes           int64
	staleIfError         time.Duration
	heuristic            float64
	keepSetCookie, debug bool
	compress             bool
	rate                 float64
	burst                int64
	trust                []netip.Prefix
}

// run is main with everything given: 2 for what was called wrongly, 1 for what failed.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opt, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		usage(stdout)
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "sidecar:", err)
		return 2
	}
	h, admin, err := opt.handler()
	if err != nil {
		fmt.Fprintln(stderr, "sidecar:", strings.ReplaceAll(err.Error(), "\n", "; "))
		return 2
	}
	if err := serve(ctx, opt, h, admin, stdout); err != nil {
		fmt.Fprintln(stderr, "sidecar:", err)
		return 1
	}
	return 0
}

func flags(opt *options) *flag.FlagSet {
	set := flag.NewFlagSet("sidecar", flag.ContinueOnError)
	set.SetOutput(io.Discard) // one line says what is wrong
	set.StringVar(&opt.listen, "listen", "127.0.0.1:8080", "`address`; HTTP/1.1 and h2c")
	set.StringVar(&opt.admin, "admin", "", "second `address`, for the live page, /metrics and the purge endpoint; never a public one")
	opt.cacheBytes = 64 << 20
	set.Func("cache-bytes", "`size` of the cache: bytes, or with KiB, MiB, GiB; 0: no cache (default 64MiB)", func(s string) (err error) {
		opt.cacheBytes, err = parseSize(s)
		return err
	})
	set.DurationVar(&opt.staleIfError, "stale-if-error", 0, "how long a stale response may stand in for an error")
	set.Float64Var(&opt.heuristic, "heuristic", 0, "freshness of responses with Last-Modified alone, as a share of their age; 0.1 is usual")
	set.BoolVar(&opt.keepSetCookie, "keep-set-cookie", false, "store and replay Set-Cookie")
	set.BoolVar(&opt.debug, "debug", false, "say in Cache-Status why something was not stored")
	set.BoolVar(&opt.compress, "compress", true, "encode responses")
	set.Float64Var(&opt.rate, "rate", 0, "requests per second and client address; 0: no limit")
	set.Int64Var(&opt.burst, "burst", 0, "requests at once; 0: those of a second")
	set.Func("trust", "`networks` whose X-Forwarded-* is passed on, separated by commas", func(s string) error {
		for part := range strings.SplitSeq(s, ",") {
			p, err := netip.ParsePrefix(strings.TrimSpace(part))
			if err != nil {
				return errors.New("must be networks such as 10.0.0.0/8")
			}
			opt.trust = append(opt.trust, p)
		}
		return nil
	})
	return set
}

func usage(w io.Writer) {
	set := flags(new(options))
	set.SetOutput(w)
	var to string
	set.StringVar(&to, "to", "", "`URL` of the service; required")
	fmt.Fprintln(w, "sidecar -to http://127.0.0.1:3000")
	set.PrintDefaults()
}

func parse(args []string) (*options, error) {
	opt := new(options)
	set := flags(opt)
	to := set.String("to", "", "")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if set.NArg() > 0 {
		return nil, fmt.Errorf("argument is %q: there are only flags", set.Arg(0))
	}
	u, err := url.Parse(*to)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("-to is %q: must be the URL of a service, such as http://127.0.0.1:3000", *to)
	}
	opt.to = u
	if opt.rate == 0 && opt.burst != 0 {
		return nil, fmt.Errorf("-burst is %d: must come with -rate", opt.burst)
	}
	return opt, nil
}

func parseSize(s string) (int64, error) {
	unit := int64(1)
	for i, suffix := range [...]string{"KiB", "MiB", "GiB"} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			s, unit = number, 1<<(10*(i+1))
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return 0, errors.New("must be a number of bytes, or with KiB, MiB, GiB")
	}
	return n * unit, nil
}

// handler stacks the layers: throttle > compress > httpcache > proxy.
func (opt *options) handler() (h http.Handler, admin *http.ServeMux, err error) {
	admin = http.NewServeMux()
	registry := prometheus.NewRegistry()
	admin.Handle("GET /{$}", live.Handler(registry))
	admin.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	h = opt.proxy()
	if opt.cacheBytes > 0 {
		cfg := httpcache.Config{
			MaxBytes: opt.cacheBytes, StaleIfError: opt.staleIfError, Heuristic: opt.heuristic,
			KeepSetCookie: opt.keepSetCookie, Debug: opt.debug,
			// The service may answer by what we pass on from peers that we trust.
			Key: func(r *http.Request) string {
				if !opt.trusts(r) {
					return ""
				}
				return strings.Join(r.Header["X-Forwarded-Proto"], ",") + "\x00" + strings.Join(r.Header["X-Forwarded-Host"], ",")
			},
		}
		cache, err := httpcache.New(cfg)
		if err != nil {
			return nil, nil, err
		}
		h = cache.Handler(h)
		admin.Handle("/purge", cache.PurgeHandler())
		registry.MustRegister(metrics.Collector("sidecar", cache.Stats))
	}
	if opt.compress {
		c, err := compress.New(compress.Config{})
		if err != nil {
			return nil, nil, err
		}
		h = c.Handler(h)
		registry.MustRegister(metrics.Collector("sidecar", c.Stats))
	}
	if opt.rate != 0 {
		if opt.burst == 0 {
			opt.burst = max(int64(math.Ceil(opt.rate)), 1)
		}
		l, err := throttle.New(throttle.Config{Rate: throttle.Per(int64(opt.rate*1e6), 1_000_000*time.Second), Burst: opt.burst, TrustedProxies: opt.trust})
		if err != nil {
			return nil, nil, err
		}
		h = l.Handler(h)
		registry.MustRegister(metrics.Collector("sidecar", l.Stats))
	}
	signals, err := metrics.New(metrics.Config{Route: func(*http.Request) string { return "all" }}) // a service's routes are its own
	if err != nil {
		return nil, nil, err
	}
	registry.MustRegister(metrics.Collector("sidecar", signals.Stats))
	h = signals.Handler(h)
	return h, admin, nil
}

func (opt *options) trusts(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	for _, p := range opt.trust {
		if p.Contains(peer.Addr().Unmap()) {
			return true
		}
	}
	return false
}

func (opt *options) proxy() http.Handler {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.DisableCompression = true // or it would decode behind our back
	transport.MaxIdleConnsPerHost = 64
	transport.IdleConnTimeout = 2 * time.Second // services close theirs after 5
	var once sync.Once
	return &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1, // or streams stall
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(opt.to)
			p.Out.Host = p.In.Host
			if p.Out.Body != nil && p.Out.ContentLength != 0 {
				// A body that was read cannot be sent again: without this the transport may try.
				p.Out.GetBody = nil
			}
			if opt.compress {
				p.Out.Header.Del("Accept-Encoding") // plain bodies, encoded once here
			}
			if opt.trusts(p.In) {
				for _, name := range [...]string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"} {
					p.Out.Header[name] = p.In.Header[name]
				}
				proto, host := p.In.Header["X-Forwarded-Proto"], p.In.Header["X-Forwarded-Host"]
				p.SetXForwarded()
				if len(proto) > 0 {
					p.Out.Header["X-Forwarded-Proto"] = proto
				}
				if len(host) > 0 {
					p.Out.Header["X-Forwarded-Host"] = host
				}
				return
			}
			if p.In.Header.Get("X-Forwarded-Proto") == "https" {
				once.Do(func() {
					log.Printf("X-Forwarded-Proto: https of %s is replaced: -trust says whose is passed on", p.In.RemoteAddr)
				})
			}
			p.SetXForwarded()
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				panic(http.ErrAbortHandler)
			}
			h := w.Header()
			h.Set("Content-Type", "application/problem+json")
			h.Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprintf(w, `{"title":"Bad Gateway","status":502,"detail":"the service cannot be reached"}`)
		},
	}
}

// serve runs until ctx ends, then lets requests finish for 10 s.
func serve(ctx context.Context, opt *options, h http.Handler, admin http.Handler, stdout io.Writer) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	public := &http.Server{
		Handler: h, Protocols: protocols,
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
	}
	l, err := net.Listen("tcp", opt.listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "http://%s\n", l.Addr())
	servers, failed := []*http.Server{public}, make(chan error, 2)
	go func() { failed <- public.Serve(l) }()
	looking, endLooking := context.WithCancel(context.Background()) // a live page is open for as long as somebody looks
	defer endLooking()
	if opt.admin != "" {
		al, err := net.Listen("tcp", opt.admin)
		if err != nil {
			public.Close()
			return err
		}
		fmt.Fprintf(stdout, "admin http://%s\n", al.Addr())
		private := &http.Server{
			Handler: admin, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
			BaseContext: func(net.Listener) context.Context { return looking },
		}
		private.RegisterOnShutdown(endLooking)
		servers = append(servers, private)
		go func() { failed <- private.Serve(al) }()
	}
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, s := range servers {
		if e := s.Shutdown(drain); e != nil {
			_ = s.Close()
		}
	}
	return err
}
