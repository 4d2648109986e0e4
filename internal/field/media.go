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
	if slash < 0 || !IsToken(v[:slash]) || !IsToken(v[slash+1:]) {
		return ""
	}
	return strings.ToLower(v)
}
