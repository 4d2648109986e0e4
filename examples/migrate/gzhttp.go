package migrate

import (
	"net/http"

	"github.com/klauspost/compress/gzhttp"

	"github.com/hotpath-go/hotpath/compress"
)

func gzhttpOld(mux http.Handler) (http.Handler, error) {
	// old:gzhttp
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(1024), gzhttp.CompressionLevel(6))
	if err != nil {
		return nil, err
	}
	return wrap(mux), nil
	// end
}

func gzhttpNew(mux http.Handler) (http.Handler, error) {
	// new:gzhttp
	small, err := compress.New(compress.Config{}) // zstd, br, gzip: as the client likes best
	if err != nil {
		return nil, err
	}
	return small.Handler(mux), nil
	// end
}
