package main

import (
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// version is set by -ldflags "-X main.version=v1.2.3". If version is empty, the program uses the
// version of the module.
var version string

// buildInfo describes the build of this program.
type buildInfo struct{ version, revision string }

// thisBuild returns the data that the linker and the Go command have written into the program.
func thisBuild() buildInfo {
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

// The method metric returns a gauge with the value 1. The labels of the gauge contain the version
// and the revision.
func (b buildInfo) metric() prometheus.Collector {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "xenagate_build_info", Help: "Which build this is. The value is 1.",
	}, []string{"version", "revision", "go_version"})
	g.WithLabelValues(b.version, b.revision, runtime.Version()).Set(1)
	return g
}
