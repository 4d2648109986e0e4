package main

import (
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

// What one consumer may ask of the shop. In a saturated run 200 of them share some 15,000
// requests a second, 75 each: nobody who only uses the shop is refused.
const (
	fairRate      = 200 // requests a second
	fairBurst     = 400
	consumerField = "X-Api-Key"
)

// fair keeps one consumer from slowing the others. The load generator names consumers by a field;
// a service would let its authentication do that, outside of this layer.
func fair() *throttle.Limiter {
	return must(throttle.New(throttle.Config{
		Policies: []throttle.Policy{{Name: "consumer", Rate: throttle.Per(fairRate, time.Second), Burst: fairBurst}},
		Key:      throttle.KeyHeader(consumerField),
	}))
}

// An abuse is the phase in which one consumer floods the shop while the others go on.
type abuse struct {
	Consumer string
	Rate     float64 // requests a second of the abuser
	For      time.Duration
}

// abusePhase is 15 times what is fair, for the 4 s of each of its two halves: with the flood,
// and before it without.
func abusePhase() abuse {
	return abuse{Consumer: "abuser", Rate: 15 * fairRate, For: 4 * time.Second}
}

// Due is how many requests of the abuser are let in at most, in d: exactly, not about.
func (a abuse) Due(d time.Duration) int64 {
	return fairBurst + int64(d)*fairRate/int64(time.Second)
}
