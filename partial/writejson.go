package partial

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/hotpath-go/hotpath/internal/rw"
)

// AppendValue appends to dst what m selects of v: the bytes of Append on those of json.Marshal(v).
// After an error dst comes back as given.
func (m *Mask) AppendValue(dst []byte, v any) ([]byte, error) {
	c := documents.Get().(*chunk)
	own := c.b[:0]
	defer func() {
		c.b = own
		c.putDocument()
	}()
	if m.everything() {
		c.b = dst
	} else {
		c.b = own
	}
	// An Encoder writes the bytes of json.Marshal, and a line feed, without a copy for the caller.
	if err := json.NewEncoder((*appender)(c)).Encode(v); err != nil {
		return dst, err
	}
	doc := bytes.TrimSuffix(c.b, []byte("\n"))
	if m.everything() {
		return doc, nil
	}
	own = c.b
	return m.Append(dst, doc)
}

type appender chunk

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

// WriteJSON answers r with what it asks for of v: it encodes, sets Content-Type (application/json,
// if there is none) and Content-Length, and sends all in one Write, to HEAD too, whose header is
// that of GET. After an encoding error it has touched neither header nor body: answer 500. An
// error of the Write comes back as it is. A nil Filter has the defaults.
func (f *Filter) WriteJSON(w http.ResponseWriter, r *http.Request, status int, v any) error {
	m := FromContext(r.Context())
	h := w.Header()
	var layer *response
	if m != nil {
		// A handler that calls another one, with a writer of its own, wants the whole.
		if layer = masking(w, m); layer != nil && layer.Status() != 0 {
			status = layer.Status()
		}
		if layer == nil || !cutsJSON(status, h) {
			m = nil
		}
	}
	c := documents.Get().(*chunk)
	defer c.putDocument()
	var body []byte
	var err error
	if m == nil && f != nil {
		body, err = f.encode(c, v)
	} else if body, err = m.AppendValue(c.b[:0], v); err == nil {
		c.b = body
	}
	if err != nil {
		return err
	}
	if m != nil {
		layer.isProjected.Store(true)
		defer layer.isProjected.Store(false) // what comes later, also after a panic below, is not ours
	}
	if h["Content-Type"] == nil {
		h["Content-Type"] = []string{"application/json"}
	}
	if rw.BodyAllowed(status) && h["Trailer"] == nil { // with a length net/http drops trailers
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	w.WriteHeader(status)
	if !rw.BodyAllowed(status) {
		return nil
	}
	_, err = w.Write(body)
	return err
}

// encode has v encoded as the configuration says, into c. What begins otherwise than it was given is a slice
// of somebody else, and no buffer for later answers: a byte that no JSON begins with tells.
func (f *Filter) encode(c *chunk, v any) ([]byte, error) {
	const mark = 0
	b, err := f.cfg.Encode(append(c.b[:0], mark), v)
	if err != nil || len(b) == 0 || b[0] != mark {
		return b, err
	}
	c.b = b
	return b[1:], nil
}

// cutsJSON is cuts for an answer of ours, whose type may not be set yet.
func cutsJSON(status int, h http.Header) bool {
	if h["Content-Type"] != nil {
		return cuts(status, h)
	}
	h["Content-Type"] = []string{"application/json"}
	defer delete(h, "Content-Type")
	return cuts(status, h)
}

// masking finds the layer that would cut to m what is written to w, so that it need not.
func masking(w http.ResponseWriter, m *Mask) *response {
	for outer := range rw.Walk(w) {
		if s, ok := outer.(*response); ok && s.m == m {
			return s
		}
	}
	return nil
}
