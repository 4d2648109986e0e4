package stacktest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// users: what was made for one never goes to another, also if its handler forgot to say that it is private;
// nor does a cookie, nor the answer in another language.
func users(t *testing.T, s *stack) {
	for _, accept := range []string{"Accept-Encoding: gzip", "Accept-Encoding: identity"} {
		for _, user := range []string{"alice", "bob", "alice"} {
			s.asUser(t, user, accept)
		}
	}
}

// asUser asks for everything that differs by who asks.
func (s *stack) asUser(t *testing.T, user, accept string) {
	t.Helper()
	for _, path := range []string{"/me", "/account"} {
		if a := s.ask(t, "GET", path, accept, "Authorization: "+user); a.body != strings.Repeat(user+" ", 200) {
			t.Errorf("%s: %s got %s", path, user, a)
		}
	}
	if a := s.ask(t, "GET", "/account", accept); a.body != strings.Repeat(" ", 200) {
		t.Errorf("/account: nobody got %s", a)
	}
	if a := s.ask(t, "GET", "/mine", accept, "X-User: "+user); a.body != strings.Repeat(user+" ", 200) {
		t.Errorf("/mine: %s got %s", user, a)
	}
	a := s.ask(t, "GET", "/session", accept, "X-User: "+user)
	if cookie := "session=" + user; a.body != strings.Repeat(user+" ", 200) || a.header.Get("Set-Cookie") != cookie {
		t.Errorf("/session: %s got %q and %s", user, a.header["Set-Cookie"], a)
	}
	if a := s.ask(t, "GET", "/hello", accept, "Accept-Language: "+user); a.body != strings.Repeat("in "+user+" ", 200) {
		t.Errorf("/hello in %s: %s", user, a)
	}
}

// crowd: one stack, many clients, some of which leave.
func crowd(t *testing.T, s *stack) {
	s.quick.Store(true)
	var all sync.WaitGroup
	for i := range 6 {
		rng := rand.New(rand.NewPCG(uint64(i), 0))
		all.Go(func() {
			accept := "Accept-Encoding: " + []string{"gzip", "br", "identity"}[i%3]
			if a := s.ask(t, "GET", "/abort/slowly", accept); a.err == nil { // those too who wait for the handler of another
				t.Errorf("an abort looks whole to one of many: %s", a)
			}
			s.asUser(t, fmt.Sprint("user", i%4), accept)
			for range 10 {
				path := []string{"/items/11", "/items/11?fields=id", "/items/12", "/long", "/list/large?fields=items/id", "/settled", "/abort/flushed", "/trailers", "/items/13"}[rng.IntN(9)]
				if rng.IntN(4) == 0 {
					ctx, cancel := context.WithCancel(t.Context())
					if res, err := s.client.Do(newRequest(ctx, t, "GET", s.srv.URL+path, nil, accept)); err == nil {
						cancel()
						_ = res.Body.Close()
					}
					cancel()
					continue
				}
				a := s.ask(t, "GET", path, accept)
				want := s.plainly(t, path)
				switch {
				case path == "/abort/flushed":
					if a.err == nil && !s.has("R") {
						t.Errorf("%s looks whole: %s", path, a)
					}
					continue
				case !s.has("p"):
				case path == "/items/11?fields=id":
					want.body = `{"id":11}`
				case strings.HasPrefix(path, "/list"):
					want.body = largeIDs
				}
				if diff := same(a, want); diff != "" {
					t.Errorf("%s among many: %s", path, diff)
				}
			}
		})
	}
	all.Wait()
}
