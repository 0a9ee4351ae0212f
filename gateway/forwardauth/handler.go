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
	read  func(*http.Request) (origin, error)
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.peers.Contains(r.RemoteAddr) {
		w.Header().Set("Cache-Control", "no-store")
		// The response to a peer that is not trusted has no challenge, because no client should
		// send a token to this handler.
		w.WriteHeader(http.StatusForbidden)
		return
	}
	decided := false
	defer func() {
		// If a policy, a proof or a hook panics, this deferred call sends a status. Without it, the
		// response would be 200.
		if !decided {
			w.WriteHeader(h.Middleware.Challenge(w.Header(), nil, errPanicked))
		}
	}()
	// The identity fields are not yet in the header of the response, because a refusal must not
	// contain identity fields.
	fields := make(http.Header)
	original, allowed, err := h.check(r, fields)
	if err != nil {
		decided = true
		h.deny(w, original, err)
		return
	}
	h.Middleware.Challenge(w.Header(), allowed, nil)
	// The subrequest counts as decided only after Challenge, because a Proof may panic there.
	decided = true
	maps.Copy(w.Header(), fields)
	w.Header().Del("Content-Type")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Vary", "Authorization")
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

// handler.check decides whether the original request that a subrequest describes is allowed. check
// writes the identity fields into fields. If the subrequest describes no original request that
// check can read, check returns the subrequest in place of the original request, because deny needs
// a request.
func (h *handler) check(r *http.Request, fields http.Header) (original, allowed *http.Request, err error) {
	original, err = h.originalRequest(r)
	if err != nil {
		return r, nil, h.Middleware.Refuse(r, err)
	}
	// If the claims of a user do not fit into the identity fields, the request is refused. This is
	// checked as a requirement of the route, so that the event of the request reports the refusal.
	fits := xenaauth.Where("identity fields", func(_ context.Context, u *xenaauth.User) error {
		return h.Identity.Set(fields, u)
	})
	allowed, _, err = h.guard.Check(original, fits)
	if err == nil && len(fields) == 0 { // if the request has no user, all identity fields are empty
		err = h.Identity.Set(fields, nil)
	}
	return original, allowed, err
}

var errPanicked = &xenaauth.Error{
	Reason: xenaauth.ReasonUnavailable, Err: errors.New("the check of the request panicked"),
}

// handler.deny writes the response to a refused subrequest, in the form that the proxy of this
// dialect understands.
func (h *handler) deny(w http.ResponseWriter, r *http.Request, err error) {
	h.Middleware.Deny(&refusal{ResponseWriter: w, only401: h.Dialect == Nginx}, r, err)
}

// refusal is the ResponseWriter for a refusal. It has no Unwrap method, because a hook could use
// the unwrapped ResponseWriter to set another status.
type refusal struct {
	http.ResponseWriter
	only401 bool // only401 means that this proxy needs 401 instead of 400
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
