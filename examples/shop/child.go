package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Child is a shop in a process of its own: `shop serve -child` of this very binary. The two
// speak over the child's stdin and stdout, a line each way. When its stdin ends the child ends,
// so that even a driver that was killed leaves none behind.
type Child struct {
	Target
	cmd  *exec.Cmd
	db   Database
	data string
	mu   sync.Mutex // one question at a time
	with *Child     // a second process on the same data; nil: there is none
	in   io.WriteCloser
	out  *bufio.Reader
	errs *strings.Builder
}

// Counters is what a child says of itself, counted since it began.
type Counters struct {
	Addr       string
	Queries    int64
	Rows       int64
	Opened     int64
	Requests   int64
	CPU        time.Duration
	Allocs     uint64
	AllocBytes uint64
	Digest     string // only where it was asked for
	Layers     LayerCounts
	Err        string
}

// LayerCounts is what the layers of After did.
type LayerCounts struct {
	Lookups, Hits, Loads, Items, Bytes uint64  // of the cache
	SavedSeconds                       float64 // of the database, by its hits
	Encoded, EncodedIn, EncodedOut     uint64  // of compress
	EncodeTime                         time.Duration
}

// startChild starts a child that serves a variant on a copy of the seeded data.
func startChild(ctx context.Context, o Options, cores Cores, seeded, name string) (*Child, error) {
	data, err := o.db.Copy(ctx, seeded, name)
	if err != nil {
		return nil, err
	}
	c, err := startProcess(ctx, o, cores, data, name)
	if err != nil || name != redisName {
		return c, err
	}
	if c.with, err = startProcess(ctx, o, cores, data, name); err != nil {
		c.Close()
		return nil, err
	}
	c.Beside, c.Stale = c.with.Addr, sharedStaleness
	return c, nil
}

