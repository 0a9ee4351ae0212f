package xenaauth

import (
	"container/heap"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// revocations holds the revocations in force. The cost of a look-up and of an addition does not grow with the number
// of revocations of one subject, session or client: an index leads to the few that can match.
type revocations struct {
	lifetime time.Duration // of the longest-lived token
	count    atomic.Int64  // len(ends), readable without the lock

	mu     sync.RWMutex
	by     map[revocationKey]*group
	known  map[identity]*revocation
	ends   byEnd       // a heap
	shapes [1 << 5]int // how many groups set which fields: see revocationKey.shape
}

// revocationKey holds the fields of a revocation that a token must have exactly. "" is any.
type revocationKey struct{ token, jti, sid, sub, client string }

// group holds all revocations with one key. They differ by IssuedBefore and Until.
type group struct {
	revocationKey
	size int
	runs [][]cutoff // in each one before ascends and until descends
}

// cutoff refuses tokens made before a second of the issuer's clock, until a moment of ours. It covers each one that is
// earlier in both times.
type cutoff struct {
	before int64 // seconds since 1970
	until  time.Time
}

// identity is the key of a revocation. Two revocations that differ only in their end have the same identity.
type identity struct {
	group  *group
	before time.Time
}

type revocation struct {
	identity
	until    time.Time
	position int // in ends
}

func newRevocations(c Config) *revocations {
	r := &revocations{
		lifetime: 24 * time.Hour,
		by:       make(map[revocationKey]*group),
		known:    make(map[identity]*revocation),
	}
	if !c.AllowAnyLifetime {
		r.lifetime = c.MaxTokenLifetime + 3*c.ClockSkew
	}
	return r
}

func (r *Revocation) key() revocationKey {
	return revocationKey{r.TokenHash, r.TokenID, r.SessionID, r.Subject, r.ClientID}
}

func (t *revocationKey) fields() [5]*string {
	return [...]*string{&t.token, &t.jti, &t.sid, &t.sub, &t.client}
}

// shape says which fields are set, one bit each.
func (t *revocationKey) shape() (bits int) {
	for i, field := range t.fields() {
		if *field != "" {
			bits |= 1 << i
		}
	}
	return bits
}

// only returns t without the fields that shape leaves out. ok is false if t lacks one that shape has.
func (t revocationKey) only(shape int) (_ revocationKey, ok bool) {
	for i, field := range t.fields() {
		switch {
		case shape&(1<<i) == 0:
			*field = ""
		case *field == "":
			return revocationKey{}, false
		}
	}
	return t, true
}

// complete returns r with its end, and in the one form that equal revocations have.
func (s *revocations) complete(r Revocation, now time.Time) (Revocation, error) {
	t := r.key()
	if t == (revocationKey{}) && r.IssuedBefore.IsZero() {
		return r, errors.New("xenaauth: the Revocation names nothing")
	}
	for _, field := range t.fields() {
		if !isName(*field) {
			return r, errors.New("xenaauth: the Revocation has a value that no token has")
		}
	}
	if b, err := hex.DecodeString(r.TokenHash); err != nil || r.TokenHash != "" && len(b) != sha256.Size {
		return r, errors.New("xenaauth: Revocation.TokenHash is not from HashToken")
	}
	r.TokenHash = strings.ToLower(r.TokenHash)
	if r.Until.IsZero() {
		r.Until = now.Add(s.lifetime)
	}
	// The wall clock alone, so that the same revocation is the same on every instance.
	r.Until, r.IssuedBefore = r.Until.UTC().Round(0), r.IssuedBefore.UTC().Round(0)
	for _, at := range []time.Time{r.Until, r.IssuedBefore} {
		if at.Year() < 1 || at.Year() > 9999 { // RFC 3339, and time.Time wraps around far beyond
			return r, errors.New("xenaauth: a time of the Revocation is not within the years 1 to 9999")
		}
	}
	return r, nil
}

// add puts r in force. r is complete. It returns ErrRevocationsFull if there is no room.
func (s *revocations) add(r Revocation, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !now.Before(r.Until) {
		return nil
	}
	s.sweep(now, sweepSome)
	g := s.by[r.key()]
	if g != nil {
		if have := s.known[identity{g, r.IssuedBefore}]; have != nil {
			if have.until.Before(r.Until) {
				have.until = r.Until
				heap.Fix(&s.ends, have.position)
				g.cut(r.IssuedBefore, r.Until)
			}
			return nil
		}
	}
	if len(s.ends) >= maxRevocations {
		if s.sweep(now, maxRevocations); len(s.ends) >= maxRevocations {
			return ErrRevocationsFull
		}
		g = s.by[r.key()] // the sweep may have removed it
	}
	if g == nil {
		g = &group{revocationKey: r.key()}
		s.by[g.revocationKey] = g
		s.shapes[g.shape()]++
	}
	have := &revocation{identity: identity{g, r.IssuedBefore}, until: r.Until}
	s.known[have.identity] = have
	heap.Push(&s.ends, have)
	g.size++
	g.cut(r.IssuedBefore, r.Until)
	s.count.Store(int64(len(s.ends)))
	return nil
}

// sweepSome is how many ended revocations a request or an addition removes, so that none waits long for the lock.
const sweepSome = 64

// sweep removes at most limit revocations that have ended. s.mu is held.
func (s *revocations) sweep(now time.Time, limit int) {
	for ; limit > 0 && s.over(now); limit-- {
		ended := heap.Pop(&s.ends).(*revocation)
		delete(s.known, ended.identity)
		g := ended.group
		g.trim(now)
		if g.size--; g.size == 0 {
			delete(s.by, g.revocationKey)
			s.shapes[g.shape()]--
		}
	}
	s.count.Store(int64(len(s.ends)))
}

// over reports whether a revocation has ended. s.mu is held.
func (s *revocations) over(now time.Time) bool {
	return len(s.ends) > 0 && !now.Before(s.ends[0].until)
}

// match reports whether a token is revoked.
func (s *revocations) match(u *User, token string, now time.Time) bool {
	if s.count.Load() == 0 {
		return false
	}
	s.mu.RLock()
	over := s.over(now)
	found := s.find(u, token, now)
	s.mu.RUnlock()
	if over {
		s.mu.Lock()
		s.sweep(now, sweepSome)
		s.mu.Unlock()
	}
	return found
}

// tokenShape is the bit of revocationKey.token.
const tokenShape = 1

// find looks for a revocation of a token. s.mu is held for reading.
func (s *revocations) find(u *User, token string, now time.Time) bool {
	of := revocationKey{jti: u.TokenID(), sid: u.SessionID(), sub: u.set.Subject, client: u.clientID}
	made := madeAt(u)
	for shape, groups := range s.shapes {
		if groups == 0 {
			continue
		}
		if shape&tokenShape != 0 && of.token == "" {
			of.token = HashToken(token)
		}
		t, ok := of.only(shape)
		if !ok {
			continue
		}
		if g := s.by[t]; g != nil && g.refuses(made, now) {
			return true
		}
	}
	return false
}

// inForce counts the revocations that have not ended.
func (s *revocations) inForce(now time.Time) (n int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, r := range s.ends {
		if now.Before(r.until) {
			n++
		}
	}
	return n
}
