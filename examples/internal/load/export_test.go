package load

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"time"
)

// InMemory are the doors for synctest: connections that dial makes, and the clock of the bubble.
type InMemory struct {
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	Late time.Duration // how much too late the pacing wakes: a slow generator
}

func (m InMemory) environment() environment {
	return environment{m.Dial, func(t time.Time) { time.Sleep(time.Until(t) + m.Late) }}
}

func (m InMemory) Open(ctx context.Context, p Plan, next func(i int) Action) (*Result, error) {
	return open(ctx, m.environment(), p, next)
}

func (m InMemory) Closed(ctx context.Context, clients, actions int, next func(i int) Action) (*Result, error) {
	return closed(ctx, m.environment(), clients, actions, next)
}

func ReadAnswer(b []byte) (a Answer, rest int, err error) {
	r := bufio.NewReaderSize(bytes.NewReader(b), headerLine)
	a, _, err = readAnswer(r, false, nil)
	return a, r.Buffered(), err
}

func Samples(kind string, list ...time.Duration) *Result {
	r := newResult()
	r.samples[kind] = list
	r.sort()
	return r
}

var Bucket = bucket
