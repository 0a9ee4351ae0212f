// Package results reads the output of Go benchmarks.
package results

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Results contains the values that the benchmarks measured. It maps the name of a benchmark to a
// second map. The second map has the values of all rounds for each unit.
type Results map[string]map[string][]float64

// processorSuffix is a regular expression for the end of a benchmark name, such as "-2". The
// testing package adds the number of processors to each name.
var processorSuffix = regexp.MustCompile(`-\d+$`)

// Read reads the .txt files of a folder, which contain the output of benchmarks.
func Read(folder string) (Results, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil {
		return nil, err
	}
	r := make(Results)
	for _, name := range names {
		if err := r.file(name); err != nil {
			return nil, err
		}
	}
	if len(r) == 0 {
		return nil, fmt.Errorf("no results in %s: run scripts/bench first", folder)
	}
	return r, nil
}

func (r Results) file(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		r.line(lines.Text())
	}
	return lines.Err()
}

func (r Results) line(line string) {
	fields := strings.Fields(line)
	if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
		return
	}
	if _, err := strconv.Atoi(fields[1]); err != nil {
		return
	}
	name := processorSuffix.ReplaceAllString(strings.TrimPrefix(fields[0], "Benchmark"), "")
	for i := 2; i+1 < len(fields); i += 2 {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return
		}
		if r[name] == nil {
			r[name] = make(map[string][]float64)
		}
		r[name][fields[i+1]] = append(r[name][fields[i+1]], v)
	}
}

// Median returns the median of the values that a benchmark measured, and the number n of these
// values. Each round gives one value. n is 0 if nothing was measured.
func (r Results) Median(name, unit string) (median float64, n int) {
	values := slices.Sorted(slices.Values(r[name][unit]))
	n = len(values)
	switch {
	case n == 0:
		return 0, 0
	case n%2 == 1:
		return values[n/2], n
	default:
		return (values[n/2-1] + values[n/2]) / 2, n
	}
}

// Names returns the names of the benchmarks in the Results, sorted.
func (r Results) Names() []string {
	names := make([]string, 0, len(r))
	for name := range r {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
