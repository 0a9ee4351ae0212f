package revocations_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/revocations"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// plainHash is used for Fields.TokenHash in these tests. It returns the token itself instead of a
// hash, so that a test can see which token a revocation names.
func plainHash(token string) string { return token }

func bySubject(name string, until time.Time) revocations.Revocation {
	return revocations.Revocation{Fields: revocations.Fields{Subject: name}, Until: until}
}

func ofSubject(name string) revocations.Token {
	return revocations.Token{Fields: revocations.Fields{Subject: name}, Issued: start.Unix()}
}

// measureFastest calls f several times and returns the time of the fastest call. Other programs on
// the machine can only make a call slower.
func measureFastest(f func()) time.Duration {
	best := time.Duration(1 << 62)
	for range 20 {
		began := time.Now()
		f()
		best = min(best, time.Since(began))
	}
	return best
}

// Many revocations do not make Add or Match slow. With 50 000 revocations, a call may take up to 50
// times as long as with a few. A search through a list would take much longer than that.
func TestCostWithManyOfOneSubject(t *testing.T) {
	const many, allowed = 50_000, 50
	token := revocations.Token{
		Fields: revocations.Fields{Subject: "U1", ClientID: "C1"},
		Issued: start.Unix(),
	}
	// Each of these functions returns the n-th revocation of one kind. The revocations match no
	// token of the test.
	type fields = revocations.Fields
	for name, of := range map[string]func(n int) revocations.Revocation{
		"dates": func(n int) revocations.Revocation {
			// Each of these revocations has a later IssuedBefore and an earlier Until than the one
			// before. So no revocation makes another one unnecessary.
			return revocations.Revocation{Fields: fields{Subject: "U1"},
				IssuedBefore: start.Add(time.Duration(n-2*many) * time.Second),
				Until:        start.Add(time.Hour - time.Duration(n)*time.Millisecond)}
		},
		"dates, descending": func(n int) revocations.Revocation {
			return revocations.Revocation{Fields: fields{Subject: "U1"},
				IssuedBefore: start.Add(-time.Duration(n+100) * time.Second),
				Until:        start.Add(time.Hour + time.Duration(n)*time.Millisecond)}
		},
		"dates without a subject": func(n int) revocations.Revocation {
			return revocations.Revocation{
				IssuedBefore: start.Add(time.Duration(n-2*many) * time.Second),
				Until:        start.Add(time.Hour - time.Duration(n)*time.Millisecond)}
		},
		"clients": func(n int) revocations.Revocation {
			return revocations.Revocation{Fields: fields{Subject: "U1", ClientID: fmt.Sprint("other", n)},
				Until: start.Add(time.Hour)}
		},
		"sessions": func(n int) revocations.Revocation {
			return revocations.Revocation{Until: start.Add(time.Hour),
				Fields: fields{Subject: "U1", ClientID: "C1", SessionID: fmt.Sprint("other", n)}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := revocations.New(plainHash)
			n := 0
			add := func(count int) {
				for range count {
					if !s.Add(of(n), start) {
						t.Fatal("no room")
					}
					n++
				}
			}
			match := func() {
				for range 100 {
					if s.Match(token, start) {
						t.Fatal("matches")
					}
				}
			}
			add(1)
			match()
			fewAdd, fewMatch := measureFastest(func() { add(10) }), measureFastest(match)
			add(many - n)
			manyAdd, manyMatch := measureFastest(func() { add(10) }), measureFastest(match)
			t.Logf("10 Adds: %v, %v with %d; 100 Matches: %v, %v", fewAdd, manyAdd, many, fewMatch, manyMatch)
			require.Less(t, manyAdd, allowed*fewAdd, "Add")
			require.Less(t, manyMatch, allowed*fewMatch, "Match")
		})
	}
}

