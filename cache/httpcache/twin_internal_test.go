package httpcache

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/internal/rw"
)

// The twin of policy.go and fresh.go: RFC 9111 section 3, 4.2 and 5.2.2 written down as slowly and
// literally as they read, on strings and maps.

// twinMember is a member of a list: text outside of quotes, or quoted text as a unit.
var twinMember = regexp.MustCompile(`(?s)(?:[^",]|"(?:\\.|[^"\\])*(?:"|\\?$))+`)

// twinDirectives returns the first argument of each directive, by its name in lower case; "\x00" is
// none.
func twinDirectives(lines []string) map[string]string {
	all := map[string]string{}
	note := func(name, argument string) {
		if _, there := all[name]; !there {
			all[name] = argument
		}
	}
	for _, line := range lines {
		for _, member := range twinMember.FindAllString(line, -1) {
			member = strings.Trim(member, " \t")
			if member == "" {
				continue
			}
			note("*", "")
			name, argument, has := strings.Cut(member, "=")
			if !has {
				argument = "\x00"
			}
			if trimmed := strings.TrimRight(name, " \t"); trimmed != name && has {
				name, argument = trimmed, " "
			}
			name = strings.ToLower(name)
			if fields := regexp.MustCompile(`[; \t]`).Split(name, 2); len(fields) == 2 {
				// No directive at all; but what forbids is heard.
				if slices.Contains([]string{"private", "no-store", "no-cache"}, fields[0]) {
					note(fields[0], "\x00")
					all["!"+fields[0]] = ""
				}
				continue
			}
			if name == "private" || name == "no-cache" {
				// With names it is of these fields, without of the whole.
				names := false
				if argument != "\x00" {
					for _, n := range twinMember.FindAllString(strings.Trim(argument, `"`), -1) {
						names = names || regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$").MatchString(strings.Trim(n, " \t"))
					}
				}
				if !names {
					all["!"+name] = ""
				}
			}
			note(name, argument)
		}
	}
	return all
}

// twinSeconds: what is no number is 0, which is stale.
func twinSeconds(argument string) time.Duration {
	if m := regexp.MustCompile(`^(?:"([0-9]+)"|([0-9]+))$`).FindStringSubmatch(argument); m != nil {
		digits := strings.TrimLeft(m[1]+m[2], "0")
		if len(digits) > 10 {
			return 1 << 31 * time.Second
		}
		n, _ := strconv.ParseInt("0"+digits, 10, 64)
		return time.Duration(min(n, 1<<31)) * time.Second
	}
	return 0
}

type twinVerdict struct {
	why                           string
	lifetime, age                 time.Duration
	mustValidate, noCache, shared bool
}

func twinJudge(cfg *Config, status int, auth, noStore bool, h http.Header, now time.Time) (v twinVerdict) {
	d := twinDirectives(h["Cache-Control"])
	has := func(name string) bool { _, there := d[name]; return there }
	date, ok := parseDate(h["Date"])
	if !ok {
		date = now
	}
	// s4.2.3
	if lines := h["Age"]; len(lines) > 0 {
		first, _, _ := strings.Cut(lines[0], ",")
		if first = strings.TrimRight(first, " \t"); regexp.MustCompile(`^[0-9]+$`).MatchString(first) {
			v.age = twinSeconds(first)
		}
	}
	v.age = max(v.age, now.Sub(date), 0)
	// s4.2.1
	explicit, heuristic := true, false
	switch {
	case has("s-maxage"):
		v.lifetime = twinSeconds(d["s-maxage"])
	case has("max-age"):
		v.lifetime = twinSeconds(d["max-age"])
	case len(h["Expires"]) > 0:
		if until, ok := parseDate(h["Expires"]); ok {
			v.lifetime = max(until.Sub(date), 0)
		}
	default:
		explicit = false
		modified, ok := parseDate(h["Last-Modified"])
		byDefault := slices.Contains([]int{200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501}, status)
		if ok && modified.Before(date) && cfg.Heuristic > 0 && (byDefault || has("public")) && !has("!no-cache") {
			heuristic = true
			v.lifetime = min(time.Duration(cfg.Heuristic*float64(date.Sub(modified))), 24*time.Hour)
		}
	}
	v.noCache = has("!no-cache")
	v.mustValidate = has("must-revalidate") || has("proxy-revalidate") || has("s-maxage") || v.noCache
	v.shared = has("public") || has("s-maxage") || has("must-revalidate")
	validator := len(h["Etag"]) > 0 || len(h["Last-Modified"]) > 0
	known := status >= 200 && status <= 206 || status >= 300 && status <= 305 || status == 307 || status == 308 ||
		status >= 400 && status <= 417 || status == 421 || status == 422 || status == 426 || status >= 500 && status <= 505
	star := false
	for _, member := range strings.Split(strings.Join(h["Vary"], ","), ",") {
		star = star || strings.Trim(member, " \t") == "*"
	}
	switch {
	case status == 206 || status == 304 || status == 416:
		v.why = "status"
	case noStore:
		v.why = "request-no-store"
	case has("must-understand") && !known:
		v.why = "not-understood"
	case has("no-store") && !has("must-understand"):
		v.why = "no-store"
	case has("!private"):
		v.why = "private"
	case auth && !v.shared:
		v.why = "authorization"
	case star:
		v.why = "vary-star"
	case len(h["Set-Cookie"]) > 0 && !has("public") && !has("s-maxage"):
		v.why = "set-cookie"
	case !explicit && !heuristic && !has("public") && !has("!no-cache") && !has("must-revalidate"):
		v.why = "no-permission"
	case (v.lifetime <= v.age || v.noCache) && !validator:
		v.why = "expired"
	}
	return v
}

