package httpcache

import (
	"net/http"
	"time"
)

const maxHeuristic = 24 * time.Hour

// times is the arithmetic of RFC 9111 section 4.2.
type times struct {
	lifetime   time.Duration
	initialAge time.Duration // s4.2.3: corrected_initial_age
	date       time.Time
	allowed    bool // something permits storing (S12)
	explicit   bool // and it is no heuristic
}

// lifetimeOf computes how long a response is fresh. received is when its header came, took how
// long that was after the request. c is what is said to this cache, targeted whether by a field
// that replaces Expires too.
func lifetimeOf(c *control, targeted bool, status int, h http.Header, received time.Time, took time.Duration, heuristic float64) times {
	received = received.Truncate(time.Second) // dates have no more
	date, ok := parseDate(h["Date"])
	if !ok {
		date = received
	}
	t := times{date: date}
	t.initialAge = max(received.Sub(date), ageOf(h["Age"])+took, 0)

	expires, saysExpires := h["Expires"], len(h["Expires"]) > 0 && !targeted
	switch {
	case c.sMaxAge != absent:
		t.lifetime, t.explicit = time.Duration(c.sMaxAge)*time.Second, true
	case c.maxAge != absent:
		t.lifetime, t.explicit = time.Duration(c.maxAge)*time.Second, true
	case saysExpires:
		t.explicit = true
		if until, ok := parseDate(expires); ok {
			t.lifetime = max(until.Sub(date), 0)
		}
	case heuristic > 0 && (cacheableByDefault(status) || c.public) && !c.noCache:
		if modified, ok := parseDate(h["Last-Modified"]); ok && modified.Before(date) {
			t.lifetime = min(time.Duration(heuristic*float64(date.Sub(modified))), maxHeuristic)
			t.allowed = true
		}
	}
	t.allowed = t.allowed || t.explicit || c.public || c.noCache || c.mustRevalidate || targeted
	return t
}

// ageOf reads Age: the first member of the first line; what is not all digits is ignored (RFC
// 9111 section 5.1).
func ageOf(lines []string) time.Duration {
	if len(lines) == 0 {
		return 0
	}
	first := lines[0]
	for i := 0; i < len(first); i++ {
		if first[i] == ',' {
			first = first[:i]
			break
		}
	}
	for first != "" && isSpace(first[len(first)-1]) {
		first = first[:len(first)-1]
	}
	n, ok := digits(first)
	if !ok {
		return 0
	}
	return time.Duration(n) * time.Second
}

// cacheableByDefault is RFC 9110 section 15.1 without 206.
func cacheableByDefault(status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}

// understood is the statuses that RFC 9110 section 15 defines.
func understood(status int) bool {
	switch {
	case status >= 200 && status <= 206, status >= 300 && status <= 305, status == 307, status == 308,
		status >= 400 && status <= 417, status == 421, status == 422, status == 426, status >= 500 && status <= 505:
		return true
	}
	return false
}
