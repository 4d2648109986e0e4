package throttle

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Rate is N tokens in each Per, evenly: Per(7, time.Minute) is a token every 60/7 s, and is
// kept as exactly that, which a float64 per second cannot be. The zero Rate means the default.
type Rate struct {
	N   int64         // tokens
	Per time.Duration // the time in which they flow in
}

// Per is n tokens in each d: throttle.Per(100, time.Minute).
func Per(n int64, d time.Duration) Rate { return Rate{N: n, Per: d} }

// String returns r as UnmarshalText reads it: "100/1m0s".
func (r Rate) String() string {
	return strconv.FormatInt(r.N, 10) + "/" + r.Per.String()
}

// MarshalText returns String; it has no errors.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads "100/1m0s" and, with a single unit, "100/m": a whole number of tokens and
// a duration as time.ParseDuration knows it. Whether such a rate makes sense is for New to say.
func (r *Rate) UnmarshalText(text []byte) error {
	tokens, per, _ := strings.Cut(string(text), "/")
	n, err := strconv.ParseInt(tokens, 10, 64)
	if err != nil || tokens[0] == '+' {
		return badRate(text)
	}
	switch per {
	case "ns", "us", "µs", "μs", "ms", "s", "m", "h":
		per = "1" + per
	}
	d, err := time.ParseDuration(per)
	if err != nil {
		return badRate(text)
	}
	*r = Rate{N: n, Per: d}
	return nil
}

func badRate(text []byte) error {
	return fmt.Errorf("throttle: rate is %q: must be tokens, a slash and a duration, as in 100/1m or 50/s", text)
}
