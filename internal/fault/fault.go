// Package fault holds the one error value that two packages of hotpath share, so that neither
// has to import the other.
package fault

import "errors"

// NotFound says that there is no such thing, which is an answer and not a failure.
// cache.ErrNotFound and batch.ErrNotFound are this very value: a batch loader can
// stand behind a cache that remembers what does not exist.
//
//lint:ignore ST1012 its name is read as fault.NotFound
var NotFound = errors.New("hotpath: not found")
