package stacktest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/compress"
	"github.com/hotpath-go/hotpath/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var protocols = [...]string{"HTTP/1.1", "HTTP/2"}

// A stack is a server whose handler is an origin with layers around it, and a client of it.
type stack struct {
	*origin
	letters string
	layers  []layer
	proto   string
	srv     *httptest.Server
	client  *http.Client
	log     lines // what net/http complains about

	mu       sync.Mutex
	patterns map[string]string // of a path: the route, as seen from outside
	named    map[string]string // of a strong tag: the bytes that it names
}

// lines is a log.
type lines struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

// newStack serves letters; close it.
func newStack(t *testing.T, letters, proto string) *stack {
	t.Helper()
	s := &stack{origin: newOrigin(t), letters: letters, proto: proto, patterns: map[string]string{}, named: map[string]string{}}
	h, layers := build(t, letters, roomy, s.origin)
	s.layers = layers
	for _, l := range layers {
		if l.throttle != nil {
			s.limits = append(s.limits, l.throttle)
		}
		if l.pool != nil {
			s.work = l.pool
		}
	}
	s.srv, s.client = serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path // layers may change what they pass on, never this
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.patterns[path] = r.Pattern
		}()
		h.ServeHTTP(w, r)
	}), proto, &s.log)
	return s
}

func serve(h http.Handler, proto string, complaints io.Writer) (*httptest.Server, *http.Client) {
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(complaints, "", 0)
	if srv.EnableHTTP2 = proto == "HTTP/2"; srv.EnableHTTP2 {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	client := srv.Client()
	transport := client.Transport.(*http.Transport)
	transport.DisableCompression, transport.ExpectContinueTimeout = true, time.Minute
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return srv, client
}

// close ends the server: when it returns, so have the handlers. Then net/http has had nothing to complain
// about, and no layer holds anything of a request.
func (s *stack) close(t *testing.T) {
	s.client.CloseIdleConnections()
	s.srv.Close()
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	for _, complaint := range []string{"superfluous", "hijacked", "invalid", "Content-Length"} {
		if strings.Contains(s.log.String(), complaint) && !(complaint == "superfluous" && s.has("R")) { // it answers again what has begun
			t.Errorf("net/http complains: %.300s", &s.log.Buffer)
		}
	}
	for _, l := range s.layers {
		for end := time.Now().Add(10 * time.Second); l.busy != nil && l.busy() != ""; time.Sleep(time.Millisecond) { // what runs behind may be ending
			if time.Now().After(end) {
				t.Errorf("layer %c is left with %s", l.letter, l.busy())
				break
			}
		}
	}
}

// has reports whether one of letters is in the stack.
func (s *stack) has(letters string) bool { return strings.ContainsAny(s.letters, letters) }

// around reports whether some a stands outside of some b.
func (s *stack) around(a, b string) bool {
	first, last := strings.Index(s.letters, a), strings.LastIndex(s.letters, b)
	return 0 <= first && first < last
}

// between reports whether some b stands inside of some a and outside of some c.
func (s *stack) between(a, b, c string) bool {
	_, inside, _ := strings.Cut(s.letters, a)
	_, inside, _ = strings.Cut(inside, b)
	return strings.Contains(inside, c)
}

// An answer is what a client has got.
type answer struct {
	status  int
	header  http.Header
	raw     string // as it came
	body    string // decoded
	trailer http.Header
	err     error
}

func (a answer) String() string {
	return fmt.Sprintf("%d, %d bytes %.30q, trailer %v, %v", a.status, len(a.body), a.body, a.trailer, a.err)
}

// ask sends a request; fields are "Name: value". Whatever is asked, the answer is checked for what must hold
// of each.
func (s *stack) ask(t *testing.T, method, target string, fields ...string) answer {
	t.Helper()
	return s.send(t.Context(), t, method, target, nil, fields...)
}

func (s *stack) send(ctx context.Context, t *testing.T, method, target string, body io.Reader, fields ...string) answer {
	t.Helper()
	r := newRequest(ctx, t, method, s.srv.URL+target, body, fields...)
	a := do(s.client, r)
	if a.err == nil {
		s.checkAny(t, r, a)
	}
	return a
}

func newRequest(ctx context.Context, t *testing.T, method, url string, body io.Reader, fields ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	return r
}

func do(client *http.Client, r *http.Request) answer {
	res, err := client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	a := answer{res.StatusCode, res.Header, string(raw), string(raw), res.Trailer, err}
	if err == nil && len(raw) > 0 && res.StatusCode != http.StatusPartialContent {
		a.body, a.err = decode(res.Header.Get("Content-Encoding"), raw)
	}
	return a
}

func decode(coding string, raw []byte) (plain string, err error) {
	err = decoding(coding, bytes.NewReader(raw), func(body io.Reader) error {
		b, err := io.ReadAll(body)
		plain = string(b)
		return err
	})
	return plain, err
}

// decoding lets read see a body as it arrives, decoded by what decodes those of requests.
func decoding(coding string, r io.Reader, read func(body io.Reader) error) error {
	err := fmt.Errorf("nobody asked for %q", coding)
	q := httptest.NewRequest("POST", "/", r)
	if coding != "" {
		q.Header.Set("Content-Encoding", coding)
	}
	decoders.Handler(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { err = read(q.Body) })).ServeHTTP(httptest.NewRecorder(), q)
	return err
}

