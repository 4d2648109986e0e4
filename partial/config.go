package partial

import (
	"errors"
	"fmt"
)

// Config of a Filter. The zero value is ready to use.
type Config struct {
	// Param is the query parameter that brings a mask. "": fields.
	Param string

	// Allow has the names that exist: a request for any other is answered 400, with the nearest
	// one as a suggestion. It says what is an error and hides nothing. nil: all names are
	// accepted, and unknown ones select nothing. See [For].
	Allow *Mask

	// MaxLength bounds the text of a request's mask, decoded, in bytes. 0: 4096.
	MaxLength int

	// MaxDepth bounds the levels of a mask. 0: 32. At most 255.
	MaxDepth int

	// MaxNames bounds the names of a mask once its groups are written out: a(b,c) has three.
	// Giving each what the "*" beside it says may bring them to 4 times as many. 0: 256. At most
	// 65536.
	MaxNames int

	// Buffer is how much of a cut answer, in bytes, is held back before the first byte is sent:
	// what fits leaves with its exact Content-Length, and an answer that turns out not to be JSON
	// leaves as it came. 0: 32 KiB. At most 1 MiB.
	Buffer int64

	// Encode appends a whole value in WriteJSON when there is no mask: the place for another
	// encoder. nil: AppendValue, whose bytes are those of json.Marshal.
	Encode func(dst []byte, v any) ([]byte, error)
}

const (
	defaultParam  = "fields"
	defaultBuffer = 32 << 10
	mostDepth     = 255
	mostNames     = 1 << 16
	mostBuffer    = 1 << 20
)

// withDefaults returns cfg with zero fields filled in, or every problem at once.
func (cfg Config) withDefaults() (Config, error) {
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("partial: "+format, args...))
	}
	if cfg.MaxLength < 0 {
		bad("MaxLength is %d: must be at least 1 (0 means %d)", cfg.MaxLength, defaultMaxLength)
	}
	if cfg.MaxDepth < 0 || cfg.MaxDepth > mostDepth {
		bad("MaxDepth is %d: must be 1 to %d (0 means %d)", cfg.MaxDepth, mostDepth, defaultMaxDepth)
	}
	if cfg.MaxNames < 0 || cfg.MaxNames > mostNames {
		bad("MaxNames is %d: must be 1 to %d (0 means %d)", cfg.MaxNames, mostNames, defaultMaxNames)
	}
	if cfg.Buffer < 0 || cfg.Buffer > mostBuffer {
		bad("Buffer is %d: must be 1 to %d (0 means %d)", cfg.Buffer, mostBuffer, defaultBuffer)
	}
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	orDefault := func(n *int, value int) {
		if *n == 0 {
			*n = value
		}
	}
	orDefault(&cfg.MaxLength, defaultMaxLength)
	orDefault(&cfg.MaxDepth, defaultMaxDepth)
	orDefault(&cfg.MaxNames, defaultMaxNames)
	if cfg.Param == "" {
		cfg.Param = defaultParam
	}
	if cfg.Buffer == 0 {
		cfg.Buffer = defaultBuffer
	}
	if cfg.Encode == nil {
		cfg.Encode = (*Mask)(nil).AppendValue
	}
	return cfg, nil
}
