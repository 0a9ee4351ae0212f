package revocations

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"
)

// group contains all revocations with the same Fields. They can differ only in IssuedBefore and
// Until.
type group struct {
	fields Fields
	size   int // size is the number of revocations
	// runs are lists of cutoffs. From one cutoff in a list to the next, the time in the field
	// before becomes later, and the time in the field until becomes earlier.
	runs [][]cutoff
}

// cutoff refuses the tokens that were issued earlier than the field before says, by the issuer's
// clock. A cutoff ends at the time in its field until, by our clock. If both times of one cutoff
// are later than those of another cutoff, the second cutoff is not needed.
type cutoff struct {
	before int64 // the field before is in seconds since 1970
	until  time.Time
}

// group.add adds the cutoff of a revocation. The cutoffs are in several sorted lists, and add
// merges only lists of about the same length. So most calls move few cutoffs, and a group of n
// cutoffs has at most about log n lists.
func (g *group) add(issuedBefore, until time.Time) {
	run := []cutoff{{firstAllowed(issuedBefore), until}}
	for n := len(g.runs); n > 0 && len(g.runs[n-1]) <= len(run); n-- {
		run = merge(g.runs[n-1], run)
		g.runs = g.runs[:n-1]
	}
	g.runs = append(g.runs, run)
}

// firstAllowed returns the first second in which a token may be issued that the revocation does not
// refuse. It rounds up, because the times of tokens are whole seconds.
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

// merge merges two sorted lists into one. It leaves out each cutoff that is not needed because
// another cutoff has later times.
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

// group.matches reports whether a token that was issued in the given second is refused. In each
// list it looks at only one cutoff: the first whose field before is later than that second. All
// cutoffs after it in the list end earlier, so they are not needed.
func (g *group) matches(issued int64, now time.Time) bool {
	for _, run := range g.runs {
		i := sort.Search(len(run), func(i int) bool { return run[i].before > issued })
		if i < len(run) && now.Before(run[i].until) {
			return true
		}
	}
	return false
}

// removeEnded removes the cutoffs that have ended. They are at the end of each list.
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

// byEnd is a heap of revocations (container/heap). The first element is the revocation that ends
// first.
type byEnd []*revocation

func (h byEnd) Len() int           { return len(h) }
func (h byEnd) Less(i, j int) bool { return h[i].until.Before(h[j].until) }

func (h byEnd) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].position, h[j].position = i, j
}

// Push is called by container/heap.
func (h *byEnd) Push(x any) {
	r := x.(*revocation)
	r.position = len(*h)
	*h = append(*h, r)
}

// Pop is called by container/heap.
func (h *byEnd) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return r
}
