package revocations

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"
)

// group contains all revocations whose Fields are equal: they name the same subject, session and so
// on. The revocations of a group can differ only in IssuedBefore and Until.
type group struct {
	fields Fields
	size   int // size is the number of revocations in the group
	// runs contains sorted lists of cutoffs. From one cutoff in a list to the next, the time in the
	// field before becomes later, and the time in the field until becomes earlier.
	runs [][]cutoff
}

// A cutoff contains the two times of a revocation. Until the time in the field until, by our clock,
// it refuses the tokens that were issued before the time in the field before, by the issuer's
// clock. A cutoff is not needed if both times of another cutoff in the group are later.
type cutoff struct {
	before int64 // before is in seconds since 1970
	until  time.Time
}

// group.add adds the cutoff of a revocation to the group. The group has several sorted lists of
// cutoffs, and add merges only lists of about the same length. So most calls move few cutoffs, and
// a group of n cutoffs has at most about log n lists.
func (g *group) add(issuedBefore, until time.Time) {
	run := []cutoff{{firstAllowed(issuedBefore), until}}
	for n := len(g.runs); n > 0 && len(g.runs[n-1]) <= len(run); n-- {
		run = merge(g.runs[n-1], run)
		g.runs = g.runs[:n-1]
	}
	g.runs = append(g.runs, run)
}

// firstAllowed returns the first second that is not before issuedBefore: a token that was issued in
// this second or later is not refused. It rounds up, because the times of tokens are whole seconds.
func firstAllowed(issuedBefore time.Time) int64 {
	if issuedBefore.IsZero() {
		return math.MaxInt64
	}
	seconds := issuedBefore.Unix()
	if issuedBefore.Nanosecond() > 0 {
		seconds++
	}
	return seconds
}

// merge merges two sorted lists of cutoffs into one. It leaves out each cutoff that is not needed
// because both times of another cutoff are later.
func merge(a, b []cutoff) []cutoff {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(a, b cutoff) int {
		return cmp.Or(cmp.Compare(a.before, b.before), a.until.Compare(b.until))
	})
	from, latest := len(all), time.Time{}
	for _, c := range slices.Backward(all) {
		if c.until.After(latest) {
			from--
			all[from], latest = c, c.until
		}
	}
	return all[from:]
}

// group.matches reports whether the group refuses a token that was issued in the given second. In
// each list of cutoffs it looks at only one cutoff: the first whose field before is later than that
// second. The cutoffs after it in the list stop refusing tokens earlier, so they make no
// difference.
func (g *group) matches(issued int64, now time.Time) bool {
	for _, run := range g.runs {
		i := sort.Search(len(run), func(i int) bool { return run[i].before > issued })
		if i < len(run) && now.Before(run[i].until) {
			return true
		}
	}
	return false
}

// removeEnded removes the cutoffs whose time in the field until has passed. They are at the end of
// each list.
func (g *group) removeEnded(now time.Time) {
	for i, run := range g.runs {
		n := len(run)
		for n > 0 && !now.Before(run[n-1].until) {
			n--
		}
		g.runs[i] = run[:n]
	}
	g.runs = slices.DeleteFunc(g.runs, func(run []cutoff) bool { return len(run) == 0 })
}

// byEnd is a heap of revocations (container/heap), ordered by the time until which they apply. The
// first element is the revocation that ends first.
type byEnd []*revocation

func (h byEnd) Len() int           { return len(h) }
func (h byEnd) Less(i, j int) bool { return h[i].until.Before(h[j].until) }

func (h byEnd) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].position, h[j].position = i, j
}

// Push is called by container/heap, and adds a revocation.
func (h *byEnd) Push(x any) {
	r := x.(*revocation)
	r.position = len(*h)
	*h = append(*h, r)
}

// Pop is called by container/heap, and removes a revocation.
func (h *byEnd) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return r
}
