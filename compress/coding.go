package compress

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/hotpath-go/hotpath/internal/rw"
)

// Coding is one content coding. Implement it to plug in an encoder of your own; its methods
// are called concurrently.
//
// The bytes of a body must not depend on how it is cut into calls of Write, for one strong
// entity tag stands for all of them.
type Coding interface {
	// Token is the IANA content coding, in lower case: "br".
	Token() string
	// NewEncoder makes an Encoder. It is called when no used one is at hand, and once by New
	// as a check.
	NewEncoder() (Encoder, error)
}

// Encoder writes one body at a time. It is pooled, and Reset before every body.
type Encoder interface {
	// Close ends the coded body. It does not close the writer below.
	io.WriteCloser
	// Flush makes everything written so far decodable.
	Flush() error
	// Reset forgets the last body. What it writes to is of this package, and holds nothing between
	// bodies.
	Reset(w io.Writer)
}

// builtin is what the codings of this package say about themselves.
type builtin interface {
	Coding
	check() error // nil: the level exists
	// recipe names the level in entity tags, "" for the usual one: the bytes depend on it.
	recipe() string
}

// coding is a Coding with what a Compressor keeps for it.
type coding struct {
	Coding
	token  string
	suffix string // of entity tags: "~br", "~br.11"
	gzip   bool   // the built-in one, which can go on without an encoder
	pool   sync.Pool
}

func newCoding(c Coding) (*coding, error) {
	made := &coding{Coding: c, token: c.Token(), suffix: "~" + c.Token()}
	if b, ok := c.(builtin); ok {
		if err := b.check(); err != nil {
			return nil, err
		}
		if r := b.recipe(); r != "" {
			made.suffix += "." + r
		}
		_, made.gzip = c.(gzipCoding)
	}
	e, err := made.take()
	if err != nil {
		return nil, err
	}
	made.give(e)
	return made, nil
}

// levels checks a level and names it in tags.
func checkLevel(token string, level, lowest, highest, usual int) error {
	if level < lowest || level > highest {
		return fmt.Errorf("level of %s is %d: must be between %d and %d (0 means %d)", token, level, lowest, highest, usual)
	}
	return nil
}

func recipeOf(level, usual int) string {
	if level == usual {
		return ""
	}
	return strconv.Itoa(level)
}

// pooled is an Encoder that writes to its own output.
type pooled struct {
	enc Encoder
	out output
}

// take returns an Encoder that has forgotten its last body and writes to out.
func (c *coding) take() (*pooled, error) {
	p, ok := c.pool.Get().(*pooled)
	if !ok {
		enc, err := c.NewEncoder()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.token, err)
		}
		if enc == nil {
			return nil, fmt.Errorf("%s: NewEncoder returned nil", c.token)
		}
		p = &pooled{enc: enc}
	}
	p.enc.Reset(&p.out)
	return p, nil
}

// give takes p back. An encoder that failed is not given back.
func (c *coding) give(p *pooled) {
	p.out.clear() // and so the pool keeps no connection alive; take resets the encoder
	c.pool.Put(p)
}

// appendBody appends the coded form of body to dst, in one go.
func (c *coding) appendBody(dst, body []byte) ([]byte, error) {
	p, err := c.take()
	if err != nil {
		return dst, err
	}
	p.out.whole = dst
	if _, err = p.enc.Write(body); err == nil {
		err = p.enc.Close()
	}
	coded := p.out.whole
	if err != nil {
		return dst, err // and p is left to the collector
	}
	c.give(p)
	return coded, nil
}

// output is what an encoder writes to: a slice, or a client. Encoders write in pieces as
// small as 200 bytes, and each would go through all layers outside.
type output struct {
	client http.ResponseWriter // nil: whole
	whole  []byte
	buffer *rw.Buffer
	total  int64
	err    error // of the client, not of the encoder
}

// outputBuffer is how much is collected before it goes to the client.
const outputBuffer = 4 << 10

func (o *output) Write(p []byte) (int, error) {
	if o.client == nil {
		o.whole = append(o.whole, p...)
		return len(p), nil
	}
	if o.buffer != nil && len(o.buffer.B)+len(p) > outputBuffer {
		o.drain()
	}
	if len(p) >= outputBuffer {
		o.send(p)
	} else if o.err == nil {
		if o.buffer == nil {
			o.buffer = rw.GetBuffer(outputBuffer)
		}
		o.buffer.B = append(o.buffer.B, p...)
	}
	if o.err != nil {
		return 0, o.err
	}
	return len(p), nil
}

// drain sends what was collected and gives the buffer back: an idle stream holds none.
func (o *output) drain() error {
	if o.buffer != nil {
		o.send(o.buffer.B)
		o.buffer.Put()
		o.buffer = nil
	}
	return o.err
}

func (o *output) send(p []byte) {
	if o.err != nil || len(p) == 0 {
		return
	}
	n, err := o.client.Write(p)
	o.total += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	o.err = err
}

func (o *output) clear() {
	if o.buffer != nil {
		o.buffer.Put()
	}
	*o = output{}
}
