package httpcache

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Public lets the response of w be stored and shared for ttl, also that to a request with
// Authorization. tags, as a list in Cache-Groups, are what [Cache.PurgeTags] finds it by. Call it
// before the header is written. A ttl of less than a second is none.
func Public(w http.ResponseWriter, ttl time.Duration, tags ...string) {
	h := w.Header()
	h.Set("Cache-Control", "public, max-age="+strconv.FormatInt(max(int64(ttl/time.Second), 0), 10))
	var list []string
	for _, tag := range tags {
		if tag != "" {
			list = append(list, quote(tag))
		}
	}
	if list != nil {
		h.Set("Cache-Groups", strings.Join(list, ", "))
	}
}

// Private keeps the response of w out of every cache.
func Private(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "private, no-store")
}
