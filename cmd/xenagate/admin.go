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

// admin is the listener for probes, metrics and operators. All but /revoke tells nothing that is secret, and changes
// nothing.
func (g *gateway) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /readyz", g.ready)
	mux.Handle("GET /metrics", g.metrics.handler())
	mux.Handle("GET /status", g.validator.StatusHandler())
	if g.revoke != nil {
		mux.HandleFunc("POST /revoke", g.revokeTokens)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.draining.Load() {
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

// ready says whether requests should be sent here. Probes cost the issuer nothing once its keys are at hand.
func (g *gateway) ready(w http.ResponseWriter, r *http.Request) {
	if g.draining.Load() {
		say(w, http.StatusServiceUnavailable, "draining")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := g.validator.Warm(ctx); err != nil {
		say(w, http.StatusServiceUnavailable, "the issuer can't be reached")
		return
	}
	say(w, http.StatusOK, "ready")
}

// revokeTokens takes a xenaauth.Revocation as JSON from who shows the secret.
func (g *gateway) revokeTokens(w http.ResponseWriter, r *http.Request) {
	shown, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || subtle.ConstantTimeCompare([]byte(shown), g.revoke) != 1 {
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
	status, word := g.revocationResult(g.validator.Revoke(r.Context(), revocation))
	switch status {
	case http.StatusOK, http.StatusAccepted:
		g.log.Info(word, slog.Any("revocation", revocation))
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
		g.log.Warn(word, slog.Any("revocation", revocation))
	case http.StatusInsufficientStorage:
		g.log.Warn(word, slog.Any("revocation", revocation))
	}
	say(w, status, word)
}

// revocationResult returns the response to a revocation. 200 means that no request passes any more: so it is only for a
// gateway without Redis. Redis does not tell which other gateways have heard of a revocation.
func (g *gateway) revocationResult(err error) (status int, word string) {
	switch {
	case err == nil && g.redis != nil:
		return http.StatusAccepted, "revoked here; passed on to the other gateways"
	case err == nil:
		return http.StatusOK, "revoked"
	case errors.Is(err, xenaauth.ErrNotPublished): // before the other one: a full Redis is both
		return http.StatusServiceUnavailable, "revoked here; the other gateways were not told: try again"
	case errors.Is(err, xenaauth.ErrRevocationsFull):
		return http.StatusInsufficientStorage, "not revoked here: too many revocations are in force"
	}
	return http.StatusBadRequest, "the revocation is unusable"
}
