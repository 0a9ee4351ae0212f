package xenaauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/factcache"
	"github.com/xenaauth/xenaauth/internal/jose"
	"github.com/xenaauth/xenaauth/replay"
)

const (
	logoutEvent    = "http://schemas.openid.net/event/backchannel-logout"
	maxLogoutForm  = 64 << 10
	maxContentType = 256
	maxLogoutsSeen = 10_000

	// maxLogoutFields is the largest number of fields in the form of a logout request.
	maxLogoutFields = 64
)

// LogoutHandler returns a handler for the logout tokens of the issuer (OpenID Connect Back-Channel
// Logout 1.0). It revokes the access tokens of the session that ended. If a logout token names no
// session, the handler revokes all access tokens that the user got before the logout.
//
// Mount the handler at the URL where the issuer sends logout tokens, outside any [Middleware].
// clientIDs are the clients for which this URL is registered at the issuer. LogoutHandler panics if
// clientIDs is empty or contains "".
//
// The response is 200 if the access tokens are now revoked. The response is 400 if the logout token
// is not valid or was used before (section 2.6). [Config.Replay] records which logout tokens were
// used. The response is 503 if the issuer's keys are missing, if the revocation fails, or if
// Config.Replay fails; the issuer may then send the logout token again. The response is 405 unless
// the method is POST. If the logout token names a session, access tokens without sid are not
// revoked; IdentityServer before 4.0 issues such tokens. Config.Logger receives the reason why a
// logout token is refused. As with [Options].Logger, the number of such records a minute is
// limited.
func (v *Validator) LogoutHandler(clientIDs ...string) http.Handler {
	if len(clientIDs) == 0 || slices.Contains(clientIDs, "") {
		panic("xenaauth: LogoutHandler needs the ids of the clients that logout tokens are for")
	}
	return &logoutHandler{
		validator:  v,
		clientIDs:  claims.NewNameSet(slices.Clone(clientIDs)),
		usedTokens: factcache.New[struct{}](maxLogoutsSeen, 2*maxLogoutsSeen*factcache.Overhead, nil),
		log: refusalLog{
			logger: v.cfg.Logger, nameAttr: slog.Any("clients", clientIDs), damper: newDamper(),
			singleMessage: "xenaauth: logout refused", countMessage: "xenaauth: more logouts were refused",
		},
	}
}

type logoutHandler struct {
	validator *Validator
	clientIDs claims.NameSet
	log       refusalLog
	// usedTokens is a cache of the logout tokens that this instance has accepted, or found to be
	// used before. If one of these logout tokens arrives again, it revokes nothing. A full cache
	// forgets the oldest logout tokens. They are still refused then, because the store
	// Config.Replay forgets none.
	usedTokens *factcache.Cache[struct{}]
}

func (h *logoutHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	err := h.receive(r, w)
	if err == nil {
		w.WriteHeader(http.StatusOK)
		return
	}
	e := asError(err)
	h.log.write(r.Context(), e, nil, func() []slog.Attr { return nil })
	if e.Reason == ReasonUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(retrySeconds(e.RetryAfter)))
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	body := map[string]string{"error": "invalid_request", "reason": string(e.Reason)}
	_ = json.NewEncoder(w).Encode(body)
}

