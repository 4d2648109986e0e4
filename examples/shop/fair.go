package main

import (
	"net/http"
	"time"

	"github.com/hotpath-go/hotpath/throttle"
)

// What one consumer may ask of the shop, in requests a second. Some 200 share all that a run
// asks: the usual limit is beyond what one of them gets on any machine, so that the shop is what
// is measured. In the phase of abuse it is as a service would have it.
const (
	usualLimit    = 1_000
	abuseLimit    = 200
	consumerField = "X-Api-Key"
)

// fair keeps one consumer from slowing the others.
func fair() *throttle.Limiter { return must(throttle.New(fairly(usualLimit))) }

func fairly(perSecond int64) throttle.Config {
	return throttle.Config{
		Policies: []throttle.Policy{{Name: "consumer", Rate: throttle.Per(perSecond, time.Second), Burst: 2 * perSecond}},
		Key:      consumer,
	}
}

// consumer is who pays: the load generator names them by a field, where a service would ask its
// authentication. Nobody named, as by curl: the address, for which the zero Key stands.
func consumer(r *http.Request) (throttle.Key, error) {
	return throttle.KeyOf(r.Header.Get(consumerField)), nil
}
