// Package loglimit decides which of many repeated events are written to a log. It does not write to
// a log itself.
package loglimit

import (
	"sync"
	"time"
)

// Changes limits the log records about parts of a system that can work or fail, for example a
// server that is called. There is one record when a part begins to fail, one when it fails for
// another reason, and one when it works again. If a part changes too often between working and
// failing, there is only one record a minute about it. The zero value is ready to use. Changes is
// safe for concurrent use.
type Changes struct {
	mu    sync.Mutex
	parts map[string]*systemPart
}

// Kind says what a log record reports.
type Kind int

const (
	None Kind = iota // None means that the caller should write no log record
	// Failed means that a part of the system (for example a server that is called) now fails, or
	// that it fails for another reason than in the last log record.
	Failed
	// Recovered means that a part of the system has failed before, and now works again
	Recovered
	// Unsteady means that a part of the system (for example a server) changes too often between
	// working and failing
	Unsteady
)

// Record says what the caller should write to the log.
type Record struct {
	Kind Kind
	// Cause is the reason why a part of the system fails, for example a server that is called. If
	// Kind is Unsteady, Cause is the reason of the latest failure.
	Cause string
	// Calls is the number of calls of Changes.Note since the last log record, and Failures is how
	// many of them reported a failure. Both are set only after the part of the system has changed
	// too often between working and failing, so that one record stands for many changes. Otherwise
	// both are 0.
	Calls, Failures int
}

const (
	// maxRecords is how many log records about one part of the system are written in one minute
	// before the part counts as unsteady; then one record more says so
	maxRecords = 6
	// A part of the system is unsteady if it changes too often between working and failing. It
	// counts as steady again if it has not changed for the time steadyAfter.
	steadyAfter = time.Minute
)

// systemPart stores what is known about one part of a system that can work or fail, for example a
// server that is called.
type systemPart struct {
	cause string // cause is why the systemPart fails, or "" if it works
	// lastChange is when the systemPart last began to work, began to fail, or failed for another
	// reason than before
	lastChange time.Time
	// loggedCause is the cause of failure in the last log record; it is "" if that record says that
	// the systemPart works
	loggedCause string
	latestCause string // latestCause is the cause of the latest failure

	// minuteStart is the start of the minute for which log records are counted now
	minuteStart time.Time
	// recordCount is the number of log records since minuteStart
	recordCount int
	isUnsteady  bool
	noteCount   int // noteCount is the number of calls of Changes.Note since the last log record
	// failureCount is how many failures were passed to Changes.Note since the last log record
	failureCount int
}

// Note is called after each success or failure of a part of the system. partName is the name of
// this part. failureCause says why the part has failed, or is "" after a success. Note returns the
// log record that the caller should write.
func (c *Changes) Note(partName, failureCause string, now time.Time) Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parts == nil {
		c.parts = make(map[string]*systemPart)
	}
	t := c.parts[partName]
	if t == nil {
		t = &systemPart{lastChange: now}
		c.parts[partName] = t
	}
	return t.note(failureCause, now)
}

func (t *systemPart) note(cause string, now time.Time) Record {
	t.noteCount++
	if cause != "" {
		t.failureCount++
		t.latestCause = cause
	}
	if cause != t.cause {
		t.cause, t.lastChange = cause, now
	}
	newMinute := now.Sub(t.minuteStart) >= time.Minute
	if newMinute {
		t.minuteStart, t.recordCount = now, 0
	}
	switch {
	case t.isUnsteady && now.Sub(t.lastChange) >= steadyAfter:
		t.isUnsteady = false
		// because loggedCause is empty, Changes.Note returns a record about the next failure
		t.loggedCause = ""
		if cause == "" {
			return t.record(Record{Kind: Recovered, Calls: t.noteCount, Failures: t.failureCount}, cause)
		}
	case t.isUnsteady && !newMinute, cause == t.loggedCause && !t.isUnsteady:
		return Record{}
	}
	if t.isUnsteady || t.recordCount >= maxRecords {
		t.isUnsteady = true
		r := Record{Kind: Unsteady, Cause: t.latestCause, Calls: t.noteCount, Failures: t.failureCount}
		return t.record(r, t.loggedCause)
	}
	if cause == "" {
		return t.record(Record{Kind: Recovered}, cause)
	}
	return t.record(Record{Kind: Failed, Cause: cause}, cause)
}

// systemPart.record counts the record r as written and returns it. loggedCause is the cause of
// failure that the log now shows, or "" if the log now shows success.
func (t *systemPart) record(r Record, loggedCause string) Record {
	t.loggedCause = loggedCause
	t.recordCount++
	t.noteCount, t.failureCount = 0, 0
	return r
}