// logoutHandler.receive reads a logout token from the request and verifies it. Then it revokes the
// access tokens of the session or of the user that the logout token names.
func (h *logoutHandler) receive(r *http.Request, w http.ResponseWriter) error {
	text, err := readLogoutToken(r, w)
	if err != nil {
		return err
	}
	now := time.Now()
	set, err := h.verify(r.Context(), text, now)
	if err != nil {
		return err
	}
	key := factcache.KeyOf("logout", set.Issuer, set.ID)
	// Config.Replay must remember the logout token until no instance accepts it any more. Each
	// instance accepts the logout token until ClockSkew after exp, by its own clock. The clock of
	// another instance may be behind the clock of this instance by two times ClockSkew, because
	// each of them may differ from the issuer's clock by ClockSkew. So the other instance may
	// accept the logout token until three times ClockSkew after exp, by the clock of this instance.
	until := time.Unix(set.ExpiresAt, 0).Add(3 * h.validator.policy.skew)
	if _, seen := h.usedTokens.Get(&key, now); seen {
		return errUsedLogout()
	}
	revocation := Revocation{Issuer: set.Issuer, SessionID: set.SessionID}
	if set.SessionID == "" {
		// The times in tokens are whole seconds. So an access token that was issued in the second
		// of the logout counts as issued before the logout.
		revocation.Subject, revocation.IssuedBefore = set.Subject, time.Unix(set.IssuedAt+1, 0)
	}
	// The access tokens are revoked before the use of the logout token is recorded. So if the
	// revocation fails, the issuer can send the logout token again. If the recording fails, the
	// access tokens stay revoked, and revoking them a second time changes nothing.
	if err := h.validator.Revoke(r.Context(), revocation); err != nil {
		return err
	}
	first, err := h.recordUse(r.Context(), set, until)
	if err != nil {
		return err
	}
	h.usedTokens.Put(&key, struct{}{}, until, now)
	if !first {
		return errUsedLogout()
	}
	return nil
}

func errUsedLogout() error {
	return refuse(ReasonRevoked, errors.New("the logout token was used before"))
}

