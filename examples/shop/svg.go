package main

import (
	"fmt"
	"math"
	"strings"
)

// The drawing is 760 by 420: the plot within these edges, labels of the lines to its right.
const (
	svgWidth, svgHeight         = 760, 420
	plotLeft, plotRight         = 60, 610
	plotTop, plotBottom         = 54, 360
	svgFromDecade, svgToDecade  = -1, 4 // 0.1 ms to 10 s
	labelGap, maxPointsPerCurve = 16, 80
)

// svgStyle has the colours for light and dark; lines differ by dash as well.
const svgStyle = `svg{font:13px system-ui,sans-serif}.bg{fill:#fff}.t{fill:#1f2328}.m{fill:#59636e}.g{stroke:#d1d9e0;stroke-width:1}` +
	`.l{fill:none;stroke-width:2.5;stroke-linejoin:round}.c0{stroke:#59636e}.c1{stroke:#0550ae}.c2{stroke:#8250df}.c3{stroke:#bc4c00}.c4{stroke:#116329}` +
	`.f0{fill:#59636e}.f1{fill:#0550ae}.f2{fill:#8250df}.f3{fill:#bc4c00}.f4{fill:#116329}` +
	`@media(prefers-color-scheme:dark){.bg{fill:#0d1117}.t{fill:#f0f6fc}.m{fill:#9198a1}.g{stroke:#3d444d}` +
	`.c0{stroke:#9198a1}.c1{stroke:#58a6ff}.c2{stroke:#bc8cff}.c3{stroke:#f0883e}.c4{stroke:#3fb950}` +
	`.f0{fill:#9198a1}.f1{fill:#58a6ff}.f2{fill:#bc8cff}.f3{fill:#f0883e}.f4{fill:#3fb950}}`

var svgDashes = [...]string{"2 4", "10 4", "10 4 2 4", "", "5 3"}

// svgLook is the number of a variant's colour and dash: the same whoever else takes part.
func svgLook(name string) int {
	for i, v := range variantNames {
		if v == name {
			return i % len(svgDashes)
		}
	}
	return 0
}

// SVG draws which share of the actions took how long at most: the cumulative distribution of
// latencies, a line for each variant. The same report gives the same bytes.
func (r *Report) SVG() string {
	var b strings.Builder
	var desc []string
	for _, v := range r.Variants {
		p := v.Kinds[allKinds]
		desc = append(desc, fmt.Sprintf("%s: p50 %s ms, p95 %s ms, p99 %s ms", v.Name, millis(p.P50), millis(p.P95), millis(p.P99)))
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title desc">`+"\n", svgWidth, svgHeight)
	fmt.Fprintf(&b, "<title id=\"title\">Response times of the shop, share of actions answered within a time</title>\n<desc id=\"desc\">%s</desc>\n<style>%s</style>\n",
		escape(strings.Join(desc, "; ")), svgStyle)
	fmt.Fprintf(&b, `<rect class="bg" width="%d" height="%d" rx="6"/>`+"\n", svgWidth, svgHeight)
	fmt.Fprintf(&b, `<text class="t" x="%d" y="26" font-size="16" font-weight="600">Share of actions answered within a time</text>`+"\n", plotLeft-36)
	fmt.Fprintf(&b, `<text class="m" x="%d" y="44">%s</text>`+"\n", plotLeft-36, escape(r.machine()+"; "+r.offered()))
	for decade := svgFromDecade; decade <= svgToDecade; decade++ {
		x := plotX(math.Pow10(decade))
		fmt.Fprintf(&b, `<path class="g" d="M%.1f %dV%d"/><text class="m" x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			x, plotTop, plotBottom, x, plotBottom+20, decadeLabel(decade))
	}
	for percent := 0; percent <= 100; percent += 25 {
		y := plotY(float64(percent) / 100)
		fmt.Fprintf(&b, `<path class="g" d="M%d %.1fH%d"/><text class="m" x="%d" y="%.1f" text-anchor="end">%d %%</text>`+"\n",
			plotLeft, y, plotRight, plotLeft-8, y+4, percent)
	}
	fmt.Fprintf(&b, `<text class="m" x="%d" y="%d" text-anchor="middle">response time, from the moment the action was due</text>`+"\n", (plotLeft+plotRight)/2, plotBottom+44)
	labels := labelPlaces(r.Variants)
	for i, v := range r.Variants {
		look := svgLook(v.Name)
		dash := ""
		if svgDashes[look] != "" {
			dash = fmt.Sprintf(` stroke-dasharray="%s"`, svgDashes[look])
		}
		fmt.Fprintf(&b, `<path class="l c%d"%s d="%s"/>`+"\n", look, dash, curve(v.Histogram))
		fmt.Fprintf(&b, `<path class="l c%d"%s d="M%d %.1fh26"/><text class="f%d" x="%d" y="%.1f" font-weight="600">%s</text>`+"\n",
			look, dash, plotRight+10, labels[i]-4, look, plotRight+42, labels[i], escape(v.Name))
		fmt.Fprintf(&b, `<text class="m" x="%d" y="%.1f" font-size="12">p50 %s ms</text>`+"\n", plotRight+42, labels[i]+labelGap-1, millis(v.Kinds[allKinds].P50))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// offered says what load the times belong to.
func (r *Report) offered() string {
	var list []string
	for _, v := range r.Variants {
		if len(v.Rounds) > 0 {
			list = append(list, fmt.Sprintf("%s %.4g/s", v.Name, v.Rounds[0].Open.Offered))
		}
	}
	return "offered: " + strings.Join(list, ", ")
}

func plotX(ms float64) float64 {
	x := (math.Log10(ms) - svgFromDecade) / (svgToDecade - svgFromDecade)
	return plotLeft + (plotRight-plotLeft)*min(max(x, 0), 1)
}

func plotY(share float64) float64 { return plotBottom - (plotBottom-plotTop)*share }

func decadeLabel(decade int) string {
	if decade >= 3 {
		return fmt.Sprintf("%.0f s", math.Pow10(decade-3))
	}
	return fmt.Sprintf("%.4g ms", math.Pow10(decade))
}

// curve is the path of a distribution: a point at the end of every bucket.
func curve(buckets []Bucket) string {
	total := 0
	for _, b := range buckets {
		total += b.Count
	}
	if total == 0 {
		return "M0 0"
	}
	var path strings.Builder
	// Nothing was faster than the beginning of the first bucket, a fifth before its end.
	fmt.Fprintf(&path, "M%.1f %.1f", plotX(buckets[0].UpTo/1.2), plotY(0))
	seen := 0
	for _, b := range buckets[:min(len(buckets), maxPointsPerCurve)] {
		seen += b.Count
		fmt.Fprintf(&path, "L%.1f %.1f", plotX(b.UpTo), plotY(float64(seen)/float64(total)))
	}
	return path.String()
}

// labelPlaces puts the labels of the lines one below the other.
func labelPlaces(variants []VariantReport) []float64 {
	places := make([]float64, len(variants))
	for i := range places {
		places[i] = plotTop + 20 + float64(i)*(labelGap*2+10)
	}
	return places
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
