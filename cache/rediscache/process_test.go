package rediscache_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/rediscache"
	"github.com/hotpath-go/hotpath/internal/leaktest"
)

const (
	childEnv  = "REDISCACHE_TEST_CHILD" // the address of its Redis
	childsAge = "REDISCACHE_TEST_STALENESS"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(childEnv); addr != "" {
		if err := child(addr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	leaktest.Main(m)
}

// child is another process: it does what it reads, line by line.
func child(addr string) error {
	age, err := time.ParseDuration(os.Getenv(childsAge))
	if err != nil {
		return err
	}
	tier, err := rediscache.New[string](rediscache.Config[string]{
		Client: rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true}, Prefix: "test", MaxStaleness: age,
	})
	if err != nil {
		return err
	}
	var loads atomic.Int64
	c, err := cache.New(cache.Config[string, string]{Remote: tier, TTL: time.Hour, Load: func(_ context.Context, key string) (string, error) {
		loads.Add(1)
		time.Sleep(time.Millisecond)
		return "child's " + key, nil
	}})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	ctx := context.Background()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		switch verb, arg, _ := strings.Cut(lines.Text(), " "); verb {
		case "all":
			n, err := strconv.Atoi(arg)
			if err != nil {
				return err
			}
			if err := getAll(c, n); err != nil {
				return err
			}
			fmt.Println(loads.Load())
		case "get":
			v, err := c.Get(ctx, arg)
			fmt.Println(v, err)
		case "delete":
			c.Delete(arg)
			fmt.Println("deleted")
		}
	}
	return tier.Close(ctx)
}

// getAll gets n keys at once.
func getAll(c *cache.Cache[string, string], n int) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			key := strconv.Itoa(i)
			v, err := c.Get(context.Background(), key)
			if err == nil && !strings.HasSuffix(v, "'s "+key) {
				err = fmt.Errorf("%q for key %s", v, key)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A childProcess is one that child runs in.
type childProcess struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Reader
}

func startChild(t *testing.T, addr string, maxStaleness time.Duration) *childProcess {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+addr, childsAge+"="+maxStaleness.String())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &childProcess{t, cmd, in, bufio.NewReader(out)}
	c.hear() // it is ready
	return c
}

func (c *childProcess) say(line string) { _, _ = io.WriteString(c.in, line+"\n") }

func (c *childProcess) hear() string {
	c.t.Helper()
	line, err := c.lines.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func (c *childProcess) end() {
	c.t.Helper()
	c.in.Close()
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("the child: %v", err)
	}
}

// Two processes: 1,000 cold keys, asked for by both at once, are loaded once; a Delete here is one
// there.
func TestTwoProcesses(t *testing.T) {
	s := startServer(t)
	var loads atomic.Int64
	parent := newNode(t, s.addr(), func(_ context.Context, key string) (string, error) {
		loads.Add(1)
		time.Sleep(time.Millisecond)
		return "parent's " + key, nil
	})
	c := startChild(t, s.addr(), time.Minute)
	say, hear := c.say, c.hear
	const n = 1000
	say("all " + strconv.Itoa(n))
	if err := getAll(parent.Cache, n); err != nil {
		t.Error(err)
	}
	theirs, _ := strconv.Atoi(hear())
	if total := loads.Load() + int64(theirs); total != n {
		t.Errorf("%d loads here and %d there of %d keys", loads.Load(), theirs, n)
	}
	t.Logf("%d loads here, %d there", loads.Load(), theirs)
	// Something that only the parent can have loaded, then something that only the child can.
	parent.Delete("7")
	parent.must(t, "7", "parent's 7")
	eventually(t, "the child has the parent's", func() bool { say("get 7"); return hear() == "parent's 7 <nil>" })
	say("delete 7")
	hear()
	say("get 7")
	hear()
	eventually(t, "the parent has the child's", func() bool { v, _ := parent.Get(t.Context(), "7"); return v == "child's 7" })
	c.end()
}

// A process that stood still, as in a virtual machine that is moved, has heard nothing meanwhile: it
// drops what it has at once, and does not wait for a ping to find that out.
func TestMaxStaleness_OfAProcessThatStoodStill(t *testing.T) {
	t.Parallel()
	const age = 3 * time.Second // a ping is waited for for one
	s := startServer(t)
	p := startProxy(t, s.addr())
	a := newNode(t, s.addr(), func(context.Context, string) (string, error) { return "old", nil })
	a.must(t, "k", "old")
	c := startChild(t, p.addr(), age)
	get := func() string { c.say("get k"); return c.hear() }
	if got := get(); got != "old <nil>" {
		t.Fatal(got)
	}
	if err := c.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.stall() // and its connection is dead when it goes on
	a.Set("k", "new")
	time.Sleep(age + 200*time.Millisecond)
	if err := c.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	get() // at this moment it may not know yet
	time.Sleep(300 * time.Millisecond)
	if got := get(); got != "child's k <nil>" {
		t.Errorf("%v after the change: %q", age, got)
	}
	p.resume()
	c.end()
}
