package httpcache

import (
	"strings"
	"time"
)

// parseDate reads an HTTP date in any of its three forms (RFC 9110 section 5.6.7), names of
// days, months and the zone in any case; whatever else a lenient parser would take is invalid.
// An invalid Expires is one that has passed, so this must not guess.
func parseDate(lines []string) (time.Time, bool) {
	if len(lines) != 1 {
		return time.Time{}, false
	}
	v := lines[0]
	for _, layout := range [...]string{
		"Mon, 02 Jan 2006 15:04:05 GMT",
		"Monday, 02-Jan-06 15:04:05 GMT",
		"Mon Jan _2 15:04:05 2006",
	} {
		// time.Parse takes names in any case, but GMT as it stands and day names of any day; and it
		// takes "2" for "_2", and fractions of a second behind "05".
		if !sameShape(v, layout) {
			continue
		}
		zoned := v
		if strings.HasSuffix(layout, "GMT") {
			zoned = v[:len(v)-3] + strings.ToUpper(v[len(v)-3:])
		}
		t, err := time.Parse(layout, zoned)
		if err != nil {
			continue
		}
		if layout[:6] == "Monday" && t.Year() > time.Now().Year()+50 {
			t = t.AddDate(-100, 0, 0) // RFC 9110 section 5.6.7: more than 50 years in the future is the past
		} else if layout[:6] == "Monday" && t.Year()+100 <= time.Now().Year()+50 {
			t = t.AddDate(100, 0, 0)
		}
		return t, true
	}
	return time.Time{}, false
}

// sameShape compares everything that is no letter or digit, and the length but for the name of
// the day.
func sameShape(v, layout string) bool {
	if strings.HasPrefix(layout, "Monday") {
		comma := strings.IndexByte(v, ',')
		if comma < 0 {
			return false
		}
		v, layout = v[comma:], layout[len("Monday"):]
	}
	if len(v) != len(layout) {
		return false
	}
	for i := 0; i < len(v); i++ {
		l, c := layout[i], v[i]
		switch {
		case l == '_':
			if c != ' ' && !isDigit(c) {
				return false
			}
		case isDigit(l):
			if !isDigit(c) {
				return false
			}
		case isAlpha(l):
			if !isAlpha(c) {
				return false
			}
		case c != l:
			return false
		}
	}
	return true
}

// sameSecond compares dates as validators: they have no fractions.
func sameSecond(a, b time.Time) bool { return a.Unix() == b.Unix() }
