package batch_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/hotpath-go/hotpath/batch"
)

// H3: a few hundred bytes of gzip that repeat a group in dependsOn, which stands for all of its
// parts, cost no more than the envelope they unpack to.
func TestH3_RepeatedNeeds(t *testing.T) {
	for name, c := range map[string]struct{ need, list string }{
		"group":      {"g", ``},
		"id":         {"a", ``},
		"after many": {"g", strings.Repeat(`"a","0",`, 50)},
	} {
		var b strings.Builder
		b.WriteString(`{"requests":[{"id":"a","method":"GET","url":"x"}`)
		for i := range 98 {
			fmt.Fprintf(&b, `,{"id":"%d","method":"G","url":"x","atomicityGroup":"g"}`, i)
		}
		b.WriteString(`,{"id":"z","method":"GET","url":"x","dependsOn":[` + c.list + `"a"`)
		b.WriteString(strings.Repeat(`,"`+c.need+`"`, ((1<<20)-b.Len()-10)/4))
		b.WriteString(`]}]}`)
		packed := gzipped(b.String())
		h := newEndpoint(t, batch.Config{}).Handler(http.NotFoundHandler())
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w := post(h, "/$batch", packed, "Content-Encoding", "gzip")
		runtime.ReadMemStats(&after)
		if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; w.Code != 200 || mb > 32 {
			t.Errorf("%s: %d bytes: %d, and %d MiB allocated", name, len(packed), w.Code, mb)
		}
	}
}

// H4: more names than there can be parts and groups are refused before they are looked up.
func TestH4_TooManyNeeds(t *testing.T) {
	var b strings.Builder
	for i := range 7 {
		fmt.Fprintf(&b, `,"x%d"`, i)
	}
	h := newEndpoint(t, batch.Config{MaxParts: 3}).Handler(http.NotFoundHandler())
	w := post(h, "/$batch", one(`"method":"GET","url":"x","dependsOn":[`+b.String()[1:]+`]`))
	if w.Code != 400 || !strings.Contains(w.Body.String(), "requests[0].dependsOn: names more than there can be parts") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	// The place of a name is where it stands, whatever is repeated before it.
	w = post(h, "/$batch", `{"requests":[{"id":"a","method":"GET","url":"x"},{"id":"b","method":"GET","url":"x","dependsOn":["a","a","a","c"]}]}`)
	if w.Code != 400 || !strings.Contains(w.Body.String(), "requests[1].dependsOn[3]: no earlier part") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// R1: a part that depends on a group and on one of it waits for that one once.
func TestR1_GroupAndItsPart(t *testing.T) {
	h := newEndpoint(t, batch.Config{}).Handler(http.NotFoundHandler())
	got := answers(t, post(h, "/$batch", `{"requests":[{"id":"a","method":"GET","url":"x","atomicityGroup":"g"},{"id":"b","method":"GET","url":"x"},
		{"id":"c","method":"GET","url":"x","dependsOn":["a","g","b","a","g"]}]}`))
	if got[0].Status != 501 || got[1].Status != 404 || got[2].Status != 424 {
		t.Errorf("%v", got)
	}
}
