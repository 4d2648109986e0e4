package partial

import "bytes"

// maxHeldKey is the longest name whose fate may depend on its value.
const maxHeldKey = 64 << 10

const longName = "a name of more than 64 KiB whose fate depends on its value"

// longestKey is how long a name in quotes can be written, so that its fate is not clear yet.
func (m *Mask) longestKey() int {
	if m.wild != nil {
		return max(maxHeldKey, maxEscape*m.longest) + 2
	}
	return maxEscape*m.longest + 2
}

// beginKey takes a name at its opening quote.
func (w *walker) beginKey(b []byte, i int) (end int, err error) {
	end, ok, escaped := endString(b, i+1)
	w.text = textPlain
	if wild := w.object.wild; wild != nil && wild.whole {
		if err = w.check(b, i+1, end); err != nil {
			return end, err
		}
		w.sendName(b[i:end])
		w.keep = true
		w.state, w.escaped = inLongKey, escaped
		if ok {
			w.state = atSpanColon
		}
		return end, nil
	}
	if ok {
		if err = w.check(b, i+1, end); err != nil {
			return end, err
		}
		return end, w.decide(b[i:end], end)
	}
	w.held = append(w.held[:0], '"')
	w.state, w.escaped = inKey, false
	return i + 1, nil
}

// check reads b[i:end] of a string on the path.
func (w *walker) check(b []byte, i, end int) error {
	var bad int
	if w.text, bad = w.text.check(b[i:end]); bad < end-i {
		if w.text == textPlain {
			return w.fail(i+bad, "a control character in a string")
		}
		return w.fail(i+bad, "no such escape")
	}
	return nil
}

// sendName sends the name of a member that is kept.
func (w *walker) sendName(raw []byte) {
	if w.comma {
		w.out = append(w.out, ',')
	}
	w.out = append(w.out, raw...)
	w.comma = true
}

// decide says what becomes of the member raw, whose name ends at end.
func (w *walker) decide(raw []byte, end int) error {
	m := w.object
	below := m.wild
	if len(raw) <= m.longestKey() {
		name, ok := raw[1:len(raw)-1], true
		if bytes.IndexByte(name, '\\') >= 0 {
			w.name, ok = unescape(w.name[:0], name)
			name = w.name
		}
		if ok {
			below = m.find(name, wordAt(name, 0, len(name)))
		}
	} else if m.wild != nil {
		return w.fail(end-len(raw), longName)
	}
	switch {
	case below == nil:
		w.keep = false
		w.state = atSpanColon
	case below.whole:
		w.sendName(raw)
		w.keep = true
		w.state = atSpanColon
	case len(raw) > maxHeldKey+2:
		return w.fail(end-len(raw), longName)
	default:
		w.key, w.value = raw, below
		w.state = atColon
	}
	return nil
}
