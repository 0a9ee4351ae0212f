package forwardauth

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/internal/peers"
)

type handler struct {
	Config
	peers peers.Networks
	guard *routes.Guard
	read  func(*http.Request) (requestParts, error)
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.peers.Contains(r.RemoteAddr) {
		w.Header().Set("Cache-Control", "no-store")
		// The response to a peer that is not trusted has no challenge, because no client should
		// send a token to this handler.
		w.WriteHeader(http.StatusForbidden)
		return
	}
	hasDecision := false
	defer func() {
		// If Config.Find, a policy, a hook or a method of a Proof panics, this deferred call writes
		// the status 503, and the panic goes on. Without this call, other middleware could recover
		// from the panic and write nothing. The status would then be 200.
		if !hasDecision {
			w.WriteHeader(h.Middleware.Challenge(w.Header(), nil, errPanicked))
		}
	}()
	// Keep the identity fields out of the response until the request is allowed: a refusal must not
	// contain them.
	identityFields := make(http.Header)
	original, allowed, err := h.check(r, identityFields)
	if err != nil {
		hasDecision = true
		h.deny(w, original, err)
		return
	}
	h.Middleware.Challenge(w.Header(), allowed, nil)
	// The value of hasDecision stays false until Challenge has returned. Challenge calls a method
	// of each Proof. If this method panics, the deferred function must still send 503.
	hasDecision = true
	maps.Copy(w.Header(), identityFields)
	w.Header().Del("Content-Type")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Vary", "Authorization")
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

// handler.check reads the original request from the subrequest r, and decides whether the original
// request is allowed. If it is allowed, check writes the header fields that name the user into
// identityFields. If r does not describe an original request, check returns an error and, in place
// of the original request, the subrequest r: the method deny needs a request for its response.
func (h *handler) check(r *http.Request, identityFields http.Header) (
	original, allowed *http.Request, err error,
) {
	original, err = h.originalRequest(r)
	if err != nil {
		return r, nil, h.Middleware.Refuse(r, err)
	}
	// If Identity.Set returns an error, for example because the claims of a user are too long for
	// the identity fields, the request is refused. Set is called in a requirement of the route, so
	// that the event of the request reports the refusal.
	fitRequirement := xenaauth.Where("identity fields", func(_ context.Context, u *xenaauth.User) error {
		return h.Identity.Set(identityFields, u)
	})
	allowed, _, err = h.guard.Check(original, fitRequirement)
	if err == nil && len(identityFields) == 0 {
		// The request has no user, so all identity fields are empty.
		err = h.Identity.Set(identityFields, nil)
	}
	return original, allowed, err
}

var errPanicked = &xenaauth.Error{
	Reason: xenaauth.ReasonUnavailable, Err: errors.New("the check of the request panicked"),
}

// handler.deny writes the response to a refused subrequest. The proxy that sent the subrequest must
// understand the response. So nginx gets 401 instead of 400, and every proxy gets all challenges in
// one field.
func (h *handler) deny(w http.ResponseWriter, r *http.Request, err error) {
	h.Middleware.Deny(&refusal{ResponseWriter: w, only401: h.Dialect == Nginx}, r, err)
}

// refusal is the ResponseWriter for a refusal. It has no Unwrap method, because a hook could use
// the unwrapped ResponseWriter to set another status.
type refusal struct {
	http.ResponseWriter
	only401 bool // if only401 is true, WriteHeader sends 401 instead of 400
}

// WriteHeader joins all challenges into one field (RFC 9110, section 11.6.1), because old proxies
// forward only one challenge field. Then WriteHeader sends the status.
func (w *refusal) WriteHeader(status int) {
	if challenges := w.Header()["Www-Authenticate"]; len(challenges) > 1 {
		w.Header()["Www-Authenticate"] = []string{strings.Join(challenges, ", ")}
	}
	if w.only401 && status == http.StatusBadRequest {
		status = http.StatusUnauthorized
	}
	w.ResponseWriter.WriteHeader(status)
}
