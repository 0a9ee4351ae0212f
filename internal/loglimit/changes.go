// Package loglimit decides which of many repeated events are written to a log. It does not write to
// a log itself.
package loglimit

import (
	"sync"
	"time"
)

// Changes limits the log records about things that can work or fail, for example the calls to one
// server. There is one record if a thing begins to fail, and one if it works again. If a thing
// changes too often, there is only one record a minute about it. The zero value is ready to use.
// Changes is safe for concurrent use.
type Changes struct {
	mu     sync.Mutex
	things map[string]*thing
}

// Kind says what a log record reports.
type Kind int

const (
	None Kind = iota // None means that the caller should write no log record
	// Failed means that the thing (for example the calls to a server) now fails, or that it fails
	// for another reason than in the last log record.
	Failed
	Recovered // Recovered means that the thing that failed works again
	Unsteady  // Unsteady means that the thing changes too often between failing and working
)

// Record says what the caller should write to the log.
type Record struct {
	Kind Kind
	// Why is the cause of the failure. If Kind is Unsteady, it is the cause of the latest failure.
	Why string
	// Calls is the number of all calls since the last log record, and Failures the number of the
	// calls that failed. Both are set only if the thing has changed too often for one record for
	// each change. Otherwise both are 0.
	Calls, Failures int
}

const (
	maxRecords = 6 // maxRecords is the largest number of log records about one thing in one minute
	// a thing that has neither failed nor recovered for this time no longer counts as unsteady
	steadyAfter = time.Minute
)

// The type thing stores what is known about one thing that can work or fail, for example the calls
// to one server.
type thing struct {
	why string // why is the cause of the failure, or "" if the thing works
	// since is when the thing last began to fail, began to work, or got another cause of failure
	since time.Time
	// logged is the cause of failure in the last log record; it is "" if that record says that the
	// thing works
	logged string
	latest string // latest is the cause of the latest failure

	// log records are counted for one minute; the field minute is the start of that minute
	minute time.Time
	// records is the number of log records in that minute
	records  int
	unsteady bool
	calls    int // calls is the number of calls since the last log record
	failures int // failures is the number of failed calls since the last log record
}

// Note is called after each success or failure of the thing with this name. why is the cause of the
// failure; "" means success. Note returns the log record that the caller should write.
func (c *Changes) Note(name, why string, now time.Time) Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.things == nil {
		c.things = make(map[string]*thing)
	}
	t := c.things[name]
	if t == nil {
		t = &thing{since: now}
		c.things[name] = t
	}
	return t.note(why, now)
}

func (t *thing) note(why string, now time.Time) Record {
	t.calls++
	if why != "" {
		t.failures++
		t.latest = why
	}
	if why != t.why {
		t.why, t.since = why, now
	}
	newMinute := now.Sub(t.minute) >= time.Minute
	if newMinute {
		t.minute, t.records = now, 0
	}
	switch {
	case t.unsteady && now.Sub(t.since) >= steadyAfter:
		t.unsteady = false
		t.logged = "" // so if the thing fails next, Note returns a record about this failure
		if why == "" {
			return t.record(Record{Kind: Recovered, Calls: t.calls, Failures: t.failures}, why)
		}
	case t.unsteady && !newMinute, why == t.logged && !t.unsteady:
		return Record{}
	}
	if t.unsteady || t.records >= maxRecords {
		t.unsteady = true
		r := Record{Kind: Unsteady, Why: t.latest, Calls: t.calls, Failures: t.failures}
		return t.record(r, t.logged)
	}
	if why == "" {
		return t.record(Record{Kind: Recovered}, why)
	}
	return t.record(Record{Kind: Failed, Why: why}, why)
}

// thing.record counts the record r as written and returns it. The parameter logged is the cause of
// failure that the log now shows, or "" if the log now shows success.
func (t *thing) record(r Record, logged string) Record {
	t.logged = logged
	t.records++
	t.calls, t.failures = 0, 0
	return r
}
