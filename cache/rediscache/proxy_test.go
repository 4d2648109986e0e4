package rediscache_test

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A lateProxy can hold what was sent on the connections there are; new ones pass.
type lateProxy struct {
	l        net.Listener
	to       string
	accepted atomic.Int64
	mu       sync.Mutex
	gates    []*atomic.Pointer[chan struct{}]
	wg       sync.WaitGroup
}

func startLateProxy(t *testing.T, to string) *lateProxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &lateProxy{l: l, to: to}
	p.wg.Go(func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", p.to)
			if err != nil {
				a.Close()
				continue
			}
			gate := new(atomic.Pointer[chan struct{}])
			p.mu.Lock()
			p.gates = append(p.gates, gate)
			p.mu.Unlock()
			p.accepted.Add(1)
			pipe := func(from, to net.Conn) {
				defer to.Close()
				buf := make([]byte, 64<<10)
				for {
					n, err := from.Read(buf)
					if g := gate.Load(); g != nil {
						<-*g
					}
					if n > 0 {
						_, _ = to.Write(buf[:n])
					}
					if err != nil {
						return
					}
				}
			}
			p.wg.Go(func() { pipe(a, b) })
			p.wg.Go(func() { pipe(b, a) })
		}
	})
	t.Cleanup(func() { l.Close() })
	return p
}

func (p *lateProxy) hold() (release func()) {
	g := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, gate := range p.gates {
		gate.Store(&g)
	}
	return func() { close(g) }
}
