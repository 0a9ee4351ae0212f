package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
)

// NoLog is a logger that discards everything.
var NoLog = slog.New(slog.DiscardHandler)

// lockedBuffer is a buffer that several goroutines may write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  *bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// LogRecorder is a slog.Handler that records the text of each log record.
type LogRecorder struct {
	Mu    sync.Mutex
	Lines []string
}

func (l *LogRecorder) Enabled(context.Context, slog.Level) bool { return true }

func (l *LogRecorder) WithAttrs([]slog.Attr) slog.Handler { return l }

func (l *LogRecorder) WithGroup(string) slog.Handler { return l }

func (l *LogRecorder) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	l.Mu.Lock()
	defer l.Mu.Unlock()
	l.Lines = append(l.Lines, line)
	return nil
}

// WithoutIssuer removes the attribute issuer from the text of a log if its value is the name of a
// trusted issuer. xenaauth.IssuerProduction is always trusted. A log may contain the names of
// trusted issuers, but no other address.
func WithoutIssuer(text string, trusted ...string) string {
	for _, name := range append(trusted, xenaauth.IssuerProduction) {
		text = strings.ReplaceAll(text, " issuer="+name, "")
	}
	return text
}

// Count returns the number of log records that have this level and contain the given text.
func (l *LogRecorder) Count(level slog.Level, text string) (n int) {
	l.Mu.Lock()
	defer l.Mu.Unlock()
	for _, line := range l.Lines {
		if strings.HasPrefix(line, level.String()+" ") && strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// JSONLog is a log whose lines are JSON objects. A test can read these lines as maps.
type JSONLog struct {
	mu   sync.Mutex
	Text bytes.Buffer
}

func (l *JSONLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Text.Write(p)
}

// Logger returns a logger that writes to the log l.
func (l *JSONLog) Logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

// Take returns the log lines that were written since the last call of Take.
func (l *JSONLog) Take(t *testing.T) (said []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.Text.String()) {
		var one map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &one), line)
		said = append(said, one)
	}
	l.Text.Reset()
	return said
}
