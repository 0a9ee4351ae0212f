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
	// logBatch is a number of bytes. When the buffer of the log contains this many bytes, its lines
	// are written without waiting for logDelay.
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
// the buffer, further lines of the access log are dropped and counted.
type logBuffer struct {
	to io.Writer
	mu sync.Mutex
	// waitingLines contains the log lines that wait for the output; each of them is complete
	waitingLines []byte
	// spareMemory is the memory of log lines that have been written; it is used for new lines
	spareMemory []byte
	// lostCount is the number of dropped log lines that no line of the log has reported yet
	lostCount      int64
	incompleteLine bool // incompleteLine is true if the last line in the log output is incomplete
	closed         bool

	// the goroutine of the buffer gets a value from firstLine when a line is put into the empty
	// buffer
	firstLine chan struct{}
	// the goroutine of the buffer gets a value from writeRequest when it must write the waiting
	// lines immediately
	writeRequest chan struct{}
	// when the buffer is closed, its goroutine writes the waiting lines, and then closes the
	// channel allWritten
	allWritten   chan struct{}
	droppedLines atomic.Int64 // the number of dropped log lines, for the metrics
}

func newLogBuffer(to io.Writer) *logBuffer {
	l := &logBuffer{
		to: to, firstLine: make(chan struct{}, 1), writeRequest: make(chan struct{}, 1), allWritten: make(chan struct{}),
	}
	go l.run()
	return l
}

// logBuffer.batchWriter returns the writer for the access log. A line may wait in the buffer for
// further lines, but no longer than logDelay.
func (l *logBuffer) batchWriter() io.Writer { return logLines{l, false} }

// logBuffer.promptWriter returns the writer for log records that do not belong to the access log.
// The goroutine of the buffer writes these records without waiting for logDelay.
func (l *logBuffer) promptWriter() io.Writer { return logLines{l, true} }

// logLines is a writer that puts log lines into a logBuffer. Each call of Write must contain one or
// more whole lines. If the buffer drops them, it counts one line for each call.
type logLines struct {
	buffer   *logBuffer
	isPrompt bool
}

// Write puts log lines into the buffer. It implements [io.Writer]. It never returns an error: the
// buffer counts the lines that are lost.
func (w logLines) Write(line []byte) (int, error) {
	l, room := w.buffer, logRoom
	if w.isPrompt {
		room += logReserve
	}
	l.mu.Lock()
	before := len(l.waitingLines)
	if l.closed || before+len(line) > room {
		l.lostCount++
		l.mu.Unlock()
		l.droppedLines.Add(1)
		return len(line), nil
	}
	l.waitingLines = append(l.waitingLines, line...)
	after := len(l.waitingLines)
	l.mu.Unlock()
	if before == 0 {
		signalTo(l.firstLine)
	}
	if w.isPrompt || before < logBatch && after >= logBatch {
		signalTo(l.writeRequest)
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
	defer close(l.allWritten)
	timer := time.NewTimer(logDelay)
	defer timer.Stop()
	for {
		select {
		case <-l.writeRequest:
		case <-l.firstLine:
			timer.Reset(logDelay)
			select {
			case <-l.writeRequest:
			case <-timer.C:
			}
		}
		if l.writeLines() {
			return
		}
	}
}

// logBuffer.writeLines writes the log lines in the buffer to the output. It reports whether the
// buffer was already closed before.
func (l *logBuffer) writeLines() (last bool) {
	l.mu.Lock()
	lines, lost := l.waitingLines, l.lostCount
	l.waitingLines, l.spareMemory, l.lostCount = l.spareMemory[:0], nil, 0
	last = l.closed
	l.mu.Unlock()
	if lost > 0 {
		lines = append(lines, lostLine(lost)...)
	}
	if len(lines) > 0 {
		l.writeOutput(lines, lost)
	}
	if cap(lines) > 4*logBatch {
		// this frees the memory, which has become large because the buffer had many lines
		lines = nil
	}
	l.mu.Lock()
	l.spareMemory = lines[:0]
	l.mu.Unlock()
	return last
}

// logBuffer.writeOutput writes log lines to the output. It counts the lines that the output fails
// to write. If reportedLoss is not 0, the last one of the log lines is a report: it says that
// earlier lines were dropped, and their number is reportedLoss.
func (l *logBuffer) writeOutput(lines []byte, reportedLoss int64) {
	var n int
	var err error
	// If the last line in the output is incomplete, this line break ends it, so that the next log
	// line begins on a new line.
	if l.incompleteLine {
		_, err = l.to.Write([]byte{'\n'})
		l.incompleteLine = err != nil
	}
	if err == nil {
		n, err = l.to.Write(lines)
		l.incompleteLine = n > 0 && lines[n-1] != '\n'
	}
	if err == nil {
		return
	}
	missing := int64(bytes.Count(lines[n:], []byte{'\n'}))
	if reportedLoss > 0 && missing > 0 {
		// The last one of the log lines is a report. It says that reportedLoss log lines were
		// dropped earlier. The output failed before the report was written completely, so nobody
		// can read it. The report itself does not count as a dropped line. But the next report must
		// include reportedLoss, so the code below adds reportedLoss to lostCount again.
		missing--
	} else {
		reportedLoss = 0
	}
	l.droppedLines.Add(missing)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lostCount += missing + reportedLoss
}

// lostLine returns a log line that says that n log lines were dropped.
func lostLine(n int64) []byte {
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Warn("log lines were dropped: the output was too slow, or failed",
		slog.Int64("lines", n))
	return b.Bytes()
}

// logBuffer.close writes all log lines in the buffer and ends the goroutine of the buffer. If the
// output is blocked, logBuffer.close gives up when the time maxWait has passed.
func (l *logBuffer) close(maxWait time.Duration) {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	signalTo(l.writeRequest)
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case <-l.allWritten:
	case <-timer.C:
	}
}