var decoders = func() *compress.Decompressor {
	d, err := compress.NewDecompressor(compress.DecompressorConfig{})
	if err != nil {
		panic(err)
	}
	return d
}()

// checkAny is what holds of every answer, whatever was asked.
func (s *stack) checkAny(t *testing.T, r *http.Request, a answer) {
	t.Helper()
	about := r.Method + " " + r.URL.RequestURI() + " by " + strings.Join(r.Header["Accept-Encoding"], ",")
	if coding := a.header.Get("Content-Encoding"); coding != "" && !acceptable(coding, r.Header["Accept-Encoding"]) {
		t.Errorf("%s: %s, a coding that was refused", about, coding)
	}
	if n := len(a.header["Vary"]); n > 1 {
		t.Errorf("%s: %d lines of Vary", about, n)
	}
	vary := strings.Split(strings.ToLower(strings.ReplaceAll(a.header.Get("Vary"), " ", "")), ",")
	if slices.Sort(vary); len(slices.Compact(slices.Clone(vary))) != len(vary) {
		t.Errorf("%s: Vary %v", about, vary)
	}
	if a.header.Get("Content-Encoding") != "" && !slices.Contains(vary, "accept-encoding") {
		t.Errorf("%s: coded, and Vary does not say so: %v", about, vary)
	}
	if bodiless := r.Method == "HEAD" || a.status == 204 || a.status == 304; bodiless && a.raw != "" {
		t.Errorf("%s: a body where none may be: %s", about, a)
	}
	if a.status == 204 && a.header["Content-Length"] != nil { // RFC 9110 section 8.6
		t.Errorf("%s: 204 with a length", about)
	}
	for _, name := range []string{"Link", "X-Late"} {
		if a.header[name] != nil {
			t.Errorf("%s: %s has leaked", about, name)
		}
	}
	if tag := a.header.Get("Etag"); r.Method == "GET" && a.status == 200 && strings.HasPrefix(tag, `"`) {
		key := tag + " of " + r.URL.Path
		s.mu.Lock()
		defer s.mu.Unlock()
		if have, ok := s.named[key]; ok && have != a.raw {
			t.Errorf("%s: %s names two byte sequences, of %d and %d bytes", about, key, len(have), len(a.raw))
		}
		s.named[key] = a.raw
	}
}

// bare is an origin without any layer, asked once for each request.
var bare = struct {
	sync.Mutex
	answers map[string]answer
}{answers: map[string]answer{}}

// plainly is what the bare handler answers, over the protocol of s.
func (s *stack) plainly(t *testing.T, target string) answer {
	t.Helper()
	key := s.proto + target
	bare.Lock()
	defer bare.Unlock()
	if _, ok := bare.answers[key]; !ok {
		srv, client := serve(newOrigin(t), s.proto, io.Discard)
		defer srv.Close()
		defer client.CloseIdleConnections()
		bare.answers[key] = do(client, newRequest(t.Context(), t, "GET", srv.URL+target, nil))
	}
	return bare.answers[key]
}

// same reports how got differs from what the bare handler answered, "" if it does not.
func same(got, want answer) string {
	switch {
	case got.err != nil || got.status != want.status || got.body != want.body:
		return fmt.Sprintf("%s, bare %s", got, want)
	case !maps.EqualFunc(got.trailer, want.trailer, slices.Equal):
		return fmt.Sprintf("trailer %v, bare %v", got.trailer, want.trailer)
	}
	for _, name := range []string{"Content-Type", "X-Own", "Location", "Cache-Control"} {
		if !slices.Equal(got.header[name], want.header[name]) {
			return fmt.Sprintf("%s %q, bare %q", name, got.header[name], want.header[name])
		}
	}
	return ""
}
