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
	// logDelay is the longest time that a line of the access log waits in the buffer for more
	// lines.
	logDelay = 100 * time.Millisecond
	// logBatch is a number of bytes. When the buffer of the log contains so many, its lines are
	// written without waiting for logDelay.
	logBatch = 64 << 10
	// logRoom is the largest number of bytes in the buffer of the log, which fills if the output is
	// slow. If the buffer is full, further lines of the access log are dropped.
	logRoom = 4 << 20
	// logReserve is additional room in the buffer for log lines that do not belong to the access
	// log. So these lines are not lost if many requests fill the buffer.
	logReserve = 256 << 10
)

// logBuffer collects the lines of the log, and a goroutine writes many lines with one call. A
// request never waits for the output of the log. If the output is so slow that logRoom bytes are in
// the buffer, further lines are dropped and counted.
type logBuffer struct {
	to io.Writer
	mu sync.Mutex
	// the field waiting contains the log lines that wait for the output; each of them is complete
	waiting []byte
	// the field spare is the memory of log lines that have been written; it is used for new lines
	spare []byte
	// the field lost is the number of dropped log lines that no line of the log has reported yet
	lost   int64
	cut    bool // the field cut says that the last line in the log output is incomplete
	closed bool

	// the goroutine gets a value from first when the empty buffer gets its first line
	first chan struct{}
	// the goroutine gets a value from now when it must write the waiting lines immediately
	now chan struct{}
	// the channel done is closed when all lines are written after a call of the method close
	done    chan struct{}
	dropped atomic.Int64 // the field dropped counts the dropped log lines for the metrics
}

func newLogBuffer(to io.Writer) *logBuffer {
	l := &logBuffer{
		to: to, first: make(chan struct{}, 1), now: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go l.run()
	return l
}

// logBuffer.batched returns the writer for the access log. A line may wait in the buffer for
// further lines, but no longer than logDelay.
func (l *logBuffer) batched() io.Writer { return logLines{l, false} }

// logBuffer.prompt returns the writer for log records that do not belong to the access log. The
// goroutine writes these records immediately.
func (l *logBuffer) prompt() io.Writer { return logLines{l, true} }

// logLines is a writer that puts log lines into a logBuffer. Each call of Write must contain one or
// more whole lines.
type logLines struct {
	buffer *logBuffer
	prompt bool
}

// Write puts log lines into the buffer. It implements [io.Writer]. It never returns an error: the
// buffer counts the lines that are lost.
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
	default: // the channel already contains a value, so its reader will wake up
	}
}

// logBuffer.run is the goroutine that writes the log lines in the buffer to the output. It returns
// when the buffer is closed and empty.
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

// logBuffer.write writes the log lines in the buffer to the output. It reports whether the buffer
// was already closed before.
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
		// this frees the memory, which has become large because the buffer had many lines
		lines = nil
	}
	l.mu.Lock()
	l.spare = lines[:0]
	l.mu.Unlock()
	return last
}

// logBuffer.put writes log lines to the output, and counts the lines that the output fails to
// write. If lost is not 0, the last one of these lines reports that lost earlier lines were
// dropped.
func (l *logBuffer) put(lines []byte, lost int64) {
	var n int
	var err error
	// a line in the output is incomplete; this line break ends it, so that the next log line begins
	// on a new line
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
	if lost > 0 && missing > 0 { // the line that reports dropped lines is not counted
		missing--
	} else {
		lost = 0
	}
	l.dropped.Add(missing)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost += missing + lost
}

// lostLine returns a log line that says that n log lines were dropped.
func lostLine(n int64) []byte {
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Warn("log lines were dropped: the output was too slow, or failed",
		slog.Int64("lines", n))
	return b.Bytes()
}

// logBuffer.close writes all log lines in the buffer and ends the goroutine of the buffer. If the
// output is blocked, close returns after the time wait.
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
