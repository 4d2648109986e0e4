package rediscache

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

var (
	errAway   = errors.New("rediscache: Redis does not answer")
	errLate   = errors.New("rediscache: a Set came to Redis too late")
	errClosed = errors.New("rediscache: the tier is closed")
)

// rueidis has a ring of 1,024 places for commands under way, and whoever finds it full waits without
// regard to his context. So there are fewer, and no trip takes all of them.
const (
	maxUnderWay = 896
	maxPerTrip  = 128
)

// A call is a script with what it is called with.
type call struct {
	script script
	keys   []string
	args   []string
}

// trip runs calls, each atomically, one after the other, in one go, or in several if they are
// many. Each takes a third of MaxStaleness at most; what takes longer counts as failed, and the
// next trip is made when a ping has come back.
func (t *Tier[K, V]) trip(ctx context.Context, calls ...call) ([]rueidis.RedisMessage, error) {
	replies := make([]rueidis.RedisMessage, 0, len(calls))
	for some := range slices.Chunk(calls, maxPerTrip) {
		answers, err := t.oneTrip(ctx, some)
		if err != nil {
			return nil, err
		}
		replies = append(replies, answers...)
	}
	return replies, nil
}

func (t *Tier[K, V]) oneTrip(ctx context.Context, calls []call) ([]rueidis.RedisMessage, error) {
	client := t.client.Load()
	if client == nil || !t.up.Load() {
		return nil, errAway
	}
	limited, cancel := context.WithTimeout(ctx, t.patience)
	defer cancel()
	n := int64(len(calls))
	if err := t.underWay.Acquire(limited, n); err != nil {
		return nil, t.tripError(ctx, err)
	}
	defer t.underWay.Release(n)
	if !t.up.Load() { // as those have found who were before us
		return nil, errAway
	}
	t.counters.trips.Add(1)
	replies := make([]rueidis.RedisMessage, len(calls))
	todo := make([]int, len(calls))
	for i := range todo {
		todo[i] = i
	}
	for _, load := range []bool{false, true} { // the second time only what Redis has no script for
		commands := make(rueidis.Commands, len(todo))
		for j, i := range todo {
			commands[j] = t.command(*client, calls[i], load)
		}
		var unknown []int
		for j, result := range (*client).DoMulti(limited, commands...) {
			reply, err := result.ToMessage()
			if r, ok := rueidis.IsRedisErr(err); ok && r.IsNoScript() && !load {
				unknown = append(unknown, todo[j])
				continue
			}
			if err != nil && !rueidis.IsRedisNil(err) {
				return nil, t.tripError(ctx, err)
			}
			replies[todo[j]] = reply
		}
		if todo = unknown; len(todo) == 0 {
			break
		}
	}
	return replies, nil
}

// sums returns the names that EVALSHA has for our scripts.
func sums() map[script]string {
	names := make(map[script]string)
	for _, s := range [...]script{getScript, tagsScript, setScript, leaseScript, purgeScript, dropScript} {
		sum := sha1.Sum([]byte(s)) // a name, no secret
		names[s] = hex.EncodeToString(sum[:])
	}
	return names
}

func (t *Tier[K, V]) command(client rueidis.Client, c call, load bool) rueidis.Completed {
	if load {
		return client.B().Eval().Script(string(c.script)).Numkeys(int64(len(c.keys))).Key(c.keys...).Arg(c.args...).Build()
	}
	return client.B().Evalsha().Sha1(t.sums[c.script]).Numkeys(int64(len(c.keys))).Key(c.keys...).Arg(c.args...).Build()
}

// tripError counts a failure. One that is not an answer of Redis, nor the caller's own end, is
// paid for once: from now on trips fail at once, until a ping comes back.
func (t *Tier[K, V]) tripError(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	t.counters.tripErrors.Add(1)
	if _, answered := rueidis.IsRedisErr(err); !answered {
		t.up.Store(false)
		t.pingNow()
	}
	return fmt.Errorf("rediscache: a trip to Redis failed: %w", err)
}

// pingLoop keeps the bound: as long as a ping comes back, everything that was told before it has
// arrived too, for they are in order on one connection. When one does not, or this process stood
// still, nothing here can be trusted, at once: it was right when the last ping was sent that came back.
func (t *Tier[K, V]) pingLoop() {
	defer t.running.Done()
	type pong struct {
		err  error
		sent time.Time
	}
	var under chan pong // the ping under way, which is waited for again
	var good time.Time  // when the last one was sent that came back
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-t.closed:
			return
		case <-t.kick:
		case <-timer.C:
		}
		began := time.Now()
		if under == nil {
			under = make(chan pong, 1)
			t.running.Add(1)
			go func(under chan<- pong) {
				defer t.running.Done()
				under <- pong{t.ping(), began}
			}(under)
		}
		wait := t.patience
		if t.trusted.Load() {
			wait = min(wait, t.cfg.MaxStaleness-began.Sub(good))
		}
		limit := time.NewTimer(wait)
		select {
		case p := <-under:
			under = nil
			if p.err == nil {
				good = p.sent
			}
			t.settle(p.err)
			if p.err == nil {
				t.pay()
			}
		case <-limit.C:
			t.settle(errAway)
		case <-t.closed:
			limit.Stop()
			return
		}
		limit.Stop()
		t.tried.Do(func() { close(t.first) })
		timer.Reset(max(t.patience-time.Since(began), time.Millisecond))
	}
}

func (t *Tier[K, V]) ping() error {
	client := t.client.Load()
	if client == nil {
		c, err := rueidis.NewClient(t.clientOption())
		if err != nil {
			return err
		}
		client = &c
		t.client.Store(client)
	}
	// A read of a key of ours goes the way that all our trips go, also in a cluster.
	ctx, all := context.Background(), t.base+"t:"
	sent := time.Since(t.made)
	reply, err := (*client).Do(ctx, t.command(*client, call{pingScript, []string{t.base + "s", all}, nil}, true)).AsInt64()
	if err == nil {
		t.ahead.Store(reply - sent.Microseconds())
	}
	return err
}

// notAfter is when, by the clock of Redis, a trip that begins now is too late. It is never too
// early: the last ping was sent before Redis looked at its clock for it.
func (t *Tier[K, V]) notAfter() string {
	return strconv.FormatInt((time.Since(t.made)+t.patience).Microseconds()+t.ahead.Load(), 10)
}

// settle takes the result of a ping.
func (t *Tier[K, V]) settle(err error) {
	if err == nil {
		t.trusted.Store(true)
		t.up.Store(true)
		if t.away.Swap(false) {
			t.cfg.Logger.Info("rediscache: Redis is there", "prefix", t.cfg.Prefix)
		}
		return
	}
	t.up.Store(false)
	if !t.away.Swap(true) {
		t.cfg.Logger.Warn("rediscache: Redis is away", "prefix", t.cfg.Prefix, "error", err)
	}
	if t.trusted.Swap(false) {
		t.gap()
	}
}

// pingNow has the next ping made at once.
func (t *Tier[K, V]) pingNow() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}
