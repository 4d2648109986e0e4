package throttle

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// What has flowed in since a charge was made is not given back with it, or it would be there
// twice: ten requests wait for a slow policy and hold tokens of a fast one, which is full again
// when they leave.
func TestB2_WhoLeavesTheQueueMintsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		user := func(r *http.Request) (Key, error) { return KeyOf(r.Header.Get("User")), nil }
		l, err := New(Config{MaxWait: time.Hour, Policies: []Policy{
			{Name: "all", Rate: Per(10, time.Second), Key: func(*http.Request) (Key, error) { return KeyOf("all"), nil }},
			{Name: "user", Rate: Per(1, time.Minute), Key: user},
		}})
		if err != nil {
			t.Fatal(err)
		}
		h := l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		ask := func(ctx context.Context, who string, i int) int {
			r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
			r.Header.Set("User", fmt.Sprint(who, i))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code
		}
		for i := range 10 {
			ask(t.Context(), "waiter", i)
		}
		time.Sleep(2 * time.Second)
		waiting, leave := context.WithCancel(t.Context())
		for i := range 10 {
			go ask(waiting, "waiter", i)
		}
		time.Sleep(2 * time.Second) // "all" is full again
		hurried, cancel := context.WithTimeout(t.Context(), 1)
		defer cancel()
		admitted := 0
		for i := range 10 {
			if ask(hurried, "early", i) == http.StatusOK {
				admitted++
			}
		}
		leave()
		synctest.Wait()
		for i := range 10 {
			if ask(hurried, "late", i) == http.StatusOK {
				admitted++
			}
		}
		if admitted != 10 {
			t.Errorf("%d were let in at one moment, with a burst of 10", admitted)
		}
		if s := l.Stats(); s.Requests["denied"] != 10 || s.Denied["user"] != 0 {
			t.Errorf("%v, %v: who leaves was not denied", s.Requests, s.Denied)
		}
	})
}

// A rollback that comes late, its goroutine having stood still for a refill.
func TestB2_ALateRollbackMintsNothing(t *testing.T) {
	now := int64(1)
	l := mustNew(t, Config{Rate: Per(1, time.Second)})
	l.clock.fake = func() int64 { return now }
	p, k := l.state.Load().policies[0], KeyOf("k")
	c := charge{p: p, fp: l.seeds.fingerprint(&k)}
	c.setCost(1)
	if !c.look(&l.clock, 0) || !c.take(&l.clock, 0) {
		t.Fatal("the first token is not there")
	}
	now += int64(time.Second)
	first := l.Take(t.Context(), k, 1).Allowed
	c.giveBack(&l.clock)
	if second := l.Take(t.Context(), k, 1).Allowed; !first || second {
		t.Errorf("at one moment: %v and %v, with a burst of 1", first, second)
	}
}

// The same between two throttles: one refuses a part late, and the other gives back only what is
// still owed.
func TestC4_ALateReturnMintsNothing(t *testing.T) {
	now := int64(1)
	l := mustNew(t, Config{Rate: Per(1, time.Second), Burst: 2, Key: KeyHeader("User")})
	l.clock.fake = func() int64 { return now }
	h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g := w.(*grant)
		part := r.Clone(r.Context())
		part.Header.Set("User", "b")
		if g.Charge(part) != nil {
			t.Fatal("the part is refused")
		}
		now += int64(2 * time.Second) // full again
		if !l.Take(r.Context(), KeyOf("b"), 2).Allowed {
			t.Error("the bucket is not full after two refills")
		}
		g.Return(part)
		if l.Take(r.Context(), KeyOf("b"), 1).Allowed {
			t.Error("three tokens at one moment, with a burst of 2")
		}
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("User", "a")
	h.ServeHTTP(httptest.NewRecorder(), r)
}

// What an envelope has lent to a part was paid for the envelope too.
func TestC6_SettleAfterLending(t *testing.T) {
	l := mustNew(t, Config{Rate: Per(100, time.Hour), Key: KeyHeader("User")})
	h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if w.(*grant).Charge(r.Clone(r.Context())) != nil { // with the envelope's token
			t.Fatal("the part is refused")
		}
		for _, tc := range []struct{ cost, left int64 }{{1, 99}, {3, 97}, {1, 99}, {0, 99}} {
			if err := l.Settle(w, "", tc.cost); err != nil {
				t.Fatal(err)
			}
			if left := l.Peek(r.Context(), KeyOf("a"), 0).Remaining; left != tc.left {
				t.Errorf("settled to %d: %d tokens are left, want %d", tc.cost, left, tc.left)
			}
		}
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("User", "a")
	h.ServeHTTP(httptest.NewRecorder(), r)
}

func TestW3_WhoLeavesWasNotDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := mustNew(t, Config{Rate: Per(1, time.Minute)})
		l.Take(t.Context(), KeyOf("k"), 1)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		time.AfterFunc(time.Second, cancel)
		if err := l.Wait(ctx, KeyOf("k"), 1); err == nil {
			t.Error("no error")
		}
		if s := l.Stats(); s.Requests["denied"] != 0 || s.Denied["default"] != 0 {
			t.Errorf("%v, %v", s.Requests, s.Denied)
		}
	})
}

// What is taken between the two passes of a change comes along: here at the last slot that the
// first of them looks at.
func TestR1_TakenBetweenThePasses(t *testing.T) {
	now, reads := int64(1), 0
	l := mustNew(t, Config{Rate: Per(10, time.Hour), Capacity: 64})
	key, table := KeyOf("k"), l.state.Load().policies[0].table
	l.clock.fake = func() int64 { return now }
	if !l.Take(t.Context(), key, 2).Allowed {
		t.Fatal("a new key is not full")
	}
	l.clock.fake = func() int64 {
		if reads++; reads == len(table.sets)*setSize {
			l.Take(t.Context(), key, 5)
		}
		return now
	}
	if err := l.Reconfigure(Config{Rate: Per(10, time.Hour), Capacity: 128}); err != nil {
		t.Fatal(err)
	}
	if left := l.Peek(t.Context(), key, 0).Remaining; left != 3 {
		t.Errorf("%d of 10 tokens are left after 2 and 5 were taken", left)
	}
}

// A word that would look claimed would be waited for, for ever.
func TestM1_NoWordLooksClaimed(t *testing.T) {
	for debt := range uint64(3) {
		if add(claimed-1, debt) == claimed {
			t.Errorf("a debt of %d makes a word that looks claimed", debt)
		}
	}
}
