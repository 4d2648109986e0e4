package batch_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/batch"
)

// P1: methods are tokens, in capitals; CONNECT, TRACE and bodies on GET or HEAD are refused.
func TestP1_Methods(t *testing.T) {
	h := newEndpoint(t, batch.Config{}).Handler(seen)
	for method, want := range map[string]string{
		"get": "GET", "Post": "POST", "PURGE": "PURGE", "query": "QUERY", "delete": "DELETE",
		"CONNECT": "", "trace": "", "G T": "", "GET\\r\\nX: y": "", "ﬀ": "", "poſt": "",
	} {
		a := answers(t, post(h, "/$batch", one(`"method":"`+method+`","url":"/a"`)))[0]
		if want == "" {
			if a.Status != 400 || !strings.Contains(string(a.Body), "method: ") {
				t.Errorf("%s: %d %s", method, a.Status, a.Body)
			}
		} else if got := sawBy(t, a).Method; got != want {
			t.Errorf("%s: %s", method, got)
		}
	}
	for _, m := range []string{"GET", "HEAD", "get"} {
		if a := answers(t, post(h, "/$batch", one(`"method":"`+m+`","url":"/a","body":{}`)))[0]; a.Status != 400 {
			t.Errorf("%s with a body: %d", m, a.Status)
		}
	}
}

// P2: what URLs of parts mean below /v1.0/.
func TestP2_Targets(t *testing.T) {
	h := newEndpoint(t, batch.Config{Path: "/v1.0/$batch"}).Handler(seen)
	for raw, want := range map[string]string{
		"me":                           "/v1.0/me",
		"/me":                          "/v1.0/me",
		"/v1.0/me":                     "/v1.0/me",
		"http://service.test/v1.0/me":  "/v1.0/me",
		"https://SERVICE.test/v1.0/me": "/v1.0/me",
		"http://service.test/me":       "/v1.0/me",
		"/me/drive/root:/a b.txt":      "/v1.0/me/drive/root:/a%20b.txt",
		"/me?$filter=a eq 'b c'&x=%2F": "/v1.0/me?$filter=a%20eq%20'b%20c'&x=%2F",
		"?a=b":                         "/v1.0/?a=b",
		"Products(id='a:b')":           "/v1.0/Products(id='a:b')",
		"a%2Fb":                        "/v1.0/a%2Fb",
		"/v1%2E0/me":                   "/v1%2E0/me",
		"/v1.0%2Fme":                   "/v1.0/v1.0%2Fme",
		"a/../b":                       "/v1.0/b",
		"a/%2e%2E/b/./c":               "/v1.0/b/c",
		"a/..":                         "/v1.0/",
		"/v1.0/":                       "/v1.0/",
		"/v1.0":                        "/v1.0/v1.0",
		"/v1.00/me":                    "/v1.0/v1.00/me",
		"/":                            "/v1.0/",
		"a//b":                         "/v1.0/a//b",
		"$metadata":                    "/v1.0/$metadata",
		"a?next=http://evil.test/..":   "/v1.0/a?next=http://evil.test/..",
		"a?":                           "/v1.0/a?",
		"ä":                            "/v1.0/ä",
	} {
		a := answers(t, post(h, "/v1.0/$batch", get(raw)))[0]
		if a.Status != 200 {
			t.Errorf("%q: %d %s", raw, a.Status, a.Body)
			continue
		}
		r := sawBy(t, a)
		if r.URI != want || r.Host != "service.test" {
			t.Errorf("%q: %s at %s, want %s", raw, r.URI, r.Host, want)
		}
	}
}

// escapes are attempts to leave /v1.0/, to reach another host, or to say one thing and mean another.
// P2: fragments are not for servers.
func TestP2_Fragments(t *testing.T) {
	h := newEndpoint(t, batch.Config{}).Handler(seen)
	for _, u := range []string{"/a#b", "a?b#c", "#", "http://service.test/a#b"} {
		if a := answers(t, post(h, "/$batch", get(u)))[0]; a.Status != 400 || !strings.Contains(string(a.Body), "fragment") {
			t.Errorf("%s: %d %s", u, a.Status, a.Body)
		}
	}
}

