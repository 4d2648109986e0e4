package httpcache

import (
	"net/http/httptest"
	"testing"
)

// B4: a load that was found before its beginning went can be attached to no more after that.
func TestB4_TheBeginningIsGone(t *testing.T) {
	s := newStream(4, -1)
	rd := s.attach(httptest.NewRecorder(), false)
	for _, p := range []string{"abcd", "efgh"} {
		if _, err := s.append(t.Context(), []byte(p)); err != nil {
			t.Fatal(err)
		}
		flushed := 0
		got, _, err := s.next(t.Context(), rd, &flushed)
		if string(got) != p || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		s.took(rd, len(got))
	}
	if late := s.attach(httptest.NewRecorder(), false); late != nil {
		t.Error("a reader was attached without the beginning")
	}
}

// A promise of the beginning that nobody will claim is given back, or the writer would wait for it.
func TestL1_APromiseIsGivenBack(t *testing.T) {
	l := &load{header: make(chan struct{}), waiting: 1}
	body := newStream(1<<10, -1)
	l.decide(outcome{o: &Object{}, body: body})
	if body.reserved != 1 {
		t.Fatalf("%d promises", body.reserved)
	}
	l.stopWaiting() // its context ended in the same moment
	if body.reserved != 0 {
		t.Errorf("%d promises are left", body.reserved)
	}
}
