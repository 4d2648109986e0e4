package throttle

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"

	"github.com/hotpath-go/hotpath/internal/field"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// proxies says whose word about the client counts, and where it stands.
type proxies struct {
	trusted []netip.Prefix // masked, 4-in-6 as IPv4
	unix    bool
	header  string // canonical
	kind    proxyHeader
}

type proxyHeader uint8

const (
	xForwardedFor proxyHeader = iota
	forwarded                 // RFC 7239
	oneAddress                // a header that the last proxy sets anew
)

const (
	// maxHops bounds the work on a header that anybody can make long.
	maxHops          = 64
	maxForwardedLine = 8 << 10 // bytes
)

var (
	errNoPeer    = errors.New("throttle: the connection has no IP address")
	errNotOnce   = errors.New("throttle: the proxy's header is not there once")
	errHop       = errors.New("throttle: the proxy's header has no address where the client's should stand")
	errForwarded = errors.New("throttle: Forwarded is malformed or too long")
)

func newProxies(cfg Config) proxies {
	p := proxies{unix: cfg.TrustUnixSocket, header: http.CanonicalHeaderKey(cfg.ProxyHeader)}
	for _, t := range cfg.TrustedProxies {
		if a := t.Addr(); a.Is4In6() && t.Bits() >= 96 {
			t = netip.PrefixFrom(a.Unmap(), t.Bits()-96)
		}
		p.trusted = append(p.trusted, t.Masked())
	}
	switch p.header {
	case "":
		p.header = "X-Forwarded-For"
	case "X-Forwarded-For":
	case "Forwarded":
		p.kind = forwarded
	default:
		p.kind = oneAddress
	}
	return p
}

func (p *proxies) trusts(a netip.Addr) bool {
	for _, t := range p.trusted {
		if t.Contains(a) {
			return true
		}
	}
	return false
}

// client returns the address of whoever sent r: the connection's, or what the trusted proxies
// say of it.
func (p *proxies) client(r *http.Request) (netip.Addr, error) {
	peer, ok := parseHop(r.RemoteAddr)
	switch {
	case !ok && !p.unix:
		return netip.Addr{}, errNoPeer
	case ok && !p.trusts(peer):
		return peer, nil
	}
	// A part of a batch has a header that its client wrote, the envelope's has passed the proxy.
	for range maxHops {
		outer := rw.Outer(r)
		if outer == r {
			break
		}
		r = outer
	}
	lines := r.Header[p.header]
	var err error
	client := peer
	switch p.kind {
	case oneAddress:
		if len(lines) != 1 {
			return netip.Addr{}, errNotOnce
		}
		if client, ok = parseHop(strings.Trim(lines[0], " \t")); !ok {
			return netip.Addr{}, errHop
		}
	case forwarded:
		client, err = p.lastForwarded(lines, peer)
	default:
		client, err = p.lastXForwardedFor(lines, peer)
	}
	if err == nil && !client.IsValid() {
		err = errNoPeer // a socket without an address, and no hop
	}
	return client, err
}

// lastXForwardedFor goes from the right to the first hop that is not trusted: what stands left of
// it was written by somebody whom nobody vouches for.
func (p *proxies) lastXForwardedFor(lines []string, peer netip.Addr) (netip.Addr, error) {
	client := peer
	looked := 0
	for i := len(lines) - 1; i >= 0 && looked < maxHops; i-- {
		for line, more := lines[i], true; more && looked < maxHops; looked++ {
			hop := line
			comma := strings.LastIndexByte(line, ',')
			if more = comma >= 0; more {
				line, hop = line[:comma], line[comma+1:]
			}
			hop = strings.Trim(hop, " \t")
			if hop == "" {
				continue // an empty member is none (RFC 9110 section 5.6.1)
			}
			addr, ok := parseHop(hop)
			if !ok {
				return netip.Addr{}, errHop
			}
			if client = addr; !p.trusts(addr) {
				return client, nil
			}
		}
	}
	return client, nil
}

