package rediscache

import (
	"context"
	"net"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/cache"
)

func TestReview_DecodePanicLeaksTheWaitTable(t *testing.T) {
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	cmd := exec.Command("redis-server", "--port", strconv.Itoa(port), "--save", "")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	time.Sleep(500 * time.Millisecond)
	mk := func(boom bool) (*Tier[string, string], *cache.Cache[string, string]) {
		tier, err := New[string](Config[string]{
			Client: rueidis.ClientOption{InitAddress: []string{"127.0.0.1:" + strconv.Itoa(port)}, ForceSingleClient: true}, Prefix: "t",
			Encode: func(v string) ([]byte, error) { return []byte(v), nil },
			Decode: func(b []byte) (string, error) {
				if boom {
					panic("index out of range")
				}
				return string(b), nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tier.Close(context.Background()) })
		c, err := cache.New(cache.Config[string, string]{Remote: tier, Load: func(_ context.Context, k string) (string, error) { return k, nil }})
		if err != nil {
			t.Fatal(err)
		}
		return tier, c
	}
	_, a := mk(false)
	tb, b := mk(true)
	a.Set("k", "v")
	func() {
		defer func() { t.Logf("Get panicked: %v", recover() != nil) }()
		v, err := b.GetMany(t.Context(), []string{"n1", "k", "n2"})
		t.Log(v, err)
	}()
	tb.waiters.mu.Lock()
	if n := len(tb.waiters.m); n > 0 {
		t.Errorf("%d keys are left in the wait table", n)
	}
	tb.waiters.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := a.Get(ctx, "n1"); err != nil {
		t.Errorf("n1: %v: its lease was left behind", err)
	}
}
