package xenaauth

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/xenaauth/xenaauth/internal/bearer"
)

// Challenge sets the header fields that the response to a request needs, and returns its status. An
// adapter calls Challenge for each request, refused or not.
//
// If err is nil, r is the request that [Middleware.Check] returned, and the status is 200.
// Challenge adds Vary: Authorization if the route is optional. It also lets each [Proof] that was
// confirmed for the request add its fields.
//
// If err is not nil, r is the refused request, and err is the refusal. An err that is not an
// [*Error] counts as an outage: 503. Challenge sets Cache-Control: no-store and Vary, and either
// WWW-Authenticate (RFC 6750, section 3) or, for 503, Retry-After. WWW-Authenticate has one
// challenge for each accepted scheme, or only for the schemes of proofs if the route requires a
// bound token. Only the challenge of the scheme that the request used contains the error. If this
// scheme is unclear, for example because Authorization is repeated, every challenge contains the
// error (RFC 9449, section 7.2).
//
// If a [Proof] panics while Challenge handles a refusal, Challenge logs the panic and returns the
// status of the refusal. If a Proof panics while Challenge handles an allowed request, Challenge
// panics too, and the adapter must answer 503. For this 503, the adapter calls Challenge with a nil
// r, and Challenge calls no Proof.
func (m *Middleware) Challenge(h http.Header, r *http.Request, err error) (status int) {
	if err == nil && r != nil {
		m.setAllowedHeader(h, r)
		return http.StatusOK
	}
	e := asError(err)
	text := m.renderRefusal(r, e)
	m.setRefusalHeader(h, r, e, text, make([]string, 3))
	return text.status
}

// setAllowedHeader sets the header fields in the response to a request that the middleware has
// allowed.
func (m *Middleware) setAllowedHeader(h http.Header, r *http.Request) {
	c, ok := r.Context().Value(userKey{}).(*userContext)
	if !ok || c.guardResult.checkedBy != m {
		return
	}
	if c.guardResult.isOptional && !slices.Contains(h["Vary"], "Authorization") {
		h.Add("Vary", "Authorization")
	}
	for one := c.guardResult.confirmedProofs; one != nil; one = one.next {
		one.proof.Respond(h, r, nil)
	}
}

// setRefusalHeader sets the header fields in the response to a refused request. It stores the
// values of these fields in the first three elements of the slice fieldValues. The caller passes
// this slice so that all values of the response need only one allocation.
func (m *Middleware) setRefusalHeader(
	h http.Header, r *http.Request, e *Error, text *refusalText, fieldValues []string,
) {
	fieldValues[0], fieldValues[1] = "no-store", "Authorization"
	h["Cache-Control"] = fieldValues[0:1:1]
	if vary := h["Vary"]; len(vary) == 0 {
		h["Vary"] = fieldValues[1:2:2]
	} else if !slices.Contains(vary, fieldValues[1]) {
		h["Vary"] = append(vary, fieldValues[1])
	}
	switch oldChallenges := h["Www-Authenticate"]; {
	case len(text.challenges) == 0:
		fieldValues[2] = strconv.Itoa(retrySeconds(e.RetryAfter))
		h["Retry-After"] = fieldValues[2:3:3]
	case len(text.challenges) == 1 && len(oldChallenges) == 0:
		fieldValues[2] = text.challenges[0]
		h["Www-Authenticate"] = fieldValues[2:3:3]
	default:
		h["Www-Authenticate"] = append(oldChallenges, text.challenges...)
	}
	if m.proofs != nil && r != nil {
		for _, proof := range m.proofs.proofList {
			m.respondToRefusal(proof, h, r, e)
		}
	}
}

// respondToRefusal calls the method Respond of a Proof after a request was refused. If Respond
// panics, respondToRefusal logs the panic, and the response stays the refusal. Without this
// recover, other middleware could recover from the panic and write nothing. The status would then
// be 200.
func (m *Middleware) respondToRefusal(proof Proof, h http.Header, r *http.Request, e *Error) {
	defer func() {
		if p := recover(); p != nil {
			m.logPanic(r.Context(), "xenaauth: Respond of a Proof panicked", p)
		}
	}()
	proof.Respond(h, r, e)
}

// retrySeconds returns the value of Retry-After for d (RFC 9110, section 10.2.3): d in whole
// seconds, rounded up, and at least 1.
func retrySeconds(d time.Duration) int { return int(max(1, math.Ceil(d.Seconds()))) }

// refusalText contains the parts of the response to a refused request that are the same for equal
// refusals: the status, the challenges and the body. Equal refusals share one refusalText, so its
// fields must not be changed.
type refusalText struct {
	status     int
	challenges []string // challenges is empty if the status is 503
	body       []byte
}

