package batch

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

var (
	errOutside   = errors.New("leaves the service")
	errReference = errors.New("refers to the answer of another part, which is not supported")
	errNested    = errors.New("a batch inside of a batch")
)

// target turns the URL of a part into what its request line would say, below base, which begins
// and ends with a slash. There is no way from here to the network: a host can only be ours.
func target(base, raw, host string, ids map[string]int) (string, *url.URL, error) {
	for i := range len(raw) {
		switch c := raw[i]; {
		case c < ' ' || c == 0x7f:
			return "", nil, errors.New("has a control byte")
		case c == '\\':
			return "", nil, errors.New("has a backslash") // browsers take it for a slash
		case c == '#':
			return "", nil, errors.New("has a fragment")
		}
	}
	if strings.Contains(raw, " ") {
		raw = strings.ReplaceAll(raw, " ", "%20") // an example of MS Graph's has them
	}
	raw, err := withoutOrigin(raw, host)
	if err != nil {
		return "", nil, err
	}
	path, query, hasQuery := strings.Cut(raw, "?")
	if path == "" && !hasQuery {
		return "", nil, errors.New("is empty")
	}
	if path, err = below(base, path); err != nil {
		return "", nil, err
	}
	if refersToPart(base, path, ids) {
		return "", nil, errReference
	}
	if hasQuery {
		path += "?" + query
	}
	u, err := url.ParseRequestURI(path) // as net/http does
	if err != nil || u.Host != "" || u.Scheme != "" || u.Opaque != "" {
		return "", nil, errors.New("cannot be parsed")
	}
	if len(u.Path) > 1 && (u.Path[1] == '/' || u.Path[1] == '\\') {
		return "", nil, errors.New("begins with two slashes") // in a redirect it would name a host
	}
	return path, u, nil
}

// withoutOrigin takes http://host off, if it is ours.
func withoutOrigin(raw, host string) (string, error) {
	if strings.HasPrefix(raw, "//") {
		return "", errors.New("names a host")
	}
	scheme, rest, has := strings.Cut(raw, ":")
	if !has || !isScheme(scheme) {
		return raw, nil
	}
	if !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") || !strings.HasPrefix(rest, "//") {
		return "", errors.New("has a scheme other than http and https")
	}
	rest = rest[2:]
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	if !strings.EqualFold(rest[:end], host) {
		return "", errors.New("names a host other than the request's")
	}
	if end == len(rest) || rest[end] == '?' {
		return "/" + rest[end:], nil
	}
	return rest[end:], nil
}

// isScheme: RFC 3986 section 3.1. Anything else before a colon is a path, as in Products(id='a:b').
func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if !(c >= 'a' && c <= 'z') && (i == 0 || !(s[i] >= '0' && s[i] <= '9') && s[i] != '+' && s[i] != '-' && s[i] != '.') {
			return false
		}
	}
	return s != ""
}

// refersToPart finds `$1/...` (OData Protocol 4.01 section 11.7.3.1) in a path that lies below base.
func refersToPart(base, path string, ids map[string]int) bool {
	for range strings.Count(base, "/") {
		_, path, _ = strings.Cut(path, "/")
	}
	first, _, _ := strings.Cut(path, "/")
	first, _ = url.PathUnescape(first)
	id, is := strings.CutPrefix(first, "$")
	if !is || isSystemResource(id) {
		return false
	}
	_, known := ids[id]
	return known
}

// isSystemResource knows what OData has below a service root under such a name (URL Conventions 4.01
// section 4), whatever the parts are called.
func isSystemResource(name string) bool {
	switch name {
	case "metadata", "batch", "entity", "all", "root", "crossjoin":
		return true
	}
	return false
}

// below resolves an escaped path against base, and makes sure that it lies there, as it stands and
// decoded.
func below(base, path string) (string, error) {
	if !strings.HasPrefix(path, "/") {
		path = base + path
	} else if plain, err := withoutDots(path); err != nil || !isBelow(base, plain) {
		path = base + path[1:] // `/me` of MS Graph is relative to the service, too
	}
	plain, err := withoutDots(path)
	if err != nil {
		return "", err
	}
	if !isBelow(base, plain) {
		return "", errOutside
	}
	return plain, nil
}

// withoutDots removes dot segments (RFC 3986 section 5.2.4), also those that are escaped. Some
// would decode to more than one segment: a%2f..%2fb is refused.
func withoutDots(path string) (string, error) {
	if !strings.Contains(path, ".") && !strings.Contains(path, "%") {
		return path, nil
	}
	segments := strings.Split(path[1:], "/")
	kept := segments[:0]
	for i, segment := range segments {
		decoded, err := url.PathUnescape(segment)
		if err != nil {
			return "", errors.New("has a bad escape")
		}
		last := i == len(segments)-1
		switch decoded {
		case ".":
			if last {
				kept = append(kept, "")
			}
			continue
		case "..":
			if len(kept) == 0 {
				return "", errOutside
			}
			if kept = kept[:len(kept)-1]; last {
				kept = append(kept, "")
			}
			continue
		}
		if decoded != segment {
			for inner := range strings.FieldsFuncSeq(decoded, func(c rune) bool { return c == '/' || c == '\\' }) {
				if inner == "." || inner == ".." {
					return "", errOutside
				}
			}
		}
		kept = append(kept, segment)
	}
	return "/" + strings.Join(kept, "/"), nil
}

// isBelow reports whether path, escaped and without dot segments, lies in base, segment by segment:
// /v1%2e0/me lies in /v1.0/, and /v1.0%2fme does not.
func isBelow(base, path string) bool {
	for {
		var want, got string
		var more bool
		want, base, _ = strings.Cut(base[1:], "/")
		if want == "" && base == "" {
			return true
		}
		if got, path, more = strings.Cut(path[1:], "/"); !more {
			return false
		}
		base, path = "/"+base, "/"+path
		if got, err := url.PathUnescape(got); err != nil || got != want {
			return false
		}
	}
}

// method checks and returns the method of a part.
func method(m string, hasBody bool) (string, error) {
	if !isToken(m) { // before upper-casing: that makes letters of ASCII of some others
		return "", errors.New("is no token")
	}
	m = strings.ToUpper(m)
	switch {
	case m == http.MethodConnect || m == http.MethodTrace:
		return "", errors.New("must not be CONNECT or TRACE")
	case hasBody && (m == http.MethodGet || m == http.MethodHead):
		return "", errors.New("has no body, yet there is one")
	}
	return m, nil
}
