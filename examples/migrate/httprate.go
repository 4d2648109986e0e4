package migrate

import (
	"net/http"
	"time"

	"github.com/go-chi/httprate"

	"github.com/hotpath-go/hotpath/throttle"
)

func httprateOld(mux http.Handler) (http.Handler, error) {
	// old:httprate
	return httprate.LimitByIP(100, time.Minute)(mux), nil
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
