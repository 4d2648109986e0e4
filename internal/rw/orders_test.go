package rw_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const text = "the quick brown fox jumps over the lazy dog; "

// app answers in each of the ways that have broken a wrapper somewhere.
func app(next chan struct{}) http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, f http.HandlerFunc) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			f(w, r)
		})
	}
	handle("/doc", func(w http.ResponseWriter, r *http.Request) { // header changes after WriteHeader
		w.Header().Set("X-Kept", "1")
		w.Header().Set("X-Changed", "1")
		w.Header().Set("X-Written", "1")
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		w.WriteHeader(201)
		w.Header().Set("X-Late", "1")
		w.Header().Set("X-Changed", "2")
		w.Header()["X-Written"][0] = "2"
		w.Header().Del("X-Kept")
		w.WriteHeader(500)
		io.WriteString(w, text)
	})
	handle("/implicit", func(w http.ResponseWriter, r *http.Request) { // and after the first Write
		io.WriteString(w, "hi")
		w.Header().Set("X-Late", "1")
		io.WriteString(w, " there")
	})
	handle("/empty", func(w http.ResponseWriter, r *http.Request) {})
	handle("/early", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(103)
		w.Header().Del("Link")
		w.WriteHeader(404)
		io.WriteString(w, text)
	})
	handle("/trail", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, text)
		w.Header().Set("X-Sum", "42")
		w.Header().Set(http.TrailerPrefix+"X-More", "43")
	})
	handle("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Kept", "1")
		flush := http.NewResponseController(w).Flush
		if err := flush(); err != nil { // header first, before any byte
			fmt.Fprint(w, err)
			return
		}
		w.Header().Set("X-Late", "1")
		for i := range 3 {
			<-next
			fmt.Fprintf(w, "event %d\n", i)
			if err := flush(); err != nil {
				fmt.Fprint(w, err)
			}
		}
	})
	for _, status := range []int{204, 205, 304} {
		handle("/"+strconv.Itoa(status), func(w http.ResponseWriter, r *http.Request) {
			if status == 205 {
				w.Header().Set("Content-Length", "9")
			}
			w.WriteHeader(status)
			if n, err := io.WriteString(w, "forbidden"); err != http.ErrBodyNotAllowed || n != 0 {
				panic(fmt.Sprintf("%d took %d bytes of body, error %v", status, n, err))
			}
		})
	}
	handle("/file", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader(strings.Repeat("0123456789", 9_000)))
	})
	handle("/abort", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, strings.Repeat("cut ", 20_000))
		panic(http.ErrAbortHandler)
	})
	handle("/flushabort", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, text)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	handle("/crash", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Kept", "1")
		panic("broken")
	})
	handle("/short", func(w http.ResponseWriter, r *http.Request) { // less than declared must look cut
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, text)
	})
	handle("/over", func(w http.ResponseWriter, r *http.Request) { // so must more
		w.Header().Set("Content-Length", "3")
		if _, err := io.WriteString(w, text); err != http.ErrContentLength {
			panic(fmt.Sprintf("a body beyond its length: error %v", err))
		}
		if _, err := io.WriteString(w, "abc"); err != http.ErrContentLength {
			panic(fmt.Sprintf("a write after one that was refused: error %v", err))
		}
	})
	return mux
}

type answer struct {
	status          int
	header, trailer http.Header
	body            string
	early           int // 103 responses with a Link
	err             error
}

func ask(client *http.Client, method, url string, header http.Header) (a answer) {
	r, _ := http.NewRequest(method, url, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == 103 && h.Get("Link") != "" {
				a.early++
			}
			return nil
		},
	}))
	res, err := client.Do(r)
	if err != nil {
		a.err = err
		return a
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, res.Trailer, string(body), a.early, err}
}

// A stack is what stands around the app, outermost first.
type stack []string

var kinds = map[string]func(http.Handler) http.Handler{
	"observer": observe, "passer": pass, "transformer": transform, "holder": hold, "deliverer": deliver, "sink": collect,
}

func (s stack) around(h http.Handler) http.Handler {
	for _, kind := range slices.Backward(s) {
		h = kinds[kind](h)
	}
	return h
}

func (s stack) has(kind string) bool { return slices.Contains(s, kind) }

func (s stack) text(plain string) string {
	if s.has("transformer") {
		return string(double([]byte(plain)))
	}
	return plain
}

