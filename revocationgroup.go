package xenaauth

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"
)

// madeAt returns when the token of u was made, in seconds since 1970: nbf, or iat where there is no nbf. A token
// without either is older than any other.
func madeAt(u *User) int64 {
	switch {
	case u.set.NotBefore != 0:
		return u.set.NotBefore
	case u.set.IssuedAt != 0:
		return u.set.IssuedAt
	}
	return math.MinInt64
}

// firstAllowed returns the first second in which a token may be made. Times of tokens are whole seconds.
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

// cut adds a cutoff. Runs of about the same size are merged, so that no addition moves all of the others, and a group
// of n has no more than log n runs.
func (g *group) cut(issuedBefore, until time.Time) {
	run := []cutoff{{firstAllowed(issuedBefore), until}}
	for n := len(g.runs); n > 0 && len(g.runs[n-1]) <= len(run); n-- {
		run = merge(g.runs[n-1], run)
		g.runs = g.runs[:n-1]
	}
	g.runs = append(g.runs, run)
}

// merge returns the cutoffs of two runs without those that others cover.
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

// refuses reports whether a token made in that second is revoked. Of the cutoffs of a run that lie after that second the
// first ends last.
func (g *group) refuses(made int64, now time.Time) bool {
	for _, run := range g.runs {
		i := sort.Search(len(run), func(i int) bool { return run[i].before > made })
		if i < len(run) && now.Before(run[i].until) {
			return true
		}
	}
	return false
}

// trim removes the cutoffs that have ended: the last ones of a run end first.
func (g *group) trim(now time.Time) {
	for i, run := range g.runs {
		n := len(run)
		for n > 0 && !now.Before(run[n-1].until) {
			n--
		}
		g.runs[i] = run[:n]
	}
	g.runs = slices.DeleteFunc(g.runs, func(run []cutoff) bool { return len(run) == 0 })
}

// byEnd is a heap (container/heap) of revocations: the first to end is at the top.
type byEnd []*revocation

func (h byEnd) Len() int           { return len(h) }
func (h byEnd) Less(i, j int) bool { return h[i].until.Before(h[j].until) }

func (h byEnd) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].position, h[j].position = i, j
}

// Push implements heap.Interface.
func (h *byEnd) Push(x any) {
	r := x.(*revocation)
	r.position = len(*h)
	*h = append(*h, r)
}

// Pop implements heap.Interface.
func (h *byEnd) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return r
}
