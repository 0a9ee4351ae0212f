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

// Status is the state of a [Validator] at one moment. It contains no secret, no token, and no
// address except the issuer's name, so it can be shown as JSON.
type Status struct {
	// Issuer is [Config.Issuer].
	Issuer string `json:"issuer"`
	// Ready reports whether tokens can be checked now: the keys are known and not too old. With
	// [Config.AlwaysIntrospect] no keys are needed, and Ready reports whether the issuer seems to
	// be up. While the issuer refuses the credentials of [Introspection], Ready is false.
	Ready bool `json:"ready"`
	// Keys is the number of usable keys in the latest key set. It is 0 until a key set was fetched.
	Keys int `json:"keys"`
	// KeySetHash is a short hash of the latest key set: 12 hexadecimal digits. Instances with the
	// same keys have the same hash. It is "" if no key set was fetched yet.
	KeySetHash string `json:"key_set_hash,omitempty"`
	// JWKS says when the key set was fetched, and why the latest fetch failed.
	JWKS FetchStatus `json:"jwks"`
	// Metadata says when the metadata were fetched, and why the latest fetch failed.
	Metadata FetchStatus `json:"metadata"`
	// Introspection is the state of the circuit breaker for introspection calls. It is "closed"
	// while calls are made, "open" or "half-open" after the issuer failed, and "" without
	// introspection.
	Introspection string `json:"introspection,omitempty"`
	// IntrospectionError says why the latest introspection call failed. It is "" if the latest call
	// succeeded, or if there was none.
	IntrospectionError string `json:"introspection_error,omitempty"`
	// Tokens describes the cache of verified JWTs. Active and Inactive describe the caches of
	// introspection responses.
	Tokens   CacheStatus `json:"tokens"`
	Active   CacheStatus `json:"active"`
	Inactive CacheStatus `json:"inactive"`
	// Shared counts the look-ups in Introspection.Cache. Shared.Entries and Shared.Bytes are always
	// 0, because a Validator does not know how much an Introspection.Cache contains.
	Shared CacheStatus `json:"shared,omitzero"`
	// Revocations is the number of revocations in force: see [Validator.Revoke].
	Revocations int `json:"revocations"`
}

// FetchStatus says how fetching one document of the issuer went.
type FetchStatus struct {
	// LastSuccess is when the document was last fetched, or found to be unchanged. The zero time
	// means that this never happened.
	LastSuccess time.Time `json:"last_success,omitzero"`
	// Age is the time since LastSuccess. It is 0 if LastSuccess is the zero time.
	Age time.Duration `json:"age_ns,omitempty"`
	// LastError says why the latest fetch failed. It is "" if the latest fetch succeeded, or if
	// there was none.
	LastError string `json:"last_error,omitempty"`
}

// CacheStatus describes one cache of a [Validator]: its size, and how many look-ups found an entry.
type CacheStatus struct {
	// Entries is the number of entries in the cache. It includes expired entries that were not
	// removed yet.
	Entries int `json:"entries"`
	// Bytes is the amount of memory that the entries take, estimated. The entry of a token in use
	// counts twice, because a second, faster table contains the entry too.
	Bytes int `json:"bytes"`
	// Hits is the number of look-ups that found an entry, and Misses is the number of look-ups that
	// found none.
	Hits   uint64 `json:"hits"`
	Misses uint64 `json:"misses"`
	// Failures is the number of look-ups that failed, or were not made because too many other
	// look-ups were running. Failures count neither as hits nor as misses. Only the shared cache
	// has failures.
	Failures uint64 `json:"failures,omitempty"`
	// HitRatio is the share of look-ups that found an entry, from 0 to 1. It is 0 if there were no
	// look-ups.
	HitRatio float64 `json:"hit_ratio"`
}

