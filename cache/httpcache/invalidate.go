package httpcache

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/hotpath-go/hotpath/internal/rw"
)

// A writer is the ResponseWriter of requests that are not looked up. Of unsafe ones it sees the
// header, for what they have changed must be forgotten before their answer leaves (I1).
type writer struct {
	rw.Writer
	c   *Cache
	r   *http.Request
	fwd string
}

var (
	_ rw.Layer       = (*writer)(nil)
	_ rw.Invalidator = (*writer)(nil)
)

func (h *handler) write(w http.ResponseWriter, r *http.Request) {
	h.c.counters.Here().bypassed.Add(1)
	inner, own := &writer{c: h.c, r: r, fwd: "method"}, lent(r) // it purges r's URL, whatever the handler makes of it
	defer rw.CopyBack(r, own)
	inner.Wrap(w, inner)
	inner.Serve(inner, h.next, own)
}

// bypass lets the handler answer, untouched.
func (h *handler) bypass(w http.ResponseWriter, r *http.Request) {
	h.c.counters.Here().bypassed.Add(1)
	inner := &writer{c: h.c, r: r, fwd: "bypass"}
	inner.Wrap(w, inner)
	inner.Serve(inner, h.next, r)
}

func (w *writer) OnHeader(status int) {
	h := w.Thaw()
	if w.fwd == "method" {
		w.c.invalidate(w.r, status, h)
	}
	w.c.tell(h, forward{fwd: w.fwd}, "")
	w.Send(status)
	w.Pass()
}

// The others are never called: OnHeader passes.

func (w *writer) OnWrite(p []byte) (int, error) { return len(p), nil }
func (w *writer) OnFlush() error                { return w.FlushInner() }
func (w *writer) OnReturn()                     {}

// Invalidate is told of unsafe parts of a batch and of work that outlived its request.
func (w *writer) Invalidate(part *http.Request, status int, h http.Header) {
	w.c.invalidate(part, status, h)
}

// invalidate is RFC 9111 section 4.4 and RFC 9875 section 3.
func (c *Cache) invalidate(r *http.Request, status int, h http.Header) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodConnect:
		return
	}
	if status < 200 || status >= 400 {
		return
	}
	r = rw.Whole(r) // what is stored is the whole document, without the parameter that asked for less
	var b [512]byte
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	tags := []string{c.seeds.urlTag(appendURL(b[:0], r.TLS != nil, host, r.URL))}
	for _, name := range [...]string{"Location", "Content-Location"} {
		for _, line := range h[name] {
			u, err := r.URL.Parse(line)
			if err != nil {
				continue
			}
			if u.Host == "" {
				u.Host = host
			}
			secure := u.Scheme == "https" || u.Scheme == "" && r.TLS != nil
			if sameHost(u, r, host) {
				tags = append(tags, c.seeds.urlTag(appendURL(nil, secure, u.Host, u)))
			}
		}
	}
	for _, group := range parseGroups(h["Cache-Group-Invalidation"]) {
		tags = append(tags, c.seeds.groupTag(originOf(r), group))
	}
	c.purge(tags...)
}

// sameHost: another origin's URLs are not this one's to purge. A scheme that differs only
// because TLS ends before us is no other origin.
func sameHost(u *url.URL, r *http.Request, host string) bool {
	secure := u.Scheme == "https" || u.Scheme == "" && r.TLS != nil
	return string(appendHost(nil, secure, u.Host)) == string(appendHost(nil, r.TLS != nil, host))
}

func (c *Cache) purge(tags ...string) {
	c.counters.Here().invalidations.Add(1)
	c.tags.Purge(tags...)
}

// Purge forgets what is stored of urls, every variant, by https and http alike, and what is just
// being made. They are absolute; the error names those that are not, and the others are purged.
func (c *Cache) Purge(urls ...string) error { return c.forget(urls, false) }

func (c *Cache) forget(urls []string, softly bool) error {
	var problems []error
	var tags []string
	for _, s := range urls {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			problems = append(problems, fmt.Errorf("httpcache: URL is %q: must be absolute, of http or https", s))
			continue
		}
		if u.Path == "" {
			u.Path = "/"
		}
		tags = append(tags, c.seeds.urlTag(appendURL(nil, u.Scheme == "https", u.Host, u)))
	}
	if len(tags) > 0 {
		if softly {
			c.expire(tags)
		} else {
			c.purge(tags...)
		}
	}
	return errors.Join(problems...)
}

// PurgeTags forgets every response with one of tags, whoever it came from: what is stored, and what is
// just being made. It costs the same for one response and for millions.
func (c *Cache) PurgeTags(tags ...string) { c.purge(globalTags(tags)...) }

// ExpireTags makes every response with one of tags stale: it may still be revalidated, or served
// where stale responses may be.
func (c *Cache) ExpireTags(tags ...string) { c.expire(globalTags(tags)) }

func globalTags(tags []string) []string {
	all := make([]string, len(tags))
	for i, tag := range tags {
		all[i] = globalTag(tag)
	}
	return all
}

func (c *Cache) expire(tags []string) {
	c.counters.Here().invalidations.Add(1)
	c.tags.Expire(c.now(), tags...)
}

// PurgeAll forgets everything.
func (c *Cache) PurgeAll() {
	c.counters.Here().invalidations.Add(1)
	c.tags.PurgeAll()
	c.store.Clear()
}

const maxForm = 1 << 20

// PurgeHandler answers POST with a form of any number of url= and tag=, and soft=1 to expire
// instead of purging: 204, or 400 with the reason. Mount it only where nobody but you can reach it.
func (c *Cache) PurgeHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			c.refuse(w, r, http.StatusMethodNotAllowed, "purges are POST requests")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			c.refuse(w, r, http.StatusBadRequest, "the form cannot be read: "+err.Error())
			return
		}
		urls, tags, softly := r.Form["url"], r.Form["tag"], r.Form.Get("soft") == "1"
		if len(urls) == 0 && len(tags) == 0 {
			c.refuse(w, r, http.StatusBadRequest, "url or tag is missing")
			return
		}
		if err := c.forget(urls, softly); err != nil {
			c.refuse(w, r, http.StatusBadRequest, strings.ReplaceAll(err.Error(), "\n", "; "))
			return
		}
		if len(tags) > 0 && softly {
			c.ExpireTags(tags...)
		} else if len(tags) > 0 {
			c.PurgeTags(tags...)
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
