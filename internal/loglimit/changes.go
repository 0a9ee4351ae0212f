// Package loglimit decides which of many repeated events are written to a log. It does not write to
// a log itself.
package loglimit

import (
	"sync"
	"time"
)

// Changes limits records about things that either work or fail, for example the calls to a server.
// There is one record for each change between the two. If a thing changes all the time, there is
// one record a minute instead. The zero value is ready to use. It is safe for concurrent use.
type Changes struct {
	mu     sync.Mutex
	things map[string]*thing
}

// Kind says what a record is about.
type Kind int

const (
	None Kind = iota // no record
	// The thing now fails, or fails for another reason than in the last record.
	Failed
	Recovered // the thing works again
	Unsteady  // the thing changes too often for one record for each change
)

// Record says what to write to the log.
type Record struct {
	Kind Kind
	Why  string // the cause of the failure; for Unsteady, the cause of the latest failure
	// Calls and Failures are the numbers of calls and failures since the last record. They are 0
	// unless the thing is or was unsteady.
	Calls, Failures int
}

const (
	maxRecords  = 6           // for one thing in one minute
	steadyAfter = time.Minute // after this time without a change, a thing is no longer unsteady
)

// thing is the state of one thing that works or fails.
type thing struct {
	why    string    // the cause of its failure, "" if it works
	since  time.Time // when why changed
	logged string    // the value of why in the last record
	latest string    // the latest value of why that was not ""

	minute   time.Time // records counts from this time on
	records  int       // the number of records since minute
	unsteady bool
	calls    int // since the last record
	failures int // since the last record
}

// Note records the state of the thing name. why says why it fails, and is "" if it works. Note
// returns the record that the caller should write.
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
		t.logged = "" // if the thing fails next, Note returns a record of that
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

// record counts the record r and returns it. logged is the state of the thing that the log shows
// after r.
func (t *thing) record(r Record, logged string) Record {
	t.logged = logged
	t.records++
	t.calls, t.failures = 0, 0
	return r
}
