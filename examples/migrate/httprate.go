package migrate

import (
	"net"
	"net/http"
	"time"

	"github.com/go-chi/httprate"

	"github.com/hotpath-go/hotpath/throttle"
)

func httprateOld(mux http.Handler) (http.Handler, error) {
	// old:httprate
	limit := httprate.LimitBy(100, time.Minute, func(r *http.Request) (string, error) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		return httprate.CanonicalizeIP(host), err
	}) // in older versions LimitByIP
	return limit(mux), nil
	// end
}

func httprateNew(mux http.Handler) (http.Handler, error) {
	// new:httprate
	limit, err := throttle.New(throttle.Config{Rate: throttle.Per(100, time.Minute)})
	if err != nil {
		return nil, err
	}
	return limit.Handler(mux), nil
	// end
}
