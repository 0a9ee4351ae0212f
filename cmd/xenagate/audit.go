package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/adapters/auditlog"
	"github.com/xenaauth/xenaauth/cmd/internal/config"
)

// auditLog is the audit log: a file with a record of each decision about a request. A request waits
// until its record is written. If a record can't be written, it is counted as lost, and the request
// is served anyway. All methods of a nil *auditLog except Write do nothing.
type auditLog struct {
	record func(context.Context, xenaauth.Event)
	path   string
	log    *slog.Logger
	lost   atomic.Int64

	mu sync.Mutex
	// file is the open file of the audit log. It is nil before the first call of auditLog.openFile,
	// and after the call of auditLog.closeFile.
	file *os.File
	// lastWriteFailed is true if the last record of the audit log could not be written
	lastWriteFailed  bool
	incompleteRecord bool // incompleteRecord is true if the last record in this file is incomplete
}

// newAuditLog returns the audit log of the gateway. It returns nil if the configuration has no
// section audit, or if the setting audit.file or audit.key_file is empty. The key in audit.key_file
// is secret: the audit log makes its hashes with it. newAuditLog does not open the audit log's
// file.
func newAuditLog(cfg *config.Config, logger *slog.Logger) (*auditLog, error) {
	if cfg.Audit == nil || cfg.Audit.File == "" || cfg.Audit.KeyFile == "" {
		return nil, nil
	}
	key, err := cfg.AuditKey()
	if err != nil {
		return nil, err
	}
	a := &auditLog{path: cfg.AuditFile(), log: logger}
	a.record = auditlog.New(slog.New(slog.NewJSONHandler(a, nil)), key)
	return a, nil
}

// auditLog.note writes the record of a decision about a request into the audit log.
func (a *auditLog) note(ctx context.Context, e xenaauth.Event) {
	if a != nil {
		a.record(ctx, e)
	}
}

// auditLog.openFile opens the file of the audit log for new records. If the file does not exist,
// openFile creates it.
func (a *auditLog) openFile() error {
	if a == nil {
		return nil
	}
	file, err := os.OpenFile(a.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("audit.file: %w", withoutPath(err))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file != nil {
		a.incompleteRecord = a.incompleteRecord && isSameFile(a.file, file)
		_ = a.file.Close()
	}
	a.file = file
	return nil
}

// isSameFile reports whether two open files are one file on the disk.
func isSameFile(a, b *os.File) bool {
	infoA, errA := a.Stat()
	infoB, errB := b.Stat()
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// auditLog.reopenFile opens the path of the audit log again. If another program (a log rotation)
// has renamed the old file, reopenFile creates a new file. If the path can't be opened, records are
// still written to the old file.
func (a *auditLog) reopenFile() {
	if err := a.openFile(); err != nil {
		a.log.Error("the audit log is not opened again, the old file stays in use", slog.String("error", err.Error()))
	}
}

func (a *auditLog) closeFile() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = a.file.Close()
	a.file = nil
}

// Write writes one record into the audit log. It implements [io.Writer]. Each call of Write must
// get exactly one record.
func (a *auditLog) Write(record []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	line := record
	if a.incompleteRecord { // this line break ends the incomplete record before the new one
		line = append([]byte{'\n'}, record...)
	}
	n, err := a.file.Write(line) // if file is nil, Write returns an error
	if n > 0 {
		a.incompleteRecord = n < len(line)
	}
	if err != nil {
		a.lost.Add(1)
		if !a.lastWriteFailed {
			a.log.Error("the audit log fails, records are lost", slog.String("error", withoutPath(err).Error()))
		}
	} else if a.lastWriteFailed {
		a.log.Info("the audit log works again", slog.Int64("lost", a.lost.Load()))
	}
	a.lastWriteFailed = err != nil
	return len(record), err
}

// withoutPath returns the cause of an error of package os, without the path of the audit log.
func withoutPath(err error) error {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		return inner.Err
	}
	return err
}
