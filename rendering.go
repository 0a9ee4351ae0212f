package xenaauth

import (
	"strings"
	"sync/atomic"

	"github.com/xenaauth/xenaauth/internal/bearer"
)

// rendering is what a refusal looks like on the wire, but for Retry-After.
type rendering struct {
	challenge string // "" where there is none to make
	body      []byte // not to be changed
}

// renderings keeps those made so far. There are as many as reasons times sets of scopes that routes require; a policy
// that names ever other scopes fills it and no more.
type renderings struct {
	known atomic.Pointer[map[renderingKey]*rendering]
}

type renderingKey struct {
	reason Reason
	scope  string
}

const (
	maxRenderings = 1024
	maxRendering  = 4 << 10 // bytes of one that is kept: all of them together take some megabytes at the most
)

// rendering writes a refusal, once for each reason and scope.
func (m *Middleware) rendering(e *Error) *rendering {
	key := renderingKey{e.Reason, strings.Join(e.Scopes, " ")}
	if known := m.rendered.known.Load(); known != nil {
		if r, ok := (*known)[key]; ok {
			return r
		}
	}
	r := new(rendering)
	a := e.answer()
	r.body, _ = e.MarshalJSON() // strings and a number: it can't fail
	if a.status != answers[ReasonUnavailable].status {
		description := a.description
		if a.code == "" {
			description = "" // who sent no credentials made no error: RFC 6750, section 3.1
		}
		r.challenge = bearer.Challenge(
			bearer.Param{Name: "realm", Value: m.opts.Realm},
			bearer.Param{Name: "error", Value: a.code},
			bearer.Param{Name: "error_description", Value: description},
			bearer.Param{Name: "scope", Value: key.scope},
			bearer.Param{Name: "resource_metadata", Value: m.opts.ResourceMetadata},
		)
	}
	m.rendered.keep(key, r)
	return r
}

func (s *renderings) keep(key renderingKey, r *rendering) {
	if len(key.scope)+len(r.challenge)+len(r.body) > maxRendering {
		return
	}
	old := s.known.Load()
	next := map[renderingKey]*rendering{{key.reason, strings.Clone(key.scope)}: r}
	if old != nil {
		if len(*old) >= maxRenderings {
			return
		}
		for k, have := range *old {
			next[k] = have
		}
	}
	s.known.CompareAndSwap(old, &next) // who loses to another makes it again next time
}
