//go:build unix

package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A record of the audit log could be written only in part. The next record in the same file begins
// on a new line. If the file was renamed in the meantime, the new file begins with the next record,
// and not with an empty line.
func TestIncompleteAuditRecord(t *testing.T) {
	for _, rotated := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "audit.log")
		// Here the audit log is a named pipe. The first reader of the pipe closes it after 1000
		// bytes, so the write of a long record fails in the middle of the record.
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Skip(err)
		}
		a := &auditLog{path: path, log: slog.New(slog.DiscardHandler)}
		reader := openPipe(t, path)
		if err := a.openFile(); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = io.ReadFull(reader, make([]byte, 1000))
			_ = reader.Close()
		})
		n, err := a.Write([]byte(strings.Repeat("x", 1<<20) + "\n"))
		wg.Wait()
		if err == nil || a.lost.Load() != 1 {
			t.Fatalf("%d bytes were written, %v, %d records are lost", n, err, a.lost.Load())
		}
		reader = openPipe(t, path)
		// The pipe is still full of the incomplete record, and a write to a full pipe waits. So a
		// second reader empties the pipe in a goroutine, and old gets all bytes that it reads.
		var old []byte
		wg.Go(func() { old, _ = io.ReadAll(reader) })
		if rotated {
			if err := os.Rename(path, path+".1"); err != nil {
				t.Fatal(err)
			}
		}
		a.reopenFile()
		if _, err := a.Write([]byte("{}\n")); err != nil {
			t.Fatal(err)
		}
		a.closeFile()
		wg.Wait()
		if !rotated && !strings.HasSuffix(string(old), "x\n{}\n") {
			t.Errorf("the same file ends with %q", old[max(0, len(old)-20):])
		}
		if !rotated {
			continue
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "{}\n" {
			t.Errorf("the new file has %q, %v", text, err)
		}
	}
}

// openPipe opens a named pipe for reading. It does not wait for a writer.
func openPipe(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}
