package rediscache

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"
)

var (
	errAway   = errors.New("rediscache: Redis does not answer")
	errClosed = errors.New("rediscache: the tier is closed")
)

// maxTrips bounds the trips under way: rueidis has a ring of 1024 places, and whoever finds it full
// waits without regard to his context.
const maxTrips = 512

// maxOwed bounds the leases to be given back; more end by themselves.
const maxOwed = 4_096

// A call is a script with what it is called with.
type call struct {
	script script
	keys   []string
	args   []string
}

// trip runs calls, each atomically, one after the other, in one go. It takes a third of
// MaxStaleness at most; what takes longer counts as failed, and the next trip is made when a ping
// has come back.
func (t *Tier[K, V]) trip(ctx context.Context, calls ...call) ([]rueidis.RedisMessage, error) {
	client := t.client.Load()
	if client == nil || !t.up.Load() {
		return nil, errAway
	}
	limited, cancel := context.WithTimeout(ctx, t.patience)
	defer cancel()
	select {
	case t.trips <- struct{}{}:
		defer func() { <-t.trips }()
	case <-limited.Done():
		return nil, t.tripError(ctx, limited.Err())
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
// arrived too, for they are in order on one connection. When one does not, nothing here can be
// trusted, at once: it was right when that ping was sent, at most two thirds of MaxStaleness ago.
func (t *Tier[K, V]) pingLoop() {
	defer t.running.Done()
	var pong chan error // of the ping under way, which is waited for again
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
		if pong == nil {
			pong = make(chan error, 1)
			t.running.Add(1)
			go func(pong chan<- error) {
				defer t.running.Done()
				pong <- t.ping()
			}(pong)
		}
		limit := time.NewTimer(t.patience)
		select {
		case err := <-pong:
			pong = nil
			t.settle(err)
			if err == nil {
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
	err := (*client).Do(ctx, (*client).B().Get().Key(all).Build()).Error()
	if rueidis.IsRedisNil(err) {
		// Made before anybody reads it, or making it would be told to all as a purge.
		err = (*client).Do(ctx, t.command(*client, call{initScript, []string{t.base + "s", all}, nil}, true)).Error()
	}
	return err
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
