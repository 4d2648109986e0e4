// Package live is a page that shows what a registry has to say while it happens: the last two minutes of
// what each package does, why not more, and what was saved.
//
// It is an example to copy: two files, no framework, nothing from elsewhere. Mount it where only you
// can reach it.
package live

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

//go:embed live.html
var page []byte

const (
	interval   = time.Second
	kept       = 120             // samples
	lingering  = 2 * time.Minute // after the last viewer
	maxViewers = 16
	unread     = 8                // samples that a viewer may be behind
	patience   = 10 * time.Second // for one event to be taken
)

// Handler shows what g gathers: the page, and with ?events its stream. One gather a second serves all
// viewers, 16 at most; nothing runs when nobody has looked for two minutes. A viewer that does not read
// is let go after ten seconds. A server that is to end while somebody looks ends the contexts of its
// requests (http.Server.BaseContext) or closes.
func Handler(g prometheus.Gatherer) http.Handler {
	s := &sampler{g: g}
	policy := contentPolicy()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "this is a page", http.StatusMethodNotAllowed)
		case r.URL.RawQuery == "events" && !fromHere(r):
			http.Error(w, "this is for its own page", http.StatusForbidden)
		case r.URL.RawQuery == "events" && r.Method == http.MethodHead:
			h.Set("Content-Type", "text/event-stream")
		case r.URL.RawQuery == "events":
			s.stream(w, r)
		default:
			h.Set("Content-Type", "text/html; charset=utf-8")
			h.Set("Content-Security-Policy", policy)
			h.Set("Referrer-Policy", "no-referrer")
			_, _ = w.Write(page)
		}
	})
}

// fromHere reports that no other site asks, which could read nothing and take the place of a viewer.
func fromHere(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return false
	}
	return true
}

// contentPolicy allows what stands in the page, by its hash, and a stream from here.
func contentPolicy() string {
	hash := func(tag string) string {
		found := regexp.MustCompile(`(?s)<` + tag + `>(.*?)</` + tag + `>`).FindSubmatch(page)
		sum := sha256.Sum256(found[1])
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; connect-src 'self'; script-src " +
		hash("script") + "; style-src " + hash("style")
}

// stream sends the history once and each sample after it, until the viewer leaves. Its place is free when
// this has returned, not before: who does not read holds no second one.
func (s *sampler) stream(w http.ResponseWriter, r *http.Request) {
	mine, ok := s.enter()
	if !ok {
		w.Header().Set("Retry-After", "10")
		http.Error(w, fmt.Sprintf("there are %d viewers already", maxViewers), http.StatusServiceUnavailable)
		return
	}
	defer s.leave(mine)
	w.Header().Set("Content-Type", "text/event-stream")
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // the deadline of the last event is none of the next request
	}
	out := http.NewResponseController(w)
	for {
		select {
		case <-r.Context().Done():
			return
		case e, ok := <-mine:
			if !ok { // it reads too slowly: the browser comes back and gets a history
				return
			}
			_ = out.SetWriteDeadline(time.Now().Add(patience)) // where there is a connection
			if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", e.name, e.data); err != nil || out.Flush() != nil {
				return
			}
		}
	}
}
