package redisthrottle

import (
	"context"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/hotpath-go/hotpath/throttle"
)

//go:embed take.lua
var script string

// Config of a Store.
type Config struct {
	// Client of a standalone server, of Sentinels or of a Cluster: Redis 6.2 or newer, or Valkey.
	// It must be set; the caller closes it.
	Client rueidis.Client

	// Prefix of all keys, without braces. "": "hotpath:throttle:".
	Prefix string

	// Secret hides who the clients are: keys are stored as HMAC-SHA-256 under it, cut to 128 bits,
	// so every process needs the same one. Empty: plain SHA-256, by which a list of addresses
	// can be found out again.
	Secret []byte
}

const (
	defaultPrefix = "hotpath:throttle:"

	// patience is how long New waits for an answer.
	patience = 2 * time.Second
)

// A Store keeps buckets on a Redis or Valkey server: a [throttle.Remote]. Make one with [New]; it
// is safe for concurrent use.
type Store struct {
	client  rueidis.Client
	take    *rueidis.Lua
	prefix  string
	secret  []byte
	cluster bool
}

// New returns a store. Its error is what is wrong with cfg, or what the server will not do: scripts, TIME
// within them, or writes, for it is a replica. On a Cluster every master is asked. A server that does
// not answer is no error: the limiter that the store is for does without, until there is one.
func New(cfg Config) (*Store, error) {
	var problems []error
	if cfg.Client == nil {
		problems = append(problems, errors.New("redisthrottle: Client is nil: must be set"))
	}
	if strings.ContainsAny(cfg.Prefix, "{}") {
		problems = append(problems, fmt.Errorf("redisthrottle: Prefix is %q: must have no braces, which say where a Cluster keeps a key", cfg.Prefix))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if cfg.Prefix == "" {
		cfg.Prefix = defaultPrefix
	}
	s := &Store{
		client:  cfg.Client,
		take:    rueidis.NewLuaScript(script),
		prefix:  cfg.Prefix,
		secret:  append([]byte(nil), cfg.Secret...),
		cluster: cfg.Client.Mode() == rueidis.ClientModeCluster,
	}
	if err := s.ask(); err != nil {
		return nil, err
	}
	return s, nil
}

// asks is how many keys New asks for, for each node of a Cluster. If the masters have as many slots each,
// one of them is left out once in 10^7 times.
const asks = 16

// ask takes tokens from buckets of its own, which are full again a millisecond later.
func (s *Store) ask() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	n := 1
	if s.cluster {
		n = max(asks*len(s.client.Nodes()), n)
	}
	answers := make(chan error, n)
	for i := range n {
		go func() {
			op := throttle.Op{Policy: "new", Key: throttle.KeyOf("redisthrottle", strconv.Itoa(i)), Rate: throttle.Per(1000, time.Second), Burst: 1, Cost: 1}
			answers <- s.Take(ctx, []throttle.Op{op})
		}()
	}
	for range n {
		err := <-answers
		if refused, ok := rueidis.IsRedisErr(err); ok && !isOutage(refused) {
			return fmt.Errorf("redisthrottle: Client's server refuses the script: %w", refused)
		}
		if errors.Is(err, rueidis.ErrClosing) {
			return errors.New("redisthrottle: Client is closed: must be open")
		}
	}
	return nil
}

// isOutage reports whether an error says that the server is not ready now.
func isOutage(err *rueidis.RedisError) bool {
	for _, prefix := range [...]string{"LOADING", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY", "NOREPLICAS", "MISCONF", "OOM"} {
		if strings.HasPrefix(err.Error(), prefix) {
			return true
		}
	}
	return false
}

// Take decides ops in one call; on a Cluster in one for each distinct key, all at once.
func (s *Store) Take(ctx context.Context, ops []throttle.Op) error {
	if s.cluster {
		return s.takeApart(ctx, ops)
	}
	return s.call(ctx, ops)
}

// call runs the script for ops. Client sends a write again only if the server has said that it
// did not run it.
func (s *Store) call(ctx context.Context, ops []throttle.Op) error {
	keys := make([]string, 0, len(ops))
	args := make([]string, 0, 12*len(ops))
	tokens := make([]token, len(ops))
	for i := range ops {
		op := &ops[i]
		if i > 0 && op.Key == ops[i-1].Key {
			keys = append(keys, keys[i-1][:len(keys[i-1])-len(ops[i-1].Policy)]+op.Policy)
		} else {
			keys = append(keys, s.key(op))
		}
		tokens[i] = newToken(op.Rate)
		args = tokens[i].appendArgs(args, op)
	}
	all, err := s.take.Exec(ctx, s.client, keys, args).AsIntSlice()
	if err != nil {
		return err
	}
	if len(all) != answers*len(ops) {
		return fmt.Errorf("redisthrottle: %d numbers for %d ops: must be %d each", len(all), len(ops), answers)
	}
	for i := range ops {
		tokens[i].read(&ops[i], all[answers*i:])
	}
	return nil
}

// key is where the bucket of op is kept: what is in braces says on which node of a Cluster.
func (s *Store) key(op *throttle.Op) string {
	sum := op.Key.Hash(s.secret)
	b := make([]byte, 0, len(s.prefix)+2*len(sum)+2+len(op.Policy))
	b = append(append(b, s.prefix...), '{')
	b = hex.AppendEncode(b, sum[:])
	return string(append(append(b, '}'), op.Policy...))
}