// P2: nothing that a handler could redirect to names another host.
func TestP2_TwoSlashes(t *testing.T) {
	h := newEndpoint(t, batch.Config{}).Handler(seen)
	for _, u := range []string{
		"/.//evil.test/x", "/a/..//evil.test/x", "http://service.test//evil.test/x", "/%2e//evil.test", ".//evil.test", "/%2fevil.test", "/%5cevil.test", "/%5Cevil.test",
	} {
		if a := answers(t, post(h, "/$batch", get(u)))[0]; a.Status != 400 {
			t.Errorf("%s: %d %s", u, a.Status, a.Body)
		}
	}
	for _, u := range []string{"/a//b", "a//", "/a/%2f"} {
		if a := answers(t, post(h, "/$batch", get(u)))[0]; a.Status != 200 {
			t.Errorf("%s: %d %s", u, a.Status, a.Body)
		}
	}
}

// R7: references to answers of other parts are found whatever the spelling; OData's own names are
// paths, whatever a part is called.
func TestR7_References(t *testing.T) {
	h := newEndpoint(t, batch.Config{Path: "/v1.0/$batch"}).Handler(seen)
	for u, want := range map[string]int{
		"$1/x": 501, "$1": 501, "/$1/x": 501, "/v1.0/$1/x": 501, "http://service.test/v1.0/$1/x": 501, "%241/x": 501, "./$1/x": 501, "%2e/%24%31?a=b": 501,
		"/v1%2e0/$1": 501, "a/../$1": 501, "$metadata": 200, "$metadata/x": 200, "/v1.0/$metadata": 200, "a/$1": 200, "$9": 200, "1": 200,
	} {
		body := fmt.Sprintf(`{"requests":[{"id":"1","method":"GET","url":"a"},{"id":"metadata","method":"GET","url":%q}]}`, u)
		if a := answers(t, post(h, "/v1.0/$batch", body))[1]; a.Status != want {
			t.Errorf("%s: %d %s, want %d", u, a.Status, a.Body, want)
		}
	}
}

func escapes() (all []string) {
	ups := []string{"..", "%2e%2e", "%2E.", ".%2e", "..%2f", "%2e%2e%2f", "..%5c", "%2e%2e%5C", "..;", "...."}
	for _, up := range ups {
		for _, form := range []string{"%s/secret", "%s/%[1]s/secret", "a/%s/%[1]s/secret", "/%s/secret", "/v1.0/%s/secret", "/v1.0/a/%s/%[1]s/secret", "./%s/secret", "http://service.test/v1.0/%s/secret"} {
			all = append(all, fmt.Sprintf(form, up))
		}
	}
	return append(all,
		"//evil.test/secret", "///secret", "http://evil.test/secret", "https://evil.test/secret", "http://service.test.evil.test/x", "http://service.test@evil.test/x",
		"http://user@service.test/x", "http://user:pass@service.test/v1.0/x", "HTTP://evil.test/x", "ftp://service.test/x", "file:///etc/passwd", "javascript:alert(1)",
		"data:,x", "unix:/var/run/x", "http:secret", "http:/secret", "http:///secret", "http://service.test:81/x", "mailto:a@b", `\\evil.test\x`, `/\evil.test/x`, `a\..\..\secret`,
		"a#b", "#", "http://service.test/x#y", "a\tb", "a\nb", "a\r\nHost: evil.test", "\x00", "a%", "a%z", "a%2", "a/%GG/..", "..%252f", "http://[::1]/x", "http://service.test\\@evil.test/",
	)
}

// P2: none of a hundred attempts reaches anything outside, judged by what the handler inside has seen.
func TestP2_Escapes(t *testing.T) {
	var got []string
	h := newEndpoint(t, batch.Config{Path: "/v1.0/$batch", MaxParts: 500}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = append(got, r.RequestURI)
		checkBelow(t, "/v1.0/", r)
	}))
	all := escapes()
	if len(all) < 100 {
		t.Fatalf("%d attempts", len(all))
	}
	refused := 0
	for _, raw := range all {
		if a := answers(t, post(h, "/v1.0/$batch", get(raw)))[0]; a.Status == 400 {
			refused++
		} else if a.Status != 200 {
			t.Errorf("%q: %d", raw, a.Status)
		}
	}
	if refused+len(got) != len(all) || refused < 60 {
		t.Errorf("%d refused, %d ran, of %d: %q", refused, len(got), len(all), got)
	}
	if _, err := url.Parse("http://evil.test"); err != nil || len(got) == 0 {
		t.Error("nothing at all got through: the test sees nothing")
	}
}

