package throttle

import (
	"log/slog"
	"net/http"
	"net/netip"
	"time"
)

// A Policy is one bucket per key. Buckets start full, hold Burst tokens and fill evenly at Rate.
type Policy struct {
	// Name in fields, problems and metrics: 1 to 64 printable ASCII characters, unique.
	Name string

	// Rate at which tokens flow in, at most one to the nanosecond. It is kept exactly if N, once
	// reduced against Per in ns, is at most 512: 3/s, 7/min, 5000/day. Else a token takes up to
	// 1/512 ns longer; up to 1 ns, if Burst takes years to flow in.
	Rate Rate

	// Burst is how many tokens a full bucket holds. 0: Rate.N.
	Burst int64

	// Tier makes the policy apply only where Config.Tier returns it. "": to everybody.
	Tier string

	// Key and Cost replace those of the Config; nil: they do not.
	Key  func(*http.Request) (Key, error)
	Cost func(*http.Request) int64

	// IPv4Bits and IPv6Bits are the prefix that shares a bucket where a client's address is the
	// key. 0: 32 and 64.
	IPv4Bits, IPv6Bits int

	// Shadow is a dry run: the policy counts what it would refuse, and refuses nothing.
	Shadow bool
}

// Config of a Limiter. The zero value is sound: 10 requests a second and client address, bursts
// of 100, kept in 2.8 MB.
type Config struct {
	// Rate and Burst are the policy "default", the only one. A zero Rate: 10 a second, with a
	// Burst of 100; else a zero Burst is Rate.N.
	Rate  Rate
	Burst int64

	// Policies are several, decided together: if one refuses none is charged. At most 64, and 8
	// that apply to one request. Rate and Burst must then be zero.
	Policies []Policy

	// Key says who pays. An error refuses the request with 403. nil, or the zero Key returned:
	// the client's address.
	Key func(*http.Request) (Key, error)

	// Cost is how many tokens a request takes. 0 is free; a negative cost is answered with 500,
	// one above Burst is refused for good. nil: 1.
	Cost func(*http.Request) int64

	// Tier is the tier of a request, such as "free" or "pro". Policies of that tier apply besides
	// those of none. nil: "".
	Tier func(*http.Request) string

	// Exempt requests, such as health checks, are neither charged nor refused. nil: none.
	Exempt func(*http.Request) bool

	// TrustedProxies are the peers whose ProxyHeader is believed. None: the client's address is
	// the connection's.
	TrustedProxies []netip.Prefix

	// TrustUnixSocket makes a peer without an IP address such a proxy.
	TrustUnixSocket bool

	// ProxyHeader is where trusted proxies say whom they serve: "X-Forwarded-For", "Forwarded"
	// (RFC 7239), or a header that they set to one address. "": X-Forwarded-For.
	ProxyHeader string

	// Headers tell clients what is left: "ietf" (RateLimit and RateLimit-Policy of
	// draft-ietf-httpapi-ratelimit-headers-10), "legacy" (X-RateLimit-*) or "off". "": ietf.
	Headers string

	// OnDenied writes status and body of a refusal, whose fields are set already. nil: problem
	// details (RFC 9457).
	OnDenied func(http.ResponseWriter, *http.Request, Decision)

	// MaxWait makes a request wait that could pass within it, first come, first served. 0: it is
	// refused at once. At most 1 h.
	MaxWait time.Duration

	// MaxWaiting bounds the requests and calls of Wait that wait at once. 0: 1024.
	MaxWaiting int

	// Capacity is how many keys with debt each policy keeps without loss, at 21.4 bytes each.
	// 0: 131,072; at least 64.
	Capacity int

	// OnFull says what happens to a new key beyond: "forget" drops, of 32 records, the one with
	// the least debt, "refuse" keeps them and answers 503. "": forget.
	OnFull string

	// Remote keeps the buckets of many processes, such as package redisthrottle's on Redis. In any
	// time d a key then gets, of all of them together, at most Burst + (d + Lease) x N/Per tokens.
	// nil: this process counts for itself, and what stands below must be zero.
	Remote Remote

	// Budget is the longest that a decision waits for Remote; a caller who leaves meanwhile does not
	// shorten it. 0: 25 ms; at most 10 s.
	Budget time.Duration

	// OnDown says who decides while Remote is slow or dead: "local" (buckets of this process, of
	// Rate/Nodes and Burst/Nodes), "open" (everybody is let in) or "closed" (nobody: 503). "":
	// local.
	OnDown string

	// Nodes are the processes that share a limit, for "local". 0: 1; at most 65,536.
	Nodes int

	// Lease is how long tokens are held that were taken ahead for keys that come often, so that
	// most of their decisions need no Remote. What is held when the limit is reached may lapse: of
	// three processes at twice a limit once the tokens of 0.16 s. 0: 100 ms; negative: never; at
	// most 1 s.
	Lease time.Duration

	// Logger is told when Remote is lost and when it is back. nil: slog.Default().
	Logger *slog.Logger
}

const (
	defaultName     = "default"
	defaultCapacity = 131_072
	defaultWaiting  = 1024
)

// defaultRate is not a constant only because Go has none of structs.
func defaultRate() (Rate, int64) { return Per(10, time.Second), 100 }
