package throttle

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
)

// A Key says who pays. Keys are comparable; the zero Key is no key. Policies never share a
// bucket, so a key needs no name of a policy in it.
type Key struct {
	kind keyKind
	bits uint8    // of an address
	addr [16]byte // IPv4 as 4-in-6
	text string
}

type keyKind uint8

const (
	noKey keyKind = iota
	textKey
	partsKey // several texts, each behind its length
	addrKey
)

// KeyOf is the key of a text such as a user's id, or of several: KeyOf("ab", "c") is not
// KeyOf("a", "bc"). If all parts are empty it is the zero Key.
func KeyOf(parts ...string) Key {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	switch {
	case n == 0:
		return Key{}
	case len(parts) == 1:
		return Key{kind: textKey, text: parts[0]}
	}
	var b strings.Builder
	b.Grow(n + 3*len(parts))
	for _, p := range parts {
		b.WriteString(strconv.Itoa(len(p)))
		b.WriteByte(':')
		b.WriteString(p)
	}
	return Key{kind: partsKey, text: b.String()}
}

// KeyAddr is the key of an address cut to its first bits, so that a network shares a bucket.
// Zones are dropped, 4-in-6 is IPv4, and so is 64:ff9b::/96 (RFC 6052). Bits below 1 mean 32
// for IPv4 and 64 for IPv6 (RFC 6177), more than the address has mean all of it. The key of an
// invalid address is the zero Key.
func KeyAddr(a netip.Addr, bits int) Key {
	if !a.IsValid() {
		return Key{}
	}
	if a = unmapped(a); a.Is4() {
		if bits < 1 {
			bits = defaultIPv4Bits
		}
		return cutKey(a, min(bits, 32)+96)
	}
	if bits < 1 {
		bits = defaultIPv6Bits
	}
	return cutKey(a, min(bits, 128))
}

// cutKey is the key of the first bits of an address that is unmapped, of 128 for IPv4 too.
func cutKey(a netip.Addr, bits int) Key {
	k := Key{kind: addrKey, bits: uint8(bits), addr: a.As16()}
	for i := bits / 8; i < len(k.addr); i++ {
		k.addr[i] &= ^(0xff >> max(bits-8*i, 0))
	}
	return k
}

const (
	defaultIPv4Bits = 32
	defaultIPv6Bits = 64
)

// unmapped is the address that counts: an IPv4 address inside an IPv6 one is that one.
func unmapped(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	a = a.WithZone("").Unmap()
	if b := a.As16(); a.Is6() && [12]byte(b[:12]) == [12]byte{0x00, 0x64, 0xff, 0x9b} {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a
}

// KeyHeader returns a key function: the value of a header field, which must be there once and
// not be empty, else the request is refused with 403. Use it only for a field that somebody has
// checked before: a client that may choose its key gets a full bucket with each new one.
func KeyHeader(name string) func(*http.Request) (Key, error) {
	name = http.CanonicalHeaderKey(name)
	return func(r *http.Request) (Key, error) {
		if lines := r.Header[name]; len(lines) == 1 && lines[0] != "" {
			return KeyOf(lines[0]), nil
		}
		return Key{}, errKeyHeader
	}
}

var errKeyHeader = errors.New("throttle: the field that names the client is not there once")

// Format shows the kind of k and nothing of the client, whatever the verb: keys end up in logs.
func (k Key) Format(f fmt.State, _ rune) {
	kind := [...]string{"none", "text", "texts", "address"}[k.kind]
	_, _ = io.WriteString(f, "throttle.Key("+kind+")")
}

// Hash is the same for equal keys in every process: the HMAC-SHA-256 of k under secret, plain
// SHA-256 without one, cut to 128 bits. It names a key where the key itself must not be seen.
func (k Key) Hash(secret []byte) (sum [16]byte) {
	h := sha256.New()
	if len(secret) > 0 {
		h = hmac.New(sha256.New, secret)
	}
	h.Write([]byte{byte(k.kind), k.bits})
	h.Write(k.addr[:])
	h.Write([]byte(k.text))
	copy(sum[:], h.Sum(nil))
	return sum
}

// seeds are a limiter's own: with a known hash a client could look for a key that shares a
// bucket with its victim's.
type seeds [3]maphash.Seed

func newSeeds() seeds { return seeds{maphash.MakeSeed(), maphash.MakeSeed(), maphash.MakeSeed()} }

// fingerprint is the hash under which the tables know k. Each kind has its own seed.
func (s *seeds) fingerprint(k *Key) uint64 {
	if k.kind == addrKey {
		var b [17]byte
		copy(b[:], k.addr[:])
		b[16] = k.bits
		return fingerprint(maphash.Bytes(s[2], b[:]))
	}
	return fingerprint(maphash.String(s[k.kind-textKey], k.text))
}
