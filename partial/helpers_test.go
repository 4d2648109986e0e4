package partial_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/internal/leaktest"
	"github.com/hotpath-go/hotpath/partial"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func mustNew(t testing.TB, cfg partial.Config) *partial.Filter {
	t.Helper()
	f, err := partial.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// do asks h with fields as "Name: value", and returns what a client sees.
func do(h http.Handler, method, target string, fields ...string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request(method, target, fields...))
	return w
}

func request(method, target string, fields ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// serve is a handler with fields, a status (0: none is written) and a body in pieces.
func serve(status int, fields string, pieces ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for f := range strings.SplitSeq(fields, "\n") {
			if name, value, ok := strings.Cut(f, ": "); ok {
				w.Header().Add(name, value)
			}
		}
		if status != 0 {
			w.WriteHeader(status)
		}
		for _, p := range pieces {
			_, _ = io.WriteString(w, p)
		}
	})
}

const asJSON = "Content-Type: application/json"

// quietLog is for servers whose handlers panic on purpose.
func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

// server is h behind a real server, by HTTP/1.1 or 2.
func server(t *testing.T, h http.Handler, proto string) (*httptest.Server, *http.Client) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = quietLog()
	srv.EnableHTTP2 = proto == "HTTP/2"
	srv.StartTLS()
	t.Cleanup(srv.Close)
	client := srv.Client()
	client.Transport.(*http.Transport).DisableCompression = true
	return srv, client
}

var protos = [...]string{"HTTP/1.1", "HTTP/2"}
