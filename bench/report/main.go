// Command report prints the medians of several rounds of the benchmarks, in tables of the goals,
// the libraries and the gateway. The table of the goals marks each measurement that misses its
// goal. With -docs, the command writes each table into a page of the documentation, between two
// marks.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/xenaauth/xenaauth/bench/results"
)

// A goal is a limit for the median of a benchmark. The median has to meet requiredLimit. It should
// also meet targetLimit, which is stricter.
type goal struct {
	what                       string
	name                       string
	unit                       string
	requiredLimit, targetLimit float64
	// isLowerLimit means that a smaller median is worse: the median must be at least requiredLimit.
	// If isLowerLimit is false, a larger median is worse: the median must be at most requiredLimit.
	// The same is true for targetLimit.
	isLowerLimit bool
	isExact      bool    // isExact means that the median must be equal to requiredLimit
	scale        float64 // scale is the factor by which the report multiplies the values; 0 means 1
	shownUnit    string  // shownUnit is the unit that the report shows
}

var goals = []goal{
	{what: "never seen, RS256", name: "Ratio/alg=RS256/lib=xenaauth", unit: "x-limit", requiredLimit: 1.12, targetLimit: 1.05, shownUnit: "× limit"},
	{what: "never seen, ES256", name: "Ratio/alg=ES256/lib=xenaauth", unit: "x-limit", requiredLimit: 1.08, targetLimit: 1.03, shownUnit: "× limit"},
	{what: "never seen, EdDSA", name: "Ratio/alg=EdDSA/lib=xenaauth", unit: "x-limit", requiredLimit: 1.08, targetLimit: 1.03, shownUnit: "× limit"},
	{what: "never seen, RS256", name: "Cold/alg=RS256", unit: "allocs/op", requiredLimit: 22, targetLimit: 16, shownUnit: "allocations"},
	{what: "never seen, ES256", name: "Cold/alg=ES256", unit: "allocs/op", requiredLimit: 34, targetLimit: 28, shownUnit: "allocations"},
	{what: "never seen, EdDSA", name: "Cold/alg=EdDSA", unit: "allocs/op", requiredLimit: 12, targetLimit: 6, shownUnit: "allocations"},
	{what: "never seen, RS256", name: "Cold/alg=RS256", unit: "B/op", requiredLimit: 3500, targetLimit: 3500, scale: 1e-3, shownUnit: "KB"},
	{what: "in use", name: "WarmRatio", unit: "x-limit", requiredLimit: 0.02, targetLimit: 0.014, shownUnit: "× limit of RS256"},
	{what: "in use", name: "Warm/alg=RS256/tokens=16", unit: "allocs/op", requiredLimit: 2, targetLimit: 2, shownUnit: "allocations"},
	{what: "in use, on two cores", name: "TwoCores", unit: "x-1core", requiredLimit: 0.8, targetLimit: 0.6, shownUnit: "× one core"},
	{what: "the lookup alone", name: "Lookup", unit: "allocs/op", requiredLimit: 0, targetLimit: 0, shownUnit: "allocations"},
	{what: "the lookup alone", name: "Lookup", unit: "ns/op", requiredLimit: 800, targetLimit: 150, shownUnit: "ns"},
	{what: "the middleware alone", name: "Middleware/validation=free/lib=xenaauth", unit: "allocs/op", requiredLimit: 2, targetLimit: 2, shownUnit: "allocations"},
	{what: "the middleware alone", name: "Middleware/validation=free/lib=xenaauth", unit: "ns/op", requiredLimit: 300, targetLimit: 240, shownUnit: "ns"},
	{what: "memory per token, of 1 000 000", name: "Memory/entries=1000000", unit: "B/entry", requiredLimit: 600, targetLimit: 400, shownUnit: "B"},
	{what: "never seen, RS256, 1000 keys", name: "GrowthKeys/alg=RS256/keys=1000", unit: "x-1key", requiredLimit: 1.03, targetLimit: 1.03, shownUnit: "× one key"},
	{what: "never seen, ES256, 1000 keys", name: "GrowthKeys/alg=ES256/keys=1000", unit: "x-1key", requiredLimit: 1.03, targetLimit: 1.03, shownUnit: "× one key"},
	{what: "in use, of 1 000 000", name: "GrowthCached/entries=1000000/in-use=256", unit: "x-10k", requiredLimit: 1.2, targetLimit: 1.2, shownUnit: "× of 10 000"},
	{what: "a reader's worst wait in a sweep of 1 000 000, 10 % expired", name: "Sweep/expired=10%", unit: "ms-worst-wait", requiredLimit: 3, targetLimit: 1, shownUnit: "ms"},
	{what: "a reader's worst wait in a sweep of 1 000 000, all expired", name: "Sweep/expired=100%", unit: "ms-worst-wait", requiredLimit: 15, targetLimit: 5, shownUnit: "ms"},
	{what: "introspected, in use", name: "Introspection/cached", unit: "allocs/op", requiredLimit: 2, targetLimit: 2, shownUnit: "allocations"},
	{what: "introspected, 1000 requests at once", name: "IntrospectionStampede", unit: "upstream-calls", requiredLimit: 1, targetLimit: 1, isExact: true, shownUnit: "calls"},
	{what: "refused: garbage", name: "Reject/token=garbage", unit: "ns/op", requiredLimit: 600, targetLimit: 400, scale: 1e-3, shownUnit: "µs"},
	{what: "refused: unknown key", name: "Reject/token=unknown-kid", unit: "ns/op", requiredLimit: 2000, targetLimit: 1300, scale: 1e-3, shownUnit: "µs"},
	{what: "requests a second of xenagate's reverse proxy", name: "Gateway/pair=proxy/clients=8", unit: "x-bare", requiredLimit: 0.90, targetLimit: 0.95, isLowerLimit: true, shownUnit: "× a bare one"},
	{what: "requests a second on loopback", name: "Loopback/mix=warm", unit: "x-open", requiredLimit: 0.93, targetLimit: 0.97, isLowerLimit: true, shownUnit: "× unprotected"},
}

