package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
)

// Causes of failures. Any other text may be one, too.
const (
	NotSent  = "not sent" // too many were in flight
	Timeout  = "timeout"
	Refused  = "refused"  // 429 or 503
	Status   = "status"   // any other wrong one
	Cut      = "cut"      // the connection ended before the answer did
	Connect  = "connect"  // there was no connection
	Protocol = "protocol" // what came was no HTTP
	Document = "document" // a whole answer with the right status, but not the one expected
	Other    = "other"
)

// Fail returns err with the name of its cause, for [Result.Failures].
func Fail(cause string, err error) error { return &failure{cause, err} }

type failure struct {
	cause string
	err   error
}

func (f *failure) Error() string { return f.cause + ": " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// CauseOf returns the name of the cause of err.
func CauseOf(err error) string {
	var f *failure
	switch {
	case errors.As(err, &f):
		return f.cause
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return Timeout
	}
	return Other
}

// A Client sends requests over connections that it keeps. It is lean on purpose: net/http's
// client takes as much CPU for a request as the servers that are measured, and sends a request
// again by itself when a connection turns out to be dead.
// It is safe for concurrent use.
type Client struct {
	dial func(ctx context.Context, addr string) (net.Conn, error)

	mu     sync.Mutex
	idle   map[string][]*conn // by address, the one used last at the end
	all    map[*conn]struct{}
	closed bool

	requests, in, out atomic.Int64
}

// NewClient returns a client of its own, for actions outside of [Open] and [Closed].
func NewClient() *Client { return newClient(realEnvironment().dial) }

func newClient(dial func(ctx context.Context, addr string) (net.Conn, error)) *Client {
	return &Client{dial: dial, idle: map[string][]*conn{}, all: map[*conn]struct{}{}}
}

// Counts returns how many requests were written so far, and the bytes that came in and went out.
func (c *Client) Counts() (requests, in, out int64) {
	return c.requests.Load(), c.in.Load(), c.out.Load()
}

// Close drops all connections. What is under way fails, and so does every later request.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for k := range c.all {
		_ = k.Close()
	}
}

// Do writes a request once, as the bytes that it is, and reads the whole answer, which f gets
// to see; it is only lent. The error is f's or a failure with its cause. The deadline of ctx
// holds for the connection; its cancellation is not watched (see [Client.Close]).
func (c *Client) Do(ctx context.Context, addr string, request []byte, f func(Answer) error) error {
	k, err := c.connection(ctx, addr)
	if err != nil {
		return err
	}
	keep := false
	defer func() { c.done(addr, k, keep) }()
	deadline, _ := ctx.Deadline() // the zero time is none
	if err := k.SetDeadline(deadline); err != nil {
		return Fail(Connect, err)
	}
	c.requests.Add(1)
	n, err := k.Write(request)
	c.out.Add(int64(n))
	if err != nil {
		return c.broken(ctx, err)
	}
	a, again, err := readAnswer(k.r, len(request) > 4 && string(request[:5]) == "HEAD ", k.body[:0])
	if err != nil {
		return c.broken(ctx, err)
	}
	// A server that sends more than it was asked for is not to be believed the next time.
	keep = again && k.r.Buffered() == 0
	k.body = a.Body
	return f(a)
}

// broken names the cause of an error on a connection.
func (c *Client) broken(ctx context.Context, err error) error {
	var f *failure
	switch {
	case errors.As(err, &f):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil:
		return Fail(Timeout, err)
	}
	return Fail(Cut, err)
}

// A conn is a connection with its reader and the buffer for bodies.
type conn struct {
	net.Conn
	r    *bufio.Reader
	body []byte
}

// headerLine is the longest line of a header that is read.
const headerLine = 8 << 10

func (c *Client) connection(ctx context.Context, addr string) (*conn, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, Fail(Connect, net.ErrClosed)
	}
	if list := c.idle[addr]; len(list) > 0 {
		k := list[len(list)-1]
		c.idle[addr] = list[:len(list)-1]
		c.mu.Unlock()
		return k, nil
	}
	c.mu.Unlock()
	raw, err := c.dial(ctx, addr)
	if err != nil {
		if ctx.Err() != nil {
			return nil, Fail(Timeout, err)
		}
		return nil, Fail(Connect, err)
	}
	k := &conn{Conn: raw}
	k.r = bufio.NewReaderSize(&counted{raw, &c.in}, headerLine)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = raw.Close()
		return nil, Fail(Connect, net.ErrClosed)
	}
	c.all[k] = struct{}{}
	return k, nil
}

func (c *Client) done(addr string, k *conn, keep bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if keep && !c.closed {
		c.idle[addr] = append(c.idle[addr], k)
		return
	}
	delete(c.all, k)
	_ = k.Close()
}

// counted counts what is read at the socket.
type counted struct {
	r io.Reader
	n *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// Request returns the bytes of a request. Each of fields is a line like "X-Api-Key: 7".
func Request(method, host, target, body string, fields ...string) []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, host)
	for _, field := range fields {
		b = append(append(b, field...), "\r\n"...)
	}
	if body != "" || method == "POST" || method == "PUT" {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", len(body))
	}
	return append(append(b, "\r\n"...), body...)
}

// Expect returns the failure of an answer whose status is not the one wanted.
func Expect(a Answer, status int) error {
	switch a.Status {
	case status:
		return nil
	case 429, 503:
		return Fail(Refused, fmt.Errorf("status %d, want %d", a.Status, status))
	}
	return Fail(Status, fmt.Errorf("status %d, want %d: %.200s", a.Status, status, a.Body))
}
