package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/examples/internal/load"
)

// startRedis starts a server of its own, and returns what belongs into REDIS_URL, and how to kill it.
func startRedis(t *testing.T) (address string, kill func()) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("redis-server must be in PATH: %v", err)
		}
		t.Skip("needs redis-server in PATH (Debian: redis-server)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(address)
	server := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() { _ = server.Process.Kill() }
	t.Cleanup(func() { kill(); _ = server.Wait() })
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return "redis://" + address, kill
		}
		select {
		case <-t.Context().Done():
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// leftOnRedis counts the keys.
func leftOnRedis(t *testing.T, address string) int64 {
	t.Helper()
	client, err := rueidis.NewClient(must(rueidis.ParseURL(address)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	n, err := client.Do(t.Context(), client.B().Dbsize().Build()).AsInt64()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Two processes share their pages: they answer as tuned does, show no price that was changed longer ago than
// is promised, and leave nothing on Redis.
func TestRedis_TwoProcesses(t *testing.T) {
	address, _ := startRedis(t)
	t.Setenv("REDIS_URL", address)
	stderr, err := os.CreateTemp(t.TempDir(), "err")
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	var out bytes.Buffer
	code := run(t.Context(), []string{"verify", "-products", "96", "-checks", "150", "-variants", "tuned,after+redis"}, nil, &out, stderr, nil)
	if code != exitOK || !strings.Contains(out.String(), "150 of 150 answers equal") {
		said, _ := os.ReadFile(stderr.Name())
		t.Errorf("exit %d: %s\n%s", code, out.String(), said)
	}
	if n := leftOnRedis(t, address); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

// sharedSide are two processes of after+redis that are being served.
func sharedSide(t *testing.T, address string) *side {
	t.Helper()
	t.Setenv("REDIS_URL", address)
	d := testDrive(t, Options{})
	all, stop, err := d.sides(t.Context(), []string{redisName})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return all[0]
}

// Many ask both processes for the same pages at once, and one of the two loads each. A trip to Redis has a
// third of a second; where a busy machine takes it both processes load, as they do while Redis is away: so one try of three.
func TestRedis_OneLoad(t *testing.T) {
	address, _ := startRedis(t)
	for range 3 {
		rows := rowsOfColdPages(t, sharedSide(t, address))
		if rows == coldPages*(1+reviewsPerProduct) {
			return
		}
		t.Logf("%d rows were read, want those of each page once, %d", rows, coldPages*(1+reviewsPerProduct))
	}
	t.Fail()
}

const coldPages = 90

func rowsOfColdPages(t *testing.T, s *side) int64 {
	t.Helper()
	const pages = coldPages
	r, err := load.Closed(t.Context(), 16, 4*pages, func(i int) load.Action {
		want, addr := detailRequest(1+i/4), s.at(uint64(i))
		return load.Action{Kind: "detail", Do: func(ctx context.Context, c *load.Client) error {
			return c.Do(ctx, addr, want.bytes(addr, fmt.Sprint("user-", i%50)), func(a load.Answer) error { return load.Expect(a, want.Status) })
		}}
	})
	if err != nil || r.Done() != 4*pages {
		t.Fatalf("%d answers, %v, %v", r.Done(), r.Failures, err)
	}
	c, err := s.ask(t.Context(), "counters")
	if err != nil {
		t.Fatal(err)
	}
	return c.Rows
}

// Redis is killed while users are served: no request fails.
func TestRedis_Killed(t *testing.T) {
	address, kill := startRedis(t)
	s := sharedSide(t, address)
	half := time.AfterFunc(500*time.Millisecond, kill)
	defer half.Stop()
	r, err := load.Open(t.Context(), load.Plan{Rate: 100, For: 2 * time.Second, Seed: 3}, s.next)
	if err != nil || r.Done() == 0 || len(r.Failures) > 0 {
		t.Errorf("%d actions done, failures %v, %v", r.Done(), r.Failures, err)
	}
}