// comparedGoals lists goals that compare two benchmarks. The median of firstBenchmark, divided by
// the median of secondBenchmark, must be at most maxRatio.
var comparedGoals = []struct {
	what, firstBenchmark, secondBenchmark, unit string
	maxRatio                                    float64
}{
	{"introspected, in use", "Introspection/cached", "Warm/alg=RS256/tokens=16", "ns/op", 1.1},
}

func main() {
	out := flag.String("out", "out", "folder with the output of the benchmarks")
	docs := flag.String("docs", "", "document to write the table of goals into")
	all := flag.Bool("all", false, "print every median, not only the goals")
	gateway := flag.Bool("gateway", false, "print, and write, the table of the gateway only")
	flag.Parse()
	if err := run(*out, *docs, *all, *gateway); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(out, docs string, all, gateway bool) error {
	r, err := results.Read(out)
	if err != nil {
		return err
	}
	if all {
		medians(r)
	}
	tables := map[string]string{"gateway": gatewayTable(r)}
	if !gateway {
		tables["goals"], tables["libraries"] = table(r), peerTable(r)
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		fmt.Println(tables[name])
	}
	if docs == "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Clean(docs))
	if err != nil {
		return err
	}
	filled := string(text)
	for mark, content := range tables {
		if filled, err = replaceTable(filled, mark, content); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Clean(docs), []byte(filled), 0o644)
}

// replaceTable replaces a table in the text of a page by tableText. In the page, the table stands
// between two marks. Each mark contains the name of the table.
func replaceTable(text, tableName, tableText string) (string, error) {
	begin, end := "<!-- "+tableName+" -->\n", "<!-- /"+tableName+" -->"
	before, rest, found := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", fmt.Errorf("the document lacks the marks %q and %q", strings.TrimSpace(begin), end)
	}
	return before + begin + tableText + end + after, nil
}

func medians(r results.Results) {
	for _, name := range r.Names() {
		var b strings.Builder
		units := make([]string, 0, len(r[name]))
		for unit := range r[name] {
			units = append(units, unit)
		}
		slices.Sort(units)
		for _, unit := range units {
			if m, _ := r.Median(name, unit); unit != "ns/op" || m != 0 {
				values := r[name][unit]
				fmt.Fprintf(&b, "  %s %s", formatNumber(m), unit)
				if low, high := slices.Min(values), slices.Max(values); low != high {
					fmt.Fprintf(&b, " (%s-%s)", formatNumber(low), formatNumber(high))
				}
			}
		}
		fmt.Printf("%-58s%s\n", name, b.String())
	}
	fmt.Println()
}