func serve(t *testing.T, h http.Handler, http2 bool) (*http.Client, string) {
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // aborts are meant
	server.EnableHTTP2 = http2
	if http2 {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	client := server.Client()
	client.Transport.(*http.Transport).DisableCompression = true
	return client, server.URL
}

// checkStack asks everything of the app through s over a real socket.
func checkStack(t *testing.T, s stack, http2 bool) {
	next := make(chan struct{})
	recoverer := func(h http.Handler) http.Handler { // as frameworks have it, outside of us
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if v := recover(); v == http.ErrAbortHandler {
					panic(v)
				} else if v != nil {
					http.Error(w, fmt.Sprint(v), 500)
				}
			}()
			h.ServeHTTP(w, r)
		})
	}
	client, url := serve(t, recoverer(s.around(app(next))), http2)
	bad := func(path, format string, args ...any) {
		t.Helper()
		t.Errorf("%v, HTTP/2 %v, %s: %s", s, http2, path, fmt.Sprintf(format, args...))
	}
	checkLength := func(path string, a answer, body string) {
		t.Helper()
		if length := a.header.Get("Content-Length"); length != "" && length != strconv.Itoa(len(body)) {
			bad(path, "Content-Length %s of %d", length, len(body))
		}
		if a.err != nil || a.body != body {
			bad(path, "status %d, error %v, body %.60q, want %.60q", a.status, a.err, a.body, body)
		}
		if a.header.Get("X-Late") != "" {
			bad(path, "a late header field leaked")
		}
		if s.has("passer") != (a.header.Get("X-Passed") == "1") {
			bad(path, "the passer's field: %q", a.header["X-Passed"])
		}
	}

	a := ask(client, "GET", url+"/doc", nil)
	checkLength("/doc", a, s.text(text))
	if a.status != 201 || a.header.Get("X-Kept") != "1" || a.header.Get("X-Changed") != "1" || a.header.Get("X-Written") != "1" {
		bad("/doc", "status %d, %v", a.status, a.header)
	}
	if head := ask(client, "HEAD", url+"/doc", nil); head.status != 201 || head.err != nil || head.body != "" ||
		head.header.Get("Content-Length") != "" && head.header.Get("Content-Length") != strconv.Itoa(len(s.text(text))) {
		bad("HEAD /doc", "%+v", head)
	}
	checkLength("/implicit", ask(client, "GET", url+"/implicit", nil), s.text("hi there"))
	if a := ask(client, "GET", url+"/empty", nil); a.status != 200 || a.header.Get("Content-Length") != "0" {
		bad("/empty", "%+v", a)
	}

	a = ask(client, "GET", url+"/early", nil)
	checkLength("/early", a, s.text(text))
	if want := 1; a.status != 404 || a.header.Get("Link") != "" || a.early != want && !s.has("sink") {
		bad("/early", "status %d, %d early hints, Link %q", a.status, a.early, a.header["Link"])
	}

	a = ask(client, "GET", url+"/trail", nil)
	checkLength("/trail", a, s.text(text))
	if a.trailer.Get("X-Sum") != "42" || a.trailer.Get("X-More") != "43" {
		bad("/trail", "trailers %v", a.trailer)
	}

	for _, status := range []int{204, 205, 304} {
		if status == 205 && len(s) == 0 {
			continue // net/http alone lets a 205 have a body
		}
		path := "/" + strconv.Itoa(status)
		if a := ask(client, "GET", url+path, nil); a.status != status || a.body != "" || a.err != nil {
			bad(path, "%+v", a)
		} else if length := a.header.Get("Content-Length"); length != "" && length != "0" {
			bad(path, "Content-Length %s", length)
		}
	}

	whole := strings.Repeat("0123456789", 9_000)
	checkLength("/file", ask(client, "GET", url+"/file", nil), s.text(whole))
	if a := ask(client, "GET", url+"/file", http.Header{"Range": {"bytes=10-14"}}); a.status != 206 || a.body != "01234" || a.err != nil {
		bad("/file 10-14", "%+v", a)
	}

	if a := ask(client, "GET", url+"/crash", nil); a.status != 500 || a.body != "broken\n" || a.err != nil {
		bad("/crash", "nothing was sent, an outer recoverer has to be able to answer: %+v", a)
	}
	for _, path := range []string{"/abort", "/flushabort", "/short", "/over"} {
		if path == "/over" && http2 {
			continue // net/http's HTTP/2 server ends such a stream as if it were whole
		}
		if a := ask(client, "GET", url+path, nil); a.err == nil && !(s.has("sink") && path == "/short") {
			bad(path, "the answer looks whole: %d, %d bytes, %v", a.status, len(a.body), a.header)
		}
	}
	checkEvents(t, s, client, url, next, bad)
}

