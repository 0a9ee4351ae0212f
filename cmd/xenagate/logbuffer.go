package main

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// logDelay is how long a line of the access log may wait for others that are written with it.
	logDelay = 100 * time.Millisecond
	// logBatch is how many bytes are written without waiting for more.
	logBatch = 64 << 10
	// logRoom is how many bytes may wait while the output doesn't take them. More is dropped.
	logRoom = 4 << 20
	// logReserve is what lines that are none of the access log have besides: a flood of requests can't displace them.
	logReserve = 256 << 10
)

// logBuffer writes many lines of a log at once, from a goroutine of its own. A request never waits for the output: if
// it takes lines more slowly than they come, lines are dropped and counted once logRoom bytes wait.
type logBuffer struct {
	to      io.Writer
	mu      sync.Mutex
	waiting []byte // whole lines
	spare   []byte // the other one of two buffers
	lost    int64  // lines since the last line that tells of lost ones
	cut     bool   // the output took the beginning of a line, and not its end
	closed  bool

	first   chan struct{} // a line waits where none did
	soon    chan struct{} // what waits should be written now
	done    chan struct{} // everything is written after close
	dropped atomic.Int64  // lines, for the metrics
}

func newLogBuffer(to io.Writer) *logBuffer {
	l := &logBuffer{
		to: to, first: make(chan struct{}, 1), soon: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go l.run()
	return l
}

// batched is the writer of the access log: its lines wait for others, for logDelay at most.
func (l *logBuffer) batched() io.Writer { return logLines{l, false} }

// prompt is the writer of all other lines.
func (l *logBuffer) prompt() io.Writer { return logLines{l, true} }

// logLines is a way into a logBuffer. Each Write is one line or several whole ones.
type logLines struct {
	*logBuffer
	prompt bool
}

// Write implements [io.Writer]. It reports no error: lines that are lost are counted.
func (w logLines) Write(line []byte) (int, error) {
	room := logRoom
	if w.prompt {
		room += logReserve
	}
	w.mu.Lock()
	before := len(w.waiting)
	if w.closed || before+len(line) > room {
		w.lost++
		w.mu.Unlock()
		w.dropped.Add(1)
		return len(line), nil
	}
	w.waiting = append(w.waiting, line...)
	after := len(w.waiting)
	w.mu.Unlock()
	if before == 0 {
		signalTo(w.first)
	}
	if w.prompt || before < logBatch && after >= logBatch {
		signalTo(w.soon)
	}
	return len(line), nil
}

func signalTo(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has been told
	}
}

// run writes what waits, until the writer is closed and nothing waits.
func (l *logBuffer) run() {
	defer close(l.done)
	timer := time.NewTimer(logDelay)
	defer timer.Stop()
	for {
		select {
		case <-l.soon:
		case <-l.first:
			timer.Reset(logDelay)
			select {
			case <-l.soon:
			case <-timer.C:
			}
		}
		if l.write() {
			return
		}
	}
}

// write writes what waits. It reports whether that was the last.
func (l *logBuffer) write() (last bool) {
	l.mu.Lock()
	lines, lost := l.waiting, l.lost
	l.waiting, l.spare, l.lost = l.spare[:0], nil, 0
	last = l.closed
	l.mu.Unlock()
	if lost > 0 {
		lines = append(lines, lostLine(lost)...)
	}
	if len(lines) > 0 {
		l.put(lines, lost)
	}
	if cap(lines) > 4*logBatch {
		lines = nil // a burst doesn't hold its memory for ever
	}
	l.mu.Lock()
	l.spare = lines[:0]
	l.mu.Unlock()
	return last
}

// put writes lines, the last of which tells of lost ones if there are any. It counts the lines that the output doesn't
// take.
func (l *logBuffer) put(lines []byte, lost int64) {
	var n int
	var err error
	if l.cut { // else the first line would be the end of another one
		_, err = l.to.Write([]byte{'\n'})
		l.cut = err != nil
	}
	if err == nil {
		n, err = l.to.Write(lines)
		l.cut = n > 0 && lines[n-1] != '\n'
	}
	if err == nil {
		return
	}
	missing := int64(bytes.Count(lines[n:], []byte{'\n'}))
	if lost > 0 && missing > 0 { // the line that tells of lost ones is missing too
		missing--
	} else {
		lost = 0
	}
	l.dropped.Add(missing)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost += missing + lost
}

// lostLine tells how many lines are missing before it.
func lostLine(n int64) []byte {
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Warn("log lines were dropped: the output was too slow, or failed",
		slog.Int64("lines", n))
	return b.Bytes()
}

// close writes everything that waits and ends the goroutine. It gives up after a while if the output doesn't take it.
func (l *logBuffer) close(wait time.Duration) {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	signalTo(l.soon)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
	}
}
