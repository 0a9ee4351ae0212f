// Package revocations stores the revocations of one issuer, and finds out whether one of them
// refuses a token.
package revocations

import (
	"container/heap"
	"sync"
	"sync/atomic"
	"time"
)

// Max is the largest number of revocations in a Set. If a service needs more within the lifetime of
// a token, it should revoke by session or subject, and not by token.
const Max = 100_000

// sweepSome is how many ended revocations one call of Add or Match removes at most, so that no call
// holds the lock of the Set for long. Only if the Set is full, Add removes all ended revocations.
const sweepSome = 64

// Fields contains the fields of a token that a revocation can name. A revocation matches a token if
// each field that is set in the revocation has the same value in the token.
type Fields struct {
	TokenHash string // TokenHash is a hash of the whole token
	TokenID   string // TokenID is the claim jti
	SessionID string // SessionID is the claim sid
	Subject   string // Subject is the claim sub
	ClientID  string // ClientID is the claim client_id
}

// Revocation refuses the tokens that match Fields and were issued before IssuedBefore. It applies
// until the time Until. If IssuedBefore is zero, it does not matter when a token was issued.
type Revocation struct {
	Fields
	IssuedBefore time.Time
	Until        time.Time
}

// Token is the token for which Match looks for a revocation.
type Token struct {
	Fields // TokenHash is not set here, because Match computes the hash if it is needed
	// Issued is when the token was issued, in seconds since 1970. It is math.MinInt64 if the token
	// does not say this.
	Issued int64
	Text   string // Text is the text of the token
}

// Set stores revocations. It is safe for concurrent use.
//
// Match and Add do not become slower if one subject, session or client has many revocations: an
// index leads to the few revocations that can match.
type Set struct {
	hash func(token string) string // hash returns the Fields.TokenHash of a token
	// count is the number of revocations in the Set; it can be read without the lock mu
	count atomic.Int64

	mu               sync.RWMutex
	groups           map[Fields]*group
	knownRevocations map[identity]*revocation
	endQueue         byEnd // endQueue contains all revocations, ordered by their end
	// groupsByShape[i] is the number of groups whose Fields have the shape i. The shape of Fields
	// says which of the fields are set: see Fields.shape.
	groupsByShape [1 << 5]int
}

// identity is the key of a revocation in the map Set.knownRevocations. Two revocations that differ
// only in Until have the same key.
type identity struct {
	group        *group
	issuedBefore time.Time // issuedBefore is the IssuedBefore of the revocation
}

type revocation struct {
	identity
	until    time.Time
	position int // position is the index of the revocation in Set.endQueue
}

// New returns an empty Set. The function hash returns the TokenHash of a token.
func New(hash func(token string) string) *Set {
	return &Set{hash: hash, groups: make(map[Fields]*group), knownRevocations: make(map[identity]*revocation)}
}

// Add adds the revocation r to the Set. If the Set already has a revocation that differs from r
// only in Until, the later of the two times becomes its Until. If r has ended already, Add stores
// nothing and returns true. Add returns false if the Set is full. Add compares values of
// IssuedBefore with ==. So r.IssuedBefore must have no monotonic clock reading, and all values of
// IssuedBefore must have the same time.Location (time zone).
func (s *Set) Add(r Revocation, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !now.Before(r.Until) {
		return true
	}
	s.sweep(now, sweepSome)
	g := s.groups[r.Fields]
	if g != nil {
		if have := s.knownRevocations[identity{g, r.IssuedBefore}]; have != nil {
			if have.until.Before(r.Until) {
				have.until = r.Until
				heap.Fix(&s.endQueue, have.position)
				g.add(r.IssuedBefore, r.Until)
			}
			return true
		}
	}
	if len(s.endQueue) >= Max {
		if s.sweep(now, Max); len(s.endQueue) >= Max {
			return false
		}
		g = s.groups[r.Fields] // Set.sweep may have removed this group from Set.groups
	}
	if g == nil {
		g = &group{fields: r.Fields}
		s.groups[g.fields] = g
		s.groupsByShape[g.fields.shape()]++
	}
	have := &revocation{identity: identity{g, r.IssuedBefore}, until: r.Until}
	s.knownRevocations[have.identity] = have
	heap.Push(&s.endQueue, have)
	g.size++
	g.add(r.IssuedBefore, r.Until)
	s.count.Store(int64(len(s.endQueue)))
	return true
}

// Set.sweep removes revocations that have ended: their time Until has passed. It removes at most
// limit of them. The caller holds the lock s.mu.
func (s *Set) sweep(now time.Time, limit int) {
	for ; limit > 0 && s.hasEnded(now); limit-- {
		ended := heap.Pop(&s.endQueue).(*revocation)
		delete(s.knownRevocations, ended.identity)
		g := ended.group
		g.removeEndedCutoffs(now)
		if g.size--; g.size == 0 {
			delete(s.groups, g.fields)
			s.groupsByShape[g.fields.shape()]--
		}
	}
	s.count.Store(int64(len(s.endQueue)))
}

// Set.hasEnded reports whether the Set contains a revocation whose time Until has passed. The
// caller holds the lock s.mu.
func (s *Set) hasEnded(now time.Time) bool {
	return len(s.endQueue) > 0 && !now.Before(s.endQueue[0].until)
}

// Empty reports whether the Set contains no revocation. A revocation that has ended counts until
// Add or Match removes it. Empty takes no lock.
func (s *Set) Empty() bool { return s.count.Load() == 0 }

// Match reports whether the Set contains a revocation that matches the token and has not ended.
func (s *Set) Match(t Token, now time.Time) bool {
	if s.Empty() {
		return false
	}
	s.mu.RLock()
	ended := s.hasEnded(now)
	found := s.findMatch(t, now)
	s.mu.RUnlock()
	if ended {
		s.mu.Lock()
		s.sweep(now, sweepSome)
		s.mu.Unlock()
	}
	return found
}

// Set.findMatch is the part of Match that needs the lock. Revocations can name different sets of
// fields: some name only the subject, others subject and client. findMatch makes at most one
// look-up for each set of fields that occurs.
func (s *Set) findMatch(t Token, now time.Time) bool {
	for shape, groups := range s.groupsByShape {
		if groups == 0 {
			continue
		}
		if shape&tokenHashBit != 0 && t.TokenHash == "" {
			t.TokenHash = s.hash(t.Text)
		}
		fields, ok := t.withShape(shape)
		if !ok {
			continue
		}
		if g := s.groups[fields]; g != nil && g.refusesToken(t.Issued, now) {
			return true
		}
	}
	return false
}

// Len returns the number of revocations that have not ended. now is the current time.
func (s *Set) Len(now time.Time) (n int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, r := range s.endQueue {
		if now.Before(r.until) {
			n++
		}
	}
	return n
}
