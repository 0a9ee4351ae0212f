package main

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth"
)

// An adminHandler serves the gateway's listener for readiness probes, metrics and operators. Only
// /revoke needs a secret. The responses of the other endpoints contain no secret, and requests to
// them change nothing.
type adminHandler struct {
	validator    *xenaauth.Validator
	activity     *activity
	revokeSecret []byte // a request to /revoke must contain this secret
	hasFleet     bool   // hasFleet is true if Redis passes revocations on to other gateways
	log          *slog.Logger
}

func newAdmin(g *gateway) http.Handler {
	a := &adminHandler{
		validator: g.validator, activity: g.activity, revokeSecret: g.revokeSecret, hasFleet: g.redis != nil, log: g.log,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /readyz", a.answerProbe)
	mux.Handle("GET /metrics", g.metrics.handler())
	mux.Handle("GET /status", g.validator.StatusHandler())
	if a.revokeSecret != nil {
		mux.HandleFunc("POST /revoke", a.revoke)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.activity.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		mux.ServeHTTP(w, r)
	})
}

func say(w http.ResponseWriter, status int, word string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, word+"\n")
}

// adminHandler.answerProbe responds to a readiness probe (/readyz): with 200 if the gateway can
// decide about requests, and otherwise with 503. During a drain, the status is 503 too. If the
// gateway already has the issuer's keys, a probe causes no call to the issuer.
func (a *adminHandler) answerProbe(w http.ResponseWriter, r *http.Request) {
	if a.activity.draining.Load() {
		say(w, http.StatusServiceUnavailable, "draining")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := a.validator.Warm(ctx); err != nil {
		say(w, http.StatusServiceUnavailable, "the issuer can't be reached")
		return
	}
	say(w, http.StatusOK, "ready")
}

// adminHandler.revoke responds to /revoke. It decodes a [xenaauth.Revocation] from JSON and puts it
// in force. The request must contain the secret for /revoke.
func (a *adminHandler) revoke(w http.ResponseWriter, r *http.Request) {
	shown, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || subtle.ConstantTimeCompare([]byte(shown), a.revokeSecret) != 1 {
		w.Header().Set("WWW-Authenticate", `Bearer realm="xenagate admin"`)
		say(w, http.StatusUnauthorized, "the secret of admin.revoke_secret_file is wanted")
		return
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		say(w, http.StatusUnsupportedMediaType, "want application/json")
		return
	}
	var revocation xenaauth.Revocation
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&revocation); err != nil || decoder.More() {
		say(w, http.StatusBadRequest, "want one revocation, with its fields alone")
		return
	}
	status, word := a.revocationResult(a.validator.Revoke(r.Context(), revocation))
	switch status {
	case http.StatusOK, http.StatusAccepted:
		a.log.Info(word, slog.Any("revocation", revocation))
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
		a.log.Warn(word, slog.Any("revocation", revocation))
	case http.StatusInsufficientStorage:
		a.log.Warn(word, slog.Any("revocation", revocation))
	}
	say(w, status, word)
}

// adminHandler.revocationResult returns the status and the text of the response to /revoke, for an
// error of [xenaauth.Validator.Revoke] or nil. Without Redis, this gateway is the only one. After a
// success, the status 200 then says that it now refuses the revoked tokens. With Redis, there may
// be other gateways. Then the status after a success is 202, because Redis does not report which of
// them have received the revocation.
func (a *adminHandler) revocationResult(err error) (status int, word string) {
	switch {
	case err == nil && a.hasFleet:
		return http.StatusAccepted, "revoked here; passed on to the other gateways"
	case err == nil:
		return http.StatusOK, "revoked"
	// An error can be both ErrNotPublished and ErrRevocationsFull. Then the result must be that of
	// ErrNotPublished, so this case comes first.
	case errors.Is(err, xenaauth.ErrNotPublished):
		return http.StatusServiceUnavailable, "revoked here; the other gateways were not told: try again"
	case errors.Is(err, xenaauth.ErrRevocationsFull):
		return http.StatusInsufficientStorage, "not revoked here: too many revocations are in force"
	}
	return http.StatusBadRequest, "the revocation is unusable"
}
