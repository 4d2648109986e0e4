package batch

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/hotpath-go/hotpath/internal/field"
)

func isToken(s string) bool { return field.IsToken(s) }

// A nature is what may be done with a field of a given name.
type nature uint8

const (
	plain      nature = iota
	own               // describes one request: not inherited, a part may set it
	forbidden         // says who is calling, or steers: a part must not set it, unless allowed
	steering          // the same, and not inherited: method overrides change what a handler runs (P7)
	structural        // of the message itself: neither
	dropped           // the same, but real clients send it in parts
)

// natureOf knows the fields of P3, P4 and P7, by their canonical names.
func natureOf(name string) nature {
	switch name {
	case "Accept-Encoding", "Connection", "Mime-Version", "Content-Transfer-Encoding", "Content-Length", "Keep-Alive":
		return dropped
	case "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Expect", "Host":
		return structural
	case "Idempotency-Key":
		return own
	case "Authorization", "Cookie", "Forwarded", "Origin", "From", "Max-Forwards":
		return forbidden
	case "X-Forwarded", "X-Real-Ip", "X-Proxyuser-Ip", "Client-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "True-Client-Ip",
		"Fastly-Client-Ip", "Fly-Client-Ip", "X-Host", "X-Http-Host-Override": // where it came from, and to
		return forbidden
	case "X-Client-Dn", "X-Client-Verify", "X-Arr-Clientcert", "X-User", "X-User-Id", "X-Username": // who, as proxies say it
		return forbidden
	case "X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Original-Url", "X-Original-Uri",
		"X-Original-Method", "X-Rewrite-Url":
		return steering
	case "Range": // of one answer
		return steering
	}
	switch {
	case strings.HasPrefix(name, "Content-"), strings.HasPrefix(name, "If-"):
		return own
	case strings.HasPrefix(name, "Proxy-"): // of one hop
		return steering
	case hasAnyPrefix(name, "Sec-", "X-Forwarded-", "X-Original-"):
		return forbidden
	case saysWhoIsCalling(name):
		return forbidden
	}
	return plain
}

func hasAnyPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// saysWhoIsCalling reports whether proxies that authenticate, or end TLS, say by a field of this name who is
// calling. Handlers trust such fields because the proxy removes them from what clients send, but no
// proxy looks into envelopes.
func saysWhoIsCalling(name string) bool {
	return hasAnyPrefix(name,
		"Client-Cert", // RFC 9440
		"Remote-", "X-Remote-", "X-Auth-", "X-Authenticated-", "X-Authentik-", "X-Authelia-", "X-Webauth-",
		"Ssl-Client-", "X-Ssl-", "X-Client-Cert", "X-Tls-Client-",
		"X-Ms-Client-Principal", "X-Ms-Token-", "X-Azure-", "X-Amzn-Oidc-", "X-Amzn-Mtls-", "X-Goog-", "X-Appengine-",
		"Cf-", "X-Envoy-", "Tailscale-", "X-Pomerium-", "X-Consumer-", "X-Credential-", "X-Vouch-",
	)
}

// steered is natureOf with name as CGI and those who follow it read it: Remote_User is Remote-User.
func steered(name string) nature {
	if !strings.Contains(name, "_") {
		return natureOf(name)
	}
	if n := natureOf(asCGI(name)); n == forbidden || n == steering || n == structural {
		return n
	}
	return plain
}

func asCGI(name string) string {
	return textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
}

// A legacy is what every part inherits of the envelope's fields.
type legacy struct {
	fields []inherited
	lines  int
}

type inherited struct {
	name  string
	lines []string
}

// inherit picks what parts inherit (P3).
func (e *Endpoint) inherit(h http.Header) (l legacy) {
	for name, lines := range h {
		switch natureOf(name) {
		case plain, forbidden:
		default:
			continue
		}
		if e.drops[name] || field.Has(h["Connection"], name) {
			continue
		}
		switch name {
		case "Prefer":
			lines = ofParts(lines)
		case "Accept":
			if asksForEnvelope(lines) {
				continue
			}
		}
		if len(lines) > 0 {
			l.fields = append(l.fields, inherited{name, lines})
			l.lines += len(lines)
		}
	}
	return l
}

