package partial

import (
	"encoding/binary"
	"math/bits"
)

// members walks the members of an object as long as each of them lies in b as a whole and has a
// name without escapes: nearly all that there are, and the walker's states cost more than the
// work. i is at the quote of a name; it returns where the states go on. What is unusual, a fault
// too, is left to them from the name on.
func (w *walker) members(b []byte, i int) int {
	m := w.object
	out, comma := w.out, w.comma
	for {
		w.state = atKey
		name := i + 1
		end := endName(b, name)
		if end+2 >= len(b) || b[end] != '"' || end-name > maxHeldKey {
			break
		}
		below := m.find(b[name:end], wordAt(b, name, end-name))

		j, tight := end+1, true
		if b[j] != ':' {
			if j, tight = skipSpace(b, j), false; j == len(b) || b[j] != ':' {
				break
			}
		}
		if j++; j < len(b) && b[j] <= ' ' {
			j, tight = skipSpace(b, j), false
		}
		if j == len(b) {
			break
		}
		if below != nil && !below.whole {
			w.key, w.value = b[i:end+1], below
			w.state = atValue
			i = j
			break
		}

		k, ok := endValue(b, j)
		if !ok {
			break
		}
		if below != nil {
			if comma {
				out = append(out, ',')
			}
			if comma = true; tight {
				out = append(out, b[i:k]...)
			} else {
				out = append(append(append(out, b[i:end+1]...), ':'), b[j:k]...)
			}
		}
		if b[k] <= ' ' {
			if k = skipSpace(b, k); k == len(b) {
				w.state, i = afterValue, k
				break
			}
		}
		i = k
		w.state = afterValue
		if b[i] != ',' {
			break
		}
		w.state = atKey
		if i++; i < len(b) && b[i] <= ' ' {
			i = skipSpace(b, i)
		}
		if i == len(b) || b[i] != '"' {
			break
		}
	}
	w.out, w.comma = out, comma
	return i
}

// endName returns the index of the first quote, backslash or control character of b[i:], or len(b).
func endName(b []byte, i int) int {
	for i+8 <= len(b) {
		x := binary.LittleEndian.Uint64(b[i:])
		if m := zeros(x^'"'*ones) | zeros(x^'\\'*ones) | controls(x); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
		i++
	}
	return i
}

// endValue returns the index behind a value of which only strings and brackets matter. Not ok: it
// does not end within b, or is none.
func endValue(b []byte, i int) (end int, ok bool) {
	switch classes[b[i]] {
	case quote:
		end, ok, _ = endString(b, i+1)
		return end, ok && end < len(b)
	case opener:
		end, ok = endBrackets(b, i)
		return end, ok && end < len(b)
	}
	if !isScalar(b[i]) {
		return i, false
	}
	end = endScalar(b, i)
	return end, end < len(b)
}
