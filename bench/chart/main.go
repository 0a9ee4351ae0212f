// Command chart reads the output of the benchmarks and draws an SVG chart. For each library, the
// chart shows how long a request with a new RS256 token takes, and for xenaauth also a request with
// a token in use. It divides this time by the least possible time, which the cryptography alone
// takes. The least possible time is called the limit.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/xenaauth/xenaauth/bench/results"
)

type bar struct {
	library string
	ratio   float64
}

func main() {
	out := flag.String("out", "out", "folder with the output of the benchmarks")
	to := flag.String("to", "../docs/performance.svg", "file to write")
	flag.Parse()
	if err := run(*out, *to); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

func run(out, to string) error {
	r, err := results.Read(out)
	if err != nil {
		return err
	}
	var bars []bar
	for _, name := range r.Names() {
		if library, ok := strings.CutPrefix(name, "Ratio/alg=RS256/lib="); ok {
			ratio, _ := r.Median(name, "x-limit")
			bars = append(bars, bar{library, ratio})
		}
	}
	if hit, n := r.Median("WarmRatio", "x-limit"); n > 0 {
		bars = append(bars, bar{"xenaauth, token in use", hit})
	}
	if len(bars) == 0 {
		return fmt.Errorf("no ratios in %s", out)
	}
	bars = append(bars, bar{"limit", 1})
	slices.SortStableFunc(bars, func(a, b bar) int {
		switch {
		case a.ratio < b.ratio:
			return -1
		case a.ratio > b.ratio:
			return 1
		}
		return 0
	})
	return os.WriteFile(filepath.Clean(to), []byte(draw(bars)), 0o644)
}

func draw(bars []bar) string {
	const (
		left, width, right = 170, 430, 60
		top, row, bottom   = 64, 26, 14
	)
	most := 1.0
	for _, b := range bars {
		most = max(most, b.ratio)
	}
	height := top + row*len(bars) + bottom
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title" font-family="system-ui, sans-serif" font-size="13">
<title id="title">Time per request with an RS256 token, as a multiple of what verifying its signature takes</title>
<style>
  text { fill: #1f2328 } .note { fill: #59636e } .other { fill: #afb8c1 } .limit { fill: #6e7781 } .ours { fill: #1f6feb } .line { stroke: #6e7781 }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .note { fill: #9198a1 } .other { fill: #484f58 } .line { stroke: #9198a1 } }
</style>
<text x="16" y="24" font-size="15" font-weight="600">One request with an RS256 token</text>
<text x="16" y="44" class="note">Time, as a multiple of the signature check alone in Go's standard library. Less is better.</text>
`, left+width+right, height)
	for i, b := range bars {
		class := "other"
		switch {
		case strings.HasPrefix(b.library, "xenaauth"):
			class = "ours"
		case b.library == "limit":
			class = "limit"
		}
		label := b.library
		if label == "xenaauth" {
			label = "xenaauth, new token"
		}
		y := top + row*i
		length := max(1.5, b.ratio/most*width)
		fmt.Fprintf(&s, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="%d" rx="2" class="%s"/><text x="%.1f" y="%d">%s</text>
`, left-8, y+17, label, left, y+4, length, row-8, class, left+length+6, y+17, ratio(b.ratio))
	}
	x := left + width/most
	fmt.Fprintf(&s, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" class="line" stroke-dasharray="3 3"/>
</svg>
`, x, top-2, x, height-bottom+2)
	return s.String()
}

func ratio(r float64) string {
	if r < 0.1 {
		return fmt.Sprintf("%.3f", r)
	}
	return fmt.Sprintf("%.2f", r)
}