// checkBelow reads RFC 3986 slowly and literally: whatever way r's path is decoded, it stays below base.
func checkBelow(t testing.TB, base string, r *http.Request) {
	t.Helper()
	if r.URL.Host != "" || r.URL.Scheme != "" || r.URL.User != nil || r.Host != "service.test" || r.URL.Fragment != "" {
		t.Errorf("%q: another host", r.RequestURI)
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	for range 2 { // as it stands, and decoded
		var kept []string
		for _, segment := range strings.Split(path, "/") {
			switch segment {
			case ".":
			case "..":
				kept = kept[:max(0, len(kept)-1)]
			default:
				kept = append(kept, segment)
			}
			if segment == ".." || segment == "." {
				t.Errorf("%q holds a dot segment", path)
			}
		}
		path, _ = url.PathUnescape(path)
	}
	if !strings.HasPrefix(r.URL.Path, base) || strings.Contains(r.URL.Path, "/../") || strings.HasSuffix(r.URL.Path, "/..") {
		t.Errorf("%q is not below %s", r.URL.Path, base)
	}
}

func FuzzP2_Targets(f *testing.F) {
	for _, s := range append(escapes(), "me", "/v1.0/me", "a?b", "http://service.test/v1.0/x") {
		f.Add(s)
	}
	e := newEndpoint(f, batch.Config{Path: "/v1.0/$batch"})
	f.Fuzz(func(t *testing.T, raw string) {
		h := e.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			checkBelow(t, "/v1.0/", r)
			if r.URL.Path == "/v1.0/$batch" {
				t.Errorf("%q reaches the batch itself", raw)
			}
			// It is what net/http would make of the same request line.
			u, err := url.ParseRequestURI(r.RequestURI)
			if err != nil || u.Path != r.URL.Path || u.RawQuery != r.URL.RawQuery {
				t.Errorf("%q: %v %v", raw, u, r.URL)
			}
		}))
		if w := post(h, "/v1.0/$batch", get(raw)); w.Code != 200 {
			t.Errorf("%q: %d", raw, w.Code)
		}
	})
}

// P3: what parts inherit of the envelope's fields, and that their own replace it.
func TestP3_Inheritance(t *testing.T) {
	h := newEndpoint(t, batch.Config{DropHeaders: []string{"x-dropped"}}).Handler(seen)
	fields := []string{
		"Authorization", "Bearer t", "Cookie", "a=b", "Accept-Language", "de", "X-Own", "outer", "X-Forwarded-For", "192.0.2.1", "Origin", "https://a.test",
		"Content-Encoding", "identity", "Content-Language", "de", "If-Match", `"a"`, "If-None-Match", "*", "Range", "bytes=0-1", "Accept-Encoding", "gzip",
		"Idempotency-Key", "k", "Connection", "close, X-Hop", "X-Hop", "1", "Keep-Alive", "1", "Te", "trailers", "Expect", "100-continue", "Upgrade", "h2c", "Proxy-Authorization", "p",
		"X-Http-Method-Override", "DELETE", "X-Original-Url", "/admin", "X-Dropped", "1",
		"Prefer", "respond-async, return=minimal, continue-on-error", "Accept", "multipart/mixed",
	}
	r := sawBy(t, answers(t, post(h, "/$batch", one(`"method":"GET","url":"/a","headers":{"x-own":"inner","x-new":" 1 "}`), fields...))[0])
	want := http.Header{
		"Authorization": {"Bearer t"}, "Cookie": {"a=b"}, "Accept-Language": {"de"}, "X-Own": {"inner"}, "X-New": {"1"},
		"X-Forwarded-For": {"192.0.2.1"}, "Origin": {"https://a.test"}, "Prefer": {"return=minimal"},
	}
	if fmt.Sprint(r.Header) != fmt.Sprint(want) {
		t.Errorf("%v\nwant %v", r.Header, want)
	}
	if r := sawBy(t, answers(t, post(h, "/$batch", get("/a"), "Accept", "application/json"))[0]); r.Header.Get("Accept") != "application/json" {
		t.Errorf("%v", r.Header)
	}
}

