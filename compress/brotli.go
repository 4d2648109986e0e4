package compress

import "github.com/andybalholm/brotli"

const (
	usualBrotli = 2
	leastBrotli = 2 // what level 1 makes depends on how its input is cut, and a strong tag must not
	mostBrotli  = 11

	// brotliWindow is 2 to the 17th, as zstd's: with more the library's input blocks grow
	// to 256 KiB from level 9 on, which would be held back from the client.
	brotliWindow = 17
)

type brotliCoding struct{ level int }

// Brotli is the coding br (RFC 7932) by github.com/andybalholm/brotli. Levels are 2 to 11; 0: 2.
func Brotli(level int) Coding {
	if level == 0 {
		level = usualBrotli
	}
	return brotliCoding{level}
}

func (c brotliCoding) Token() string { return "br" }
func (c brotliCoding) check() error {
	return checkLevel("br", c.level, leastBrotli, mostBrotli, usualBrotli)
}
func (c brotliCoding) recipe() string { return recipeOf(c.level, usualBrotli) }

func (c brotliCoding) NewEncoder() (Encoder, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: c.level, LGWin: brotliWindow}), nil
}
