package batch

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hotpath-go/hotpath/internal/fault"
)

// ErrNotFound says that there is no such thing: Fetch left the key out. It is the same value as
// cache.ErrNotFound, so that a Loader's Load can stand behind a cache.
var ErrNotFound = fault.NotFound

var (
	errGoexit     = errors.New("batch: Fetch called runtime.Goexit")
	errTaskGoexit = errors.New("batch: the task called runtime.Goexit")
	errSelf       = errors.New("batch: the key needs itself: it is being fetched by a fetch that waits for this one")
)

// Errors says which keys failed, and why. A Fetch returns it, alone or wrapped, to fail those keys
// only; LoadAll returns it. Joined with other errors, or with a key that Fetch was not asked for (it is
// another loader's then), it fails the whole batch.
type Errors[K comparable] map[K]error

// shownErrors is how many errors stand in the text of an Errors.
const shownErrors = 5

// Error names the first keys in the order of their text, whatever the order of the map.
func (e Errors[K]) Error() string {
	all := e.sorted()
	var b strings.Builder
	fmt.Fprintf(&b, "batch: %d keys failed", len(all))
	for i, one := range all[:min(len(all), shownErrors)] {
		b.WriteString([]string{": ", "; "}[min(i, 1)])
		b.WriteString(one.text)
	}
	if len(all) > shownErrors {
		fmt.Fprintf(&b, "; and %d more", len(all)-shownErrors)
	}
	return b.String()
}

// Unwrap returns the errors of the keys, for errors.Is and errors.As, in the order of Error.
func (e Errors[K]) Unwrap() []error {
	all := e.sorted()
	errs := make([]error, len(all))
	for i, one := range all {
		errs[i] = one.err
	}
	return errs
}

// perKey returns the Errors[K] that err is or wraps; nil: none. Of errors that are joined the others
// must not be lost.
func perKey[K comparable](err error) Errors[K] {
	for err != nil {
		if some, is := err.(Errors[K]); is {
			if some == nil {
				some = Errors[K]{} // no key has failed
			}
			return some
		}
		wrapper, is := err.(interface{ Unwrap() error })
		if !is {
			return nil
		}
		err = wrapper.Unwrap()
	}
	return nil
}

type keyError struct {
	text string
	err  error
}

func (e Errors[K]) sorted() []keyError {
	all := make([]keyError, 0, len(e))
	for key, err := range e {
		all = append(all, keyError{fmt.Sprintf("%v: %v", key, err), err})
	}
	slices.SortStableFunc(all, func(a, b keyError) int { return strings.Compare(a.text, b.text) })
	return all
}

// A PanicError is what everybody gets who waits for a Fetch that panicked.
type PanicError struct {
	Value any    // of the panic
	Stack []byte // of the goroutine that panicked, for logs: never show it to a client
}

func (e *PanicError) Error() string { return fmt.Sprintf("batch: Fetch panicked: %v", e.Value) }

// Unwrap returns Value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
