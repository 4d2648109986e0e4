package redisthrottle

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) lines() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.b.String(), "\n")
}

// D4: a master that has become a replica, or is full: reads go on, writes do not. One outage.
func TestD4_ReadOnlyServer(t *testing.T) {
	for _, how := range [][]string{{"REPLICAOF", "127.0.0.1", "1"}, {"CONFIG", "SET", "maxmemory", "1"}} {
		srv := startServer(t)
		var log safeBuffer
		l := limiter(t, throttle.Config{Remote: newStore(t, srv.addr), Budget: time.Second, Rate: throttle.Per(100, time.Second), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		l.Take(background, throttle.KeyOf("k"), 1)
		srv.do(how...)
		for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
			l.Take(background, throttle.KeyOf("k"), 1)
		}
		if n := log.lines(); n > 3 {
			t.Errorf("%v: %d lines in 1.5 s; %v %v", how, n, l.Stats().Trips, l.Stats().Remote)
		}
	}
}

// D6: while a deploy goes on nodes have the old limit and the new. A refund at the lower one forgives nothing of the higher.
func TestD6_MixedLimits(t *testing.T) {
	srv := startServer(t)
	store := newStore(t, srv.addr)
	with := func(n int64) *throttle.Limiter {
		return limiter(t, throttle.Config{Remote: store, Lease: -1, Budget: 5 * time.Second, Rate: throttle.Per(n, time.Hour)})
	}
	key := throttle.KeyOf("k")
	got := 0
	for range 5 {
		old, fresh := with(1000), with(10) // new ones, for shields
		for old.Take(background, key, 1).Allowed {
			got++
		}
		fresh.Refund(background, key, 1)
	}
	if got > 1000+5*100 {
		t.Errorf("%d admitted, Burst 1000, 5 tokens refunded elsewhere", got)
	}
}
