package compress

import (
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
)

// Config of a Compressor. The zero value is ready to use.
type Config struct {
	// Codings on offer, best first: the order decides between codings that a client likes
	// equally (RFC 9110 section 12.5.3). At most 16. nil: Zstd(0), Brotli(0), Gzip(0).
	Codings []Coding

	// MinSize is the smallest body worth encoding, in bytes. 0: 1024, below which both
	// versions fit into one packet; negative: no minimum.
	MinSize int64

	// Types says which media types are worth encoding. It gets them in lower case, without
	// parameters, and is not asked again for each response: equal types get equal answers.
	// nil: Compressible.
	Types func(mediaType string) bool

	// Skip passes a request on untouched for which it is true: without Vary, so it must not
	// look at Accept-Encoding. nil: none.
	Skip func(*http.Request) bool

	// MaxEncoders bounds the encoders, of 0.4 to 1.1 MiB each, that streamed bodies hold at
	// once. Who finds none gets gzip that needs none, or an answer that is not encoded.
	// 0: 16 times GOMAXPROCS, at least 64.
	MaxEncoders int
}

const (
	defaultMinSize    = 1 << 10
	minMaxEncoders    = 64
	encodersPerThread = 16
	maxCodings        = 16 // of them, one bit each in a choice
)

// withDefaults returns cfg with zero fields filled in and its codings checked, or every
// problem at once.
func (cfg Config) withDefaults() (Config, []*coding, error) {
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("compress: "+format, args...))
	}
	if cfg.Codings == nil {
		cfg.Codings = []Coding{Zstd(0), Brotli(0), Gzip(0)}
	}
	if n := len(cfg.Codings); n == 0 || n > maxCodings {
		bad("Codings has %d members: must be 1 to %d (nil means zstd, br, gzip)", n, maxCodings)
	}
	codings := make([]*coding, 0, len(cfg.Codings))
	tokens := map[string]int{}
	for i, c := range cfg.Codings {
		if c == nil {
			bad("Codings[%d] is nil: must be a Coding", i)
			continue
		}
		token := c.Token()
		if rule := tokenRule(token); rule != "" {
			bad("Codings[%d]: token is %q: %s", i, token, rule)
			continue
		}
		if first, ok := tokens[token]; ok {
			bad("Codings[%d]: token is %q: must not be that of Codings[%d]", i, token, first)
			continue
		}
		tokens[token] = i
		made, err := newCoding(c)
		if err != nil {
			bad("Codings[%d]: %w", i, err)
			continue
		}
		codings = append(codings, made)
	}
	if cfg.MaxEncoders < 0 {
		bad("MaxEncoders is %d: must be at least 1 (0 means 16 x GOMAXPROCS, at least 64)", cfg.MaxEncoders)
	}
	if len(problems) > 0 {
		return Config{}, nil, errors.Join(problems...)
	}

	if cfg.MinSize == 0 {
		cfg.MinSize = defaultMinSize
	}
	if cfg.Types == nil {
		cfg.Types = Compressible
	}
	if cfg.MaxEncoders == 0 {
		cfg.MaxEncoders = max(minMaxEncoders, encodersPerThread*runtime.GOMAXPROCS(0))
	}
	return cfg, codings, nil
}

// tokenRule returns the rule that token breaks, "" if it is fine.
func tokenRule(token string) string {
	switch {
	case token == "":
		return "must not be empty"
	case token != strings.ToLower(token):
		return "must be lower case"
	case token == "identity" || token == "*":
		return "must be a coding"
	case token == "x-gzip":
		return `must be "gzip", its other name (RFC 9110 section 8.4.1.3)`
	case token == "deflate":
		// RFC 9110 section 8.4.1.2: zlib by the standard, raw deflate by many senders.
		return "must not be ambiguous: receivers disagree about what deflate is"
	}
	for _, c := range []byte(token) {
		// A subset of tchar (RFC 9110 section 5.6.2) that can also stand in an entity tag,
		// where '~' begins and '.' ends it.
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '+') {
			return "must consist of a-z, 0-9, - _ +"
		}
	}
	return ""
}