func table(r results.Results) string {
	var b strings.Builder
	b.WriteString("| What | Must be | Aim | Measured | |\n|---|---|---|---|---|\n")
	for _, g := range goals {
		m, n := r.Median(g.name, g.unit)
		scale := g.scale
		if scale == 0 {
			scale = 1
		}
		sign := "≤ "
		if g.isExact {
			sign = ""
		} else if g.isLowerLimit {
			sign = "≥ "
		}
		measured, verdict := "—", "not measured"
		if n > 0 {
			measured, verdict = formatNumber(m*scale)+" "+g.shownUnit, judge(g, m)
		}
		fmt.Fprintf(&b, "| %s | %s%s %s | %s%s | %s | %s |\n",
			g.what, sign, formatNumber(g.requiredLimit*scale), g.shownUnit, sign, formatNumber(g.targetLimit*scale), measured, verdict)
	}
	for _, a := range comparedGoals {
		one, n := r.Median(a.firstBenchmark, a.unit)
		other, k := r.Median(a.secondBenchmark, a.unit)
		measured, verdict := "—", "not measured"
		if n > 0 && k > 0 {
			measured, verdict = formatNumber(one/other)+" × as JWT", "met"
			if one/other > a.maxRatio {
				verdict = "**missed**"
			}
		}
		fmt.Fprintf(&b, "| %s | ≤ %s × as JWT | ≤ %s | %s | %s |\n", a.what, formatNumber(a.maxRatio), formatNumber(a.maxRatio), measured, verdict)
	}
	_, rounds := r.Median("Ratio/alg=RS256/lib=xenaauth", "x-limit")
	fmt.Fprintf(&b, "\nRounds: %d.\n", rounds)
	return b.String()
}

func judge(g goal, m float64) string {
	must, aim := m <= g.requiredLimit, m <= g.targetLimit
	if g.isExact {
		must, aim = m == g.requiredLimit, m == g.requiredLimit
	} else if g.isLowerLimit {
		must, aim = m >= g.requiredLimit, m >= g.targetLimit
	}
	switch {
	case !must:
		return "**missed**"
	case !aim:
		return "met, short of the aim"
	}
	return "met"
}

// peerTable returns a table of all compared libraries, the library that is fastest with RS256
// first. It shows the time of each library, divided by the limit: the time that the cryptography
// alone takes.
func peerTable(r results.Results) string {
	type row struct {
		library string
		ratios  [3]float64
	}
	algorithms := [3]string{"RS256", "ES256", "EdDSA"}
	var rows []row
	for _, name := range r.Names() {
		library, ok := strings.CutPrefix(name, "Ratio/alg=RS256/lib=")
		if !ok {
			continue
		}
		one := row{library: library}
		for i, algorithm := range algorithms {
			one.ratios[i], _ = r.Median("Ratio/alg="+algorithm+"/lib="+library, "x-limit")
		}
		rows = append(rows, one)
	}
	slices.SortFunc(rows, func(a, b row) int {
		if a.ratios[0] < b.ratios[0] {
			return -1
		}
		return 1
	})
	var b strings.Builder
	b.WriteString("| Library | RS256 | ES256 | EdDSA |\n|---|---|---|---|\n")
	for _, one := range rows {
		fmt.Fprintf(&b, "| %s |", one.library)
		for _, ratio := range one.ratios {
			fmt.Fprintf(&b, " %s |", formatNumber(ratio))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// formatNumber returns a value as text with about three digits.
func formatNumber(f float64) string {
	switch {
	case f == 0:
		return "0"
	case f >= 100:
		return strconv.FormatFloat(f, 'f', 0, 64)
	case f >= 10:
		return trim(strconv.FormatFloat(f, 'f', 1, 64))
	case f >= 0.1:
		return trim(strconv.FormatFloat(f, 'f', 2, 64))
	}
	return trim(strconv.FormatFloat(f, 'f', 4, 64))
}

func trim(s string) string { return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") }
