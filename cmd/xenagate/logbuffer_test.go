package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A logSink is an output for the log. A test can make its method Write wait or fail.
type logSink struct {
	mu     sync.Mutex
	text   bytes.Buffer
	writes int
	hold   chan struct{} // if it is not nil, Write waits until this channel is closed
	err    error
	// storedBytes is the number of bytes that Write stores before it returns the error err
	storedBytes int
}

func (s *logSink) Write(p []byte) (int, error) {
	if s.hold != nil {
		<-s.hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.err != nil {
		n, _ := s.text.Write(p[:min(s.storedBytes, len(p))])
		return n, s.err
	}
	return s.text.Write(p)
}

func (s *logSink) lines() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.text.String(), "\n")
}

func TestLinesOfTheAccessLogAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := new(logSink)
		l := newLogBuffer(out)
		defer l.close(time.Hour)
		for range 10 {
			_, _ = io.WriteString(l.batchWriter(), "line\n")
		}
		synctest.Wait()
		if n := out.lines(); n != 0 {
			t.Errorf("%d lines didn't wait for others", n)
		}
		// in a bubble of synctest, time is simulated, so this sleep takes no real time
		time.Sleep(logDelay)
		synctest.Wait()
		if out.lines() != 10 || out.writes != 1 {
			t.Errorf("%d lines after %v, by %d writes", out.lines(), logDelay, out.writes)
		}
		_, _ = io.WriteString(l.batchWriter(), "line\n")
		_, _ = io.WriteString(l.promptWriter(), "important\n")
		synctest.Wait()
		if n := out.lines(); n != 12 {
			t.Errorf("%d lines: an important one waits", n)
		}
		_, _ = l.batchWriter().Write(bytes.Repeat([]byte("0123456\n"), logBatch/8))
		synctest.Wait()
		if n := out.lines(); n != 12+logBatch/8 {
			t.Errorf("%d lines: a whole batch waits", n)
		}
	})
}

// If the output of the log blocks, no request waits for it, the log needs only limited memory, and
// the log later says how many lines are lost.
func TestAnOutputThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &logSink{hold: make(chan struct{})}
		l := newLogBuffer(out)
		line := strings.Repeat("x", 1023) + "\n"
		for range 3 * logRoom / len(line) {
			_, _ = io.WriteString(l.batchWriter(), line)
		}
		synctest.Wait()
		if n := len(l.waitingLines) + cap(l.spareMemory); n > logRoom+logReserve {
			t.Errorf("%d bytes wait", n)
		}
		dropped := l.droppedLines.Load()
		if dropped < int64(logRoom/len(line)) {
			t.Errorf("%d lines are counted as dropped", dropped)
		}
		_, _ = io.WriteString(l.promptWriter(), "important\n")
		if l.droppedLines.Load() != dropped {
			t.Error("requests displaced a line that is no request's")
		}
		close(out.hold)
		l.close(time.Hour)
		told := fmt.Sprintf(`"lines":%d}`, dropped)
		if text := out.text.String(); !strings.Contains(text, told) || !strings.Contains(text, "important\n") {
			t.Errorf("it isn't told that %d lines are missing: %s", dropped, text[max(0, len(text)-300):])
		}
		if n := int64(out.lines()) + dropped; n != int64(3*logRoom/len(line))+2 {
			t.Errorf("%d lines were written or counted", n)
		}
	})
}

func TestLinesThatFailAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &logSink{err: errors.New("disk full")}
		l := newLogBuffer(out)
		_, _ = io.WriteString(l.promptWriter(), "one\n")
		_, _ = io.WriteString(l.promptWriter(), "two\n")
		synctest.Wait()
		if n := l.droppedLines.Load(); n != 2 {
			t.Errorf("%d lines are counted", n)
		}
		out.mu.Lock()
		out.err = nil
		out.mu.Unlock()
		_, _ = io.WriteString(l.promptWriter(), "three\n")
		l.close(time.Hour)
		if text := out.text.String(); !strings.HasPrefix(text, "three\n") || !strings.Contains(text, `"lines":2}`) {
			t.Errorf("%s", text)
		}
	})
}