// P3: a handler that writes into its header changes nobody else's.
func TestP3_NeighboursHaveTheirOwnHeader(t *testing.T) {
	h := newEndpoint(t, batch.Config{Concurrency: 1}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if got := r.Header["X-A"]; len(got) != 1 || got[0] != "1" {
			t.Errorf("%v", r.Header)
		}
		r.Header["X-A"][0] = "2"
		r.Header["X-A"] = append(r.Header["X-A"], "3")
		r.Header.Del("Accept-Language")
	}))
	post(h, "/$batch", get("/a", "/b", "/c"), "X-A", "1", "Accept-Language", "de")
}

// P4, P7: fields that parts must not set, and those that are dropped; what AllowHeaders relaxes.
func TestP7_P4_Fields(t *testing.T) {
	strict := newEndpoint(t, batch.Config{}).Handler(seen)
	forbidden := []string{
		"Authorization", "cookie", "Proxy-Authorization", "Proxy-X", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "x-real-ip", "X-MS-Client-Principal", "X-MS-Client-Principal-Id",
		"Origin", "Sec-Fetch-Site", "Sec-Anything", "From", "Range", "Max-Forwards",
		"X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL",
		"Client-Cert", "Client-Cert-Chain", "Remote-User", "X-Remote-User", "Remote_User", "X_Forwarded_For", "X-Auth-Request-User", "X-Auth-Request-Email",
		"X-Goog-Authenticated-User-Email", "X-Goog-IAP-JWT-Assertion", "X-Amzn-Oidc-Identity", "X-Authenticated-User", "X-Forwarded", "X-Original-Forwarded-For", "Client-IP",
		"X-Original-Host", "X-Original-Method", "X-SSL-Client-Verify", "X-Envoy-External-Address", "Tailscale-User-Login", "X-Appengine-User-IP", "Cf-Access-Jwt-Assertion",
	}
	relaxed := newEndpoint(t, batch.Config{AllowHeaders: forbidden}).Handler(seen)
	part := func(name, value string) string {
		return one(fmt.Sprintf(`"method":"GET","url":"/a","headers":{%q:%q}`, name, value))
	}
	for _, name := range forbidden {
		if a := answers(t, post(strict, "/$batch", part(name, "1")))[0]; a.Status != 400 || !strings.Contains(string(a.Body), http.CanonicalHeaderKey(name)+" must not be set") {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		if r := sawBy(t, answers(t, post(relaxed, "/$batch", part(name, "1"), "Authorization", "outer", "X-Http-Method", "outer"))[0]); r.Header.Get(name) != "1" {
			t.Errorf("%s, allowed: %v", name, r.Header)
		}
	}
	for _, name := range []string{"Transfer-Encoding", "TE", "Trailer", "Upgrade", "Expect", "Host", "Transfer_Encoding"} {
		if a := answers(t, post(relaxed, "/$batch", part(name, "evil.test")))[0]; a.Status != 400 {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	for _, name := range []string{"Accept-Encoding", "Connection", "MIME-Version", "Content-Transfer-Encoding", "Content-Length", "Host"} {
		value := map[string]string{"Host": "Service.test"}[name]
		if r := sawBy(t, answers(t, post(strict, "/$batch", part(name, value)))[0]); len(r.Header) != 0 {
			t.Errorf("%s is not dropped: %v", name, r.Header)
		}
	}
	for members, why := range map[string]string{
		`"headers":{"A B":"1"}`:                               "no token",
		`"headers":{"":"1"}`:                                  "no name",
		`"headers":{"A":"1\r\nB: 2"}`:                         "a line end",
		`"headers":{"A":"\u0000"}`:                            "a control byte",
		`"headers":{"X-A":"1","x-a":"2"}`:                     "twice",
		`"headers":{"A":"` + strings.Repeat("x", 9000) + `"}`: "too long",
		`"headers":{` + many(65) + `}`:                        "too many",
	} {
		if a := answers(t, post(strict, "/$batch", one(`"method":"GET","url":"/a",`+members)))[0]; a.Status != 400 {
			t.Errorf("%s: %d", why, a.Status)
		}
	}
	if a := answers(t, post(strict, "/$batch", one(`"method":"GET","url":"/a","headers":{`+many(64)+`}`)))[0]; a.Status != 200 {
		t.Errorf("64 fields: %d", a.Status)
	}
}

// P4: what parts do not inherit because the user says so is not for them to set, unless he allows it;
// what they inherit comes from the envelope all the same.
func TestP4_DroppedByTheUser(t *testing.T) {
	envelope := one(`"method":"GET","url":"/a","headers":{"X-House-User":"root"}`)
	h := newEndpoint(t, batch.Config{DropHeaders: []string{"x-house-user"}}).Handler(seen)
	for _, name := range []string{"X-House-User", "x-house_user"} {
		a := answers(t, post(h, "/$batch", strings.Replace(envelope, "X-House-User", name, 1)))[0]
		if a.Status != 400 || !strings.Contains(string(a.Body), "must not be set in a part") {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	h = newEndpoint(t, batch.Config{DropHeaders: []string{"X-House-User"}, AllowHeaders: []string{"X-House-User"}}).Handler(seen)
	if r := sawBy(t, answers(t, post(h, "/$batch", envelope, "X-House-User", "mallory"))[0]); r.Header.Get("X-House-User") != "root" {
		t.Errorf("allowed: %v", r.Header)
	}
	h = newEndpoint(t, batch.Config{}).Handler(seen)
	if r := sawBy(t, answers(t, post(h, "/$batch", get("/a"), "X-Auth-Request-User", "mallory"))[0]); r.Header.Get("X-Auth-Request-User") != "mallory" {
		t.Errorf("inherited: %v", r.Header)
	}
}

func many(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(`"X-%d":"1"`, i)
	}
	return strings.Join(all, ",")
}

// P4: no spelling of a forbidden field gets through.
func FuzzP4_Fields(f *testing.F) {
	for _, name := range []string{"Authorization", "X-Forwarded-For", "transfer-encoding", "X-HTTP-Method", "X", "cOOKIE", "Sec-", "host"} {
		f.Add(name, "v")
	}
	e := newEndpoint(f, batch.Config{})
	f.Fuzz(func(t *testing.T, name, value string) {
		n, _ := json.Marshal(name)
		v, _ := json.Marshal(value)
		h := e.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			for got := range r.Header {
				low := strings.ToLower(got)
				for _, bad := range []string{"proxy-", "x-forwarded-", "x-ms-client-principal", "sec-"} {
					if strings.HasPrefix(low, bad) {
						t.Errorf("%q got through as %q", name, got)
					}
				}
				if slices.Contains([]string{"authorization", "cookie", "forwarded", "x-real-ip", "origin", "from", "range", "max-forwards", "host", "te", "trailer", "upgrade", "expect", "transfer-encoding", "x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url"}, low) {
					t.Errorf("%q got through as %q", name, got)
				}
				if strings.ContainsAny(got+r.Header.Get(got), "\r\n\x00") {
					t.Errorf("%q: %q splits the message", got, r.Header.Get(got))
				}
			}
		}))
		if w := post(h, "/$batch", one(`"method":"GET","url":"/a","headers":{`+string(n)+`:`+string(v)+`}`)); w.Code != 200 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// P5: all else is the envelope's; what stands outside of the batch and changes tags is undone.
func TestP5_TagsAreRestored(t *testing.T) {
	h := newEndpoint(t, batch.Config{}).Handler(seen)
	r := httptest.NewRequest("POST", "http://service.test/$batch", strings.NewReader(one(`"method":"GET","url":"/a","headers":{"If-None-Match":"\"v1~zstd\""}`)))
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr = "192.0.2.9:1234"
	w := &restorer{httptest.NewRecorder()}
	h.ServeHTTP(w, r)
	got := sawBy(t, answers(t, w.ResponseRecorder)[0])
	if got.Header.Get("If-None-Match") != `"v1"` || got.Addr != r.RemoteAddr || got.Host != "service.test" {
		t.Errorf("%+v", got)
	}
}

// P5: a tag that partial has suffixed keeps working in a part.
func TestP5_MaskTagsAreCut(t *testing.T) {
	h := newEndpoint(t, batch.Config{}).Handler(seen)
	for tag, want := range map[string]string{
		`"v1~fields.AAAAAAAAAAAAAAAA"`:       `"v1"`,
		`"v0", "v1~fields.0123-_89abcdefgh"`: `"v0", "v1"`,
		`"v0", "v1~fields.0123-_89abcdefg"`:  `"v0", "v1~fields.0123-_89abcdefg"`, // 15 digits are no mask
	} {
		a := answers(t, post(h, "/$batch", one(fmt.Sprintf(`"method":"PATCH","url":"/a","body":{},"headers":{"If-Match":%q}`, tag))))[0]
		if got := sawBy(t, a).Header.Get("If-Match"); got != want {
			t.Errorf("%s: %s, want %s", tag, got, want)
		}
	}
}

type restorer struct{ *httptest.ResponseRecorder }

func (*restorer) RestoreTags(h http.Header) {
	h.Set("If-None-Match", strings.ReplaceAll(h.Get("If-None-Match"), "~zstd", ""))
}

// P6: bodies by their type.
func TestP6_Bodies(t *testing.T) {
	h := newEndpoint(t, batch.Config{}).Handler(seen)
	bin := "\x00\xff\xfe binary?>"
	for _, c := range []struct{ typ, body, want, seenAs string }{
		{"", `{"a": [1, 2.0]}`, `{"a": [1, 2.0]}`, "application/json"},
		{"application/json", `"text"`, `"text"`, "application/json"},
		{"application/merge-patch+json", `{"a":1}`, `{"a":1}`, "application/merge-patch+json"},
		{"text/plain; charset=utf-8", `"a\nb\u00e4"`, "a\nbä", "text/plain; charset=utf-8"},
		{"image/png", `"` + base64.StdEncoding.EncodeToString([]byte(bin)) + `"`, bin, "image/png"},
		{"image/png", `"` + base64.URLEncoding.EncodeToString([]byte(bin)) + `"`, bin, "image/png"},
		{"image/png", `"` + base64.RawURLEncoding.EncodeToString([]byte(bin)) + `"`, bin, "image/png"},
		{"image/png", `"` + base64.RawStdEncoding.EncodeToString([]byte(bin)) + `"`, bin, "image/png"},
		{"text/plain", `{"a":1}`, "", ""},
		{"image/png", `"a*b"`, "", ""},
		{"image/png", `17`, "", ""},
	} {
		members := `"method":"POST","url":"/a","body":` + c.body
		if c.typ != "" {
			members += `,"headers":{"content-type":"` + c.typ + `"}`
		}
		a := answers(t, post(h, "/$batch", one(members)))[0]
		if c.seenAs == "" {
			if a.Status != 400 || !strings.Contains(string(a.Body), "body: ") {
				t.Errorf("%s %s: %d %s", c.typ, c.body, a.Status, a.Body)
			}
			continue
		}
		r := sawBy(t, a)
		want, _ := json.Marshal(c.want) // as seen answers: invalid UTF-8 is replaced there
		got, _ := json.Marshal(r.Body)
		var w string
		_ = json.Unmarshal(want, &w)
		if string(got) != string(mustJSON(w)) || r.Length != int64(len(c.want)) || r.Header.Get("Content-Type") != c.seenAs {
			t.Errorf("%s %s: %q, %d bytes, %v", c.typ, c.body, r.Body, r.Length, r.Header)
		}
	}
	if r := sawBy(t, answers(t, post(h, "/$batch", one(`"method":"POST","url":"/a"`)))[0]); r.Length != 0 || r.Header.Get("Content-Type") != "" {
		t.Errorf("no body: %+v", r)
	}
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