// ofParts takes the preferences off that are about the batch.
func ofParts(lines []string) (kept []string) {
	for m := range field.Members(lines) {
		switch name, _ := preference(m); name {
		case "respond-async", "continue-on-error", "odata.continue-on-error":
		default:
			kept = append(kept, m)
		}
	}
	return kept
}

// preference splits a member of Prefer (RFC 7240 section 2).
func preference(member string) (name, value string) {
	member, _, _ = strings.Cut(member, ";")
	name, value, _ = strings.Cut(member, "=")
	return strings.ToLower(strings.TrimSpace(name)), strings.Trim(strings.TrimSpace(value), `"`)
}

func stopsOnError(h http.Header) bool {
	for m := range field.Members(h["Prefer"]) {
		if name, value := preference(m); name == "continue-on-error" || name == "odata.continue-on-error" {
			return strings.EqualFold(value, "false") // the first one counts
		}
	}
	return false
}

func asksForEnvelope(accept []string) bool {
	for m := range field.Members(accept) {
		switch field.MediaType(m) {
		case "multipart/mixed", "application/x-ndjson":
			return true
		}
	}
	return false
}

const (
	maxLines      = 64      // header fields of a part
	maxFieldBytes = 8 << 10 // names and values of them
)

// header returns the header of a part: what it inherits, and its own fields in place of that.
func (e *Endpoint) header(p *part, from legacy, host string) (http.Header, error) {
	body := 0 // its type
	if p.body != "" {
		body = 1
	}
	h := make(http.Header, len(from.fields)+len(p.fields)+body) // beyond 8 fields a map takes two allocations more
	// One array for all lines; each part has its own, for handlers may write into it.
	lines := make([]string, 0, from.lines+len(p.fields)+body)
	for _, f := range from.fields {
		begin := len(lines)
		lines = append(lines, f.lines...)
		h[f.name] = lines[begin:len(lines):len(lines)]
	}
	if len(p.fields) > maxLines {
		return nil, fmt.Errorf("headers: more than %d", maxLines)
	}
	size := 0
	for i, f := range p.fields {
		if size += len(f.name) + len(f.value); size > maxFieldBytes {
			return nil, fmt.Errorf("headers: more than %d bytes", maxFieldBytes)
		}
		if !isToken(f.name) || !isValue(f.value) {
			return nil, fmt.Errorf("headers: %s is not a field that HTTP can carry", short(f.name))
		}
		name := textproto.CanonicalMIMEHeaderKey(f.name)
		for _, before := range p.fields[:i] {
			if strings.EqualFold(before.name, name) {
				return nil, fmt.Errorf("headers: %s is given twice", name)
			}
		}
		n := steered(name)
		if n < forbidden && (e.drops[name] || e.drops[asCGI(name)]) {
			n = forbidden // what must not come from the envelope is not for parts to say
		}
		switch n {
		case dropped:
			continue
		case structural:
			if name == "Host" && strings.EqualFold(f.value, host) {
				continue
			}
			return nil, fmt.Errorf("headers: %s cannot be set", name)
		case forbidden, steering:
			if !e.allows[name] {
				return nil, fmt.Errorf("headers: %s must not be set in a part", name)
			}
			p.overridden = p.overridden || n == steering && name != "Range"
		}
		lines = append(lines, strings.Trim(f.value, " \t"))
		h[name] = lines[len(lines)-1 : len(lines) : len(lines)]
	}
	if p.body != "" && h["Content-Type"] == nil {
		lines = append(lines, "application/json")
		h["Content-Type"] = lines[len(lines)-1 : len(lines) : len(lines)]
	}
	return h, nil
}

// isValue: RFC 9110 section 5.5, without obs-fold.
func isValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// checkAllowed says why name must not be in AllowHeaders.
func checkAllowed(name string) error {
	switch n := steered(textproto.CanonicalMIMEHeaderKey(name)); {
	case !isToken(name):
		return errors.New("must be a field name")
	case n == structural, n == dropped:
		return errors.New("must not be a field of the message itself, such as Transfer-Encoding")
	}
	return nil
}
