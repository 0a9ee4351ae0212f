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
	text := m.rendering(r, e)
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
// values of these fields in the first three elements of the slice values, so that it needs no
// further allocation.
func (m *Middleware) setRefusalHeader(
	h http.Header, r *http.Request, e *Error, text *rendering, values []string,
) {
	values[0], values[1] = "no-store", "Authorization"
	h["Cache-Control"] = values[0:1:1]
	if vary := h["Vary"]; len(vary) == 0 {
		h["Vary"] = values[1:2:2]
	} else if !slices.Contains(vary, values[1]) {
		h["Vary"] = append(vary, values[1])
	}
	switch have := h["Www-Authenticate"]; {
	case len(text.challenges) == 0:
		values[2] = strconv.Itoa(retrySeconds(e.RetryAfter))
		h["Retry-After"] = values[2:3:3]
	case len(text.challenges) == 1 && len(have) == 0:
		values[2] = text.challenges[0]
		h["Www-Authenticate"] = values[2:3:3]
	default:
		h["Www-Authenticate"] = append(have, text.challenges...)
	}
	if m.proofs != nil && r != nil {
		for _, proof := range m.proofs.proofList {
			m.respondToRefusal(proof, h, r, e)
		}
	}
}

// respondToRefusal calls the method Respond of a Proof after a request was refused. If Respond
// panics, respondToRefusal logs the panic, and the response stays the refusal. If the panic went
// on, other middleware could recover from it and write nothing, and the status would be 200.
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

// rendering is the status of a refusal and its text: its challenges and its body. Refusals with the
// same text share one rendering, so the fields of a rendering must not be changed.
type rendering struct {
	status     int
	challenges []string // challenges has one challenge for each accepted scheme; none for status 503
	body       []byte
}

// reservedParams are the challenge parameters that only the middleware sets. Error.Params and the
// Params of a Proof can't replace them.
var reservedParams = []string{"realm", "error", "error_description", "scope", "resource_metadata"}

// Middleware.rendering returns the text of the refusal e. It builds the text once, and then uses it
// for all refusals with the same reason, scopes and parameters whose requests used the same
// authentication scheme.
func (m *Middleware) rendering(r *http.Request, e *Error) *rendering {
	key := renderingKey{
		reason: e.Reason, scheme: m.proofs.schemeOf(r), scope: strings.Join(e.Scopes, " "),
		boundOnly: m.proofs != nil && (e.boundOnly || m.opts.RequireProof),
	}
	if key.boundOnly && key.scheme != unclearScheme && !m.proofs.schemes[key.scheme].hasProof {
		key.scheme = unclearScheme
	}
	var a answer
	var params []bearer.Param
	if len(e.Params) > 0 {
		a, params = e.answer(), bearer.Params(e.Params, reservedParams...)
		key.params = bearer.Challenge("", append([]bearer.Param{
			{Name: "error", Value: a.code}, {Name: "error_description", Value: a.description},
		}, params...)...)
	}
	if known := m.rendered.known.Load(); known != nil {
		if text, ok := (*known)[key]; ok {
			return text
		}
	}
	if len(e.Params) == 0 {
		a = e.answer()
	}
	text := &rendering{status: a.status}
	// MarshalJSON never returns an error here: the body of a refusal contains only strings and a
	// number, which can always be written as JSON.
	text.body, _ = e.MarshalJSON()
	if a.status != http.StatusServiceUnavailable {
		text.challenges = m.challenges(a, key, params)
	}
	m.rendered.storeText(key, text)
	return text
}

// Middleware.challenges returns the challenges of a refusal, one for each accepted authentication
// scheme. If the route requires a token that is bound to a key, only the schemes of proofs get a
// challenge. Only the challenge of the scheme that the request used contains the error. If this
// scheme is unclear, every challenge contains the error (RFC 9449, section 7.2).
func (m *Middleware) challenges(a answer, key renderingKey, params []bearer.Param) []string {
	var all []string
	for i, s := range m.proofs.acceptedSchemes() {
		if key.boundOnly && !s.hasProof {
			continue
		}
		own := []bearer.Param{{Name: "realm", Value: m.opts.Realm}}
		// If a request has no credentials, the challenge contains no error code (RFC 6750, section
		// 3.1).
		if (i == int(key.scheme) || key.scheme == unclearScheme) && a.code != "" {
			own = append(own, bearer.Param{Name: "error", Value: a.code},
				bearer.Param{Name: "error_description", Value: a.description})
		}
		own = append(own, bearer.Param{Name: "scope", Value: key.scope},
			bearer.Param{Name: "resource_metadata", Value: m.opts.ResourceMetadata})
		own = append(own, s.params...)
		// A challenge must not contain the same parameter twice (RFC 9110, section 11.2).
		for _, param := range params {
			sameName := func(p bearer.Param) bool { return p.Name == param.Name }
			if !slices.ContainsFunc(s.params, sameName) {
				own = append(own, param)
			}
		}
		all = append(all, bearer.Challenge(s.name, own...))
	}
	return all
}

// renderings is a cache of the texts of refusals. A service usually has one text for each reason
// and each set of scopes that a route requires. But if a policy returns other scopes each time,
// every refusal has a new text. So maxRenderings and maxRendering limit the size of the cache.
type renderings struct {
	known atomic.Pointer[map[renderingKey]*rendering]
}

type renderingKey struct {
	reason Reason
	// scheme is the index of the authentication scheme that the request used, in the list
	// proofs.schemes, or unclearScheme.
	scheme    uint8
	scope     string
	params    string
	boundOnly bool // boundOnly says that the route accepts only tokens that are bound to a key
}

// These constants limit the cache of texts of refusals: how many texts it contains, and how long
// each text is. A full cache takes a few megabytes of memory.
const (
	maxRenderings = 1024
	maxRendering  = 4 << 10 // maxRendering is the largest length of one text, in bytes
)

// renderings.storeText stores the text of a refusal in the cache, unless the cache is full or the
// text is too long.
func (s *renderings) storeText(key renderingKey, r *rendering) {
	size := len(key.scope) + len(key.params) + len(r.body)
	for _, c := range r.challenges {
		size += len(c)
	}
	if size > maxRendering {
		return
	}
	old := s.known.Load()
	key.scope = strings.Clone(key.scope)
	next := map[renderingKey]*rendering{key: r}
	if old != nil {
		if len(*old) >= maxRenderings {
			return
		}
		for k, have := range *old {
			next[k] = have
		}
	}
	// The new map contains the new text and all texts of the old map. If another goroutine has
	// replaced the old map in the meantime, the new map is not used. The next refusal with this
	// text then builds it again.
	s.known.CompareAndSwap(old, &next)
}
