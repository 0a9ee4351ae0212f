package main

import (
	"log"
	"log/slog"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/internal/loglimit"
)

const (
	// handshakeLines is how many failed TLS handshakes in a minute get a log record each. If more
	// handshakes fail in this minute, the others are only counted. At the first failure
	// after the minute, serverLog writes one more record with their number.
	handshakeLines = 5
	handshakeError = "http: TLS handshake error"
)

// serverLog receives the log lines of net/http. Anyone on the network can make a TLS handshake
// fail. So serverLog writes only some of the lines about failed handshakes, and the number of the
// others.
type serverLog struct {
	log        *slog.Logger
	handshakes *loglimit.Counter[string]
}

func newServerLog(to *slog.Logger) *log.Logger {
	counter := loglimit.NewCounter(time.Minute, handshakeLines, handshakeError)
	return log.New(&serverLog{to, counter}, "", 0)
}

// Write writes a log line of net/http to the log of the gateway. It implements [io.Writer]. line
// must be one whole line.
func (l *serverLog) Write(line []byte) (int, error) {
	text := strings.TrimSuffix(string(line), "\n")
	if strings.HasPrefix(text, handshakeError) {
		n, rest := l.handshakes.Add(handshakeError, handshakeError, time.Now())
		for _, r := range rest {
			l.log.Warn("more TLS handshakes failed", slog.Int64("count", r.Count), slog.Time("since", r.WindowStart))
		}
		if n > handshakeLines {
			return len(line), nil
		}
	}
	l.log.Warn(text)
	return len(line), nil
}
