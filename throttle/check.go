package throttle

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	maxPolicies   = 64
	maxApplicable = 8                   // to one request
	maxNumber     = 999_999_999_999_999 // of an Integer in a field (RFC 9651 section 3.3.1)
	maxName       = 64

	// maxCapacity keeps the size of a table an int: 23 GB, 720 MB on 32 bits.
	maxCapacity = 1 << (25 + 5*(strconv.IntSize/64))
)

// checker collects what is wrong with a Config.
type checker struct{ problems []error }

func (c *checker) bad(field string, value any, rule string) {
	c.problems = append(c.problems, fmt.Errorf("throttle: %s is %v%s", field, value, rule))
}

// withDefaults returns cfg with zero fields filled in and its one policy among Policies, or
// every problem at once.
func (cfg Config) withDefaults() (Config, error) {
	var c checker
	if len(cfg.Policies) > 0 {
		if cfg.Rate != (Rate{}) {
			c.bad("Rate", cfg.Rate, " beside Policies: must be zero")
		}
		if cfg.Burst != 0 {
			c.bad("Burst", cfg.Burst, " beside Policies: must be zero")
		}
	}
	cfg.Policies = slices.Clone(cfg.Policies)
	if len(cfg.Policies) == 0 {
		only := Policy{Name: defaultName, Rate: cfg.Rate, Burst: cfg.Burst}
		if rate, burst := defaultRate(); only.Rate == (Rate{}) {
			if only.Rate = rate; only.Burst == 0 {
				only.Burst = burst
			}
		}
		c.checkRate("", only)
		cfg.Policies = []Policy{only}
	} else {
		c.checkPolicies(cfg)
	}
	for i := range cfg.Policies {
		p := &cfg.Policies[i]
		if p.Burst == 0 {
			p.Burst = p.Rate.N
		}
		if p.IPv4Bits == 0 {
			p.IPv4Bits = defaultIPv4Bits
		}
		if p.IPv6Bits == 0 {
			p.IPv6Bits = defaultIPv6Bits
		}
	}
	if cfg.Tier != nil && !slices.ContainsFunc(cfg.Policies, func(p Policy) bool { return p.Tier != "" }) {
		c.bad("Tier", "set", ": must be nil if no policy has a tier")
	}
	c.checkProxies(cfg)
	c.word("Headers", &cfg.Headers, headerWords[:]...)
	c.word("OnFull", &cfg.OnFull, "forget", "refuse")
	if cfg.MaxWait < 0 || cfg.MaxWait > maxNap {
		c.bad("MaxWait", cfg.MaxWait, ": must be between 0 and 1h (0 means: refuse at once)")
	}
	if cfg.MaxWaiting < 0 {
		c.bad("MaxWaiting", cfg.MaxWaiting, ": must be at least 1 (0 means 1024)")
	}
	if cfg.Capacity != 0 && cfg.Capacity < 64 || cfg.Capacity > maxCapacity {
		c.bad("Capacity", cfg.Capacity, fmt.Sprintf(": must be between 64 and %d (0 means 131072)", maxCapacity))
	}
	c.checkRemote(&cfg)
	if len(c.problems) > 0 {
		return Config{}, errors.Join(c.problems...)
	}
	if cfg.MaxWaiting == 0 {
		cfg.MaxWaiting = defaultWaiting
	}
	if cfg.Capacity == 0 {
		cfg.Capacity = defaultCapacity
	}
	return cfg, nil
}

// word fills in the first of the legal words.
func (c *checker) word(field string, value *string, legal ...string) {
	if *value == "" {
		*value = legal[0]
	}
	if !slices.Contains(legal, *value) {
		c.bad(field, strconv.Quote(*value), fmt.Sprintf(": must be one of %q (\"\" means %s)", legal, legal[0]))
	}
}

func (c *checker) checkPolicies(cfg Config) {
	if n := len(cfg.Policies); n > maxPolicies {
		c.bad("Policies", n, " policies: must be at most 64")
	}
	names := map[string]int{}
	tiers := map[string]int{}
	for i, p := range cfg.Policies {
		at := fmt.Sprintf("Policies[%d].", i)
		if !isName(p.Name) {
			c.bad(at+"Name", strconv.Quote(p.Name), ": must be 1 to 64 printable ASCII characters")
		} else if first, ok := names[p.Name]; ok {
			c.bad(at+"Name", strconv.Quote(p.Name), fmt.Sprintf(": must not be that of Policies[%d]", first))
		} else {
			names[p.Name] = i
		}
		c.checkRate(at, p)
		if p.IPv4Bits < 0 || p.IPv4Bits > 32 {
			c.bad(at+"IPv4Bits", p.IPv4Bits, ": must be between 1 and 32 (0 means 32)")
		}
		if p.IPv6Bits < 0 || p.IPv6Bits > 128 {
			c.bad(at+"IPv6Bits", p.IPv6Bits, ": must be between 1 and 128 (0 means 64)")
		}
		if p.Tier != "" && cfg.Tier == nil {
			c.bad(at+"Tier", strconv.Quote(p.Tier), " without Config.Tier: no request has a tier")
		}
		tiers[p.Tier]++
	}
	if everybody := tiers[""]; everybody > maxApplicable {
		c.bad("Policies", everybody, " policies for everybody: at most 8 may apply to a request")
	} else {
		for tier, n := range tiers {
			if tier != "" && n+everybody > maxApplicable {
				c.bad("Policies", n+everybody, fmt.Sprintf(" policies for tier %q: at most 8 may apply to a request", tier))
			}
		}
	}
}

func (c *checker) checkRate(at string, p Policy) {
	r, burst := p.Rate, p.Burst
	good := true
	bad := func(field string, value any, rule string) {
		c.bad(at+field, value, rule)
		good = false
	}
	if r.N < 1 || r.N > maxNumber {
		bad("Rate.N", r.N, ": must be between 1 and 999999999999999")
	}
	if r.Per < 1 {
		bad("Rate.Per", r.Per, ": must be at least 1ns")
	}
	if good && r.N > int64(r.Per) {
		bad("Rate", r, ": must be at most one token per nanosecond")
	}
	switch {
	case burst < 0:
		bad("Burst", burst, ": must be at least 1 (0 means Rate.N)")
	case burst > maxNumber:
		bad("Burst", burst, ": must be at most 999999999999999")
	case burst == 0:
		burst = r.N
	}
	if good && !fits(r, burst) {
		bad("Burst", burst, fmt.Sprintf(" at %v: a bucket must be full again within 36 years", r))
	}
}

func (c *checker) checkProxies(cfg Config) {
	for i, p := range cfg.TrustedProxies {
		if !p.IsValid() {
			c.bad(fmt.Sprintf("TrustedProxies[%d]", i), p, ": must be a valid prefix")
		}
	}
	switch h := cfg.ProxyHeader; {
	case h == "":
	case token(h) != h:
		c.bad("ProxyHeader", strconv.Quote(h), ": must be the name of a header field")
	case http.CanonicalHeaderKey(h) == "Host":
		c.bad("ProxyHeader", strconv.Quote(h), ": must be a field that proxies set")
	case len(cfg.TrustedProxies) == 0 && !cfg.TrustUnixSocket:
		c.bad("ProxyHeader", strconv.Quote(h), " without TrustedProxies: it would never be believed")
	}
}

func isName(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// seconds is d rounded up.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}
