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
	certificate *listenerCertificate // the certificate of the listener for clients; nil without TLS
	metrics     *metrics
	audit       *auditLog // the audit log; nil if it is not configured
	log         *slog.Logger

	mu sync.Mutex // locked while a table of routes is put in force
}

// reloader.reload opens the audit log again, reads the files with routes, keys and certificate
// again, and puts their content in force. The gateway calls reloader.reload when it receives the
// signal SIGHUP.
func (l *reloader) reload() {
	l.audit.reopenFile()
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

// settleTime is how long a file with routes or a certificate must stay unchanged after SIGHUP. Then
// the gateway assumes that no program is writing the file, and uses its content.
const settleTime = 100 * time.Millisecond

// reloader.reloadRoutes reads the file with the table of routes two times and puts the table in
// force. If the file changes between the two reads, a program is still writing it. A half-written
// table can be valid and lack the rules that deny access. So in this case reloadRoutes only logs a
// warning, and watchRoutes puts the complete table in force later.
func (l *reloader) reloadRoutes() {
	before := l.readRoutes()
	time.Sleep(settleTime)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.readRoutes()
	if now != before {
		l.log.Warn("routes not taken yet: they are being written")
		return
	}
	if current := l.tables.current.Load(); now.err == "" && now.content == current.Content {
		return
	}
	_ = l.useRoutes(now)
}

// A snapshot is the content of a file at a certain time, or the error of reading it. Two snapshots
// can be compared.
type snapshot struct{ content, err string }

func (l *reloader) readRoutes() snapshot {
	content, err := l.cfg.ReadRoutes()
	if err != nil {
		return snapshot{err: err.Error()}
	}
	return snapshot{content: content}
}

// reloader.useRoutes puts the table of routes in newState in force, and reports whether it did.
// newState is a snapshot of the file with the table. If the table has a mistake, the earlier table
// stays in force. The caller holds the lock l.mu.
func (l *reloader) useRoutes(newState snapshot) (ok bool) {
	var now *config.Routes
	problem := newState.err
	if problem == "" {
		var err error
		if now, err = l.cfg.ParseRoutes(newState.content); err != nil {
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
	for _, rule := range l.cfg.FindUnprovableRules(now.Table) {
		l.log.Warn("routes", slog.String("finding", rule.String()))
	}
	l.log.Info("routes are in force", slog.String("from", now.File))
	if now.SettingsChanged(before.Routes) {
		l.log.Warn("the configuration has changed in more than its routes: that needs a restart")
	}
	return true
}

// reloader.watchRoutes puts the table of routes in force whenever the file with the table has
// changed, until ctx ends. It compares the content of the file and not its modification time,
// because Kubernetes changes a ConfigMap by replacing links. It waits until two reads in a row
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
		seen, refused = l.checkRoutes(seen, refused)
	}
}

// reloader.checkRoutes reads the file with the table of routes once. lastRead is the result of the
// read before this one. checkRoutes puts the table in the file in force on two conditions. The
// content of the file differs from the table that is in force now, and it equals lastRead, so no
// program is still writing the file. lastRefused is the latest snapshot that was refused because of
// a mistake. If the file still equals lastRefused, checkRoutes does not log the mistake again.
func (l *reloader) checkRoutes(lastRead, lastRefused snapshot) (nowSeen, nowRefused snapshot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.readRoutes()
	switch current := l.tables.current.Load(); {
	case now.err == "" && now.content == current.Content:
		// the file with the table of routes did not change, or its old content is back
		return now, snapshot{}
	case now == lastRefused || now != lastRead:
		return now, lastRefused
	}
	if !l.useRoutes(now) {
		lastRefused = now
	}
	return now, lastRefused
}
