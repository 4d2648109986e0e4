package field_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/hotpath-go/hotpath/internal/field"
)

func TestDropDigests(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   http.Header
		want http.Header
	}{
		{
			"every field that holds for the bytes",
			http.Header{"Accept-Ranges": {"bytes"}, "Content-Digest": {"x"}, "Repr-Digest": {"x"}, "Digest": {"x"}, "Content-Md5": {"x"}, "Etag": {`"v"`}},
			http.Header{"Etag": {`"v"`}},
		},
		{
			"trailers that were announced",
			http.Header{"Trailer": {"X-Sum, repr-digest", "Content-MD5"}, "Trailer:Digest": {"x"}, "Trailer:Content-MD5": {"x"}, "Trailer:repr-digest": {"x"}},
			http.Header{"Trailer": {"X-Sum"}},
		},
		{"the last trailer goes with its field", http.Header{"Trailer": {"Digest"}}, http.Header{}},
		{"another Trailer is left as sent", http.Header{"Trailer": {"X-A ,X-B"}}, http.Header{"Trailer": {"X-A ,X-B"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			field.DropDigests(tc.in)
			if !maps.EqualFunc(tc.in, tc.want, slices.Equal[[]string]) {
				t.Errorf("got %v, want %v", tc.in, tc.want)
			}
		})
	}
}
