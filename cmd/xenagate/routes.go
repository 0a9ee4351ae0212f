package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/xenaauth/xenaauth/cmd/xenagate/internal/config"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/gateway/routesfile"
	"go.yaml.in/yaml/v3"
)

// table is a table of routes, and how upstreams are chosen with it. It doesn't change: a request is held to one table
// from its beginning to its end.
type table struct {
	*routes.Table
	ignoreCase bool
	source     config.RoutesSource
}

// readTable reads the table as the files are now.
func readTable(cfg *config.Config) (*table, error) {
	source, err := cfg.ReadRoutes()
	if err != nil && len(source.Data) == 0 {
		return nil, err
	}
	t, errTable := parseTable(source)
	return t, errors.Join(err, errTable)
}

func parseTable(source config.RoutesSource) (*table, error) {
	rules, err := routesfile.Parse(source.Name, source.Data)
	if err != nil {
		return nil, err
	}
	var also struct {
		IgnoreCase bool `yaml:"ignore_case"`
	}
	if err := yaml.Unmarshal(source.Data, &also); err != nil {
		return nil, fmt.Errorf("%s: %w", source.Name, err)
	}
	return &table{Table: rules, ignoreCase: also.IgnoreCase, source: source}, nil
}

// settle is how long files must stay the same until SIGHUP takes them.
const settle = 100 * time.Millisecond

// reloadRoutes puts the table in force that the files say now. If they can't be used, the one before stays. What
// changes meanwhile is half written, and half a table may well be a table, without its last refusals: that is left to
// watchRoutes.
func (g *gateway) reloadRoutes() {
	before, _, _ := g.read()
	time.Sleep(settle)
	g.reloading.Lock()
	defer g.reloading.Unlock()
	now, source, err := g.read()
	if now != before {
		g.log.Warn("routes not taken yet: they are being written")
		return
	}
	var t *table
	if err == nil {
		t, err = parseTable(source)
	}
	g.take(t, err)
}

// read reads the files, and has as text what two looks at them are compared by.
func (g *gateway) read() (text string, source config.RoutesSource, err error) {
	source, err = g.cfg.ReadRoutes()
	if err != nil {
		return err.Error(), source, err
	}
	return string(source.Data), source, nil
}

// take puts a table that was read in force. g.reloading is held.
func (g *gateway) take(t *table, err error) {
	if err != nil {
		g.metrics.reloaded("routes", err)
		g.log.Error("routes not taken, the ones before stay in force", slog.String("error", err.Error()))
		return
	}
	before := g.table.Swap(t)
	if before != nil && string(before.source.Data) == string(t.source.Data) {
		g.noteOther(before, t)
		return
	}
	g.metrics.reloaded("routes", nil)
	for _, f := range t.Lint() {
		g.log.Warn("routes", slog.String("finding", f.String()))
	}
	g.log.Info("routes are in force", slog.String("from", t.source.Name))
	g.noteOther(before, t)
}

// noteOther tells of changes that need a restart.
func (g *gateway) noteOther(before, after *table) {
	if before != nil && before.source.Rest != after.source.Rest {
		g.log.Warn("the configuration has changed in more than its routes: that needs a restart")
	}
}

// watchRoutes takes over what the files say whenever it has changed, until ctx ends. It compares content, since a
// ConfigMap of Kubernetes changes by swapping links. What has changed must look the same twice, or it may be half
// written.
func (g *gateway) watchRoutes(ctx context.Context) {
	tick := time.NewTicker(g.cfg.RoutesInterval)
	defer tick.Stop()
	var seen, refused string
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		seen, refused = g.look(seen, refused)
	}
}

// look is one look at the files. seen is what the look before saw, refused what was not taken and is told only once.
func (g *gateway) look(seen, refused string) (nowSeen, nowRefused string) {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	now, source, err := g.read()
	switch current := g.table.Load(); {
	case err == nil && now == string(current.source.Data):
		return now, "" // a change that was taken back
	case now == refused || now != seen:
		return now, refused
	}
	var t *table
	if err == nil {
		t, err = parseTable(source)
	}
	g.take(t, err)
	if err != nil {
		refused = now
	}
	return now, refused
}