// readLogoutToken reads the logout token from a request. The token is in the field logout_token of
// the form in the body.
func readLogoutToken(r *http.Request, w http.ResponseWriter) (string, error) {
	contentType := r.Header.Get("Content-Type")
	if len(contentType) > maxContentType {
		return "", refuse(ReasonMalformedRequest, errors.New("the content type is too long"))
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/x-www-form-urlencoded" {
		return "", refuse(ReasonMalformedRequest, errors.New("the content type is not that of a form"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLogoutForm))
	if err != nil {
		return "", refuse(ReasonMalformedRequest, errors.New("the form is too long or incomplete"))
	}
	if bytes.Count(body, []byte("&")) >= maxLogoutFields {
		return "", refuse(ReasonMalformedRequest, errors.New("the form has too many fields"))
	}
	fields, err := url.ParseQuery(string(body))
	if err != nil || len(fields["logout_token"]) != 1 {
		return "", refuse(ReasonMalformedRequest,
			errors.New("the form does not have exactly one logout_token"))
	}
	return fields["logout_token"][0], nil
}

// logoutHandler.verify verifies a logout token and returns its claims.
func (h *logoutHandler) verify(
	ctx context.Context, text string, now time.Time,
) (*claims.Set, error) {
	var token splitJWT
	var ok bool
	token.Token, ok = jose.Split(text)
	if !ok || len(text) > h.validator.cfg.MaxTokenLength {
		return nil, refuse(ReasonMalformedToken,
			errors.New("logout_token is not a JWT, or longer than Config.MaxTokenLength"))
	}
	verifier := h.validator.verifier
	facts, err := verifier.parse(&token, nil, now)
	if err != nil {
		return nil, err
	}
	set := &facts.claimSet
	if err := h.check(token.header, set, now); err != nil {
		return nil, err
	}
	err = verifier.signatures.verify(ctx, token.Hash(), token.header, set, &facts.verifyingKey, now)
	return set, err
}

// logoutHandler.check checks the header and the claims of a logout token, as OpenID Connect
// Back-Channel Logout, section 2.6, requires. Other functions check the issuer and the signature.
func (h *logoutHandler) check(header *jose.Header, set *claims.Set, now time.Time) error {
	p := h.validator.policy
	early, late := now.Add(-p.skew).Unix(), now.Add(p.skew).Unix()
	typ := "logout+jwt"
	if header.HasType {
		typ = header.Type
	}
	switch {
	// IdentityServer4 writes at+jwt, the typ of access tokens, into logout tokens too. So this typ
	// is accepted here, except with ProfileRFC9068.
	case typ != "logout+jwt" && (p.strictProfile || typ != "at+jwt" && typ != "jwt"):
		return refuse(ReasonTokenType, &wrongType{header.Type, "logout+jwt"})
	case set.Has&claims.Nonce != 0 || !isLogout(set):
		return refuse(ReasonTokenType, errors.New("the token has a nonce, or no logout event in events"))
	case !slices.ContainsFunc(set.Audience, h.clientIDs.Has):
		return refuse(ReasonAudience,
			&wrongAudience{set.Audience, "the list of client ids", h.clientIDs.List()})
	case set.Has&claims.Exp == 0 || set.Has&claims.Iat == 0 || set.ID == "" ||
		set.Subject == "" && set.SessionID == "":
		return refuse(ReasonClaims, errors.New("exp, iat, jti or both of sub and sid are missing"))
	case early >= set.ExpiresAt:
		return refuse(ReasonExpired, &wrongTime{"exp", set.ExpiresAt, now})
	case set.IssuedAt > late:
		return refuse(ReasonNotYetValid, &wrongTime{"iat", set.IssuedAt, now})
	case set.NotBefore > late:
		return refuse(ReasonNotYetValid, &wrongTime{"nbf", set.NotBefore, now})
	// The cache of used logout tokens stores each logout token until it expires. A limit on the
	// lifetime of a logout token keeps this cache small.
	case p.maxLifetime > 0 && set.ExpiresAt-set.IssuedAt > p.maxLifetime:
		return refuse(ReasonLifetime, p.lifetimeError("iat", set.ExpiresAt-set.IssuedAt))
	case !claims.IsIdentifier(set.ID) || !claims.IsIdentifier(set.Subject) ||
		!claims.IsIdentifier(set.SessionID):
		return refuse(ReasonClaims, errBadIdentifier)
	}
	return nil
}

// isLogout reports whether the claim "events" of a token contains the logout event, with an object
// as its value. Only logout tokens have this event.
func isLogout(set *claims.Set) bool {
	raw, ok := set.Find("events")
	if !ok {
		return false
	}
	found := false
	err := claims.Object(raw, nil, func(name string, d *claims.Decoder) error {
		value, ok := d.Raw()
		if !ok {
			return claims.ErrSyntax
		}
		found = found || name == logoutEvent && value[0] == '{'
		return nil
	})
	return err == nil && found
}

var (
	errReplayFull   = errors.New("it is full")
	errReplayFails  = errors.New("it returns an error")
	errReplayPanics = errors.New("it panics")
)

// logoutHandler.recordUse records in Config.Replay that a logout token was used, and reports
// whether this was the first use. If Config.Replay fails, the error has ReasonUnavailable, so the
// response is 503. This error does not contain the text of the store's error, which could contain
// the address of a server.
func (h *logoutHandler) recordUse(
	ctx context.Context, set *claims.Set, until time.Time,
) (first bool, err error) {
	defer func() {
		switch {
		case recover() != nil:
			first, err = false, errReplayPanics
		case errors.Is(err, replay.ErrFull):
			err = errReplayFull
		case err != nil:
			err = errReplayFails
		}
		if err == nil || ctx.Err() == nil {
			// If the context of the request has ended, the sender of the logout token has closed
			// the connection. An error then does not show that the store Config.Replay fails, so it
			// is not reported.
			h.validator.report.recordState("replay store", err,
				"the use of logout tokens can't be recorded, so the responses to them are 503",
				"the use of logout tokens is recorded again")
		}
		if err != nil {
			err = refuseUnavailable(fmt.Errorf("the replay store: %w", err))
		}
	}()
	return h.validator.cfg.Replay.Use(ctx, "logout "+set.Issuer, set.ID, until)
}
