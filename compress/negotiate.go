package compress

import (
	"net/http"
	"strings"

	"github.com/hotpath-go/hotpath/internal/field"
)

const identity = -1 // as an index of codings

// A choice is what a request's Accept-Encoding means for a Compressor.
type choice struct {
	coding   int8   // the one that the client likes best, or identity
	event    int8   // the same for event streams: built-in gzip if the client likes it as well
	gzip     int8   // built-in gzip if the client accepts it at all, else identity
	forced   bool   // identity is refused and one of ours is not (RFC 9110 section 12.5.3)
	refuse   bool   // nothing at all is acceptable
	accepted uint16 // a bit for each coding that is
}

func (ch choice) accepts(coding int) bool { return ch.accepted>>coding&1 != 0 }

// choose is negotiate with a memory.
func (c *Compressor) choose(lines []string) choice {
	if len(lines) != 1 {
		return c.negotiate(lines)
	}
	return c.choices.of(lines[0], c.negotiateOne)
}

func (c *Compressor) negotiateLine(line string) choice { return c.negotiate([]string{line}) }

// negotiate reads Accept-Encoding. A request without the field may be sent anything by the
// standard; in practice such clients cannot decode, so they get identity.
func (c *Compressor) negotiate(lines []string) choice {
	ch := choice{coding: identity, event: identity, gzip: identity}
	if len(lines) == 0 {
		return ch
	}
	const unnamed = -1
	var weights [maxCodings]int
	for i := range c.codings {
		weights[i] = unnamed
	}
	plain, star, somethingIsFine := unnamed, unnamed, false
	for token, q := range field.Weighted(lines) {
		somethingIsFine = somethingIsFine || q > 0
		weight := c.weightOf(token, &weights, &plain, &star)
		if weight != nil && *weight == unnamed { // the first mention counts
			*weight = q
		}
	}
	best := 0
	for i := range c.codings {
		if weights[i] == unnamed {
			weights[i] = max(star, 0)
		}
		if weights[i] > 0 {
			ch.accepted |= 1 << i
		}
		if weights[i] > best {
			best, ch.coding = weights[i], int8(i)
		}
	}
	if plain == unnamed {
		plain = star
	}
	if plain == 0 {
		ch.forced, ch.refuse = best > 0, !somethingIsFine
	}
	if c.gzip >= 0 && weights[c.gzip] > 0 {
		ch.gzip = int8(c.gzip)
	}
	if plain > best { // only if it was named, by itself or by *; else it comes last
		ch.coding = identity
	}
	ch.event = ch.coding
	if ch.coding >= 0 && ch.gzip >= 0 && weights[c.gzip] == best {
		ch.event = ch.gzip
	}
	return ch
}

// weightOf returns where the weight of token is noted, nil for codings that are not ours.
func (c *Compressor) weightOf(token string, weights *[maxCodings]int, plain, star *int) *int {
	switch {
	case token == "*":
		return star
	case strings.EqualFold(token, "identity"):
		return plain
	case strings.EqualFold(token, "x-gzip"): // RFC 9110 section 8.4.1.3
		token = "gzip"
	}
	for i, own := range c.codings {
		if strings.EqualFold(token, own.token) {
			return &weights[i]
		}
	}
	return nil
}

// The choosers say which coding a response like the one being sent would have had for
// another request. They are given to caches, hold no request, and are made once. A request that
// refuses everything would have had none of them: it must not be given what is kept.

// noCoding is what the choosers say of it, and no token.
const noCoding = "!"

func (c *Compressor) chooseUsual(h http.Header) string {
	ch := c.choose(h["Accept-Encoding"])
	return c.tokenOf(ch, ch.coding)
}

func (c *Compressor) chooseEvent(h http.Header) string {
	ch := c.choose(h["Accept-Encoding"])
	return c.tokenOf(ch, ch.event)
}

// choosePlain is for bodies that are not worth it: encoded for those only who refuse identity.
func (c *Compressor) choosePlain(h http.Header) string {
	ch := c.choose(h["Accept-Encoding"])
	if ch.forced {
		return c.tokenOf(ch, ch.coding)
	}
	return c.tokenOf(ch, identity)
}

func (c *Compressor) tokenOf(ch choice, coding int8) string {
	switch {
	case ch.refuse:
		return noCoding
	case coding < 0:
		return ""
	}
	return c.codings[coding].token
}
