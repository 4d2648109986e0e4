package bulkhead

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Config of a Bulkhead. The zero value finds its limit by itself, and assumes that clients wait
// one second.
type Config struct {
	// Limit is how many handlers run at a time, at most; the limit in force moves between 1 and
	// this. 0: 1,024.
	Limit int

	// Fixed keeps the limit where it is: the size of a database pool, for instance.
	Fixed bool

	// Queue is how many requests may wait. 0: 1,024; negative: none waits.
	Queue int

	// Patience is after what time an answer is worthless; an earlier deadline of the request's
	// context rules. 0: 1 s.
	Patience time.Duration

	// Class says how important a request is and whose it is. What it reads must not be what a
	// client claims: a priority or a tenant from a header that nobody checked is a way to
	// starve the others. nil: all alike.
	Class func(*http.Request) Class

	// Floor is the share of starts that is kept for the lowest class that waits, below 1.
	// 0: 0.05; negative: none.
	Floor float64

	// Buffer and BufferTotal are how many bytes of a response, and of all, are kept so that
	// slow readers hold no slot. 0: 1 MiB and 64 MiB; negative: none.
	Buffer, BufferTotal int64

	// OnRefused writes the body of a refusal; status and fields are set already. The error is
	// ErrFull. nil: problem details (RFC 9457).
	OnRefused func(w http.ResponseWriter, r *http.Request, err error)
}

// A Class is what a request counts as.
type Class struct {
	Priority int    // 1 urgent, 0 normal, -1 low, -2 idle; others count as the nearest
	Tenant   string // shares are fair between tenants of a priority; "": all in one queue
	Exempt   bool   // neither counted nor refused: health checks, long polls
}

const (
	defaultLimit    = 1024
	defaultQueue    = 1024
	defaultPatience = time.Second
	defaultFloor    = 0.05
	defaultBuffer   = 1 << 20
	defaultTotal    = 64 << 20
)

// withDefaults returns cfg with zero fields filled in, or every problem at once.
func (cfg Config) withDefaults() (Config, error) {
	var problems []error
	bad := func(field string, value any, rule string) {
		problems = append(problems, fmt.Errorf("bulkhead: %s is %v: %s", field, value, rule))
	}
	if cfg.Limit < 0 {
		bad("Limit", cfg.Limit, "must be at least 1 (0 means 1,024)")
	}
	if cfg.Patience < 0 {
		bad("Patience", cfg.Patience, "must not be negative (0 means 1s)")
	}
	if !(cfg.Floor < 1) {
		bad("Floor", cfg.Floor, "must be below 1 (0 means 0.05, negative means none)")
	}
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	if cfg.Limit == 0 {
		cfg.Limit = defaultLimit
	}
	cfg.Queue = int(orDefault(int64(cfg.Queue), defaultQueue))
	cfg.Buffer = orDefault(cfg.Buffer, defaultBuffer)
	cfg.BufferTotal = orDefault(cfg.BufferTotal, defaultTotal)
	if cfg.Patience == 0 {
		cfg.Patience = defaultPatience
	}
	switch {
	case cfg.Floor == 0:
		cfg.Floor = defaultFloor
	case cfg.Floor < 0:
		cfg.Floor = 0
	}
	return cfg, nil
}

// orDefault reads 0 as the default and negative values as off.
func orDefault(v, standard int64) int64 {
	if v == 0 {
		return standard
	}
	return max(v, 0)
}
