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

// Options tune a [File]. The zero value, or a nil pointer, is the default.
type Options struct {
	// Interval is how often Watch looks at the file. 0 is 2 seconds. What it takes over has been there for two looks,
	// so that a file half written is not taken for a short one.
	Interval time.Duration
	// Logger is told by Watch of new tables, and why a file was not taken. nil is [slog.Default].
	Logger *slog.Logger
}

// File is a table of rules that follows a file. It is safe for concurrent use.
type File struct {
	path     string
	interval time.Duration
	logger   *slog.Logger
	current  atomic.Pointer[routes.Table]

	mu      sync.Mutex
	decided string // what was read last and taken, or not taken
	pending string // what Watch saw last
}

// Open reads a file as [Parse] does. The error is that of Parse, under the last element of path, or of reading.
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

// Reload reads the file again, at a SIGHUP say. A request is held to the old table or to the new one, never to a
// mixture. After an error the old one stays in force, so a file that is wrong, or gone, opens nothing and closes
// nothing.
func (f *File) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, err := read(f.path)
	return f.decide(data, err)
}

// decide makes data, if it is good, the table in force. f.mu is held.
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

// state tells apart what reading the file may come to.
func state(data []byte, err error) string {
	if err != nil {
		return "error " + err.Error()
	}
	return "content " + string(data)
}

// Watch takes over what the file says whenever its content has changed, until ctx ends, and returns its error. It
// compares content, since a ConfigMap of Kubernetes changes by swapping symbolic links and an editor may keep the time.
// What can't be taken is logged once, and tried again when it changes.
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

// read reads a file that isn't longer than it may be.
func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, bare(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", filepath.Base(path)) // opening a pipe would wait
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

// bare leaves the folders out of an error of package os.
func bare(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("%s: %w", filepath.Base(e.Path), e.Err)
	}
	return err
}
