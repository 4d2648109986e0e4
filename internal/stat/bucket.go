package stat

import "math"

// Buckets are exponential, four to a doubling: their bounds are 2^(i/4), which is schema 2 of
// Prometheus' native histograms and scale 2 of OpenTelemetry's, so that exporting needs no
// conversion. A bound belongs to the bucket below it.
const (
	perDoubling = 4
	doublings   = 26
	// One bucket below the lowest bound and one above the highest.
	buckets = doublings*perDoubling + 2

	minDuration = -20 // durations: 2^-20 s (0.95 us) to 2^6 s (64 s)
	minSize     = 0   // sizes: 1 to 2^26 (64 MiB)
)

const (
	mantissaBits = 52
	mantissaMask = 1<<mantissaBits - 1
	exponentBias = 1023
)

// The mantissas of 2^(1/4), 2^(1/2) and 2^(3/4), as float64 has them.
const (
	quarter      = 0x306fe0a31b715
	half         = 0x6a09e667f3bcd
	threeQuarter = 0xae89f995ad3ad
)

// bucketOf returns the bucket of v, which is in a scale that begins at 2^lowest.
func bucketOf(v float64, lowest int) int {
	if !(v > 0) {
		return 0
	}
	// One less makes upper bounds fall into the bucket that they end: exact powers of two
	// become the largest number below them.
	bits := math.Float64bits(v) - 1
	exponent := int(bits>>mantissaBits) - exponentBias
	mantissa := bits & mantissaMask
	i := (exponent-lowest)*perDoubling + 1
	if mantissa >= quarter {
		i++
	}
	if mantissa >= half {
		i++
	}
	if mantissa >= threeQuarter {
		i++
	}
	return min(max(i, 0), buckets-1)
}

// upperBound returns the largest value of bucket i; the last one has none.
func upperBound(i, lowest int) float64 {
	if i == buckets-1 {
		return math.Inf(1)
	}
	whole, part := i/perDoubling, i%perDoubling
	return math.Ldexp(fraction(part), whole+lowest)
}

// fraction is 2^(part/4), from the same bits that bucketOf compares with.
func fraction(part int) float64 {
	mantissa := [perDoubling]uint64{0, quarter, half, threeQuarter}[part]
	return math.Float64frombits(exponentBias<<mantissaBits | mantissa)
}
