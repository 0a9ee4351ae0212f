// Package loglimit decides which of many repeated events get a record in a log. It writes no log.
package loglimit

import (
	"sync"
	"time"
)

// Changes decides about records of the state of things that either work or fail, such as the calls
// of a server. It asks for one record when the state of a thing changes. If a thing changes all the
// time, it asks for one record a minute instead. The zero value is ready. It is safe for concurrent
// use.
type Changes struct {
	mu     sync.Mutex
	things map[string]*thing
}

// Kind is the kind of a record.
type Kind int

const (
	None      Kind = iota // no record
	Failed                // the thing fails, or fails for another reason than before
	Recovered             // the thing works again
	Unsteady              // the thing changes too often for a record of each change
)

// Record is a decision of Changes.
type Record struct {
	Kind Kind
	Why  string // the cause; for Unsteady: the latest cause
	// Calls and Failures count since the last record. They are 0 unless the thing is or was unsteady.
	Calls, Failures int
}

const (
	maxRecords  = 6           // about one thing in one minute
	steadyAfter = time.Minute // without a change, a thing is no longer unsteady
)

// thing is the state of one thing.
type thing struct {
	why    string    // the cause of its failure, "" if it works
	since  time.Time // when why changed last
	logged string    // the why of the last record
	latest string    // the latest why that was not ""

	minute   time.Time // when records began to count
	records  int       // since minute
	unsteady bool
	calls    int // since the last record
	failures int // since the last record
}

// Note notes the state of a thing: why it fails, or "" if it works. It returns the record to write.
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
		t.logged = "" // if it fails, one more record says so
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

// record counts a record. logged is the why that the log then shows.
func (t *thing) record(r Record, logged string) Record {
	t.logged = logged
	t.records++
	t.calls, t.failures = 0, 0
	return r
}
