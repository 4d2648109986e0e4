package rediscache_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

// A server is a redis-server or valkey-server of one test, on a free port of this machine.
type server struct {
	t    testing.TB
	port int
	args []string
	cmd  *exec.Cmd
}

// binary is where a program of Redis is, or of Valkey where HOTPATH_REDIS says "valkey".
func binary(t testing.TB, tool string) string {
	t.Helper()
	which := os.Getenv("HOTPATH_REDIS")
	if which == "" {
		which = "redis"
	}
	path, err := exec.LookPath(which + "-" + tool)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s-%s is not in PATH, and CI=true: what is promised about Redis would not be tested", which, tool)
		}
		t.Skipf("%s-%s is not in PATH: install Redis 7 to run this test", which, tool)
	}
	return path
}

func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{t: t, port: freePort(t), args: args}
	s.start()
	t.Cleanup(s.kill)
	return s
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *server) addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// start starts it, empty, and waits until it answers.
func (s *server) start() {
	s.t.Helper()
	dir := s.t.TempDir()
	args := append(s.args[:len(s.args):len(s.args)], "--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", dir, "--logfile", filepath.Join(dir, "log"))
	s.cmd = exec.Command(binary(s.t, "server"), args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for range 1000 {
		c, err := net.DialTimeout("tcp", s.addr(), time.Second)
		if err == nil {
			_, _ = io.WriteString(c, "PING\r\n")
			answer := make([]byte, 7)
			_, err = io.ReadFull(c, answer)
			c.Close()
			if err == nil && string(answer) == "+PONG\r\n" {
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatal("redis-server does not answer")
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) stop() { s.signal(syscall.SIGSTOP) }
func (s *server) cont() { s.signal(syscall.SIGCONT) }

func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// client is a plain one, of somebody else.
func (s *server) client() rueidis.Client {
	s.t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.addr()}, ForceSingleClient: true, DisableCache: true})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

func (s *server) do(args ...string) string {
	s.t.Helper()
	c := s.client()
	m, err := c.Do(context.Background(), c.B().Arbitrary(args...).Build()).ToMessage()
	if err != nil && !rueidis.IsRedisNil(err) {
		s.t.Fatal(err)
	}
	return fmt.Sprint(m)
}

// A proxy stands between a tier and its server, and can be cut or stalled.
type proxy struct {
	t    testing.TB
	l    net.Listener
	to   string
	wg   sync.WaitGroup
	mu   sync.Mutex
	gate chan struct{} // closed: bytes pass
	cuts bool
	all  map[net.Conn]bool
}

func startProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, l: l, to: to, gate: make(chan struct{}), all: map[net.Conn]bool{}}
	close(p.gate)
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.cut()
		p.resume()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.l.Addr().String() }

func (p *proxy) accept() {
	for {
		a, err := p.l.Accept()
		if err != nil {
			return
		}
		b, err := net.Dial("tcp", p.to)
		p.mu.Lock()
		if err != nil || p.cuts {
			p.mu.Unlock()
			a.Close()
			if b != nil {
				b.Close()
			}
			continue
		}
		p.all[a], p.all[b] = true, true
		p.mu.Unlock()
		p.wg.Go(func() { p.pipe(a, b) })
		p.wg.Go(func() { p.pipe(b, a) })
	}
}

func (p *proxy) pipe(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		gate := p.gate
		p.mu.Unlock()
		<-gate
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// stall lets connections stand and nothing pass; resume ends that.
func (p *proxy) stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = make(chan struct{})
}

func (p *proxy) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts = false
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

// cut ends all connections, and refuses new ones until resume.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts = true
	for c := range p.all {
		c.Close()
		delete(p.all, c)
	}
}

// text is do for an answer that is a text or a number.
func (s *server) text(args ...string) string {
	s.t.Helper()
	c := s.client()
	m, err := c.Do(context.Background(), c.B().Arbitrary(args...).Build()).ToAny()
	if err != nil && !rueidis.IsRedisNil(err) {
		s.t.Fatal(err)
	}
	return fmt.Sprint(m)
}