// compareJudge judges once by each.
func compareJudge(t *testing.T, cfg *Config, status int, auth, noStore bool, h http.Header) {
	t.Helper()
	now := time.Now().Truncate(time.Second)
	w := new(rw.Writer)
	w.Wrap(httptest.NewRecorder(), nil)
	x := exchange{request: httptest.NewRequest("GET", "/", nil), auth: auth, noStore: noStore, status: status, header: h, setCookie: len(h["Set-Cookie"]) > 0, declared: -1}
	got := cfg.judge(&x)
	want := twinJudge(cfg, status, auth, noStore, h, now)
	if later := time.Now().Truncate(time.Second); !later.Equal(now) {
		return // a second has begun between the two
	}
	if got.why.String() != want.why || got.why == storable && (got.lifetime != want.lifetime || got.initialAge != want.age || got.control.noCache != want.noCache || got.control.shared() != want.shared ||
		(&Cache{cfg: *cfg}).newResponse(&x, &got, nil, 0).mustValidate != want.mustValidate) {
		t.Errorf("status %d, authorization %t, no-store %t, %q:\n%q, fresh for %v, aged %v, no-cache %t, shared %t; twin\n%q, %v, %v, %t, %t", status, auth, noStore, h,
			got.why, got.lifetime, got.initialAge, got.control.noCache, got.control.shared(), want.why, want.lifetime, want.age, want.noCache, want.shared)
	}
}

// Twenty thousand headers out of the words that matter, well formed and not.
func TestPolicyTwin(t *testing.T) {
	now := time.Now().UTC()
	stamp := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	controls := []string{
		"max-age=60", "Max-Age=0", "max-age=010", `max-age="60"`, `max-age="60`, "max-age=-1", "max-age=1.5", "max-age =60", "max-age= 60", "max-age=", "max-age", "max-age=99999999999",
		"s-maxage=30", "s-maxage=x", "public", "PUBLIC", "public=1", "private", `private="x-a"`, `private="x-a, x-b"`, `private=""`, `private="(`, "no-cache", `no-cache="x"`, "no-cache=", "no-store", "no-store=1",
		"must-revalidate", "proxy-revalidate", "must-understand", "immutable", "private; max-age=60", "no-store;x", "no-cache x", "x", `x="max-age=60, public"`, `x="\", no-store"`, "", " ", "stale-while-revalidate=60",
	}
	dates := []string{stamp(0), stamp(-time.Minute), stamp(time.Hour), stamp(-72 * time.Hour), "0", "x", "", now.Format(time.RFC850), now.Format(time.ANSIC)}
	pick := func(of []string) string { return of[rand.IntN(len(of))] }
	cfg, err := Config{Heuristic: 0.1}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	storedOnce := map[reason]bool{}
	for range 20_000 {
		h := http.Header{}
		for range rand.IntN(3) {
			line := pick(controls)
			for range rand.IntN(3) {
				line += pick([]string{",", ", ", " ,\t"}) + pick(controls)
			}
			h.Add("Cache-Control", line)
		}
		for name, values := range map[string][]string{
			"Date": dates, "Expires": dates, "Last-Modified": dates, "Age": {"0", "10", "70", "x", "-1", "5, 70", "1.5", "99999999999"},
			"Etag": {`"1"`}, "Vary": {"Accept", "*", "Accept, *", "Accept,"}, "Set-Cookie": {"a=b"},
		} {
			if rand.IntN(3) == 0 {
				h.Add(name, pick(values))
			}
		}
		status := []int{200, 200, 200, 204, 206, 299, 301, 302, 304, 404, 416, 429, 499, 500, 599}[rand.IntN(15)]
		compareJudge(t, &cfg, status, rand.IntN(4) == 0, rand.IntN(8) == 0, h)
		x := exchange{request: httptest.NewRequest("GET", "/", nil), status: status, header: h, declared: -1}
		storedOnce[cfg.judge(&x).why] = true
		if t.Failed() {
			return
		}
	}
	if len(storedOnce) < 8 {
		t.Error("the words give too few verdicts:", fmt.Sprint(storedOnce))
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add(200, false, "max-age=60, x=\"", "no-cache", "Sat, 01 Jan 2000 00:00:00 GMT", "5,6", "*")
	f.Add(404, true, `private="a", s-maxage="1`, "must-understand;x", "0", "00010 ", "a, b")
	cfg, err := Config{Heuristic: 0.1}.withDefaults()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, auth bool, first, second, date, age, vary string) {
		if status < 200 || status > 999 || strings.ContainsAny(first+second+date+age+vary, "\r\n\x00") {
			t.Skip()
		}
		compareJudge(t, &cfg, status, auth, false, http.Header{
			"Cache-Control": {first, second}, "Date": {date}, "Expires": {date}, "Age": {age}, "Vary": {vary}, "Last-Modified": {date}, "Etag": {`"1"`},
		})
	})
}