// lastForwarded does the same with RFC 7239. A line can only be read from the left, for its
// quoted strings may have commas in them, so lines are bounded.
func (p *proxies) lastForwarded(lines []string, peer netip.Addr) (netip.Addr, error) {
	client := peer
	looked := 0
	var hops [maxHops]string // the last ones of a line, as a ring
	for i := len(lines) - 1; i >= 0 && looked < maxHops; i-- {
		n, ok := readForwarded(lines[i], &hops)
		if !ok {
			return netip.Addr{}, errForwarded
		}
		if n == 0 {
			looked++ // a line without hops is work too
		}
		for j := n - 1; j >= max(n-maxHops, 0) && looked < maxHops; j-- {
			addr, ok := parseNode(hops[j%maxHops])
			if !ok {
				return netip.Addr{}, errHop
			}
			if client = addr; !p.trusts(addr) {
				return client, nil
			}
			looked++
		}
	}
	return client, nil
}

// readForwarded puts what the elements of a line say of "for" into hops, "" if nothing, and
// returns how many there are. Two of them in one element are malformed, as is all that section 4
// of RFC 7239 does not derive; only white space around ";" is read over, for it is common.
func readForwarded(line string, hops *[maxHops]string) (n int, ok bool) {
	if len(line) > maxForwardedLine {
		return 0, false
	}
	rest := skipSpace(line)
	for rest != "" {
		hop, named, any := "", false, false
		for {
			if rest = skipSpace(rest); rest != "" && rest[0] != ';' && rest[0] != ',' {
				any = true
				name := token(rest)
				rest = rest[len(name):]
				if name == "" || rest == "" || rest[0] != '=' {
					return 0, false
				}
				value, after, ok := readValue(rest[1:])
				if !ok {
					return 0, false
				}
				rest = skipSpace(after)
				if strings.EqualFold(name, "for") {
					if named {
						return 0, false
					}
					hop, named = value, true
				}
			}
			if rest == "" || rest[0] != ';' {
				break
			}
			rest, any = rest[1:], true
		}
		if any {
			hops[n%maxHops] = hop
			n++
		}
		if rest == "" {
			break
		}
		if rest[0] != ',' {
			return 0, false
		}
		rest = skipSpace(rest[1:])
	}
	return n, true
}

func skipSpace(s string) string { return strings.TrimLeft(s, " \t") }

// token returns the token (RFC 9110 section 5.6.2) that s begins with.
func token(s string) string {
	for i := range len(s) {
		if !field.IsTokenByte(s[i]) {
			return s[:i]
		}
	}
	return s
}

// readValue returns the token or quoted string that s begins with, its quotes undone.
func readValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		value = token(s)
		return value, s[len(value):], value != ""
	}
	var undone []byte
	escaped := false
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			if escaped {
				return string(undone), s[i+1:], true
			}
			return s[1:i], s[i+1:], true
		case c == '\\':
			if !escaped {
				undone, escaped = append(undone, s[1:i]...), true
			}
			if i++; i == len(s) || !quotable(s[i]) {
				return "", "", false
			}
			undone = append(undone, s[i])
		case !quotable(c):
			return "", "", false
		case escaped:
			undone = append(undone, c)
		}
	}
	return "", "", false // never closed
}

func quotable(c byte) bool { return c == '\t' || c >= ' ' && c != 0x7f }

// parseNode reads a node of RFC 7239 section 6. "unknown" and "_hidden" are no addresses.
func parseNode(s string) (netip.Addr, bool) {
	if strings.Count(s, ":") > 1 && s[0] != '[' {
		return netip.Addr{}, false // IPv6 stands in brackets there
	}
	return parseHop(s)
}

// parseHop reads an address with or without a port, IPv6 with or without brackets.
func parseHop(s string) (netip.Addr, bool) {
	host := s
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 || !isPort(s[end+1:]) || strings.IndexByte(s[1:end], ':') < 0 {
			return netip.Addr{}, false
		}
		host = s[1:end]
	} else if colon := strings.IndexByte(s, ':'); colon >= 0 && strings.IndexByte(s[colon+1:], ':') < 0 {
		if !isPort(s[colon:]) {
			return netip.Addr{}, false
		}
		host = s[:colon]
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}, false
	}
	return a.WithZone("").Unmap(), true
}

// isPort reports whether s is nothing, or a colon and a port: digits, or a name that hides them
// (RFC 7239 section 6.2).
func isPort(s string) bool {
	if s == "" {
		return true
	}
	if s[0] != ':' || len(s) == 1 {
		return false
	}
	port := s[1:]
	if port[0] == '_' {
		for i := range len(port) {
			if c := port[i]; !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-') {
				return false
			}
		}
		return len(port) > 1
	}
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return false
		}
	}
	return len(port) <= 5
}
