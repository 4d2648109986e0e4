package field

import "strings"

// MediaType returns the media type of a Content-Type field in lower case, without
// parameters; "" if v is none (RFC 9110 section 8.3.1). It allocates only to lower capitals.
func MediaType(v string) string {
	if end := strings.IndexByte(v, ';'); end >= 0 {
		v = v[:end]
	}
	v = strings.Trim(v, " \t")
	slash := strings.IndexByte(v, '/')
	if slash < 0 || !isToken(v[:slash]) || !isToken(v[slash+1:]) {
		return ""
	}
	return strings.ToLower(v)
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
