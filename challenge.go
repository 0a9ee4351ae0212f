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

// Challenge sets the header fields of the response to a request, and returns its status. Adapters call
// it for each request.
//
// If err is nil, r is the request that [Middleware.Check] returned, and the status is 200. Challenge
// adds Vary: Authorization if the route is optional, and the fields of the proofs of possession that
// were confirmed.
//
// Otherwise r is the request that was refused, and err is the refusal. An err that is not an
// [*Error] is an outage: 503. The fields are WWW-Authenticate (RFC 6750, section 3) or Retry-After,
// Cache-Control: no-store, and Vary. There is one challenge for each accepted scheme, and only the
// challenge of the scheme that the request used contains the error.
func (m *Middleware) Challenge(h http.Header, r *http.Request, err error) (status int) {
	if err == nil && r != nil {
		m.setPassing(h, r)
		return http.StatusOK
	}
	e := asError(err)
	m.setRefusal(h, r, e, m.rendering(r, e), make([]string, 3))
	return e.StatusCode()
}

// setPassing sets the header fields of the response to a request that may pass.
func (m *Middleware) setPassing(h http.Header, r *http.Request) {
	c, ok := r.Context().Value(userKey{}).(*userContext)
	if !ok || c.by != m {
		return
	}
	if c.optional && !slices.Contains(h["Vary"], "Authorization") {
		h.Add("Vary", "Authorization")
	}
	for one := c.confirmed; one != nil; one = one.next {
		one.proof.Respond(h, r, nil)
	}
}

// setRefusal sets the header fields of a refusal. values has room for three values of fields.
func (m *Middleware) setRefusal(
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
		for _, proof := range m.proofs.all {
			proof.Respond(h, r, e)
		}
	}
}

// retrySeconds returns d for Retry-After (RFC 9110, section 10.2.3): whole seconds, at least one.
func retrySeconds(d time.Duration) int { return int(max(1, math.Ceil(d.Seconds()))) }

// rendering is the text of a refusal, without Retry-After. All responses share it, so nothing may
// change it.
type rendering struct {
	challenges []string // one for each accepted scheme; none if the response is 503
	body       []byte
}

// ownParams are the parameters that the middleware sets in challenges. Error.Params and proofs can't
// set them otherwise.
var ownParams = []string{"realm", "error", "error_description", "scope", "resource_metadata"}

// rendering returns the text of a refusal. It makes the text once for each reason, scope, parameters
// and scheme of the request.
func (m *Middleware) rendering(r *http.Request, e *Error) *rendering {
	params := bearer.Params(e.Params, ownParams...)
	a := e.answer()
	key := renderingKey{
		reason: e.Reason, scheme: m.proofs.schemeOf(r), scope: strings.Join(e.Scopes, " "),
	}
	if len(e.Params) > 0 {
		key.params = bearer.Challenge("", append([]bearer.Param{
			{Name: "error", Value: a.code}, {Name: "error_description", Value: a.description},
		}, params...)...)
	}
	if known := m.rendered.known.Load(); known != nil {
		if text, ok := (*known)[key]; ok {
			return text
		}
	}
	text := new(rendering)
	text.body, _ = e.MarshalJSON() // strings and a number can't fail
	if a.status != http.StatusServiceUnavailable {
		text.challenges = m.challenges(a, key.scheme, key.scope, params)
	}
	m.rendered.keep(key, text)
	return text
}

// challenges returns a challenge for each accepted scheme. used is the scheme of the request: its
// challenge contains the error.
func (m *Middleware) challenges(a answer, used uint8, scope string, params []bearer.Param) []string {
	var all []string
	for i, s := range m.proofs.accepted() {
		own := []bearer.Param{{Name: "realm", Value: m.opts.Realm}}
		if i == int(used) && a.code != "" { // missing credentials are no error: RFC 6750, section 3.1
			own = append(own, bearer.Param{Name: "error", Value: a.code},
				bearer.Param{Name: "error_description", Value: a.description})
		}
		own = append(own, bearer.Param{Name: "scope", Value: scope},
			bearer.Param{Name: "resource_metadata", Value: m.opts.ResourceMetadata})
		own = append(own, s.params...)
		for _, param := range params { // a parameter may occur once: RFC 9110, section 11.2
			sameName := func(p bearer.Param) bool { return p.Name == param.Name }
			if !slices.ContainsFunc(s.params, sameName) {
				own = append(own, param)
			}
		}
		all = append(all, bearer.Challenge(s.name, own...))
	}
	return all
}

// renderings keeps the texts of refusals. Usually there are as many as reasons times sets of scopes
// that routes require. A policy that names new scopes for each refusal fills it up to its bounds.
type renderings struct {
	known atomic.Pointer[map[renderingKey]*rendering]
}

type renderingKey struct {
	reason Reason
	scheme uint8
	scope  string
	params string
}

// Bounds of what renderings keeps: all texts together take a few megabytes at most.
const (
	maxRenderings = 1024
	maxRendering  = 4 << 10 // bytes
)

// keep adds a text, within the bounds.
func (s *renderings) keep(key renderingKey, r *rendering) {
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
	s.known.CompareAndSwap(old, &next) // if another goroutine was first, the text is made again later
}
