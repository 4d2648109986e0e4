package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hotpath-go/hotpath/cache/httpcache"
)

// Never one user's answer to another: in each pair Alice and Bob ask at the same time, and one
// after the other, over real sockets, with a header or a body that takes its time.
func TestUsersApart(t *testing.T) {
	for _, tc := range []struct {
		name   string
		field  string // what tells them apart
		fields []string
	}{
		{"Authorization", "Authorization", []string{"Cache-Control: max-age=60"}},
		{"Cookie and private", "Cookie", []string{"Cache-Control: private, max-age=60"}},
		{"Cookie and no-store", "Cookie", []string{"Cache-Control: no-store"}},
		{"Cookie and nothing said", "Cookie", []string{`Etag: "1"`}},
		{"Cookie and max-age=0", "Cookie", []string{"Cache-Control: max-age=0"}},
		{"Set-Cookie", "Cookie", []string{"Cache-Control: max-age=60", "Set-Cookie: id=1"}},
		{"Vary", "X-User", []string{"Cache-Control: max-age=60", "Vary: X-User"}},
		{"no-cache", "Cookie", []string{"Cache-Control: no-cache", "Etag: "}},
	} {
		for _, slow := range []string{"header", "body"} {
			for _, together := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/slow %s/together %v", tc.name, slow, together), func(t *testing.T) {
					s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
						user := r.Header.Get(tc.field)
						if slow == "header" {
							time.Sleep(20 * time.Millisecond)
						}
						for _, f := range tc.fields {
							if f == "Etag: " {
								f += `"` + user + `"`
							}
							name, value, _ := strings.Cut(f, ": ")
							w.Header().Add(name, value)
						}
						_, _ = io.WriteString(w, "of ")
						if slow == "body" {
							_ = http.NewResponseController(w).Flush()
							time.Sleep(20 * time.Millisecond)
						}
						_, _ = io.WriteString(w, user)
					})
					srv := httptest.NewServer(s)
					defer srv.Close()
					ask := func(user string) {
						r, _ := http.NewRequest("GET", srv.URL, nil)
						r.Header.Set(tc.field, user)
						res, err := srv.Client().Do(r)
						if err != nil {
							t.Error(err)
							return
						}
						defer res.Body.Close()
						b, err := io.ReadAll(res.Body)
						if string(b) != "of "+user || err != nil {
							t.Errorf("%s got %q, %v", user, b, err)
						}
					}
					var wg sync.WaitGroup
					for range 4 {
						for _, user := range []string{"alice", "bob"} {
							if together {
								wg.Go(func() { ask(user) })
							} else {
								ask(user)
							}
						}
					}
					wg.Wait()
				})
			}
		}
	}
}

// Requests to what cannot be shared run at the same time, from the first on.
func TestL2_UncacheableRunsSideBySide(t *testing.T) {
	gate := make(chan struct{})
	var inside sync.WaitGroup
	inside.Add(20)
	s := newSite(t, httpcache.Config{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		inside.Done()
		<-gate
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { s.get() })
	}
	inside.Wait() // hangs if they queue
	close(gate)
	wg.Wait()
	s.want(20, "no-store")
}