// If the output of the log fails after it has written a part of a line, the next line of the log
// begins on a new line of the output.
func TestALineAfterAPartOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &logSink{err: errors.New("disk full"), storedBytes: 6}
		l := newLogBuffer(out)
		_, _ = io.WriteString(l.batchWriter(), "one\ntwo\nthree\n")
		time.Sleep(logDelay)
		synctest.Wait()
		out.mu.Lock()
		// now the output also fails to write the line break that should end the incomplete line
		out.storedBytes = 0
		out.mu.Unlock()
		_, _ = io.WriteString(l.promptWriter(), "four\n")
		synctest.Wait()
		if n := l.droppedLines.Load(); n != 3 {
			t.Errorf("%d lines are counted, want 3", n)
		}
		out.mu.Lock()
		out.err = nil
		out.mu.Unlock()
		_, _ = io.WriteString(l.promptWriter(), "five\n")
		l.close(time.Hour)
		if text := out.text.String(); !strings.HasPrefix(text, "one\ntw\nfive\n") || !strings.Contains(text, `"lines":3}`) {
			t.Errorf("%s", text)
		}
	})
}

func TestTheEndDoesNotWaitForAnOutputThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &logSink{hold: make(chan struct{})}
		l := newLogBuffer(out)
		_, _ = io.WriteString(l.promptWriter(), "line\n")
		started := time.Now()
		l.close(logCloseWait)
		if took := time.Since(started); took != logCloseWait {
			t.Errorf("it took %v", took)
		}
		close(out.hold)
	})
}

// A line of the access log contains no control characters and no characters that change the
// direction of text. Such characters could control the terminal of an operator.
func TestControlCharactersOfAPath(t *testing.T) {
	var out bytes.Buffer
	l := accessLog{to: &out}
	l.writeLine(&record{path: "/\u009b31m\u007f\u202e\u2066\u200b\U000e0041é\x1b[31m"}, 0)
	if want := `"path":"/\u009b31m\u007f\u202e\u2066\u200b\udb40\udc41é\u001b[31m"`; !strings.Contains(out.String(), want) {
		t.Errorf("%q, want %s", out.String(), want)
	}
}

// A client can send any text, for example as the path of a request. The line of the access log for
// the request is always JSON, with the members that package log/slog would write.
func FuzzAccessLine(f *testing.F) {
	for _, s := range []string{"/a", "", `"`, "\\", "\x00", "\xff", "\u2028", "<&>", "\n", "\u009b\u202e\U000e0041", strings.Repeat("é", 400)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var ours, theirs bytes.Buffer
		l := accessLog{to: &ours}
		l.writeLine(&record{listener: "proxy", method: s, host: s, path: s, status: 200, peer: "p"}, 1500*time.Microsecond)
		if strings.Count(ours.String(), "\n") != 1 {
			t.Fatalf("%q is no line", ours.String())
		}
		var got, want map[string]any
		if err := json.Unmarshal(ours.Bytes(), &got); err != nil {
			t.Fatalf("%v: %s", err, ours.String())
		}
		attrs := []any{slog.String("door", "proxy")}
		for name, most := range map[string]int{"method": 16, "host": 253, "path": 512} {
			if s != "" {
				attrs = append(attrs, slog.String(name, cutText(s, most)))
			}
		}
		attrs = append(attrs, slog.Int("status", 200), slog.String("outcome", "allowed"), slog.String("peer", "p"),
			slog.Int("bytes", 0), slog.Float64("ms", 1.5))
		slog.New(slog.NewJSONHandler(&theirs, nil)).Info("request", attrs...)
		if err := json.Unmarshal(theirs.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		if _, err := time.Parse(time.RFC3339Nano, got["time"].(string)); err != nil {
			t.Error(err)
		}
		delete(got, "time")
		delete(want, "time")
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}