// checkEvents reads a stream whose handler waits for each event to have arrived.
func checkEvents(t *testing.T, s stack, client *http.Client, url string, next chan struct{}, bad func(path, format string, args ...any)) {
	if s.has("sink") { // keeps all by design
		go func() {
			for range 3 {
				next <- struct{}{}
			}
		}()
		if a := ask(client, "GET", url+"/events", nil); a.body != s.text("event 0\nevent 1\nevent 2\n") {
			bad("/events", "%+v", a)
		}
		return
	}
	res, err := client.Get(url + "/events")
	if err != nil {
		bad("/events", "%v", err)
		return
	}
	defer res.Body.Close()
	if res.Header.Get("X-Kept") != "1" || res.Header.Get("X-Late") != "" {
		bad("/events", "%v", res.Header)
	}
	for i := range 3 {
		next <- struct{}{}
		want := s.text(fmt.Sprintf("event %d\n", i))
		got := make([]byte, len(want))
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != want {
			bad("/events", "event %d: %q, %v", i, got, err)
			return
		}
	}
	if rest, err := io.ReadAll(res.Body); len(rest) != 0 || err != nil {
		bad("/events", "after the last event: %q, %v", rest, err)
	}
}

// The rules of the ResponseWriter hold for every kind of wrapper, in every order, over real
// sockets.
func TestEveryOrder(t *testing.T) {
	orders := permutations(stack{"observer", "transformer", "holder", "sink"})
	orders = append(orders, permutations(stack{"observer", "passer", "transformer", "holder", "deliverer"})...)
	for kind := range kinds {
		orders = append(orders, stack{kind}, stack{kind, kind})
	}
	orders = append(orders, nil)
	if testing.Short() {
		orders = orders[:24]
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, s := range orders {
		if slices.Equal(s, stack{"transformer", "transformer"}) {
			continue // doubles twice: text() knows once
		}
		for _, http2 := range []bool{false, true} {
			slots <- struct{}{}
			wg.Go(func() {
				checkStack(t, s, http2)
				<-slots
			})
		}
	}
	wg.Wait()
}

func permutations(s stack) (all []stack) {
	if len(s) <= 1 {
		return []stack{s}
	}
	for i, first := range s {
		for _, rest := range permutations(slices.Concat(s[:i], s[i+1:])) {
			all = append(all, append(stack{first}, rest...))
		}
	}
	return all
}

// The connection can be taken over through any wrapper, and then no Layer adds to it.
func TestEveryOrder_Hijack(t *testing.T) {
	for _, s := range permutations(stack{"observer", "passer", "transformer", "holder", "deliverer"}) {
		client, url := serve(t, s.around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Errorf("%v: %v", s, err)
				return
			}
			defer conn.Close()
			if _, err := w.Write([]byte("x")); err != http.ErrHijacked {
				t.Errorf("%v: Write after Hijack: %v", s, err)
			}
			io.WriteString(conn, "HTTP/1.1 299 Mine\r\nContent-Length: 2\r\n\r\nok")
		})), false)
		if a := ask(client, "GET", url, nil); a.status != 299 || a.body != "ok" || a.err != nil {
			t.Errorf("%v: %+v", s, a)
		}
	}
}

// ResponseController reaches the connection's deadlines through any wrapper.
func TestEveryOrder_Deadlines(t *testing.T) {
	for _, s := range permutations(stack{"observer", "transformer", "holder", "deliverer"}) {
		client, url := serve(t, s.around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			for name, err := range map[string]error{
				"SetReadDeadline": rc.SetReadDeadline(time.Now().Add(time.Minute)), "SetWriteDeadline": rc.SetWriteDeadline(time.Now().Add(time.Minute)),
				"EnableFullDuplex": rc.EnableFullDuplex(),
			} {
				if err != nil {
					t.Errorf("%v: %s: %v", s, name, err)
				}
			}
		})), false)
		ask(client, "GET", url, nil)
	}
}
