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
	// runs contains sorted lists of cutoffs. In each list, the times firstAllowed become later and
	// the times end become earlier.
	runs [][]cutoff
}

// A cutoff contains the two times of a revocation. It refuses the tokens that were issued before
// the second firstAllowed, by the issuer's clock. It does this until the time end, by our clock. A
// cutoff is not needed if another cutoff in the group has a later firstAllowed and a later end.
type cutoff struct {
	firstAllowed int64 // firstAllowed is in seconds since 1970
	end          time.Time
}

// group.add adds the cutoff of a revocation to the group. The group has several sorted lists of
// cutoffs, and add merges only lists of about the same length. So most calls move few cutoffs, and
// a group of n cutoffs has at most about log n lists.
func (g *group) add(issuedBefore, until time.Time) {
	run := []cutoff{{firstAllowed(issuedBefore), until}}
	for n := len(g.runs); n > 0 && len(g.runs[n-1]) <= len(run); n-- {
		run = mergeCutoffs(g.runs[n-1], run)
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

// mergeCutoffs merges two sorted lists of cutoffs into one. It leaves out each cutoff that is not
// needed, because another cutoff refuses at least the same tokens for at least the same time.
func mergeCutoffs(a, b []cutoff) []cutoff {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(a, b cutoff) int {
		return cmp.Or(cmp.Compare(a.firstAllowed, b.firstAllowed), a.end.Compare(b.end))
	})
	from, latest := len(all), time.Time{}
	for _, c := range slices.Backward(all) {
		if c.end.After(latest) {
			from--
			all[from], latest = c, c.end
		}
	}
	return all[from:]
}

// group.matches reports whether the group refuses a token that was issued in the given second. A
// group has several sorted lists of cutoffs. matches checks only one cutoff of each list: the first
// one that refuses tokens of that second. The cutoffs after it also refuse such tokens, but they
// end earlier.
func (g *group) matches(issued int64, now time.Time) bool {
	for _, run := range g.runs {
		i := sort.Search(len(run), func(i int) bool { return run[i].firstAllowed > issued })
		if i < len(run) && now.Before(run[i].end) {
			return true
		}
	}
	return false
}

// group.removeEnded removes the cutoffs whose time end has passed. They are the last cutoffs of
// each list.
func (g *group) removeEnded(now time.Time) {
	for i, run := range g.runs {
		n := len(run)
		for n > 0 && !now.Before(run[n-1].end) {
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
