package partial

// Append appends what m selects of doc to dst, and returns the extended slice; after an error,
// dst as it came. What is kept is copied byte for byte: the order of members, duplicates, the text
// of numbers, escapes. doc is one JSON text or several, separated by white space or, as in RFC
// 7464, by RS. doc and dst must not overlap.
//
// An error says where doc is not JSON. On the path of the mask everything is checked; within what
// is kept or skipped only strings and brackets are. Who distrusts the producer calls [json.Valid]
// first. A nil m appends doc as it is. Append allocates nothing besides a longer dst.
func (m *Mask) Append(dst, doc []byte) ([]byte, error) {
	if m.everything() {
		return append(dst, doc...), nil
	}
	w := newWalker(m)
	w.out = dst
	err := w.step(doc)
	if err == nil {
		err = w.end()
	}
	out := w.out
	w.release()
	if err != nil {
		return dst, err
	}
	return out, nil
}
