package redisthrottle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/internal/leaktest"
)

// TestMain waits longer than leaktest.Main: rueidis closes what it had to a node of a Cluster 5 s after
// it has found out that it needs it no more, whether or not its client is closed.
func TestMain(m *testing.M) {
	before := leaktest.Running()
	code := m.Run()
	if left := leaktest.Wait(before, 10*time.Second); code == 0 && len(left) > 0 {
		fmt.Fprintln(os.Stderr, "goroutines are left after the tests:\n"+strings.Join(left, "\n\n"))
		code = 1
	}
	os.Exit(code)
}

// A server is a real one, on a port of its own.
type server struct {
	t    testing.TB
	addr string
	port string
	args []string
	dir  string
	bare bool // args are all there are
	cmd  *exec.Cmd
	out  bytes.Buffer
}

// binary is where redis-server or valkey-server is. Without one the test is skipped, but not on
// the build server.
func binary(t testing.TB, tool string) string {
	t.Helper()
	for _, name := range []string{"redis-" + tool, "valkey-" + tool} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("no redis-%s and no valkey-%s in PATH: they are required where CI is true", tool, tool)
	}
	t.Skipf("no redis-%s and no valkey-%s in PATH", tool, tool)
	return ""
}

func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{t: t, args: args, dir: t.TempDir()}
	binary(t, "server")
	for try := 0; ; try++ { // somebody may take the port before the server does
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.addr = l.Addr().String()
		_, s.port, _ = net.SplitHostPort(s.addr)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err = s.start(); err == nil {
			break
		} else if try == 5 {
			t.Fatalf("%v\n%s", err, s.out.String())
		}
	}
	t.Cleanup(s.kill)
	return s
}

func (s *server) start() error {
	args := s.args
	if !s.bare {
		args = append([]string{"--bind", "127.0.0.1", "--port", s.port, "--save", "", "--appendonly", "no", "--dir", s.dir}, args...)
	}
	s.cmd = exec.Command(binary(s.t, "server"), args...)
	s.out.Reset()
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if answer, err := s.cli("PING"); err == nil && strings.Contains(answer, "PONG") {
			if pid, _ := s.cli("INFO", "server"); strings.Contains(pid, fmt.Sprintf("process_id:%d\r", s.cmd.Process.Pid)) {
				return nil
			}
		}
	}
	s.kill()
	return errors.New("the server does not answer")
}

// kill is a crash: nothing is saved.
func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) cli(args ...string) (string, error) {
	out, err := exec.Command(binary(s.t, "cli"), append([]string{"-h", "127.0.0.1", "-p", s.port}, args...)...).CombinedOutput()
	return string(out), err
}

func (s *server) do(args ...string) string {
	s.t.Helper()
	out, err := s.cli(args...)
	if err != nil {
		s.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(out)
}

// client is a connection that ends with the test; only for the first time it may take a while.
func client(t testing.TB, addrs ...string) rueidis.Client {
	t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: addrs, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newStore(t testing.TB, addrs ...string) *Store {
	t.Helper()
	s, err := New(Config{Client: client(t, addrs...)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// cluster is three masters.
func cluster(t testing.TB) (servers []*server, addrs []string) {
	t.Helper()
	for range 3 {
		s := startServer(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", freePort(t))
		servers, addrs = append(servers, s), append(addrs, s.addr)
	}
	args := append(append([]string{"--cluster", "create"}, addrs...), "--cluster-yes")
	if out, err := exec.Command(binary(t, "cli"), args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	eventually(t, "the cluster is up", func() bool {
		for _, s := range servers {
			if info, _ := s.cli("CLUSTER", "INFO"); !strings.Contains(info, "cluster_state:ok") {
				return false
			}
		}
		return true
	})
	return servers, addrs
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not after 30 s: %s", what)
		}
	}
}

// together runs f n times at once.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

var background = context.Background()
