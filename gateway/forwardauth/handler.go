package forwardauth

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/netip"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/gateway/routes"
)

type handler struct {
	Config
	guard *routes.Guard
	read  func(*http.Request) (origin, error)
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.trusted(r.RemoteAddr) {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusForbidden) // without a challenge: no client should send a token here
		return
	}
	decided := false
	defer func() {
		if !decided { // a policy, a proof or a hook panicked: without a status the response would be 200
			w.WriteHeader(h.Middleware.Challenge(w.Header(), nil, errPanicked))
		}
	}()
	fields := make(http.Header) // apart from the response's, because a refusal has none of them
	original, allowed, err := h.check(r, fields)
	if err != nil {
		decided = true
		h.deny(w, original, err)
		return
	}
	h.Middleware.Challenge(w.Header(), allowed, nil)
	decided = true // not before: a Proof may panic in Challenge
	maps.Copy(w.Header(), fields)
	w.Header().Del("Content-Type")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Vary", "Authorization")
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

// check decides about the original request of a subrequest, and sets the identity fields in fields.
// If the original request can't be read, check returns the subrequest in its place, for the refusal.
func (h *handler) check(r *http.Request, fields http.Header) (original, allowed *http.Request, err error) {
	original, err = h.originalRequest(r)
	if err != nil {
		return r, nil, h.Middleware.Refuse(r, err)
	}
	// A requirement, so that a user whose identity does not fit is refused before the event.
	fits := xenaauth.Where("identity fields", func(_ context.Context, u *xenaauth.User) error {
		return h.Identity.Set(fields, u)
	})
	allowed, _, err = h.guard.Check(original, fits)
	if err == nil && len(fields) == 0 { // no user: all fields are empty
		err = h.Identity.Set(fields, nil)
	}
	return original, allowed, err
}

var errPanicked = &xenaauth.Error{
	Reason: xenaauth.ReasonUnavailable, Err: errors.New("the check of the request panicked"),
}

// trusted reports whether a peer may describe original requests. It is false for a peer without an IP
// address.
func (h *handler) trusted(peer string) bool {
	a, err := netip.ParseAddrPort(peer)
	if err != nil {
		return false
	}
	address := a.Addr().Unmap().WithZone("")
	for _, p := range h.TrustedPeers {
		if p.Contains(address) {
			return true
		}
	}
	return false
}

// deny writes a refusal in the form that the dialect needs.
func (h *handler) deny(w http.ResponseWriter, r *http.Request, err error) {
	h.Middleware.Deny(&refusal{ResponseWriter: w, only401: h.Dialect == Nginx}, r, err)
}

// refusal is a ResponseWriter for a refusal. It has no Unwrap method, because a hook could set another
// status through it.
type refusal struct {
	http.ResponseWriter
	only401 bool // send 401 instead of 400
}

// WriteHeader joins the challenges into one field (RFC 9110, section 11.6.1) and sends the status.
func (w *refusal) WriteHeader(status int) {
	if challenges := w.Header()["Www-Authenticate"]; len(challenges) > 1 {
		w.Header()["Www-Authenticate"] = []string{strings.Join(challenges, ", ")}
	}
	if w.only401 && status == http.StatusBadRequest {
		status = http.StatusUnauthorized
	}
	w.ResponseWriter.WriteHeader(status)
}
