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
	// logDelay is the longest time for which a line of the access log waits for more lines.
	logDelay = 100 * time.Millisecond
	// logBatch is the number of bytes at which the buffer is written without waiting for logDelay.
	logBatch = 64 << 10
	// logRoom is the largest number of bytes that wait for a slow output. Further lines of the
	// access log are dropped.
	logRoom = 4 << 20
	// logReserve is additional room for lines that do not belong to the access log. So a flood of
	// requests can't displace these lines.
	logReserve = 256 << 10
)

// logBuffer collects the lines of the log, and a goroutine writes many lines with one call. A
// request never waits for the output. If the output is so slow that logRoom bytes wait, further
// lines are dropped and counted.
type logBuffer struct {
	to      io.Writer
	mu      sync.Mutex
	waiting []byte // the field waiting contains the lines that wait; each of them is complete
	spare   []byte // spare is the memory of lines that have been written; it is used for new lines
	lost    int64  // lost is the number of lost lines that no line of the log has reported yet
	cut     bool   // cut says that the last line in the output is incomplete
	closed  bool

	first chan struct{} // first gets a value when the empty buffer gets its first line
	now   chan struct{} // now gets a value when the waiting lines must be written immediately
	// the channel done is closed after a call of close, when all lines are written
	done    chan struct{}
	dropped atomic.Int64 // dropped counts lost lines for the metrics
}

func newLogBuffer(to io.Writer) *logBuffer {
	l := &logBuffer{
		to: to, first: make(chan struct{}, 1), now: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go l.run()
	return l
}

// The method batched returns the writer for the access log. A line waits for further lines, but no
// longer than logDelay.
func (l *logBuffer) batched() io.Writer { return logLines{l, false} }

// The method prompt returns the writer for log records that do not belong to the access log. These
// records are written immediately.
func (l *logBuffer) prompt() io.Writer { return logLines{l, true} }

// logLines writes to a logBuffer. Each call of Write contains one or more whole lines.
type logLines struct {
	buffer *logBuffer
	prompt bool
}

// Write implements [io.Writer]. Write never returns an error: the buffer counts the lines that are
// lost.
func (w logLines) Write(line []byte) (int, error) {
	l, room := w.buffer, logRoom
	if w.prompt {
		room += logReserve
	}
	l.mu.Lock()
	before := len(l.waiting)
	if l.closed || before+len(line) > room {
		l.lost++
		l.mu.Unlock()
		l.dropped.Add(1)
		return len(line), nil
	}
	l.waiting = append(l.waiting, line...)
	after := len(l.waiting)
	l.mu.Unlock()
	if before == 0 {
		signalTo(l.first)
	}
	if w.prompt || before < logBatch && after >= logBatch {
		signalTo(l.now)
	}
	return len(line), nil
}

func signalTo(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // the channel already contains a value
	}
}

// The method run writes lines. It returns when the buffer is closed and empty.
func (l *logBuffer) run() {
	defer close(l.done)
	timer := time.NewTimer(logDelay)
	defer timer.Stop()
	for {
		select {
		case <-l.now:
		case <-l.first:
			timer.Reset(logDelay)
			select {
			case <-l.now:
			case <-timer.C:
			}
		}
		if l.write() {
			return
		}
	}
}

// write writes the lines in the buffer. It reports whether the buffer was already closed.
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
		lines = nil // this frees the memory that a large number of lines has needed
	}
	l.mu.Lock()
	l.spare = lines[:0]
	l.mu.Unlock()
	return last
}

// The method put writes lines to the output, and counts the lines that the output fails to write.
// If lost is not 0, the last line of lines reports the number of lost lines.
func (l *logBuffer) put(lines []byte, lost int64) {
	var n int
	var err error
	// this line break ends the incomplete line, so that the next line begins on a line of its own
	if l.cut {
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
	if lost > 0 && missing > 0 { // the line that reports lost lines is not counted
		missing--
	} else {
		lost = 0
	}
	l.dropped.Add(missing)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost += missing + lost
}

// lostLine returns the line that reports n lost lines.
func lostLine(n int64) []byte {
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Warn("log lines were dropped: the output was too slow, or failed",
		slog.Int64("lines", n))
	return b.Bytes()
}

// The method close writes all lines and ends the goroutine. If the output is blocked, close returns
// after wait.
func (l *logBuffer) close(wait time.Duration) {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	signalTo(l.now)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-l.done:
	case <-timer.C:
	}
}
