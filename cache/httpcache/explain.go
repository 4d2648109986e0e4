package httpcache

import (
	"net/http"
	"strings"

	"github.com/hotpath-go/hotpath/internal/field"
)

// sentence says why a response was not stored.
func sentence(token string) string {
	switch token {
	case "incomplete":
		return "the response was not complete (RFC 9111 section 3.3)"
	case "status":
		return "responses of this status are not stored (RFC 9111 section 3)"
	case "request-no-store":
		return "the request has no-store (RFC 9111 section 5.2.1.5)"
	case "not-understood":
		return "the response has must-understand and a status that is not known (RFC 9111 section 5.2.2.3)"
	case "no-store":
		return "the response has no-store (RFC 9111 section 5.2.2.5)"
	case "private":
		return "the response is private (RFC 9111 section 5.2.2.7)"
	case "authorization":
		return "the request has Authorization and the response neither public nor s-maxage nor must-revalidate (RFC 9111 section 3.5)"
	case "vary-star":
		return "the response has Vary: * (RFC 9111 section 4.1)"
	case "trailer":
		return "the response has trailers"
	case "too-large":
		return "body, header or tags are larger than what is stored"
	case "no-permission":
		return "nothing in the response permits it: public, max-age, s-maxage, Expires, no-cache or must-revalidate (RFC 9111 section 3)"
	case "expired":
		return "the response is not fresh when it arrives, and has no validator (RFC 9111 section 4.2)"
	case "vary-changed":
		return "a 304 changed by what responses are told apart (RFC 9111 section 4.1)"
	case "superseded":
		return "what was asked for later came first"
	case "request-cookie":
		return "the response says nothing, and the request has Cookie: Config.DefaultTTL is not asked then"
	case "set-cookie":
		return "the response has Set-Cookie and neither public nor s-maxage (RFC 9111 section 7.3)"
	}
	return ""
}

// Explain tells in a sentence what the nearest cache of this package did, from the header of a
// response; what was not stored says why with [Config.Debug] only. "": no such cache has answered.
func Explain(h http.Header) string {
	last := ""
	for member := range field.Members(h["Cache-Status"]) {
		last = member
	}
	if last == "" {
		return ""
	}
	params := map[string]string{}
	_, rest, _ := strings.Cut(last, ";")
	for rest != "" {
		var piece string
		piece, rest = cutParam(rest)
		name, value, _ := strings.Cut(strings.TrimSpace(piece), "=")
		params[name] = value
	}
	_, hit := params["hit"]
	_, stored := params["stored"]
	_, collapsed := params["collapsed"]
	switch {
	case hit && params["detail"] != "":
		return "answered from the store though it is stale: " + params["detail"] + " (RFC 9111 section 4.2.4)"
	case hit:
		return "answered from the store, fresh for " + params["ttl"] + " s"
	case collapsed:
		return "answered by the load of another request (RFC 9111 section 4)"
	case stored:
		return "answered by the handler (" + params["fwd"] + "), stored"
	case params["detail"] != "":
		if s := sentence(params["detail"]); s != "" {
			return "not stored: " + s
		}
		return "not stored: " + params["detail"]
	}
	return "answered by the handler (" + params["fwd"] + "), not stored"
}

// cutParam cuts at the next semicolon that is not quoted.
func cutParam(s string) (piece, rest string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ';' && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
