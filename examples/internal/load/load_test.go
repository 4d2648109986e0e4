package load_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hotpath-go/hotpath/examples/internal/load"
	"github.com/hotpath-go/hotpath/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// memory serves connections in memory: each request is handed to answer, which says what is
// sent back.
func memory(t testing.TB, answer func(request string) string) load.InMemory {
	return load.InMemory{Dial: func(context.Context, string) (net.Conn, error) {
		client, server := net.Pipe()
		go speak(server, answer)
		return client, nil
	}}
}

func speak(c net.Conn, answer func(request string) string) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		var request strings.Builder
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			request.WriteString(line)
			if line == "\r\n" {
				break
			}
		}
		if _, err := c.Write([]byte(answer(request.String()))); err != nil {
			return
		}
	}
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

var ping = load.Request("GET", "shop.example", "/", "")

func get(addr string) load.Action {
	return load.Action{Kind: "get", Do: func(ctx context.Context, c *load.Client) error {
		return c.Do(ctx, addr, ping, func(a load.Answer) error { return load.Expect(a, 200) })
	}}
}

// frozen returns how long a server that stands still for the first second of every five needs
// for what arrives so long after its start.
func frozen(at time.Duration) time.Duration {
	return max(time.Second-at%(5*time.Second), 0)
}

// A server is frozen for 1 s in every 5 s. A fifth of all users wait, evenly between 0 and 1 s:
// p90 500 ms, p95 750 ms, p99 950 ms. Generators that wait for answers say p90 3 ms.
//
// Each sample is exactly what its user waited. What a quantile of them is still varies with the
// moments that were drawn, by some 7 ms for 50,000: the seed is one of those that lie close.
func TestStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		m := memory(t, func(string) string {
			time.Sleep(frozen(time.Since(start)))
			return ok
		})
		var mu sync.Mutex
		var waited []time.Duration
		r, err := m.Open(t.Context(), load.Plan{Rate: 500, For: stallSeconds * time.Second, Seed: 3}, func(int) load.Action {
			a := get("a")
			return load.Action{Kind: a.Kind, Do: func(ctx context.Context, c *load.Client) error {
				mu.Lock()
				waited = append(waited, frozen(time.Since(start)))
				mu.Unlock()
				return a.Do(ctx, c)
			}}
		})
		if err != nil || r.Failed() != 0 {
			t.Fatal(err, r.Failures, r.FirstErr)
		}
		slices.Sort(waited)
		if !slices.Equal(waited, r.Samples("")) {
			t.Error("the samples are not what users waited")
		}
		for q, want := range map[float64]float64{0.90: 500, 0.95: 750, 0.99: 950} {
			got, ok := r.Quantile("", q)
			if ms := float64(got) / 1e6; !ok || ms < want-stallTolerance || ms > want+stallTolerance {
				t.Errorf("p%.0f of %d samples: %.1f ms, want %.0f", 100*q, r.Done(), ms, want)
			}
		}
		if lag := r.Lag(0.99); lag != 0 {
			t.Errorf("lag p99 %v", lag)
		}
	})
}

// The same in real time; run it with -benchtime 1x. Within 10 % is right.
func BenchmarkStall(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	var start time.Time
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go speak(c, func(string) string {
				time.Sleep(frozen(time.Since(start)))
				return ok
			})
		}
	}()
	for b.Loop() {
		start = time.Now()
		r, err := load.Open(b.Context(), load.Plan{Rate: 500, For: 20 * time.Second, Seed: 1}, func(int) load.Action { return get(listener.Addr().String()) })
		if err != nil || r.Failed() != 0 {
			b.Fatal(err, r.Failures)
		}
		for q, name := range map[float64]string{0.90: "p90-ms", 0.95: "p95-ms", 0.99: "p99-ms"} {
			d, _ := r.Quantile("", q)
			b.ReportMetric(float64(d)/1e6, name)
		}
		lag := r.Lag(0.99)
		b.ReportMetric(float64(lag)/1e6, "lag-p99-ms")
	}
}

// The same seed gives the same moments, and the same requests in the same order.
func TestSchedule_IsDeterminedByItsSeed(t *testing.T) {
	arrivals := func(seed uint64) (at []time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			var mu sync.Mutex
			m := memory(t, func(string) string {
				mu.Lock()
				defer mu.Unlock()
				at = append(at, time.Since(start))
				return ok
			})
			last := -1
			_, err := m.Open(t.Context(), load.Plan{Rate: 100, For: 10 * time.Second, Seed: seed}, func(i int) load.Action {
				if i != last+1 {
					t.Errorf("next(%d) after next(%d)", i, last)
				}
				last = i
				return get("a")
			})
			if err != nil || last < 900 || last > 1_100 {
				t.Errorf("%d actions in 10 s at 100/s: %v", last, err)
			}
		})
		return at
	}
	first, second, other := arrivals(7), arrivals(7), arrivals(8)
	if !slices.Equal(first, second) || slices.Equal(first, other) {
		t.Error("the seed must decide, and alone")
	}
}

