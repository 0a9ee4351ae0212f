package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/internal/config"
	"github.com/xenaauth/xenaauth/gateway/identity"
)

// A reloader reads files again while the gateway runs: the table of routes, the keys for
// assertions, and the certificate of the listener for clients.
type reloader struct {
	cfg         *config.Config
	auth        *xenaauth.Middleware
	identity    *identity.Identity
	tables      *routeTables
	certificate *certificate // the certificate of the listener for clients; nil without TLS
	metrics     *metrics
	audit       *auditLog // the audit log; nil if it is not configured
	log         *slog.Logger

	mu sync.Mutex // the field mu is locked while a table of routes is put in force
}

// reloader.reload opens the audit log again, reads the files with routes, keys and certificate
// again, and puts their content in force. The gateway calls reload when it receives SIGHUP.
func (l *reloader) reload() {
	l.audit.reopen()
	l.reloadRoutes()
	if l.cfg.Identity.Assertion != nil {
		l.reloadKeys()
	}
	if l.certificate != nil {
		l.certificate.reload()
	}
}

func (l *reloader) reloadKeys() {
	keys, err := l.cfg.AssertionKeys()
	if err == nil {
		err = l.identity.SetKeys(keys)
	}
	l.metrics.reloaded("keys", err == nil)
	if err != nil {
		l.log.Error("keys not taken, the ones before stay in use", slog.String("error", err.Error()))
		return
	}
	l.log.Info("keys are in use")
}

// The constant settle is a time. If a file with routes or a certificate stays unchanged for this
// time after SIGHUP, the gateway uses its content.
const settle = 100 * time.Millisecond

// reloadRoutes reads the file with the table of routes again and puts the table in force. If the
// file changes within the time settle, a program is still writing it. A half-written table can be
// valid and lack the rules that deny access. So in this case reloadRoutes does nothing, and
// watchRoutes puts the complete table in force later.
func (l *reloader) reloadRoutes() {
	before := l.read()
	time.Sleep(settle)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.read()
	if now != before {
		l.log.Warn("routes not taken yet: they are being written")
		return
	}
	if current := l.tables.current.Load(); now.err == "" && now.content == current.Content {
		return
	}
	_ = l.take(now)
}

// A snapshot is the content of a file at a certain time, or the error of reading it. Two snapshots
// can be compared.
type snapshot struct{ content, err string }

func (l *reloader) read() snapshot {
	content, err := l.cfg.ReadRoutes()
	if err != nil {
		return snapshot{err: err.Error()}
	}
	return snapshot{content: content}
}

// reloader.take puts the table of routes in the snapshot from in force, and reports whether it did.
// If the table has a mistake, the earlier table stays in force. The caller holds the lock l.mu.
func (l *reloader) take(from snapshot) (ok bool) {
	var now *config.Routes
	problem := from.err
	if problem == "" {
		var err error
		if now, err = l.cfg.ParseRoutes(from.content); err != nil {
			problem = err.Error()
		}
	}
	l.metrics.reloaded("routes", problem == "")
	if problem != "" {
		l.log.Error("routes not taken, the ones before stay in force", slog.String("error", problem))
		return false
	}
	before := l.tables.current.Swap(newRouteTable(l.auth, now))
	for _, f := range now.Table.Lint() {
		l.log.Warn("routes", slog.String("finding", f.String()))
	}
	for _, rule := range l.cfg.Unprovable(now.Table) {
		l.log.Warn("routes", slog.String("finding", rule.String()))
	}
	l.log.Info("routes are in force", slog.String("from", now.File))
	if now.SettingsChanged(before.Routes) {
		l.log.Warn("the configuration has changed in more than its routes: that needs a restart")
	}
	return true
}

// watchRoutes puts the table of routes in force whenever the file with the table has changed, until
// ctx ends. watchRoutes compares the content of the file and not its modification time, because
// Kubernetes changes a ConfigMap by replacing links. watchRoutes waits until two reads in a row
// return the same content, because a program may be writing the file.
func (l *reloader) watchRoutes(ctx context.Context) {
	tick := time.NewTicker(l.cfg.RoutesInterval)
	defer tick.Stop()
	var seen, refused snapshot
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		seen, refused = l.look(seen, refused)
	}
}

// reloader.look reads the file with the table of routes once, and puts the table in force if it is
// a new one. seen is the result of the read before this one. refused is the latest snapshot of a
// table with a mistake: look logs each mistake only once.
func (l *reloader) look(seen, refused snapshot) (nowSeen, nowRefused snapshot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.read()
	switch current := l.tables.current.Load(); {
	case now.err == "" && now.content == current.Content:
		// the file with the table of routes did not change, or its old content is back
		return now, snapshot{}
	case now == refused || now != seen:
		return now, refused
	}
	if !l.take(now) {
		refused = now
	}
	return now, refused
}