// The test adds revocations and lets some of them end. At each moment, Set.Match must return the
// same as a search through a list of all revocations.
func TestIndexFindsWhatAListFinds(t *testing.T) {
	t.Parallel()
	pick := func(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }
	fits := func(want, have string) bool { return want == "" || want == have }
	matches := func(r revocations.Revocation, token revocations.Token, now time.Time) bool {
		return now.Before(r.Until) && fits(r.TokenHash, token.Text) && fits(r.Subject, token.Subject) &&
			fits(r.ClientID, token.ClientID) && fits(r.SessionID, token.SessionID) &&
			fits(r.TokenID, token.TokenID) &&
			(r.IssuedBefore.IsZero() || token.Issued == math.MinInt64 ||
				time.Unix(token.Issued, 0).Before(r.IssuedBefore))
	}
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 7))
		s := revocations.New(plainHash)
		now := start
		var tokens []revocations.Token
		for i := range 20 {
			token := revocations.Token{Text: fmt.Sprint("token", i), Issued: start.Unix() - int64(random.IntN(10))}
			token.Fields = revocations.Fields{
				TokenID: pick(random, "J1", "J2"), SessionID: pick(random, "", "S1", "S2"),
				Subject: pick(random, "U1", "U2"), ClientID: pick(random, "C1", "C2"),
			}
			if random.IntN(10) == 0 {
				token.Issued = math.MinInt64
			}
			tokens = append(tokens, token)
		}
		var list []revocations.Revocation
		for range 300 {
			r := revocations.Revocation{Until: now.Add(time.Duration(random.IntN(5000)) * time.Millisecond)}
			r.Fields = revocations.Fields{
				TokenID: pick(random, "", "", "J1"), SessionID: pick(random, "", "", "S2", "S3"),
				Subject: pick(random, "", "U1", "U3"), ClientID: pick(random, "", "", "C1"),
			}
			if random.IntN(8) == 0 {
				r.TokenHash = tokens[random.IntN(len(tokens))].Text
			}
			if random.IntN(2) == 0 {
				r.IssuedBefore = start.Add(-time.Duration(random.IntN(10_000)) * time.Millisecond)
			}
			if (r == revocations.Revocation{Until: r.Until}) {
				continue
			}
			require.True(t, s.Add(r, now))
			list = append(list, r)
			now = now.Add(time.Duration(random.IntN(200)) * time.Millisecond)
			for _, token := range tokens {
				want := false
				for _, r := range list {
					want = want || matches(r, token, now)
				}
				require.Equal(t, want, s.Match(token, now), "seed %d, %+v, %+v", seed, token, list)
			}
			distinct := map[revocations.Revocation]bool{}
			for _, r := range list {
				if now.Before(r.Until) {
					r.Until = time.Time{}
					distinct[r] = true
				}
			}
			require.Equal(t, len(distinct), s.Len(now), "seed %d", seed)
		}
	}
}

// When one revocation ends, the other revocations in the Set still refuse their tokens.
func TestRevocationsEndOneByOne(t *testing.T) {
	t.Parallel()
	s := revocations.New(plainHash)
	const n = 500
	for i := range n {
		require.True(t, s.Add(bySubject(fmt.Sprint("U", i), start.Add(time.Duration(i+1)*time.Second)), start))
	}
	for i := range n {
		now, one := start.Add(time.Duration(i)*time.Second), ofSubject(fmt.Sprint("U", i))
		require.Equal(t, n-i, s.Len(now))
		require.True(t, s.Match(one, now))
		require.True(t, s.Match(ofSubject(fmt.Sprint("U", n-1)), now))
		require.False(t, s.Match(one, now.Add(time.Second)))
	}
	require.Zero(t, s.Len(start.Add(n*time.Second)))
	require.True(t, s.Empty())
}

// Many revocations may end at the same moment. After that, new revocations can be added, and the
// revocations that have not ended still refuse their tokens.
func TestRevocationsEndTogether(t *testing.T) {
	t.Parallel()
	s := revocations.New(plainHash)
	later := start.Add(time.Minute)
	require.True(t, s.Add(bySubject("stays", start.Add(time.Hour)), start))
	for n := range revocations.Max - 1 {
		require.True(t, s.Add(bySubject(fmt.Sprint(n), later), start))
	}
	require.False(t, s.Add(bySubject("one more", later), start))
	require.False(t, s.Match(ofSubject("one more"), start))
	require.True(t, s.Add(bySubject("stays", start.Add(2*time.Hour)), start), "an equal one needs no room")
	require.Equal(t, 1, s.Len(later))
	for n := range revocations.Max - 1 {
		require.True(t, s.Add(bySubject(fmt.Sprint("new", n), start.Add(time.Hour)), later))
	}
	require.Equal(t, revocations.Max, s.Len(later))
	require.True(t, s.Match(ofSubject("stays"), start.Add(90*time.Minute)))
}

// Set.Match computes the hash of a token only if some revocation names a token by its hash.
func TestHashIsMadeOnDemand(t *testing.T) {
	t.Parallel()
	hashed := 0
	s := revocations.New(func(token string) string { hashed++; return "hash of " + token })
	token := ofSubject("U1")
	token.Text = "T"
	require.True(t, s.Add(bySubject("U2", start.Add(time.Hour)), start))
	require.False(t, s.Match(token, start))
	require.Zero(t, hashed)
	of := revocations.Fields{TokenHash: "hash of T"}
	require.True(t, s.Add(revocations.Revocation{Fields: of, Until: start.Add(time.Hour)}, start))
	require.True(t, s.Match(token, start))
	require.Equal(t, 1, hashed)
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := revocations.New(plainHash)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 500 {
				now := start.Add(time.Duration(n) * time.Millisecond)
				name := fmt.Sprint(i, "-", n)
				s.Add(bySubject(name, now.Add(50*time.Millisecond)), now)
				if s.Match(ofSubject("innocent"), now) {
					t.Error("an innocent subject matches")
				}
				s.Len(now)
			}
		})
	}
	wg.Wait()
	require.Zero(t, s.Len(start.Add(time.Minute)))
}
