package xenaauth

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/xenaauth/xenaauth/internal/claims"
)

// Cache is a store that the instances of a service share, so that one of them asks the issuer about a token and the
// others needn't: see [Introspection.Cache]. Implementations live outside this package. They are safe for concurrent
// use and end by themselves when ctx does.
//
// A key is a hash of the token and of what else the answer depends on. Who has it can't make the token of it but can
// tell which token it is of, and a value says who the user is: a store that others can read or write needs the one
// hashed with a secret and the other sealed with it.
//
// A cache that fails is one that holds nothing: no request is refused because of it. What it gives is held to the same
// rules as an answer of the issuer.
type Cache interface {
	// Get returns what Set stored under key less than its ttl ago, and nil where there is nothing. Where another instance
	// was told that there is nothing and hasn't called Set since, Get may wait for it: a moment, not for ever. After nil
	// without an error the caller asks the issuer and calls Set.
	Get(ctx context.Context, key [32]byte) (value []byte, err error)
	// Set stores a value. An empty one stores nothing and says that nothing came of asking: who waits in Get needn't wait
	// on. ttl is then of no meaning.
	Set(ctx context.Context, key [32]byte, value []byte, ttl time.Duration) error
}

// sharing is what an introspector does with a [Cache].
type sharing struct {
	cache       Cache
	policy      *policy
	report      *reporter
	activeTTL   time.Duration
	inactiveTTL time.Duration // not shared unless positive
	timeout     time.Duration
	places      chan struct{} // taken by who uses the cache: what strangers send piles up neither here nor there
}

// newSharing returns nil if there is nothing to share by.
func newSharing(c Introspection, policy *policy, report *reporter) *sharing {
	if c.Cache == nil {
		return nil
	}
	return &sharing{
		cache:       c.Cache,
		policy:      policy,
		report:      report,
		activeTTL:   c.CacheTTL,
		inactiveTTL: c.NegativeTTL,
		timeout:     c.Timeout,
		places:      make(chan struct{}, 16*c.MaxConcurrent),
	}
}

// saying is what the issuer said about a token.
type saying struct {
	user *User // nil: not active
	at   time.Time
}

// once calls ask unless another instance has done so. An error that is no *Error with ReasonInactive is nothing that
// the issuer said, and is not shared. The times of the result are those of the answer's use: see keep.
func (s *sharing) once(ctx context.Context, key [32]byte, ask func() (saying, error)) (saying, error) {
	select {
	case s.places <- struct{}{}:
	default:
		return ask()
	}
	value, err := s.get(ctx, key)
	if err != nil { // and it would fail again
		<-s.places
		return ask()
	}
	if said, ok := s.read(value, time.Now()); ok {
		<-s.places
		if said.user == nil {
			return said, refuse(ReasonInactive, errInactive)
		}
		return said, nil
	}
	asked := time.Now()
	var ttl time.Duration
	value = nil
	// Who waits here needn't wait for the cache, but others wait to be told, also if the HTTP client panics. The goroutine
	// lasts as long as the cache takes, and holds a place.
	defer func() { go s.set(key, value, ttl) }()
	said, err := ask()
	value, ttl = s.write(said.user, err, asked, time.Now())
	return said, err
}

var (
	errCacheFails  = errors.New("it gives an error")
	errCachePanics = errors.New("it panics")
	errCacheSpoilt = errors.New("it gives what no instance can have stored")
)

// noted tells the log how the cache does. What a foreign error says is not for the log: it may name hosts and keys.
func (s *sharing) noted(err error) error {
	if err != nil && !errors.Is(err, errCachePanics) {
		err = errCacheFails
	}
	const bad, good = "the shared cache fails, so this instance asks for itself", "the shared cache is back"
	s.report.change("shared cache", err, bad, good)
	return err
}

func (s *sharing) get(ctx context.Context, key [32]byte) (value []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	defer func() {
		if recover() != nil {
			value, err = nil, errCachePanics
		}
		err = s.noted(err)
	}()
	return s.cache.Get(ctx, key)
}

// set gives the place back that once took.
func (s *sharing) set(key [32]byte, value []byte, ttl time.Duration) {
	defer func() { <-s.places }()
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	var err error
	defer func() {
		if recover() != nil {
			err = errCachePanics
		}
		_ = s.noted(err)
	}()
	err = s.cache.Set(ctx, key, value, ttl)
}

// A value is a version, whether the token is active, when the issuer was asked, in milliseconds since 1970, and what it
// said.
const (
	valueVersion = 1
	valueHeader  = 1 + 1 + 8
)

// write is what to store, and for how long. There is nothing to store of what the issuer didn't say.
func (s *sharing) write(user *User, err error, asked, now time.Time) (value []byte, ttl time.Duration) {
	text, active := "", byte(0)
	ends := asked.Add(s.inactiveTTL)
	switch e, ok := errors.AsType[*Error](err); {
	case err == nil && user != nil:
		text, active, ends = user.set.Raw, 1, asked.Add(s.activeTTL)
		if exp := user.ExpiresAt(); !exp.IsZero() {
			ends = earlier(ends, exp)
		}
	case !ok || e.Reason != ReasonInactive:
		return nil, 0
	}
	if ttl = ends.Sub(now); ttl <= 0 {
		return nil, 0
	}
	value = make([]byte, 0, valueHeader+len(text))
	value = append(value, valueVersion, active)
	value = binary.BigEndian.AppendUint64(value, uint64(asked.UnixMilli()))
	return append(value, text...), ttl
}

// read is what a value says, if it is one that may be used still: the store is not trusted to forget in time, nor the
// clocks of other instances to be right.
func (s *sharing) read(value []byte, now time.Time) (said saying, ok bool) {
	if len(value) == 0 {
		return saying{}, false
	}
	spoilt := func() (saying, bool) {
		// Once in the life of a process is enough: who can spoil values can do it often.
		s.report.change("shared cache, values", errCacheSpoilt, "the shared cache is not to be trusted", "")
		return saying{}, false
	}
	if len(value) < valueHeader || len(value) > valueHeader+maxAnswer || value[0] != valueVersion || value[1] > 1 {
		return spoilt()
	}
	at := time.UnixMilli(int64(binary.BigEndian.Uint64(value[2:])))
	text, ttl := value[valueHeader:], s.inactiveTTL
	if value[1] == 1 {
		set, err := claims.Parse(string(text), claims.Answer)
		if err != nil || !set.Active {
			return spoilt()
		}
		said.user = s.policy.user(set)
		ttl = s.activeTTL
	} else if len(text) > 0 {
		return spoilt()
	}
	if at.After(now.Add(s.policy.skew)) || !now.Before(at.Add(ttl)) {
		return saying{}, false
	}
	said.at = earlier(at, now)
	return said, true
}