func TestOpen_ASlowGeneratorIsSeenInItsLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t, func(string) string { return ok })
		m.Late = 3 * time.Millisecond
		r, err := m.Open(t.Context(), load.Plan{Rate: 100, For: 20 * time.Second}, func(int) load.Action { return get("a") })
		if lag := r.Lag(0.5); err != nil || lag < 3*time.Millisecond {
			t.Errorf("lag %v, %v", lag, err)
		}
		if d, _ := r.Quantile("", 0.5); d < 3*time.Millisecond {
			t.Errorf("p50 %v: the lag belongs to the latency", d)
		}
	})
}

func TestOpen_FailuresAreNeverSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		var mu sync.Mutex
		m := memory(t, func(string) string {
			mu.Lock()
			n++
			k := n
			mu.Unlock()
			switch k {
			case 1:
				return "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
			case 2:
				return "HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n"
			case 3:
				return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
			}
			time.Sleep(time.Hour) // never, for a client
			return ok
		})
		r, err := m.Open(t.Context(), load.Plan{Rate: 1, For: 60 * time.Second, MaxInFlight: 5, Timeout: 20 * time.Second}, func(int) load.Action { return get("a") })
		if err != nil {
			t.Fatal(err)
		}
		if r.Done() != 1 || r.Failures[load.Status] != 1 || r.Failures[load.Refused] != 1 || r.Failures[load.Timeout] < 5 || r.Failures[load.NotSent] < 5 {
			t.Errorf("done %d, failures %v", r.Done(), r.Failures)
		}
		if int(r.Requests) != r.Done()+r.Failed()-r.Failures[load.NotSent] {
			t.Errorf("%d requests written, failures %v", r.Requests, r.Failures)
		}
		if r.FirstErr == nil {
			t.Error("no first error")
		}
		time.Sleep(2 * time.Hour) // the server ends within the bubble
	})
}

func TestClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory(t, func(string) string { time.Sleep(100 * time.Millisecond); return ok })
		next := func(int) load.Action { return get("a") }

		r, err := m.Closed(t.Context(), 4, 42, next)
		if err != nil || r.Done() != 42 || r.Took != 1100*time.Millisecond {
			t.Errorf("42 actions: %d in %v, %v", r.Done(), r.Took, err)
		}
		if want := int64(42 * len(ping)); r.Out != want || r.In != int64(42*len(ok)) || r.Requests != 42 {
			t.Errorf("%d requests, %d bytes out, %d in", r.Requests, r.Out, r.In)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 950*time.Millisecond)
		defer cancel()
		if r, err = m.Closed(ctx, 4, 0, next); err != nil || r.Done() != 40 || r.Failed() != 0 || r.Took != time.Second {
			t.Errorf("for 0.95 s: %d in %v, failures %v, %v", r.Done(), r.Took, r.Failures, err)
		}
	})
}

func TestCancel_CutsWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		defer close(stuck)
		m := memory(t, func(string) string { <-stuck; return ok })
		for name, f := range map[string]func(ctx context.Context) (*load.Result, error){
			"open": func(ctx context.Context) (*load.Result, error) {
				return m.Open(ctx, load.Plan{Rate: 10, For: time.Hour}, func(int) load.Action { return get("a") })
			},
			"open, slow": func(ctx context.Context) (*load.Result, error) {
				return m.Open(ctx, load.Plan{Rate: 0.001, For: 10 * time.Hour}, func(int) load.Action { return get("a") })
			},
			"closed": func(ctx context.Context) (*load.Result, error) {
				return m.Closed(ctx, 3, 10, func(int) load.Action { return get("a") })
			},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			start := time.Now()
			r, err := f(ctx)
			if took := time.Since(start); r != nil || !errors.Is(err, context.Canceled) || took > 1200*time.Millisecond {
				t.Errorf("%s: %v after %v", name, err, took)
			}
		}
	})
}

func TestBadPlans(t *testing.T) {
	next := func(int) load.Action { return get("a") }
	_, err := load.Open(t.Context(), load.Plan{Rate: -1, MaxInFlight: -1, Timeout: -1}, next)
	for _, want := range []string{"load: Rate is -1: must be", "load: For is 0s: must be", "load: MaxInFlight is -1: must", "load: Timeout is -1ns: must"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: no %q", err, want)
		}
	}
	_, err = load.Closed(t.Context(), 0, 0, next)
	for _, want := range []string{"load: clients is 0: must be", "load: actions is 0: must be"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: no %q", err, want)
		}
	}
}
