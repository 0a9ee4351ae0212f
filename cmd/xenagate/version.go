package main

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// The variable version is the version of xenagate. The linker can set it with -X
// main.version=v1.2.3 in -ldflags. If it is empty, the program uses the version of the Go module.
var version string

// The type buildInfo contains the version of this program and the revision of its source.
type buildInfo struct{ version, revision string }

// currentBuild returns the version and the revision that the linker and the go command have written
// into the program.
func currentBuild() buildInfo {
	b := buildInfo{version: version, revision: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.version == "" {
		b.version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.revision = s.Value
		}
	}
	return b
}

func (b buildInfo) String() string {
	return "xenagate " + b.version + " (revision " + b.revision + ", " + runtime.Version() + ")"
}

// buildInfo.metric returns a metric (a gauge) with the value 1. The labels of the gauge contain the
// version and the revision of the program, and the version of Go.
func (b buildInfo) metric() prometheus.Collector {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "xenagate_build_info", Help: "Which build this is. The value is 1.",
	}, []string{"version", "revision", "go_version"})
	g.WithLabelValues(b.version, b.revision, runtime.Version()).Set(1)
	return g
}
