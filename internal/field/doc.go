// Package field reads and edits HTTP header fields (RFC 9110 section 5). Nothing in it
// allocates unless its comment says so, and no input makes it panic. A parameter called
// lines is what a header map holds for a name, h["Name"]: several lines are one list
// (RFC 9110 section 5.3).
package field
