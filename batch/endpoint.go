package batch

import (
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hotpath-go/hotpath/internal/field"
	"github.com/hotpath-go/hotpath/internal/problem"
	"github.com/hotpath-go/hotpath/internal/rw"
)

// serve answers a request for Path.
func (e *Endpoint) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	start := time.Now()
	refuse := func(what result, status int, detail string) {
		e.counters.Here().requests[what].Add(1)
		problem.Write(w, r, problem.Problem{Status: status, Detail: detail})
	}
	switch {
	case rw.Outer(r) != r:
		refuse(malformed, http.StatusBadRequest, errNested.Error())
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		refuse(unsupported, http.StatusMethodNotAllowed, "a batch is a POST")
		return
	case field.MediaType(r.Header.Get("Content-Type")) != "application/json":
		// Forms and text/plain above all: a foreign page can post those without asking (CORS).
		w.Header().Set("Accept", "application/json")
		refuse(unsupported, http.StatusUnsupportedMediaType, "a batch is application/json")
		return
	}
	body, err := decoded(r)
	if err != nil {
		if errors.Is(err, errCoding) {
			w.Header().Set("Accept-Encoding", "gzip, deflate")
			refuse(unsupported, http.StatusUnsupportedMediaType, err.Error())
		} else {
			refuse(malformed, http.StatusBadRequest, "the body is not in its Content-Encoding")
		}
		return
	}
	text, err := readAll(body, e.cfg.MaxBytes)
	if tooBig := (*http.MaxBytesError)(nil); err == errTooLarge || errors.As(err, &tooBig) {
		refuse(tooLarge, http.StatusRequestEntityTooLarge, "the envelope has more than "+strconv.FormatInt(e.cfg.MaxBytes, 10)+" bytes")
		return
	} else if err != nil {
		refuse(malformed, http.StatusBadRequest, "the body cannot be read")
		return
	}
	env, err := parseJSON(text, e.cfg.MaxParts)
	if err == errTooManyParts {
		refuse(tooLarge, http.StatusRequestEntityTooLarge, "the batch has more than "+strconv.Itoa(e.cfg.MaxParts)+" parts")
		return
	} else if err != nil {
		refuse(malformed, http.StatusBadRequest, err.Error())
		return
	}
	e.sizes.Observe(int64(len(env.parts)))
	run := newRun(e, env, w, r, next)
	run.run()
	out := run.write()
	c := e.counters.Here()
	c.requests[asJSON].Add(1)
	c.in.Add(uint64(len(text)))
	c.out.Add(uint64(out))
	e.times.Observe(time.Since(start))
}

var (
	errCoding   = errors.New("the Content-Encoding is not supported")
	errTooLarge = errors.New("too large")
)

// decoded returns the body without its coding (RFC 9110 section 8.4.1).
func decoded(r *http.Request) (io.Reader, error) {
	coding, n := "", 0
	for m := range field.Members(r.Header["Content-Encoding"]) {
		if !strings.EqualFold(m, "identity") {
			coding = strings.ToLower(m)
			n++
		}
	}
	switch {
	case n == 0:
		return r.Body, nil
	case n > 1:
		return nil, errCoding
	case coding == "gzip", coding == "x-gzip":
		return gzip.NewReader(r.Body)
	case coding == "deflate":
		return zlib.NewReader(r.Body)
	}
	return nil, errCoding
}

// readAll reads at most most bytes: what a bomb unpacks to is never held (CWE-409).
func readAll(body io.Reader, most int64) (string, error) {
	b := rw.GetBuffer(4 << 10)
	defer func() { b.Put() }() // the one that b has become
	for {
		if len(b.B) == cap(b.B) {
			grown := rw.GetBuffer(max(16<<10, 4*cap(b.B)))
			grown.B = append(grown.B, b.B...)
			b.Put()
			b = grown
		}
		n, err := body.Read(b.B[len(b.B):cap(b.B)])
		b.B = b.B[:len(b.B)+n]
		switch {
		case int64(len(b.B)) > most:
			return "", errTooLarge
		case err == io.EOF:
			return string(b.B), nil
		case err != nil:
			return "", err
		}
	}
}
