package field

import (
	"net/http"
	"strings"
)

// AddVary says that the response varies by the request field name: once, on one line, and
// not beside "*", which says more (RFC 9110 section 12.5.5). It allocates if it adds.
func AddVary(h http.Header, name string) {
	lines := h["Vary"]
	if Has(lines, name) || Has(lines, "*") {
		return
	}
	// A new slice and never an append: the old one can be shared by all responses.
	if all := strings.Trim(strings.Join(lines, ", "), " \t,"); all != "" {
		name = all + ", " + name
	}
	h["Vary"] = []string{name}
}
