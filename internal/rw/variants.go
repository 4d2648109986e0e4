package rw

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Variants are a stored body and its encoded forms: each is made once, at the first hit that
// wants it, and lives and dies with the body. Safe for concurrent use.
type Variants struct {
	body    []byte
	reserve func(delta int64) bool
	forms   atomic.Pointer[form] // the head of a list that only grows

	mu       sync.Mutex
	making   map[string]*making
	reserved int64
	released bool
}

type form struct {
	slot string
	Form
	next *form
}

// A Form is one encoded form of a body.
type Form struct {
	Suffix string // of its entity tag
	Bytes  []byte // read-only; nil: the encoded form is not smaller, which is remembered too
	Length string // of Bytes, for Content-Length

	lastTag atomic.Pointer[[2]string]
}

// formOverhead is charged for a form besides its bytes: the structs above and the length.
const formOverhead = 128

// NewVariants returns the variants of a stored identity body, which nobody may change any
// more. reserve is asked, without a lock, whether delta more bytes may be kept, and told of
// bytes given back (delta below 0, the answer does not matter); nil: as many as come.
func NewVariants(body []byte, reserve func(delta int64) bool) *Variants {
	if reserve == nil {
		reserve = func(int64) bool { return true }
	}
	return &Variants{body: body, reserve: reserve}
}

// Body returns the identity body. It is read-only.
func (v *Variants) Body() []byte { return v.body }

// Is reports whether p is the body itself: the same memory, not equal bytes.
func (v *Variants) Is(p []byte) bool {
	return len(p) > 0 && len(p) == len(v.body) && unsafe.SliceData(p) == unsafe.SliceData(v.body)
}

// Form returns the form in slot, which is named by its coding; nil: not made, or not kept.
func (v *Variants) Form(slot string) *Form {
	for f := v.forms.Load(); f != nil; f = f.next {
		if f.slot == slot {
			return &f.Form
		}
	}
	return nil
}

type making struct {
	done chan struct{}
	form *Form
	err  error
}

// Make returns the form in slot, which encode makes by appending to dst: on the goroutine of
// the first caller; others wait for it, or for the end of their ctx. It is kept if reserve
// agrees and nothing was released; else it serves those who wait. If encode fails or panics
// all get an error and encode for themselves.
func (v *Variants) Make(ctx context.Context, slot, suffix string, encode func(dst []byte) ([]byte, error)) (*Form, error) {
	v.mu.Lock()
	if f := v.Form(slot); f != nil {
		v.mu.Unlock()
		return f, nil
	}
	if m := v.making[slot]; m != nil {
		v.mu.Unlock()
		select {
		case <-m.done:
			return m.form, m.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	m := &making{done: make(chan struct{}), err: errors.New("hotpath: the encoder did not return")}
	if v.making == nil {
		v.making = make(map[string]*making)
	}
	v.making[slot] = m
	v.mu.Unlock()

	defer func() { // also after Goexit in encode
		v.mu.Lock()
		delete(v.making, slot)
		v.mu.Unlock()
		close(m.done)
	}()
	coded, err := guarded(encode)
	if err != nil {
		m.err = err
		return nil, err
	}
	f := &form{slot: slot, Form: Form{Suffix: suffix}}
	if len(coded) < len(v.body) {
		f.Bytes, f.Length = coded, strconv.Itoa(len(coded))
	}
	v.keep(f)
	m.form, m.err = &f.Form, nil
	return m.form, nil
}

func guarded(encode func(dst []byte) ([]byte, error)) (coded []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("hotpath: the encoder panicked: %v", p)
		}
	}()
	return encode(nil)
}

func (v *Variants) keep(f *form) {
	cost := int64(cap(f.Bytes)) + formOverhead
	if !v.reserve(cost) {
		return
	}
	v.mu.Lock()
	released := v.released
	if !released {
		v.reserved += cost
		f.next = v.forms.Load()
		v.forms.Store(f)
	}
	v.mu.Unlock()
	if released {
		v.reserve(-cost)
	}
}

// Release says that the entry is gone. What its forms had reserved is given back; who still
// holds one may go on with it.
func (v *Variants) Release() {
	v.mu.Lock()
	reserved := v.reserved
	v.released, v.reserved = true, 0
	v.mu.Unlock()
	if reserved > 0 {
		v.reserve(-reserved)
	}
}

// ETag returns plain, a strong or weak entity tag, with Suffix inside its quotes, so that one
// strong tag never names two byte sequences; what is no tag stays as it is. The last answer
// is remembered: a body has one tag.
func (f *Form) ETag(plain string) string {
	if last := f.lastTag.Load(); last != nil && last[0] == plain {
		return last[1]
	}
	n := len(plain)
	if n < 2 || plain[n-1] != '"' || plain[0] != '"' && (n < 4 || plain[:3] != `W/"`) {
		return plain
	}
	tag := plain[:n-1] + f.Suffix + `"`
	f.lastTag.Store(&[2]string{plain, tag})
	return tag
}

// An Offerer can serve a response from an encoded form.
type Offerer interface {
	// Offer remembers v if this response can be served from it and nothing was sent yet.
	Offer(v *Variants) bool
}

// Offer tells the layers around w that the one Write to come brings v.Body() itself. Then
// answer as always, HEAD too: header with Content-Length, WriteHeader unless 200, one Write
// of v.Body(). Whoever gets that very slice may send a form in its place; a layer between
// that changes or copies bytes breaks the identity, and what really arrives is encoded.
// True: somebody took it, which is a statistic and no promise.
func Offer(w http.ResponseWriter, v *Variants) bool {
	for outer := range Walk(w) {
		if o, ok := outer.(Offerer); ok && o.Offer(v) {
			return true
		}
	}
	return false
}
