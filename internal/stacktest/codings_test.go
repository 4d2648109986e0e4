package stacktest_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// acceptable is RFC 9110 section 12.5.3 in short: may a client that sent lines be answered with coding?
func acceptable(coding string, lines []string) bool {
	if len(lines) == 0 {
		return true
	}
	star := coding == "identity" // comes last, but is not refused unless by name or by a star
	for member := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		token, weight, weighted := strings.Cut(strings.ReplaceAll(strings.ToLower(member), " ", ""), ";q=")
		q, err := strconv.ParseFloat(weight, 64)
		liked := !weighted || err == nil && q > 0
		switch token {
		case coding:
			return liked
		case "*":
			star = liked
		}
	}
	return star
}

// codings: what a client refuses it does not get, whatever others got before; checkAny sees to that. What
// it likes it gets, if there is a compress at all.
func codings(t *testing.T, s *stack) {
	for _, which := range []string{"cold", "warm"} {
		for _, tc := range []struct{ accept, coding string }{
			{"gzip;q=0.5, br;q=0.9", "br"},
			{"br", "br"},
			{"gzip", "gzip"},
			{"zstd", "zstd"},
			{"", ""},
			{"identity", ""},
			{"zstd;q=0, gzip", "gzip"},
			{"gzip;q=0", ""},
			{"gzip;q=0, zstd;q=0, *", "br"},
			{"identity;q=0, gzip", "gzip"},
			{"*;q=0, zstd", "zstd"},
			{"gzip;q=0.1, identity", ""},
			{"lzma", ""},
			{"*;q=0", "406"},
			{"identity;q=0", "406"},
		} {
			for _, path := range []string{"/items/7", "/weak", "/sniffed"} {
				a := s.ask(t, "GET", path, "Accept-Encoding: "+tc.accept)
				got, want := a.header.Get("Content-Encoding"), tc.coding
				if a.status == http.StatusNotAcceptable {
					got = "406"
				}
				if !s.has("c") {
					want = ""
				}
				if s.has("A") { // what is liked best does not arrive
					want = got
				}
				if got != want || want != "406" && same(a, s.plainly(t, path)) != "" && !s.has("T") {
					t.Errorf("%s %s by %q: %q, want %q; %s", which, path, tc.accept, got, want, a)
				}
			}
		}
	}
}
