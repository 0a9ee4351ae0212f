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

// Options configure a [File]. A nil pointer means the zero value, and the zero value of each field
// is its default.
type Options struct {
	// Interval is how often Watch reads the file. The default is 2 seconds. Watch uses new content
	// only after two reads in a row have found the same content, because a half-written file can be
	// valid.
	Interval time.Duration
	// Logger receives a record when Watch uses a new table, and when it refuses a file. The default
	// is [slog.Default].
	Logger *slog.Logger
}

// File is a table of rules that is read from a file, and read again when the file changes. File is
// safe for concurrent use.
type File struct {
	path     string
	interval time.Duration
	logger   *slog.Logger
	current  atomic.Pointer[routes.Table]

	mu sync.Mutex
	// usedResult is what the file contained when useContent was last called, or the error of
	// reading the file. The function resultText builds this text. If Watch reads the file and gets
	// the same text again, it does nothing.
	usedResult string
	// lastResult is what the file contained when Watch last read it, or the error of reading the
	// file. The function resultText builds this text. Watch uses new content only if it gets the
	// same text twice in a row.
	lastResult string
}

// Open reads the table from a file. The error is an error of [Parse], or says why the file can't be
// read. The error names the file without its folders.
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

// Table returns the table that is now in force.
func (f *File) Table() *routes.Table { return f.current.Load() }

// Find calls [routes.Table.Find] of the table that is now in force.
func (f *File) Find(r *http.Request) (routes.Rule, error) { return f.current.Load().Find(r) }

// Reload reads the file again, for example after SIGHUP. If Reload returns an error, the old table
// stays in force. One whole table decides about each request: the old table or the new table.
func (f *File) Reload() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, err := readFile(f.path)
	return f.useContent(data, err)
}

// File.useContent parses data, the content of the file, and puts the new table in force. If the
// file could not be read, readErr is the error of reading, and useContent returns readErr. The
// caller holds the lock f.mu.
func (f *File) useContent(data []byte, readErr error) error {
	f.usedResult = resultText(data, readErr)
	if readErr != nil {
		return readErr
	}
	table, err := Parse(filepath.Base(f.path), data)
	if err != nil {
		return err
	}
	f.current.Store(table)
	return nil
}

// resultText returns the result of reading the file as one text: the content of the file, or the
// error. Watch compares these texts to find out whether the file has changed.
func resultText(data []byte, err error) string {
	if err != nil {
		return "error " + err.Error()
	}
	return "content " + string(data)
}

// Watch puts a new table in force whenever the content of the file has changed. Watch returns when
// ctx ends, with the error of ctx. Watch compares the content and not the time of the file:
// Kubernetes changes a ConfigMap by replacing symbolic links, and an editor can keep the time. If a
// file has a mistake, Watch logs the mistake once, and parses the file again when the content
// changes.
func (f *File) Watch(ctx context.Context) error {
	ticker := time.NewTicker(f.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			f.checkContent(ctx)
		}
	}
}

func (f *File) checkContent(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	data, err := readFile(f.path)
	newResult := resultText(data, err)
	isSettled := newResult == f.lastResult
	f.lastResult = newResult
	if newResult == f.usedResult || !isSettled {
		return
	}
	if err := f.useContent(data, err); err != nil {
		f.logger.ErrorContext(ctx, "xenaauth: route table not taken, the old one stays in force", "error", err)
		return
	}
	f.logger.InfoContext(ctx, "xenaauth: new route table", "file", filepath.Base(f.path))
}

// readFile reads a file, but not more than MaxSize+1 bytes. This is one byte more than Parse
// accepts, so Parse refuses a larger file.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, withoutFolders(err)
	}
	if !info.Mode().IsRegular() {
		// The file must be a regular file. For example, opening a named pipe would block.
		return nil, fmt.Errorf("%s: not a regular file", filepath.Base(path))
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, withoutFolders(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, MaxSize+1))
	if err != nil {
		return nil, withoutFolders(err)
	}
	return data, nil
}

// withoutFolders returns an error of package os, such as that of a missing file, with another text.
// The text names the file without its folders.
func withoutFolders(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("%s: %w", filepath.Base(e.Path), e.Err)
	}
	return err
}
