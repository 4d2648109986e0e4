package field_test

import (
	"net/http"
	"testing"

	"github.com/hotpath-go/hotpath/internal/field"
)

func TestCutMaskTag(t *testing.T) {
	const x = "~fields.AZaz09-_AZaz09-_"
	for tag, want := range map[string]string{
		`"v1` + x + `"`:                `"v1"`,
		`W/"v1` + x + `"`:              `W/"v1"`,
		`"` + x + `"`:                  `""`,
		`"v1` + x + x + `"`:            `"v1` + x + `"`,
		`"v1"`:                         ``,
		`*`:                            ``,
		``:                             ``,
		x:                              ``,
		x + `"`:                        ``,
		`"v1` + x:                      ``,
		`"v1~fields.short"`:            ``,
		`"v1~fields.AZaz09-_AZaz09-."`: ``,
		`"v1` + x + `~zstd"`:           ``,
		`"a"b` + x + `"`:               ``,
	} {
		plain, masked := field.CutMaskTag(tag)
		if wantMasked := want != ""; masked != wantMasked || masked && plain != want || !masked && plain != tag {
			t.Errorf("%s: %s, %t, want %s", tag, plain, masked, want)
		}
	}
}

func TestCutMaskTags(t *testing.T) {
	const x = "~fields.AZaz09-_AZaz09-_"
	h := http.Header{"If-Match": {`"a` + x + `", "b"`}, "If-None-Match": {`"a` + x + `"`}}
	field.CutMaskTags(h)
	if got := h.Get("If-Match"); got != `"a", "b"` {
		t.Errorf("If-Match is %s", got)
	}
	if got := h.Get("If-None-Match"); got != `"a`+x+`"` {
		t.Errorf("If-None-Match is %s, want it untouched", got)
	}
}
