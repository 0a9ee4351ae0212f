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

// Kind says what a record is about.
type Kind int

const (
	None Kind = iota // None means that the caller should write no record
	// Failed means that the thing now fails, or that it fails for another reason than in the last
	// record.
	Failed
	Recovered // Recovered means that the thing works again
	Unsteady  // Unsteady means that the thing changes too often for one record for each change
)

// Record says what to write to the log.
type Record struct {
	Kind Kind
	// Why is the cause of the failure. If Kind is Unsteady, it is the cause of the latest failure.
	Why string
	// Calls is the number of all calls since the last record, and Failures that of the failed ones.
	// Both are set only if the thing has changed too often for one record for each change.
	// Otherwise both are 0.
	Calls, Failures int
}

const (
	maxRecords = 6 // maxRecords is the largest number of records about one thing in one minute
	// a thing that has not changed for this time no longer counts as unsteady
	steadyAfter = time.Minute
)

// thing is the state of one thing that works or fails.
type thing struct {
	why string // why is the cause of the failure of the thing, or "" if the thing works
	// since is when the thing last began to fail, began to work, or got another cause of failure
	since time.Time
	// logged is the cause of failure in the last record; "" means that this record says that the
	// thing works
	logged string
	latest string // latest is the cause of the latest failure

	// records are counted for one minute; the field minute is the start of that minute
	minute time.Time
	// records is the number of records that were returned in that minute
	records  int
	unsteady bool
	calls    int // calls is the number of calls since the last record
	failures int // failures is the number of failed calls since the last record
}

// Note is called after each success or failure of the thing with this name. why is the cause of the
// failure; "" means success. Note returns the record that the caller should write.
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

// thing.record returns r and counts it as written. logged is the new value of t.logged: the cause
// of failure that the log now shows, or "".
func (t *thing) record(r Record, logged string) Record {
	t.logged = logged
	t.records++
	t.calls, t.failures = 0, 0
	return r
}
