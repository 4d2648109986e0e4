package compress

import (
	"net/http"

	"github.com/hotpath-go/hotpath/internal/rw"
)

// A kind is what a response's Content-Type says about it.
type kind uint8

const (
	unwanted kind = iota // not worth encoding, unparsable, or absent on purpose
	wanted
	unknown // the handler did not say, and there are no bytes to tell from
)

// facts are all that a decision depends on.
type facts struct {
	status   int
	connect  bool // the method: what follows is a tunnel
	head     bool
	ranged   bool // a part of a representation: Content-Range, multipart/byteranges
	coded    bool // has a Content-Encoding
	verbatim bool // no-transform, or a signature over the fields
	off      bool
	kind     kind
	accepts  bool  // the client's choice is one of our codings
	forced   bool  // and it refuses identity
	size     int64 // of the body; -1: not known yet
	min      int64 // Config.MinSize
	ended    bool  // the handler has returned
	larger   bool  // the coded form was made and is not smaller
}

// A reason is why a response is not encoded. Its value is an index of the counters.
type reason uint8

const (
	skipClient reason = iota
	skipType
	skipSmall
	skipCoded
	skipStatus
	skipNoTransform
	skipOff
	skipLarger
	skipSaturated
	noReason // an encoder failed, or the handler: they have counters of their own
	reasons
)

var reasonNames = [...]string{"client", "type", "small", "coded", "status", "no_transform", "off", "larger", "saturated"}

// A plan is a decision.
type plan struct {
	encode bool
	vary   bool // the response depends on Accept-Encoding, encoded or not
	reason reason
}

// decide is all the policy there is. The first rule that matches wins.
func decide(f facts) plan {
	switch {
	case !rw.BodyAllowed(f.status), f.status == http.StatusPartialContent, f.status == http.StatusRequestedRangeNotSatisfiable,
		f.ranged, f.connect:
		// A 304 has no type as a rule, and stands for a 200 that varies (RFC 9110 section
		// 15.4.5); several ranges tell their type within. Without Vary the parts of a range are
		// joined to a coded body.
		ours := !f.coded && !f.verbatim && !f.off
		typed := f.status != http.StatusNotModified && !f.ranged
		return plan{vary: ours && (f.kind == wanted || f.kind == unknown && !typed), reason: skipStatus}
	case f.coded:
		return plan{reason: skipCoded}
	case f.verbatim:
		return plan{reason: skipNoTransform}
	case f.off:
		return plan{reason: skipOff}
	case f.head && f.ended && f.size != 0 && (f.size < 0 || f.kind == unknown):
		return plan{vary: f.kind != unwanted, reason: skipStatus} // what GET would do is not known
	case f.kind != wanted && !f.forced:
		return plan{reason: skipType}
	case f.size == 0:
		return plan{vary: true, reason: skipSmall} // also if forced: no coding makes less of nothing
	case f.forced:
		return plan{encode: true, vary: true}
	case !f.accepts:
		return plan{vary: true, reason: skipClient}
	case f.size >= 0 && f.size < f.min:
		return plan{vary: true, reason: skipSmall}
	case f.larger:
		return plan{vary: true, reason: skipLarger}
	}
	return plan{encode: true, vary: true}
}
