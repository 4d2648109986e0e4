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
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/cache"
	"github.com/hotpath-go/hotpath/cache/rediscache"
	"github.com/hotpath-go/hotpath/internal/leaktest"
)

const childEnv = "REDISCACHE_TEST_CHILD" // the address of its Redis

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
	tier, err := rediscache.New[string](rediscache.Config[string]{
		Client: rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true}, Prefix: "test", MaxStaleness: time.Minute,
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
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+s.addr())
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
	lines := bufio.NewReader(out)
	hear := func() string {
		t.Helper()
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(line)
	}
	say := func(line string) { _, _ = io.WriteString(in, line+"\n") }
	hear()
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
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the child: %v", err)
	}
}
