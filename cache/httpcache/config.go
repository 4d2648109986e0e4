package httpcache

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/internal/field"
)

// Config of a Cache. The zero value is a shared cache by RFC 9111: 64 MiB, which stores only
// what responses explicitly allow.
type Config struct {
	// MaxBytes bounds memory, everything included: bodies, headers, encoded forms, marks,
	// overhead. 0: 64 MiB; at least 4096.
	MaxBytes int64

	// MaxEntry is the largest body stored, in bytes; larger ones stream through. 0: 1 MiB, or
	// MaxBytes if that is less. It must not exceed MaxBytes.
	MaxEntry int64

	// MaxVariants is how many responses of one URL, told apart by Vary, are kept at most; the
	// one whose last use is longest ago leaves. 0: 32.
	MaxVariants int

	// Store is the engine. nil: the built-in one; else one of your own, which nobody else uses,
	// and MaxBytes stays 0.
	Store cache.Store[Key, *Object]

	// Heuristic is the freshness of a response with Last-Modified that says nothing else: this
	// share of its age, at most 24 h (RFC 9111 section 4.2.2). 0: off; 0.1 is usual.
	Heuristic float64

	// DefaultTTL is asked for the freshness of responses that say nothing at all, if their status
	// is cacheable by default (RFC 9110 section 15.1); 0 or less: not stored. It is not asked if
	// the request has Authorization or Cookie, or the response Set-Cookie. nil: off.
	DefaultTTL func(r *http.Request, status int, h http.Header) time.Duration

	// StaleWhileRevalidate is for responses without the directive of that name: how long after
	// its freshness a response is served while a new one is fetched behind (RFC 5861 section 3).
	// 0: only what responses say.
	StaleWhileRevalidate time.Duration

	// StaleIfError is for responses without the directive of that name: how long after its
	// freshness a response is served in place of 500, 502, 503, 504, 429, a panic or an abort (RFC
	// 5861 section 4). 0: only what responses say.
	StaleIfError time.Duration

	// Key adds to the key, such as a tenant: it can split entries, never join them. nil: nothing.
	Key func(r *http.Request) string

	// Targets are the response fields by which this cache is spoken to; the first valid one
	// replaces Cache-Control and Expires (RFC 9213). nil: CDN-Cache-Control.
	Targets []string

	// GroupHeaders are the response fields that carry tags. nil: Cache-Groups (RFC 9875),
	// Surrogate-Key, Cache-Tag.
	GroupHeaders []string

	// KeepSetCookie stores and replays Set-Cookie as RFC 9111 section 7.3 allows. false: a
	// response with it is stored only if it is public or has s-maxage, and without it.
	KeepSetCookie bool

	// CoalesceWait is how long requests wait for the header of the one that loads; then one of
	// them starts a further load. 0: 3 s; negative: nobody waits.
	CoalesceWait time.Duration

	// Name is ours in Cache-Status (RFC 9211), a token. "": hotpath.
	Name string

	// Debug adds key and detail to Cache-Status, which Explain reads. Never towards strangers.
	Debug bool

	// Logger is told of failed refreshes. nil: slog.Default().
	Logger *slog.Logger
}

const (
	leastMaxBytes       = 4 << 10 // less was meant in another unit
	defaultMaxBytes     = 64 << 20
	defaultMaxEntry     = 1 << 20
	defaultMaxVariants  = 32
	defaultCoalesceWait = 3 * time.Second
	defaultName         = "hotpath"
)

// withDefaults returns cfg with zero fields filled in, or every problem at once.
func (cfg Config) withDefaults() (Config, error) {
	var problems []error
	bad := func(field string, value any, rule string) {
		problems = append(problems, fmt.Errorf("httpcache: %s is %v: %s", field, value, rule))
	}
	if cfg.MaxBytes < 0 {
		bad("MaxBytes", cfg.MaxBytes, "must not be negative (0 means 64 MiB)")
	}
	if cfg.Store != nil && cfg.MaxBytes != 0 {
		bad("MaxBytes", cfg.MaxBytes, "must be 0 beside Store, which has bounds of its own")
	}
	if cfg.MaxBytes > 0 && cfg.MaxBytes < leastMaxBytes {
		bad("MaxBytes", cfg.MaxBytes, "must be at least 4096 bytes (0 means 64 MiB)")
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	switch {
	case cfg.MaxEntry < 0:
		bad("MaxEntry", cfg.MaxEntry, "must not be negative (0 means 1 MiB)")
	case cfg.MaxEntry == 0:
		cfg.MaxEntry = max(min(defaultMaxEntry, cfg.MaxBytes), 1)
	case cfg.MaxEntry > cfg.MaxBytes && cfg.Store == nil && cfg.MaxBytes > 0:
		bad("MaxEntry", cfg.MaxEntry, fmt.Sprintf("must not exceed MaxBytes (%d)", cfg.MaxBytes))
	}
	if cfg.MaxVariants < 0 {
		bad("MaxVariants", cfg.MaxVariants, "must not be negative (0 means 32)")
	}
	if !(cfg.Heuristic >= 0 && cfg.Heuristic <= 1) {
		bad("Heuristic", cfg.Heuristic, "must be between 0 and 1")
	}
	for _, d := range [...]struct {
		name  string
		value time.Duration
	}{{"StaleWhileRevalidate", cfg.StaleWhileRevalidate}, {"StaleIfError", cfg.StaleIfError}} {
		switch {
		case d.value < 0:
			bad(d.name, d.value, "must not be negative (0 means what responses say)")
		case d.value > 0 && d.value < time.Second: // of which HTTP counts whole ones
			bad(d.name, d.value, "must be at least 1s (a number without a unit is in nanoseconds)")
		}
	}
	for _, list := range [...]struct {
		name   string
		fields []string
	}{{"Targets", cfg.Targets}, {"GroupHeaders", cfg.GroupHeaders}} {
		for i, name := range list.fields {
			if !field.IsToken(name) {
				bad(fmt.Sprintf("%s[%d]", list.name, i), fmt.Sprintf("%q", name), "not a field name")
			}
		}
	}
	if cfg.Name != "" && !isStructuredToken(cfg.Name) {
		bad("Name", fmt.Sprintf("%q", cfg.Name), "not a token")
	}
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}

	if cfg.MaxVariants == 0 {
		cfg.MaxVariants = defaultMaxVariants
	}
	if cfg.CoalesceWait == 0 {
		cfg.CoalesceWait = defaultCoalesceWait
	}
	if cfg.Name == "" {
		cfg.Name = defaultName
	}
	if cfg.Targets == nil {
		cfg.Targets = []string{"CDN-Cache-Control"}
	}
	if cfg.GroupHeaders == nil {
		cfg.GroupHeaders = []string{"Cache-Groups", "Surrogate-Key", "Cache-Tag"}
	}
	cfg.Targets, cfg.GroupHeaders = canonical(cfg.Targets), canonical(cfg.GroupHeaders)
	return cfg, nil
}

func canonical(names []string) []string {
	out := make([]string, 0, len(names))
	for _, name := range names {
		out = append(out, http.CanonicalHeaderKey(name))
	}
	return out
}
