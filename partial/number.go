package partial

// A numberState is how far a number has got, in the grammar of RFC 8259 section 6.
type numberState uint8

const (
	numberStart numberState = iota
	numberMinus
	numberZero
	numberInteger
	numberPoint
	numberFraction
	numberE
	numberSign
	numberExponent
	numberEnd // the byte does not belong to it
)

func (s numberState) next(c byte) numberState {
	digit := '0' <= c && c <= '9'
	switch s {
	case numberStart, numberMinus:
		switch {
		case c == '-' && s == numberStart:
			return numberMinus
		case c == '0':
			return numberZero
		case digit:
			return numberInteger
		}
	case numberZero, numberInteger:
		switch {
		case digit && s == numberInteger:
			return s
		case c == '.':
			return numberPoint
		case c|0x20 == 'e':
			return numberE
		}
	case numberPoint, numberFraction:
		switch {
		case digit:
			return numberFraction
		case c|0x20 == 'e' && s == numberFraction:
			return numberE
		}
	case numberE:
		if c == '+' || c == '-' {
			return numberSign
		}
		fallthrough
	case numberSign, numberExponent:
		if digit {
			return numberExponent
		}
	}
	return numberEnd
}

func (s numberState) complete() bool {
	return s == numberZero || s == numberInteger || s == numberFraction || s == numberExponent
}
