package xenaauth

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/factcache"
	"github.com/xenaauth/xenaauth/internal/jose"
)

const (
	logoutEvent    = "http://schemas.openid.net/event/backchannel-logout"
	maxLogoutForm  = 64 << 10
	maxContentType = 256
	maxLogoutsSeen = 10_000
)

// LogoutHandler receives the issuer's logout tokens (OpenID Connect Back-Channel Logout 1.0) and revokes the access
// tokens of the session that ended: all with its sid, or, where the logout token names no session, all that the user
// got before it. Mount it where the issuer is told to send them, outside any [Middleware]. clientIDs are the clients
// that are registered there with this address; it panics if there is none.
//
// It answers 200 once the tokens are refused, 400 to anything that isn't a valid logout token or is one for the second
// time (section 2.6), and 503 while keys can't be had. It has no effect on access tokens without sid, as IdentityServer
// issued before 4.0, when the logout token names a session. Config.Logger is told why a logout was refused, as
// [Options].Logger is told why a request was.
func (v *Validator) LogoutHandler(clientIDs ...string) http.Handler {
	if len(clientIDs) == 0 || slices.Contains(clientIDs, "") {
		panic("xenaauth: LogoutHandler needs the ids of the clients that logout tokens are for")
	}
	return &logoutHandler{
		validator: v,
		clientIDs: claims.NewNameSet(slices.Clone(clientIDs)),
		seen:      factcache.New[struct{}](maxLogoutsSeen, 2*maxLogoutsSeen*factcache.Overhead, nil),
		log: refusalLog{
			logger: v.cfg.Logger, name: slog.Any("clients", clientIDs), damper: newDamper(),
			one: "xenaauth: logout refused", more: "xenaauth: more logouts were refused",
		},
	}
}

type logoutHandler struct {
	validator *Validator
	clientIDs claims.NameSet
	log       refusalLog

	mu   sync.Mutex // between looking whether a token was seen and noting it
	seen *factcache.Cache[struct{}]
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
	h.log.tell(r.Context(), e, nil, func() []slog.Attr { return nil })
	if e.Reason == ReasonUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(retrySeconds(e.RetryAfter)))
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_request", "reason": string(e.Reason)})
}

func (h *logoutHandler) receive(r *http.Request, w http.ResponseWriter) error {
	contentType := r.Header.Get("Content-Type")
	if len(contentType) > maxContentType {
		return refuse(ReasonMalformedRequest, errors.New("the content type is too long"))
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/x-www-form-urlencoded" {
		return refuse(ReasonMalformedRequest, errors.New("not a form"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLogoutForm))
	if err != nil {
		return refuse(ReasonMalformedRequest, errors.New("the form is too long or broken"))
	}
	text, ok := formValue(string(body), "logout_token")
	if !ok {
		return refuse(ReasonMalformedRequest, errors.New("not one logout_token"))
	}
	var token splitJWT
	token.Token, ok = jose.Split(text)
	if !ok || len(text) > h.validator.cfg.MaxTokenLength {
		return refuse(ReasonMalformedToken, errors.New("logout_token is not a JWT, or longer than Config.MaxTokenLength"))
	}
	now := time.Now()
	verifier := h.validator.verifier
	facts, err := verifier.parse(&token, nil, now)
	if err != nil {
		return err
	}
	set := &facts.set
	if err := h.check(token.header, set, now); err != nil {
		return err
	}
	if err := verifier.signatures.verify(r.Context(), token.Hash(), token.header, set, &facts.proof, now); err != nil {
		return err
	}
	key := factcache.KeyOf("logout", set.Issuer, set.ID)
	if !h.first(&key, set, now) {
		return refuse(ReasonRevoked, errors.New("the logout token was used before"))
	}
	revocation := Revocation{Issuer: set.Issuer, SessionID: set.SessionID}
	if set.SessionID == "" {
		// Times in tokens are whole seconds: a token of the same second counts as issued before the
		// logout.
		revocation.Subject, revocation.IssuedBefore = set.Subject, time.Unix(set.IssuedAt+1, 0)
	}
	if err := h.validator.Revoke(r.Context(), revocation); err != nil {
		h.seen.Delete(&key) // the issuer may, and should, try again
		return err
	}
	return nil
}

// check is section 2.6 of the specification, but for issuer and signature.
func (h *logoutHandler) check(header *jose.Header, set *claims.Set, now time.Time) *Error {
	p := h.validator.policy
	early, late := now.Add(-p.skew).Unix(), now.Add(p.skew).Unix()
	switch {
	case header.HasType && header.Type != "logout+jwt" && (p.strict || header.Type != "at+jwt" && header.Type != "jwt"):
		return refuse(ReasonTokenType, &wrongType{header.Type, "logout+jwt"}) // IdentityServers before Duende's write at+jwt
	case set.Has&claims.Nonce != 0 || !isLogout(set):
		return refuse(ReasonTokenType, errors.New("nonce is there, or events has no logout event"))
	case !slices.ContainsFunc(set.Audience, h.clientIDs.Has):
		return refuse(ReasonAudience, &wrongAudience{set.Audience, "the list of client ids", h.clientIDs.List()})
	case set.Has&claims.Exp == 0 || set.Has&claims.Iat == 0 || set.ID == "" || set.Subject == "" && set.SessionID == "":
		return refuse(ReasonClaims, errors.New("exp, iat, jti or both of sub and sid are missing"))
	case early >= set.ExpiresAt:
		return refuse(ReasonExpired, &wrongTime{"exp", set.ExpiresAt, now})
	case set.IssuedAt > late:
		return refuse(ReasonNotYetValid, &wrongTime{"iat", set.IssuedAt, now})
	case set.NotBefore > late:
		return refuse(ReasonNotYetValid, &wrongTime{"nbf", set.NotBefore, now})
	case p.lifetime > 0 && set.ExpiresAt-set.IssuedAt > p.lifetime:
		return refuse(ReasonLifetime, p.tooLongLived("iat", set.ExpiresAt-set.IssuedAt)) // beyond it nobody remembers that the token was used
	case !claims.IsIdentifier(set.ID) || !claims.IsIdentifier(set.Subject) || !claims.IsIdentifier(set.SessionID):
		return refuse(ReasonClaims, errBadIdentifier)
	}
	return nil
}

// isLogout reports whether the claim events has the logout event, with an object as its value.
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

// first notes a logout token and reports whether it is new.
func (h *logoutHandler) first(key *factcache.Key, set *claims.Set, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, seen := h.seen.Get(key, now); seen {
		return false
	}
	h.seen.Put(key, struct{}{}, time.Unix(set.ExpiresAt, 0).Add(h.validator.policy.skew), now)
	return true
}
