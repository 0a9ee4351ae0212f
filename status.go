package xenaauth

import (
	"encoding/json"
	"net/http"
	"time"
)

// Status is a snapshot of how a [Validator] is. It holds no secret, no token and no address but the issuer's name, and
// can be shown as JSON.
type Status struct {
	// Issuer is the configured issuer.
	Issuer string `json:"issuer"`
	// Ready is whether tokens can be told good from bad just now: keys are at hand and not too old. Where every token is
	// introspected it is whether the issuer is believed to be up. It is false while the issuer refuses the credentials of
	// [Introspection].
	Ready bool `json:"ready"`
	// Keys is how many usable keys the issuer publishes, as far as known.
	Keys int `json:"keys"`
	// KeySet is how fetching the key set goes.
	KeySet FetchStatus `json:"key_set"`
	// Metadata is how fetching the metadata goes.
	Metadata FetchStatus `json:"metadata"`
	// Introspection is the state of the circuit breaker: "closed" while questions are asked, "open" or "half-open" after
	// the issuer was found down, "" without introspection.
	Introspection string `json:"introspection,omitempty"`
	// IntrospectionError is why the latest question failed. "" is that it didn't, or that there was none.
	IntrospectionError string `json:"introspection_error,omitempty"`
	// Tokens, Active and Inactive are the caches of verified JWTs and of introspection's two kinds of answers.
	Tokens   CacheStatus `json:"tokens"`
	Active   CacheStatus `json:"active"`
	Inactive CacheStatus `json:"inactive"`
	// Revocations is how many are in force: see [Validator.Revoke].
	Revocations int `json:"revocations"`
}

// FetchStatus is how fetching a document goes.
type FetchStatus struct {
	// LastSuccess is when it was last fetched or found unchanged. Zero is never.
	LastSuccess time.Time `json:"last_success,omitzero"`
	// Age is the time since then. Zero is never.
	Age time.Duration `json:"age_ns,omitempty"`
	// LastError is why the latest attempt failed. "" is that it didn't, or that there was none.
	LastError string `json:"last_error,omitempty"`
}

// CacheStatus is how a cache does.
type CacheStatus struct {
	// Entries is how many it holds, those that have expired and weren't swept yet included.
	Entries int `json:"entries"`
	// Bytes is about how much memory they take, those in use counted twice.
	Bytes int `json:"bytes"`
	// Hits and Misses count lookups since the start.
	Hits   uint64 `json:"hits"`
	Misses uint64 `json:"misses"`
	// HitRatio is Hits among both, from 0 to 1, and 0 before the first lookup.
	HitRatio float64 `json:"hit_ratio"`
}

// Status tells how the Validator is. It does no I/O and changes nothing.
func (v *Validator) Status() Status {
	now := time.Now()
	s := Status{Issuer: v.cfg.Issuer, Tokens: cacheStatus(v.verifier.cache, v.verifier.hot), Revocations: v.revoked.inForce(now)}
	keys, at, ok := v.issuer.keys.Peek()
	s.KeySet = fetchStatus(now, at, ok, v.issuer.keys.Failure())
	if ok {
		s.Keys = keys.keys.Len()
	}
	s.Ready = ok && now.Sub(at) < v.cfg.MaxKeyAge
	_, at, ok = v.issuer.metadata.Peek()
	s.Metadata = fetchStatus(now, at, ok, v.issuer.metadata.Failure())
	if i := v.introspector; i != nil {
		s.Introspection = i.guard.State()
		s.Active, s.Inactive = cacheStatus(i.active, i.hot), cacheStatus(i.inactive, nil)
		if v.cfg.AlwaysIntrospect {
			found := i.cfg.Endpoint != "" || ok && now.Sub(at) < v.cfg.MaxKeyAge
			s.Ready = found && s.Introspection != "open"
		}
		if o := i.asking.failure.Load(); o != nil {
			s.IntrospectionError = o.Error()
		}
		s.Ready = s.Ready && i.asking.refused() == nil
	}
	return s
}

func fetchStatus(now, at time.Time, ok bool, err error) (s FetchStatus) {
	if ok {
		s.LastSuccess, s.Age = at, now.Sub(at)
	}
	if err != nil {
		s.LastError = err.Error()
	}
	return s
}

func cacheStatus(c interface {
	Len() int
	Bytes() int
	Counts() (hits, misses uint64)
}, hot interface {
	Bytes() int
	Hits() uint64
}) (s CacheStatus) {
	s.Entries, s.Bytes = c.Len(), c.Bytes()
	s.Hits, s.Misses = c.Counts()
	if hot != nil {
		s.Bytes += hot.Bytes()
		s.Hits += hot.Hits()
	}
	if n := s.Hits + s.Misses; n > 0 {
		s.HitRatio = float64(s.Hits) / float64(n)
	}
	return s
}

// StatusHandler answers with [Validator.Status] as JSON: 200 when Ready, 503 when not. Unlike [Validator.Warm] it never
// asks the issuer, so it says no until something has: for dashboards. It needs no token and shows none.
func (v *Validator) StatusHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := v.Status()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !s.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(s) // a client that has gone away needs no answer
	})
}
