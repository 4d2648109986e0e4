package partial

import (
	"net/url"
	"strings"
)

// asked finds the values of param in a raw query, decoded, and what is left of the query without
// them. It allocates only if there are some. Escapes in names count; a pair of ours that
// net/url refuses is an error, and raw is what it says.
func asked(query, param string, limit int) (values []string, rest string, err *MaskError) {
	if !hasParam(query, param) {
		return nil, query, nil
	}
	var left strings.Builder
	left.Grow(len(query))
	for pair := range strings.SplitSeq(query, "&") {
		name, raw, _ := strings.Cut(pair, "=")
		if !isParam(name, param) {
			if left.Len() > 0 {
				left.WriteByte('&')
			}
			left.WriteString(pair)
			continue
		}
		if len(raw) > 3*limit { // %2C is one byte: this is too long in any case
			return nil, "", &MaskError{Pos: limit, Reason: tooLong(limit), text: raw[:limit]}
		}
		if i := strings.IndexByte(raw, ';'); i >= 0 {
			return nil, "", &MaskError{Pos: i, Reason: `";" without escape`, text: raw}
		}
		value, bad := url.QueryUnescape(raw)
		if bad != nil {
			return nil, "", &MaskError{Pos: badEscape(raw), Reason: "bad escape", text: raw}
		}
		if strings.Trim(value, " \t") != "" {
			values = append(values, value)
		}
	}
	return values, left.String(), nil
}

func badEscape(raw string) int {
	for i := 0; i < len(raw); i++ {
		if raw[i] == '%' {
			if _, err := url.QueryUnescape(raw[i:min(i+3, len(raw))]); err != nil {
				return i
			}
		}
	}
	return 0
}

func hasParam(query, param string) bool {
	for query != "" {
		pair := query
		if i := strings.IndexByte(query, '&'); i >= 0 {
			pair, query = query[:i], query[i+1:]
		} else {
			query = ""
		}
		if i := strings.IndexByte(pair, '='); i >= 0 {
			pair = pair[:i]
		}
		if isParam(pair, param) {
			return true
		}
	}
	return false
}

// isParam reports whether name, escaped as in a query, is param.
func isParam(name, param string) bool {
	if len(name) < len(param) {
		return false
	}
	if len(name) == len(param) && name == param {
		return true
	}
	if len(name) > 3*len(param) || strings.IndexByte(name, '%') < 0 && strings.IndexByte(name, '+') < 0 {
		return false
	}
	plain, err := url.QueryUnescape(name)
	return err == nil && plain == param
}
