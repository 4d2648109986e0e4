package httpcache

import (
	"encoding/binary"
	"hash/maphash"
	"net/http"
	"net/url"
	"strings"
)

// A Key is 128 bits of a seeded hash: nobody outside can make two URLs collide, and the Object
// holds the full key, which is compared.
type Key struct{ a, b uint64 }

const maxKey = 8 << 10 // bytes; requests with longer ones pass

// seeds make a Key of the bytes of a full key.
type seeds struct{ a, b maphash.Seed }

func newSeeds() seeds { return seeds{maphash.MakeSeed(), maphash.MakeSeed()} }

func (s seeds) key(full []byte) Key {
	return Key{maphash.Bytes(s.a, full), maphash.Bytes(s.b, full)}
}

// appendKey appends the full key of r: scheme, host, path and query, byte for byte, and what
// Config.Key adds. It returns the end of the part that names the URL.
func appendKey(dst []byte, r *http.Request, extra string) (full []byte, urlEnd int) {
	if r.TLS != nil {
		dst = append(dst, 's')
	} else {
		dst = append(dst, 'h')
	}
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	dst = appendURL(dst, r.TLS != nil, host, r.URL)
	urlEnd = len(dst)
	dst = append(dst, extra...)
	// The length behind it makes the whole unambiguous, whatever stands in a query or in extra.
	return binary.BigEndian.AppendUint32(dst, uint32(len(extra))), urlEnd
}

// appendURL appends what purges of http and https have in common.
func appendURL(dst []byte, secure bool, host string, u *url.URL) []byte {
	dst = appendHost(dst, secure, host)
	dst = append(dst, 0)
	dst = append(dst, u.EscapedPath()...)
	if u.RawQuery != "" || u.ForceQuery {
		dst = append(dst, '?') // never in an escaped path
		dst = append(dst, u.RawQuery...)
	}
	return dst
}

// appendHost folds case and the default port (RFC 9110 section 4.2.3).
func appendHost(dst []byte, secure bool, host string) []byte {
	port := ":80"
	if secure {
		port = ":443"
	}
	host = strings.TrimSuffix(host, port)
	for i := 0; i < len(host); i++ {
		c := host[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// Tags are of three kinds, told apart by their first byte. Those of URLs and groups are
// hashes, so that their length never keeps a response out.

func (s seeds) urlTag(u []byte) string {
	var b [17]byte
	b[0] = 'u'
	return string(s.hashTag(b[:1], u))
}

// groupTag is of a group within an origin (RFC 9875 section 2).
func (s seeds) groupTag(origin, name string) string {
	full := append(append([]byte(origin), 0), name...)
	var b [17]byte
	b[0] = 'g'
	return string(s.hashTag(b[:1], full))
}

func globalTag(name string) string { return "t" + name }

func (s seeds) hashTag(dst, full []byte) []byte {
	k := s.key(full)
	dst = binary.BigEndian.AppendUint64(dst, k.a)
	return binary.BigEndian.AppendUint64(dst, k.b)
}

// originOf returns scheme and host of r.
func originOf(r *http.Request) string {
	var b [128]byte
	dst := append(b[:0], 'h')
	if r.TLS != nil {
		dst[0] = 's'
	}
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	return string(appendHost(dst, r.TLS != nil, host))
}
