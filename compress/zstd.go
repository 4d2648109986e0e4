package compress

import "github.com/klauspost/compress/zstd"

const (
	usualZstd = 1
	mostZstd  = 3 // level 4 of the library takes 35 MiB an encoder, at a tenth of the speed

	// zstdWindow is all that a decoder has to keep, and what an encoder holds back.
	zstdWindow = 128 << 10
)

type zstdCoding struct{ level int }

// Zstd is the coding zstd (RFC 8878) by github.com/klauspost/compress. Levels are 1 to 3; 0: 1.
func Zstd(level int) Coding {
	if level == 0 {
		level = usualZstd
	}
	return zstdCoding{level}
}

func (c zstdCoding) Token() string  { return "zstd" }
func (c zstdCoding) check() error   { return checkLevel("zstd", c.level, 1, mostZstd, usualZstd) }
func (c zstdCoding) recipe() string { return recipeOf(c.level, usualZstd) }

func (c zstdCoding) NewEncoder() (Encoder, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.EncoderLevel(c.level)),
		zstd.WithEncoderConcurrency(1), // or it encodes on goroutines of its own
		zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(zstdWindow),
		zstd.WithEncoderCRC(false), // TLS and TCP have theirs
		zstd.WithZeroFrames(true),  // a body without a byte must decode too
	)
	if err != nil {
		return nil, err
	}
	return e, nil
}
