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

// Challenge sets the header fields of a refusal and returns its status. The fields are
// WWW-Authenticate (RFC 6750, section 3) or Retry-After, Cache-Control: no-store, and Vary. An err
// that is not an [*Error] is an outage: 503.
func (m *Middleware) Challenge(h http.Header, err error) (status int) {
	e := asError(err)
	m.setFields(h, e, m.rendering(e), make([]string, 3))
	return e.StatusCode()
}

// setFields sets the header fields of a refusal. values has room for three values of fields.
func (m *Middleware) setFields(h http.Header, e *Error, text *rendering, values []string) {
	values[0], values[1] = "no-store", "Authorization"
	h["Cache-Control"] = values[0:1:1]
	if vary := h["Vary"]; len(vary) == 0 {
		h["Vary"] = values[1:2:2]
	} else if !slices.Contains(vary, values[1]) {
		h["Vary"] = append(vary, values[1])
	}
	if text.challenge == "" {
		values[2] = strconv.Itoa(retrySeconds(e.RetryAfter))
		h["Retry-After"] = values[2:3:3]
		return
	}
	values[2] = text.challenge
	if have := h["Www-Authenticate"]; len(have) == 0 {
		h["Www-Authenticate"] = values[2:3:3]
	} else {
		h["Www-Authenticate"] = append(have, text.challenge)
	}
}

// retrySeconds returns d for Retry-After (RFC 9110, section 10.2.3): whole seconds, at least one.
func retrySeconds(d time.Duration) int { return int(max(1, math.Ceil(d.Seconds()))) }

// rendering is the text of a refusal, without Retry-After.
type rendering struct {
	challenge string // "" for a refusal without a challenge
	body      []byte // shared by all responses, so nothing may change it
}

// ownParams are the parameters of a challenge that Error.Params can't add: the middleware sets them.
var ownParams = []string{"realm", "error", "error_description", "scope", "resource_metadata"}

// rendering returns the text of a refusal. It makes the text once for each reason, scope and
// parameters.
func (m *Middleware) rendering(e *Error) *rendering {
	params := bearer.Params(e.Params, ownParams...)
	key := renderingKey{e.Reason, strings.Join(e.Scopes, " "), ""}
	if len(e.Params) > 0 {
		key.params = bearer.Challenge("", append([]bearer.Param{
			{Name: "error", Value: e.answer().code}, {Name: "error_description", Value: e.answer().description},
		}, params...)...)
	}
	if known := m.rendered.known.Load(); known != nil {
		if r, ok := (*known)[key]; ok {
			return r
		}
	}
	r := new(rendering)
	a := e.answer()
	r.body, _ = e.MarshalJSON() // strings and a number can't fail
	if a.status != answers[ReasonUnavailable].status {
		description := a.description
		if a.code == "" {
			description = "" // a request without credentials is not an error: RFC 6750, section 3.1
		}
		r.challenge = bearer.Challenge("Bearer", append([]bearer.Param{
			{Name: "realm", Value: m.opts.Realm},
			{Name: "error", Value: a.code},
			{Name: "error_description", Value: description},
			{Name: "scope", Value: key.scope},
			{Name: "resource_metadata", Value: m.opts.ResourceMetadata},
		}, params...)...)
	}
	m.rendered.keep(key, r)
	return r
}

// renderings keeps the texts of refusals. Usually there are as many as reasons times sets of scopes
// that routes require. A policy that names new scopes for each refusal fills it up to its bounds.
type renderings struct {
	known atomic.Pointer[map[renderingKey]*rendering]
}

type renderingKey struct {
	reason Reason
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
	if len(key.scope)+len(key.params)+len(r.challenge)+len(r.body) > maxRendering {
		return
	}
	old := s.known.Load()
	next := map[renderingKey]*rendering{{key.reason, strings.Clone(key.scope), key.params}: r}
	if old != nil {
		if len(*old) >= maxRenderings {
			return
		}
		for k, have := range *old {
			next[k] = have
		}
	}
	s.known.CompareAndSwap(old, &next) // if another goroutine was first, the next refusal makes the text again
}
