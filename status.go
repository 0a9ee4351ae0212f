package xenaauth

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/internal/jose"
	"github.com/xenaauth/xenaauth/internal/loglimit"
)

// Status is a snapshot of the state of a [Validator]. It contains no secret and no token, and no
// address except the issuer's name. It can be shown as JSON.
type Status struct {
	// Issuer is the configured issuer.
	Issuer string `json:"issuer"`
	// Ready reports whether tokens can be checked now: keys are known and not too old. If every
	// token is introspected, it reports whether the issuer seems to be up. It is false while the
	// issuer refuses the credentials of [Introspection].
	Ready bool `json:"ready"`
	// Keys is the number of usable keys in the key set that was fetched last. 0 also means that
	// none was fetched yet.
	Keys int `json:"keys"`
	// KeySetHash is a short hash of these keys: 12 hexadecimal digits. Instances with the same keys
	// have the same hash. It is "" if no key set was fetched yet.
	KeySetHash string `json:"key_set_hash,omitempty"`
	// JWKS is the state of fetching the key set.
	JWKS FetchStatus `json:"jwks"`
	// Metadata is the state of fetching the metadata.
	Metadata FetchStatus `json:"metadata"`
	// Introspection is the state of the circuit breaker: "closed" while introspection calls are
	// made, "open" or "half-open" after the issuer failed, "" without introspection.
	Introspection string `json:"introspection,omitempty"`
	// IntrospectionError is the cause if the latest introspection call failed. It is "" if the call
	// did not fail, or if there was none.
	IntrospectionError string `json:"introspection_error,omitempty"`
	// Tokens is the cache of verified JWTs. Active and Inactive are the caches of introspection
	// responses.
	Tokens   CacheStatus `json:"tokens"`
	Active   CacheStatus `json:"active"`
	Inactive CacheStatus `json:"inactive"`
	// Shared counts the lookups in Introspection.Cache. Its Entries and Bytes are 0, because only the
	// cache itself knows them.
	Shared CacheStatus `json:"shared,omitzero"`
	// Revocations is the number of revocations in force: see [Validator.Revoke].
	Revocations int `json:"revocations"`
}

// FetchStatus is the state of fetching one document.
type FetchStatus struct {
	// LastSuccess is when the document was last fetched or found unchanged. The zero time means
	// never.
	LastSuccess time.Time `json:"last_success,omitzero"`
	// Age is the time since LastSuccess. 0 also means never.
	Age time.Duration `json:"age_ns,omitempty"`
	// LastError is the cause if the latest attempt failed. It is "" if the attempt did not fail, or
	// if there was none.
	LastError string `json:"last_error,omitempty"`
}

// CacheStatus is the state of one cache.
type CacheStatus struct {
	// Entries is the number of entries, including expired ones that were not removed yet.
	Entries int `json:"entries"`
	// Bytes is about the amount of memory that the entries take. Entries in use count twice.
	Bytes int `json:"bytes"`
	// Hits and Misses count lookups since the start.
	Hits   uint64 `json:"hits"`
	Misses uint64 `json:"misses"`
	// Failures counts the lookups that failed, or were not made because too many were under way. Only
	// Shared has failures. They count neither as hits nor as misses.
	Failures uint64 `json:"failures,omitempty"`
	// HitRatio is Hits divided by Hits and Misses together, from 0 to 1. It is 0 before the first
	// lookup.
	HitRatio float64 `json:"hit_ratio"`
}

// Status returns the state of the Validator. It does no I/O and changes nothing.
func (v *Validator) Status() Status {
	now := time.Now()
	s := Status{
		Issuer:      v.cfg.Issuer,
		Tokens:      cacheStatus(v.verifier.cache, v.verifier.hot),
		Revocations: v.revoked.Len(now),
	}
	keys, at, ok := v.issuer.keys.Peek()
	s.JWKS = fetchStatus(now, at, ok, v.issuer.keys.Failure())
	if ok {
		s.Keys, s.KeySetHash = keys.keys.Len(), keys.keys.Hash()
	}
	s.Ready = ok && now.Sub(at) < v.cfg.MaxKeyAge
	_, at, ok = v.issuer.metadata.Peek()
	s.Metadata = fetchStatus(now, at, ok, v.issuer.metadata.Failure())
	if i := v.introspector; i != nil {
		s.Introspection = i.client.guard.State()
		s.Active, s.Inactive = cacheStatus(i.active, i.hot), cacheStatus(i.inactive, nil)
		if i.shared != nil {
			s.Shared = i.shared.status()
		}
		if v.cfg.AlwaysIntrospect {
			found := i.cfg.Endpoint != "" || ok && now.Sub(at) < v.cfg.MaxKeyAge
			s.Ready = found && s.Introspection != "open"
		}
		if o := i.client.latest.failure.Load(); o != nil {
			s.IntrospectionError = o.Error()
		}
		s.Ready = s.Ready && i.client.latest.refused() == nil
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
	s.HitRatio = hitRatio(s.Hits, s.Misses)
	return s
}

// hitRatio returns the share of hits, or 0 before the first lookup.
func hitRatio(hits, misses uint64) float64 {
	if hits+misses == 0 {
		return 0
	}
	return float64(hits) / float64(hits+misses)
}

// StatusHandler returns a handler that serves [Validator.Status] as JSON: 200 if Ready, 503 if not.
// Unlike [Validator.Warm] it never calls the issuer, so it serves 503 until another call has
// fetched what is needed. It is meant for dashboards. It needs no token and shows none.
func (v *Validator) StatusHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := v.Status()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !s.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(s) // an error means that the client is gone
	})
}

// reporter logs the state of the issuer: one record for each change, and not for each request.
type reporter struct {
	logger  *slog.Logger // nil: slog.Default at the time of each record
	changes loglimit.Changes
}

func (r *reporter) log(level slog.Level, text string, args ...any) {
	l := r.logger
	if l == nil {
		l = slog.Default()
	}
	l.Log(context.Background(), level, "xenaauth: "+text, args...)
}

// outcome notes the result of a call of the issuer.
func (r *reporter) outcome(what string, err error) {
	r.change(what, err, "the issuer fails", "the issuer is back")
}

// change notes the state of a thing. If it has changed, change logs the text bad, with the error,
// or the text good.
func (r *reporter) change(what string, err error, bad, good string) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	switch record := r.note(what, why); record.Kind {
	case loglimit.Failed:
		r.log(slog.LevelError, bad, "what", what, "why", record.Why)
	case loglimit.Recovered:
		args := []any{"what", what}
		if record.Calls > 0 {
			args = append(args, "calls", record.Calls, "failures", record.Failures)
		}
		if good != "" {
			r.log(slog.LevelInfo, good, args...)
		}
	}
}

// skipped notes the keys of a key set that cannot be used.
func (r *reporter) skipped(keys *jose.KeySet) {
	if r.note("skipped keys", strings.Join(keys.Skipped, "; ")).Kind == loglimit.Failed {
		r.log(slog.LevelWarn, "keys of the issuer are skipped", "keys", keys.Skipped)
	}
}

// note notes the state of a thing. It returns the record to write, unless it has written the record
// itself because the thing is unsteady.
func (r *reporter) note(what, why string) loglimit.Record {
	record := r.changes.Note(what, why, time.Now())
	if record.Kind == loglimit.Unsteady {
		r.log(slog.LevelWarn, "changes too often to log each time",
			"what", what, "why", record.Why, "calls", record.Calls, "failures", record.Failures)
	}
	return record
}