// Status returns the state of the Validator. It does no I/O and changes nothing.
func (v *Validator) Status() Status {
	now := time.Now()
	s := Status{
		Issuer:      v.cfg.Issuer,
		Tokens:      cacheStatus(v.verifier.cache, v.verifier.hotTable),
		Revocations: v.revocationSet.Len(now),
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
		s.Introspection = i.client.circuitBreaker.State()
		s.Active, s.Inactive = cacheStatus(i.active, i.hotTable), cacheStatus(i.inactive, nil)
		if i.sharedCache != nil {
			s.Shared = i.sharedCache.status()
		}
		if v.cfg.AlwaysIntrospect {
			found := i.cfg.Endpoint != "" || ok && now.Sub(at) < v.cfg.MaxKeyAge
			s.Ready = found && s.Introspection != "open"
		}
		if o := i.client.latest.lastFailure.Load(); o != nil {
			s.IntrospectionError = o.Error()
		}
		s.Ready = s.Ready && i.client.latest.credentialsRefusal.Load() == nil
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

// hitRatio returns the share of hits in all look-ups in a cache. It returns 0 if there were no
// look-ups.
func hitRatio(hits, misses uint64) float64 {
	if hits+misses == 0 {
		return 0
	}
	return float64(hits) / float64(hits+misses)
}

// StatusHandler returns a handler that serves [Validator.Status] as JSON, for dashboards. The
// status is 200 if Ready is true and 503 if it is false. Unlike [Validator.Warm], the handler never
// calls the issuer: after a start it serves 503 until a request or Warm has fetched the keys. It
// requires no token.
func (v *Validator) StatusHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := v.Status()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !s.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		// an error of Encode means that the client has closed the connection
		_ = json.NewEncoder(w).Encode(s)
	})
}

// reporter logs when the state of the issuer, or of a store such as the shared cache, changes. It
// does not log the result of each call.
type reporter struct {
	logger  *slog.Logger // if logger is nil, slog.Default is used at the time of each record
	issuer  string       // issuer is Config.Issuer; it distinguishes several Validators in one log
	changes loglimit.Changes
}

func (r *reporter) log(level slog.Level, text string, args ...any) {
	l := r.logger
	if l == nil {
		l = slog.Default()
	}
	l.Log(context.Background(), level, "xenaauth: "+text, append(args, "issuer", r.issuer)...)
}

// reporter.recordCall records whether a call to the issuer succeeded. callName is "metadata", "key
// set" or "introspection". waitingRequests is the number of requests of clients that waited for the
// call.
func (r *reporter) recordCall(callName string, err error, waitingRequests int) {
	r.recordState(callName, err, "the issuer fails", "the issuer is back", "waited", waitingRequests)
}

// reporter.recordState records whether a part of the system works, for example the shared cache or
// the calls to the issuer. partName is the name of this part. err is nil if the part works, and
// otherwise says why it fails. If the part begins to fail, or fails for another reason than before,
// recordState logs failText, with err and the moreFields. If the part works again, recordState logs
// recoveryText, unless recoveryText is "".
func (r *reporter) recordState(partName string, err error, failText, recoveryText string, moreFields ...any) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	switch record := r.noteState(partName, why); record.Kind {
	case loglimit.Failed:
		r.log(slog.LevelError, failText, append([]any{"what", partName, "why", record.Cause}, moreFields...)...)
	case loglimit.Recovered:
		args := []any{"what", partName}
		if record.Calls > 0 {
			args = append(args, "calls", record.Calls, "failures", record.Failures)
		}
		if recoveryText != "" {
			r.log(slog.LevelInfo, recoveryText, args...)
		}
	}
}

// reporter.logSkippedKeys logs which keys of a key set can't be used. It logs the list again only
// after the list has changed.
func (r *reporter) logSkippedKeys(keys *jose.KeySet) {
	if r.noteState("skipped keys", strings.Join(keys.Skipped, "; ")).Kind == loglimit.Failed {
		r.log(slog.LevelWarn, "keys of the issuer are skipped", "keys", keys.Skipped)
	}
}

// reporter.noteState records whether the part of the system with the name partName works. causeText
// says why the part fails, or is "" if it works. If the Kind of the result is Failed or Recovered,
// the caller logs this change. If the part changes too often between working and failing, noteState
// itself logs that.
func (r *reporter) noteState(partName, causeText string) loglimit.Record {
	record := r.changes.Note(partName, causeText, time.Now())
	if record.Kind == loglimit.Unsteady {
		r.log(slog.LevelWarn, "changes too often to log each time",
			"what", partName, "why", record.Cause, "calls", record.Calls, "failures", record.Failures)
	}
	return record
}
