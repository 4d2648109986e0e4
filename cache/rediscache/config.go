package rediscache

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// Config of a Tier. Client.InitAddress and Prefix must be set.
type Config[V any] struct {
	// Client says where Redis or Valkey is: InitAddress, and what else rueidis has for passwords,
	// TLS, Sentinel. The connection is the tier's own, for what it is told of changes belongs to
	// what it reads: one, pipelined, with RESP3 tracking. So OnInvalidations and
	// ClientTrackingOptions must be empty, and DisableCache, AlwaysRESP2, SendToReplicas not set.
	Client rueidis.ClientOption

	// Prefix begins every key in Redis, in braces: all keys of a tier are in one slot of a
	// cluster. It names the cache ("shop:products") and must not have braces itself.
	Prefix string

	// Version is part of the keys of values: processes of another Version have values of their
	// own. Change it with the encoding of V. A Delete is told to the same Version only, tags are
	// common to all. It must not have a colon.
	Version string

	// MaxStaleness bounds how old a value may be that somebody else has changed, whatever happens
	// to Redis or to the connection: a third of it is how often the connection is tried, and how
	// long a trip to Redis may take. 0: 1 s; at least 30 ms.
	MaxStaleness time.Duration

	// Lease is for how long a process may be silent that is loading a value, until another loads
	// it. It is renewed every third of it while the load goes on. 0: 10 s; at least 100 ms.
	Lease time.Duration

	// Encode and Decode turn a value into bytes and back. Decode must not keep its argument. nil: a
	// []byte or a string as it is, everything else by encoding/json, which must not lose anything:
	// fields that are not exported or have the tag json:"-" are refused. Both or none.
	Encode func(v V) ([]byte, error)
	Decode func(text []byte) (V, error)

	// MaxValueBytes bounds the encoding of a value: a larger one would keep the connection busy, and
	// what must be heard on it would come late. Each process loads it for itself then, and keeps it
	// for MaxStaleness. 0: 4 MiB.
	MaxValueBytes int

	// Logger is told when Redis goes away and comes back. nil: slog.Default().
	Logger *slog.Logger
}

const (
	defaultMaxStaleness = time.Second
	minMaxStaleness     = 30 * time.Millisecond
	defaultLease        = 10 * time.Second
	minLease            = 100 * time.Millisecond
	defaultValueBytes   = 4 << 20
)

func (cfg Config[V]) withDefaults() (Config[V], error) {
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("rediscache: "+format, args...))
	}
	if len(cfg.Client.InitAddress) == 0 {
		bad("Client.InitAddress is empty: must have an address")
	}
	for i, address := range cfg.Client.InitAddress {
		if strings.Contains(address, "://") { // not shown: a password may stand in it
			bad("Client.InitAddress[%d] is a URL: must be host:port (rueidis.ParseURL makes a ClientOption of a URL)", i)
		}
	}
	for _, f := range []struct {
		field string
		set   bool
		why   string
	}{
		{"OnInvalidations", cfg.Client.OnInvalidations != nil, "it is the tier's own"},
		{"ClientTrackingOptions", len(cfg.Client.ClientTrackingOptions) > 0, "they are the tier's own"},
		{"DisableCache", cfg.Client.DisableCache, "without tracking nothing tells of changes"},
		{"AlwaysRESP2", cfg.Client.AlwaysRESP2, "tracking needs RESP3"},
		{"SendToReplicas", cfg.Client.SendToReplicas != nil, "a replica may be behind"},
		{"ReplicaOnly", cfg.Client.ReplicaOnly, "a replica cannot be written"},
	} {
		if f.set {
			bad("Client.%s is set: must not be, for %s", f.field, f.why)
		}
	}
	if cfg.Prefix == "" || strings.ContainsAny(cfg.Prefix, "{}") {
		bad("Prefix is %q: must name the cache, without braces", cfg.Prefix)
	}
	if strings.Contains(cfg.Version, ":") {
		bad("Version is %q: must not have a colon", cfg.Version)
	}
	if cfg.MaxStaleness != 0 && cfg.MaxStaleness < minMaxStaleness {
		bad("MaxStaleness is %v: must be at least 30ms (0 means 1s)", cfg.MaxStaleness)
	}
	if cfg.Lease != 0 && cfg.Lease < minLease {
		bad("Lease is %v: must be at least 100ms (0 means 10s)", cfg.Lease)
	}
	if cfg.MaxValueBytes < 0 {
		bad("MaxValueBytes is %d: must not be negative (0 means 4 MiB)", cfg.MaxValueBytes)
	}
	if (cfg.Encode == nil) != (cfg.Decode == nil) {
		bad("one of Encode and Decode is set: must be both or none")
	} else if cfg.Encode == nil {
		if why := loss(reflect.TypeFor[V]()); why != "" {
			bad("Encode and Decode are nil, and by encoding/json %s", why)
		}
	}
	if len(problems) > 0 {
		return Config[V]{}, errors.Join(problems...)
	}
	if cfg.MaxStaleness == 0 {
		cfg.MaxStaleness = defaultMaxStaleness
	}
	if cfg.Lease == 0 {
		cfg.Lease = defaultLease
	}
	if cfg.MaxValueBytes == 0 {
		cfg.MaxValueBytes = defaultValueBytes
	}
	if cfg.Encode == nil {
		cfg.Encode, cfg.Decode = encode[V], decode[V]
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg, nil
}

// clientOption is cfg.Client with what a tier needs.
func (t *Tier[K, V]) clientOption() rueidis.ClientOption {
	o := t.cfg.Client
	o.OnInvalidations = t.invalidated
	// Without NOLOOP, though each of our own fills takes a value out of the cache that has just come
	// into it: with it Redis does not tell what it evicts, or forgets that it has to tell, while it does
	// something for us.
	o.ClientTrackingOptions = []string{"OPTOUT"}
	o.PipelineMultiplex = -1 // one connection: what is read and what is told of it are in order
	o.DisableRetry = true    // a trip has a time limit, and the cache works without it
	o.DisableAutoPipelining = false
	if o.Dialer.Timeout == 0 {
		o.Dialer.Timeout = max(t.cfg.MaxStaleness, time.Second)
	}
	if o.ConnWriteTimeout == 0 { // then a silent connection is given up
		o.ConnWriteTimeout = max(2*t.cfg.MaxStaleness, 2*time.Second)
	}
	return o
}
