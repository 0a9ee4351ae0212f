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
	// cutoffLists contains the times of the revocations in the group, as several sorted lists. Some
	// cutoffs that are not needed are left out. A cutoff contains the two times of one revocation:
	// it refuses the tokens that were issued before minIssued, and does this until endTime. Within
	// a list, each cutoff has a later minIssued and an earlier endTime than the cutoff before it.
	cutoffLists [][]cutoff
}

// A cutoff contains the two times of a revocation. It refuses the tokens that were issued before
// minIssued, by the issuer's clock. It does this until endTime, by our clock. A cutoff is not
// needed if another cutoff in the group refuses at least the same tokens for at least the same
// time. Then each of the two times of the other cutoff is equal or later.
type cutoff struct {
	minIssued int64 // minIssued is in seconds since 1970
	endTime   time.Time
}

// group.add adds the cutoff of a revocation to the group. The group has several sorted lists of
// cutoffs, and add merges only lists of about the same length. So most calls move few cutoffs, and
// a group of n cutoffs has at most about log n lists.
func (g *group) add(issuedBefore, until time.Time) {
	run := []cutoff{{minIssuedTime(issuedBefore), until}}
	for n := len(g.cutoffLists); n > 0 && len(g.cutoffLists[n-1]) <= len(run); n-- {
		run = mergeCutoffs(g.cutoffLists[n-1], run)
		g.cutoffLists = g.cutoffLists[:n-1]
	}
	g.cutoffLists = append(g.cutoffLists, run)
}

// minIssuedTime returns the time of issue from which on tokens are not refused, in seconds since
// 1970. It rounds issuedBefore up, because the times of tokens are whole seconds. If issuedBefore
// is zero, the result is the largest int64, so that every token is refused.
func minIssuedTime(issuedBefore time.Time) int64 {
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
		return cmp.Or(cmp.Compare(a.minIssued, b.minIssued), a.endTime.Compare(b.endTime))
	})
	from, latest := len(all), time.Time{}
	for _, c := range slices.Backward(all) {
		if c.endTime.After(latest) {
			from--
			all[from], latest = c, c.endTime
		}
	}
	return all[from:]
}

// group.refusesToken reports whether the group refuses a token that was issued at issuedAt, in
// seconds since 1970. A cutoff refuses the tokens that were issued before its minIssued, until its
// endTime. In each list of cutoffs, refusesToken checks only the first cutoff whose minIssued is
// later than issuedAt. The cutoffs before it do not apply to the token. The cutoffs after it end
// earlier, so if the first one has ended, all of them have ended.
func (g *group) refusesToken(issuedAt int64, now time.Time) bool {
	for _, run := range g.cutoffLists {
		i := sort.Search(len(run), func(i int) bool { return run[i].minIssued > issuedAt })
		if i < len(run) && now.Before(run[i].endTime) {
			return true
		}
	}
	return false
}

// group.removeEndedCutoffs removes the cutoffs (times of revocations) whose endTime has passed. In
// each list of cutoffs the endTime becomes earlier, so the ended cutoffs are at the end of the
// list.
func (g *group) removeEndedCutoffs(now time.Time) {
	for i, run := range g.cutoffLists {
		n := len(run)
		for n > 0 && !now.Before(run[n-1].endTime) {
			n--
		}
		g.cutoffLists[i] = run[:n]
	}
	g.cutoffLists = slices.DeleteFunc(g.cutoffLists, func(run []cutoff) bool { return len(run) == 0 })
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
