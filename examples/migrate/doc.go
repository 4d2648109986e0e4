// Package migrate has the old code beside the new, for those who come from other libraries.
// docs/migrating.md shows it and says what changes; a test compares the two.
package migrate
