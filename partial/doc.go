// Package partial sends only the fields that were asked for.
package partial
