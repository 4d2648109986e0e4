package batch

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/textproto"
	"path"
	"strings"
	"time"
)

// Config of an Endpoint. The zero value answers POST /$batch.
type Config struct {
	// Path is where a POST is a batch; clean, absolute, and without what would have to be escaped. Its directory is the base that the URLs
	// of parts are relative to and cannot leave. "": "/$batch".
	Path string

	// MaxParts is how many parts a batch may have. 0: 100.
	MaxParts int

	// MaxBytes bounds the envelope after decoding. 0: 1 MiB.
	MaxBytes int64

	// MaxResponseBytes bounds all answers together: bodies and fields. 0: 8 MiB.
	MaxResponseBytes int64

	// Concurrency is how many parts of a batch run at a time; one that waits in a Loader does not
	// count. 0: 16.
	Concurrency int

	// PartTimeout is after what time a part is answered with 504. Its handler keeps its place among
	// Concurrency until it returns. 0: only the request's own context ends parts.
	PartTimeout time.Duration

	// AllowHeaders are fields that parts may set although they say who is calling or steer what is
	// run, such as Authorization or X-HTTP-Method-Override. Fields of the message itself, such as
	// Transfer-Encoding, are refused here.
	AllowHeaders []string

	// DropHeaders are fields of the envelope that parts do not inherit, besides those about its own
	// content, conditions and connection. Parts must not set them either, AllowHeaders excepted: name
	// here, too, what your proxy says about who is calling.
	DropHeaders []string

	// Logger gets panics of parts with their stack. nil: slog.Default().
	Logger *slog.Logger
}

const (
	defaultPath        = "/$batch"
	defaultMaxParts    = 100
	defaultMaxBytes    = 1 << 20
	defaultMaxResponse = 8 << 20
	defaultConcurrency = 16
)

// withDefaults returns cfg with zero fields filled in, or every problem at once.
func (cfg Config) withDefaults() (Config, error) {
	var problems []error
	bad := func(field string, value any, rule string) {
		problems = append(problems, fmt.Errorf("batch: %s is %v: %s", field, value, rule))
	}
	if cfg.Path == "" {
		cfg.Path = defaultPath
	}
	if !isPlainPath(cfg.Path) || !strings.HasPrefix(cfg.Path, "/") || path.Clean(cfg.Path) != cfg.Path || cfg.Path == "/" {
		bad("Path", fmt.Sprintf("%q", cfg.Path), `must be a clean absolute path without escapes, such as "/v1.0/$batch"`)
	}
	if cfg.MaxParts < 0 {
		bad("MaxParts", cfg.MaxParts, "must be at least 1 (0 means 100)")
	}
	if cfg.MaxBytes < 0 {
		bad("MaxBytes", cfg.MaxBytes, "must be at least 1 (0 means 1 MiB)")
	}
	if cfg.MaxResponseBytes < 0 {
		bad("MaxResponseBytes", cfg.MaxResponseBytes, "must be at least 1 (0 means 8 MiB)")
	}
	if cfg.Concurrency < 0 {
		bad("Concurrency", cfg.Concurrency, "must be at least 1 (0 means 16)")
	}
	if cfg.PartTimeout < 0 {
		bad("PartTimeout", cfg.PartTimeout, "must not be negative (0 means none)")
	}
	for _, name := range cfg.AllowHeaders {
		if err := checkAllowed(name); err != nil {
			bad("AllowHeaders", fmt.Sprintf("%q", name), err.Error())
		}
	}
	for _, name := range cfg.DropHeaders {
		if !isToken(name) {
			bad("DropHeaders", fmt.Sprintf("%q", name), "must be a field name")
		}
	}
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	if cfg.MaxParts == 0 {
		cfg.MaxParts = defaultMaxParts
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	if cfg.MaxResponseBytes == 0 {
		cfg.MaxResponseBytes = defaultMaxResponse
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = defaultConcurrency
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg, nil
}

// An Endpoint answers batches of requests. Make one with New; it is safe for concurrent use, and
// there is nothing to close.
type Endpoint struct {
	cfg           Config
	base          string // the directory of Path, with a slash at its end
	allows, drops map[string]bool
	endpointCounters
}

// New returns the Endpoint that cfg describes. Its error joins everything that is wrong with cfg,
// one line a field.
func New(cfg Config) (*Endpoint, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Endpoint{
		cfg:    cfg,
		base:   cfg.Path[:strings.LastIndexByte(cfg.Path, '/')+1],
		allows: names(cfg.AllowHeaders),
		drops:  names(cfg.DropHeaders),
	}, nil
}

// isPlainPath reports whether a path is the same escaped (RFC 3986 section 3.3): another one would have
// two spellings, one in what is below it.
func isPlainPath(path string) bool {
	for i := range len(path) {
		c := path[i]
		if !(c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("/-._~!$&'()*+,;=:@", c) >= 0) {
			return false
		}
	}
	return true
}

func names(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, name := range list {
		set[textproto.CanonicalMIMEHeaderKey(name)] = true
	}
	return set
}

// Handler answers batches with parts that next runs, and hands all else to next as it came. Where it
// stands in the chain says which layers a part passes: those inside of it.
func (e *Endpoint) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != e.cfg.Path || r.Method == http.MethodOptions {
			next.ServeHTTP(w, r)
			return
		}
		e.serve(w, r, next)
	})
}