// Middleware.renderRefusal returns the text of the refusal e. It stores the text in a cache, unless
// the cache is full or the text is too long. Two refusals share a text if they have the same
// reason, the same scopes and the same parameters, if the two requests used the same authentication
// scheme, and if both routes or neither of them require a bound token.
func (m *Middleware) renderRefusal(r *http.Request, e *Error) *refusalText {
	key := refusalTextKey{
		reason: e.Reason, scheme: m.proofs.schemeOf(r), scope: strings.Join(e.Scopes, " "),
		boundOnly: m.proofs != nil && (e.boundOnly || m.opts.RequireProof),
	}
	if key.boundOnly && key.scheme != unclearScheme && !m.proofs.schemes[key.scheme].hasProof {
		key.scheme = unclearScheme
	}
	var a reasonResponse
	var params []bearer.Param
	if len(e.Params) > 0 {
		a, params = e.lookUpResponse(), bearer.Params(e.Params)
		key.params = bearer.Challenge("", append([]bearer.Param{
			{Name: "error", Value: a.code}, {Name: "error_description", Value: a.description},
		}, params...)...)
	}
	if knownTexts := m.textCache.knownTexts.Load(); knownTexts != nil {
		if text, ok := (*knownTexts)[key]; ok {
			return text
		}
	}
	if len(e.Params) == 0 {
		a = e.lookUpResponse()
	}
	text := &refusalText{status: a.status}
	// MarshalJSON never returns an error here: the body of a refusal contains only strings and a
	// number, which can always be written as JSON.
	//
	// Each middleware has a cache of the texts of its refusals. A refusal may come from another
	// middleware, with another value of Options.ProblemTypes, and the key of the cache does not
	// contain this value. So withProblemTypes first sets the ProblemTypes of this middleware.
	text.body, _ = m.withProblemTypes(e).MarshalJSON()
	if a.status != http.StatusServiceUnavailable {
		text.challenges = m.challenges(a, key, params)
	}
	m.textCache.storeText(key, text)
	return text
}

// Middleware.challenges returns the challenges of a refusal, one for each accepted authentication
// scheme. If the route requires a token that is bound to a key, only the schemes of proofs get a
// challenge. Only the challenge of the scheme that the request used contains the error. If this
// scheme is unclear, every challenge contains the error (RFC 9449, section 7.2).
func (m *Middleware) challenges(a reasonResponse, key refusalTextKey, params []bearer.Param) []string {
	var all []string
	for i, s := range m.proofs.acceptedSchemes() {
		if key.boundOnly && !s.hasProof {
			continue
		}
		challengeParams := []bearer.Param{{Name: "realm", Value: m.opts.Realm}}
		// If a request has no credentials, the challenge contains no error code (RFC 6750, section
		// 3.1).
		if (i == int(key.scheme) || key.scheme == unclearScheme) && a.code != "" {
			challengeParams = append(challengeParams, bearer.Param{Name: "error", Value: a.code},
				bearer.Param{Name: "error_description", Value: a.description})
		}
		challengeParams = append(challengeParams, bearer.Param{Name: "scope", Value: key.scope},
			bearer.Param{Name: "resource_metadata", Value: m.opts.ResourceMetadata})
		challengeParams = append(challengeParams, s.params...)
		// A challenge must not contain the same parameter twice (RFC 9110, section 11.2).
		for _, param := range params {
			sameName := func(p bearer.Param) bool { return p.Name == param.Name }
			if !slices.ContainsFunc(s.params, sameName) {
				challengeParams = append(challengeParams, param)
			}
		}
		all = append(all, bearer.Challenge(s.name, challengeParams...))
	}
	return all
}

// refusalTextCache is a cache of the texts of refusals. A service usually has one text for each
// reason and each set of scopes that a route requires. But if a policy returns other scopes each
// time, every refusal has a new text. So maxCachedTexts and maxTextLength limit the size of the
// cache.
type refusalTextCache struct {
	knownTexts atomic.Pointer[map[refusalTextKey]*refusalText]
}

type refusalTextKey struct {
	reason Reason
	// scheme is the index of the authentication scheme that the request used, in the list
	// proofs.schemes, or unclearScheme.
	scheme    uint8
	scope     string
	params    string
	boundOnly bool // boundOnly says that the route accepts only tokens that are bound to a key
}

// These constants limit the cache of the texts of refusals: how many texts it contains, and how
// long each text is. A full cache takes a few megabytes of memory.
const (
	maxCachedTexts = 1024
	maxTextLength  = 4 << 10 // maxTextLength is the largest length of a text, in bytes
)

// refusalTextCache.storeText stores the text of a refusal in the cache, unless the cache is full or
// the text is too long.
func (s *refusalTextCache) storeText(key refusalTextKey, r *refusalText) {
	size := len(key.scope) + len(key.params) + len(r.body)
	for _, c := range r.challenges {
		size += len(c)
	}
	if size > maxTextLength {
		return
	}
	oldTexts := s.knownTexts.Load()
	key.scope = strings.Clone(key.scope)
	newTexts := map[refusalTextKey]*refusalText{key: r}
	if oldTexts != nil {
		if len(*oldTexts) >= maxCachedTexts {
			return
		}
		for k, have := range *oldTexts {
			newTexts[k] = have
		}
	}
	// The new map contains the new text and all texts of the old map. If another goroutine has
	// replaced the old map in the meantime, the new map is not used. The next refusal with this
	// text then builds it again.
	s.knownTexts.CompareAndSwap(oldTexts, &newTexts)
}
