package routesfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xenaauth/xenaauth/gateway/routes"
)

// Options tune a [File]. The zero value and a nil pointer mean the defaults.
type Options struct {
	// Interval is the time between two looks of Watch at the file. 0 is 2 seconds. Watch takes a
	// file that looks the same twice, because a file that is half written can be a valid file.
	Interval time.Duration
	// Logger receives from Watch each new table, and why a file was not taken. nil is
	// [slog.Default].
	Logger *slog.Logger
}

// File is a table of rules that follows a file. It is safe for concurrent use.
type File struct {
	path     string
	interval time.Duration
	logger   *slog.Logger
	current  atomic.Pointer[routes.Table]

	mu      sync.Mutex
	decided string // the last state that was taken or refused
	pending string // the state at the last look of Watch
}

// Open reads a file. The error is the one of [Parse], or of reading the file. Errors contain only
// the last element of path.
func Open(path string, opts *Options) (*File, error) {
	f := &File{path: path, interval: 2 * time.Second, logger: slog.Default()}
	if opts != nil && opts.Interval > 0 {
		f.interval = opts.Interval
	}
	if opts != nil && opts.Logger != nil {
		f.logger = opts.Logger
	}
	if err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Table returns the table in force.
func (f *File) Table() *routes.Table { return f.current.Load() }

// Find is [routes.Table.Find] of the table in force.
func (f *File) Find(r *http.Request) (routes.Rule, error) { return f.current.Load().Find(r) }

// Reload reads the file again, for example after SIGHUP. After an error the table before stays in
// force. Each request is decided by one table as a whole, the old one or the new one.
func (f *File) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, err := read(f.path)
	return f.decide(data, err)
}

// decide puts the table in data in force. f.mu is held.
func (f *File) decide(data []byte, err error) error {
	f.decided = state(data, err)
	if err != nil {
		return err
	}
	table, err := Parse(filepath.Base(f.path), data)
	if err != nil {
		return err
	}
	f.current.Store(table)
	return nil
}

// state returns a text that is equal for equal results of reading the file.
func state(data []byte, err error) string {
	if err != nil {
		return "error " + err.Error()
	}
	return "content " + string(data)
}

// Watch takes the table whenever the content of the file has changed. It returns the error of ctx
// when ctx ends. It compares content, because a ConfigMap of Kubernetes changes by swapping
// symbolic links, and an editor can keep the file's time. A file with a mistake is logged once, and
// read again when it changes.
func (f *File) Watch(ctx context.Context) error {
	ticker := time.NewTicker(f.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			f.look(ctx)
		}
	}
}

func (f *File) look(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, err := read(f.path)
	now := state(data, err)
	settled := now == f.pending
	f.pending = now
	if now == f.decided || !settled {
		return
	}
	if err := f.decide(data, err); err != nil {
		f.logger.ErrorContext(ctx, "xenaauth: route table not taken, the old one stays in force", "error", err)
		return
	}
	f.logger.InfoContext(ctx, "xenaauth: new route table", "file", filepath.Base(f.path))
}

// read reads a file up to one byte more than MaxSize.
func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, bare(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", filepath.Base(path)) // to open a named pipe would block
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, bare(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, MaxSize+1))
	if err != nil {
		return nil, bare(err)
	}
	return data, nil
}

// bare removes the folders from an error of package os.
func bare(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("%s: %w", filepath.Base(e.Path), e.Err)
	}
	return err
}