// startProcess starts a child that serves a variant on data.
func startProcess(ctx context.Context, o Options, cores Cores, data, name string) (*Child, error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "serve", "-child", "-data", data, "-addr", "127.0.0.1:0", "-variant", name,
		"-products", strconv.Itoa(o.products), "-rtt", o.rtt.String(), "-with", o.on.String())
	cmd.Env = append(os.Environ(), childEnv+"=1", "GOMAXPROCS="+strconv.Itoa(max(len(cores.Server), 1)))
	c := &Child{cmd: cmd, db: o.db, data: data, errs: new(strings.Builder)}
	cmd.Stderr = c.errs
	if c.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := cores.serverStart(cmd.Start); err != nil {
		return nil, err
	}
	c.Target = Target{Name: name, Home: homeFormOf(name, o.on), Digest: c.digest}
	first, err := c.ask(ctx, "counters") // it answers once it listens
	if err != nil {
		c.Close()
		if said := strings.TrimSpace(c.errs.String()); said != "" && ctx.Err() == nil {
			err = errors.New(said)
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c.Addr = first.Addr
	return c, nil
}

// childEnv is set for children; the binary of the tests sees by it that it is the shop.
const childEnv = "HOTPATH_SHOP_CHILD"

// ask asks the child, and adds what a second process says.
func (c *Child) ask(ctx context.Context, question string) (answer Counters, err error) {
	if answer, err = c.say(ctx, question); err != nil || c.with == nil {
		return answer, err
	}
	more, err := c.with.say(ctx, question)
	answer.add(more)
	return answer, err
}

// add adds what was counted.
func (c *Counters) add(more Counters) {
	c.Queries, c.Rows, c.Opened, c.Requests = c.Queries+more.Queries, c.Rows+more.Rows, c.Opened+more.Opened, c.Requests+more.Requests
	c.CPU, c.Allocs, c.AllocBytes = c.CPU+more.CPU, c.Allocs+more.Allocs, c.AllocBytes+more.AllocBytes
	l, m := &c.Layers, more.Layers
	l.Lookups, l.Hits, l.Loads, l.Items, l.Bytes = l.Lookups+m.Lookups, l.Hits+m.Hits, l.Loads+m.Loads, l.Items+m.Items, l.Bytes+m.Bytes
	l.SavedSeconds, l.EncodeTime = l.SavedSeconds+m.SavedSeconds, l.EncodeTime+m.EncodeTime
	l.Encoded, l.EncodedIn, l.EncodedOut = l.Encoded+m.Encoded, l.EncodedIn+m.EncodedIn, l.EncodedOut+m.EncodedOut
}

// say sends a line and waits for the answer.
func (c *Child) say(ctx context.Context, question string) (answer Counters, err error) {
	// A child that hangs is killed by whoever gives up waiting for it.
	stop := context.AfterFunc(ctx, func() { _ = c.cmd.Process.Kill() })
	defer stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err = fmt.Fprintln(c.in, question); err == nil {
		var line []byte
		if line, err = c.out.ReadBytes('\n'); err == nil {
			err = json.Unmarshal(line, &answer)
		}
	}
	switch {
	case ctx.Err() != nil:
		return answer, ctx.Err()
	case err != nil:
		return answer, fmt.Errorf("the server's process ended: %w", err)
	case answer.Err != "":
		return answer, errors.New(answer.Err)
	}
	return answer, nil
}

func (c *Child) digest(ctx context.Context) (string, error) {
	answer, err := c.ask(ctx, "digest")
	return answer.Digest, err
}

// Close ends the child, by force if it does not end by itself, and removes its data.
func (c *Child) Close() {
	_, _ = fmt.Fprintln(c.in, "quit")
	_ = c.in.Close()
	kill := time.AfterFunc(5*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	_ = c.cmd.Wait()
	if c.with != nil {
		c.with.Close()
	}
	if c.Name == redisName {
		_ = forgetShared(c.data)
	}
	_ = c.db.Remove(c.data) // what is left goes with the run
}

// serveChild is the other side of a Child.
func serveChild(ctx context.Context, o Options, stdin io.Reader, stdout io.Writer) error {
	// Ctrl-C reaches every process of a terminal. The driver decides what it means.
	signal.Ignore(os.Interrupt)
	lines := bufio.NewScanner(stdin)
	answers := json.NewEncoder(stdout)
	s := Open(o.db, o.data, o.products, o.rtt)
	v, err := serveVariant(ctx, o.variant, s, o.on, o.addr, o.wrap)
	if err != nil {
		s.Close()
		_ = answers.Encode(Counters{Err: err.Error()})
		return err
	}
	for lines.Scan() {
		answer := v.counters()
		question, value, _ := strings.Cut(lines.Text(), " ")
		switch question {
		case "limit":
			if err := v.limit(value); err != nil {
				answer.Err = err.Error()
			}
		case "quit":
			_ = v.server.Close() // nobody waits for what is under way
			v.Close()
			return nil
		case "digest":
			if answer.Digest, err = v.Store.Digest(ctx); err != nil {
				answer.Err = err.Error()
			}
		}
		if err := answers.Encode(answer); err != nil {
			break
		}
	}
	// The driver is gone without a word, so nobody else will clear up.
	_ = v.server.Close()
	v.Close()
	return o.db.End(o.data)
}

// limit sets what one consumer may ask, while requests are served.
func (v *Variant) limit(perSecond string) error {
	n, err := strconv.ParseInt(perSecond, 10, 64)
	if err != nil || v.Layers.Fair == nil {
		return fmt.Errorf("a limit of %q cannot be set here", perSecond)
	}
	return v.Layers.Fair.Reconfigure(fairly(n))
}

func (v *Variant) counters() Counters {
	asked := v.Store.Counts()
	c := Counters{
		Addr: v.Addr, Queries: asked.Queries, Rows: asked.Rows, Opened: asked.Opened,
		Requests: v.requests.Load(), CPU: cpuTime(),
	}
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	c.Allocs, c.AllocBytes = samples[0].Value.Uint64(), samples[1].Value.Uint64()
	if pages := v.Layers.Pages; pages != nil {
		s := pages.Stats()
		c.Layers.Lookups = uint64(s.Hits + s.Misses + s.Coalesced + s.Stale + s.Negative)
		c.Layers.Hits, c.Layers.Loads = uint64(s.Hits+s.Coalesced), uint64(s.Loads)
		c.Layers.Items, c.Layers.Bytes, c.Layers.SavedSeconds = uint64(s.Items), uint64(s.Bytes), s.SavedSeconds
	}
	if small := v.Layers.Small; small != nil {
		s := small.Stats()
		for coding, n := range s.InBytes {
			c.Layers.EncodedIn += n
			c.Layers.EncodedOut += s.OutBytes[coding]
			c.Layers.Encoded += s.Responses[coding]
		}
		c.Layers.EncodeTime = s.EncodeTime
	}
	return c
}
