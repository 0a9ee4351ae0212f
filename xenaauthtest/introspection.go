package xenaauthtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxTokens is how many tokens the registry stores, at most. Benchmarks make very many tokens.
	maxTokens = 100_000
	maxForm   = 1 << 20 // maxForm is the largest size of a request's body, in bytes
)

// registry stores the newest tokens of the test issuer, so that the introspection endpoint knows
// them. It finds a token by the digest of the token.
type registry struct {
	records map[tokenDigest]*record
	// digests contains the digests of the tokens. When the list is full, a new digest replaces the
	// oldest one (a ring).
	digests []tokenDigest
	// oldestIndex is the index of the oldest digest in the list digests. Before the list is full,
	// it is 0.
	oldestIndex int
}

type tokenDigest [sha256.Size]byte

type record struct {
	// claims are the token's claims as JSON. It is nil for a JWT, because a JWT contains its
	// claims.
	claims  []byte
	revoked bool
}

func (g *registry) add(token string, claims []byte) {
	digest := tokenDigest(sha256.Sum256([]byte(token)))
	if g.records == nil {
		g.records = make(map[tokenDigest]*record)
	}
	if g.records[digest] != nil {
		// The token is already in the registry. If it was revoked, it stays revoked.
		return
	}
	if len(g.digests) < maxTokens {
		g.digests = append(g.digests, digest)
	} else {
		delete(g.records, g.digests[g.oldestIndex])
		g.digests[g.oldestIndex] = digest
		g.oldestIndex = (g.oldestIndex + 1) % maxTokens
	}
	g.records[digest] = &record{claims: claims}
}

func (g *registry) find(token string) *record {
	return g.records[tokenDigest(sha256.Sum256([]byte(token)))]
}

// Issuer.remember records a token, so that the introspection endpoint of the test issuer knows it.
func (i *Issuer) remember(token string, claims []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.minted.add(token, claims)
}

// Revoke makes a JWT or an opaque token inactive at the introspection endpoint.
func (i *Issuer) Revoke(token string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if r := i.minted.find(token); r != nil {
		r.revoked = true
	}
}

// LastIntrospection returns the header and the form of the latest request to the introspection
// endpoint. header and form are nil if there was no request. form contains the parameters of the
// body, and not the parameters of the query.
func (i *Issuer) LastIntrospection() (header http.Header, form url.Values) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.lastHeader.Clone(), url.Values(http.Header(i.lastForm).Clone())
}

func (i *Issuer) introspect(r *http.Request) *reply {
	var body []byte
	if r.Body != nil {
		// If the body of the request can't be read, or is too long, the form contains only the part
		// that was read. Such a form has no known token, so the response says that the token is not
		// active.
		body, _ = io.ReadAll(io.LimitReader(r.Body, maxForm))
	}
	form, _ := url.ParseQuery(string(body))
	i.mu.Lock()
	i.lastHeader, i.lastForm = r.Header.Clone(), form
	i.mu.Unlock()

	if r.Method != http.MethodPost {
		return emptyReply(http.StatusMethodNotAllowed)
	}
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return emptyReply(http.StatusUnsupportedMediaType)
	}
	if !i.isAuthenticated(r, form) {
		return emptyReply(http.StatusUnauthorized)
	}
	token := form.Get("token")
	if token == "" {
		return uncached(http.StatusBadRequest, []byte(`{"error":"missing_token"}`))
	}
	answer := i.introspectionClaims(token)
	if answer == nil {
		return uncached(http.StatusOK, []byte(`{"active":false}`))
	}
	return uncached(http.StatusOK, mustMarshal(answer))
}

func uncached(status int, body []byte) *reply {
	r := jsonReply(status, body)
	r.header.Set("Cache-Control", "no-store, no-cache, max-age=0")
	r.header.Set("Pragma", "no-cache")
	return r
}

// Issuer.isAuthenticated reports whether an introspection request has the right name and secret of
// the API. If the request has an Authorization field, this field must contain them as Basic
// credentials, and the name and secret in the form are ignored.
func (i *Issuer) isAuthenticated(r *http.Request, form url.Values) bool {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if r.Header.Get("Authorization") != "" {
		encodedID, encodedSecret, ok := r.BasicAuth()
		if !ok {
			return false
		}
		var idErr, secretErr error
		id, idErr = url.QueryUnescape(encodedID)
		secret, secretErr = url.QueryUnescape(encodedSecret)
		if idErr != nil || secretErr != nil {
			return false
		}
	}
	return id == i.opts.API && secret == i.opts.APISecret
}

// Issuer.introspectionClaims returns the claims in the introspection response for a token. It
// returns nil if the token is not active.
func (i *Issuer) introspectionClaims(token string) map[string]any {
	claims := i.claimsOf(token)
	if claims == nil || hasExpired(claims["exp"]) {
		return nil
	}
	scopes := strings.Fields(joinScopes(claims["scope"]))
	if !i.isForAPI(claims["aud"]) && !slices.ContainsFunc(scopes, isAPIScope) {
		return nil
	}
	answer := make(map[string]any, len(claims)+1)
	for name, value := range claims {
		if list, ok := value.([]any); ok && len(list) == 1 {
			value = list[0]
		}
		answer[name] = value
	}
	answer["active"] = true
	if cnf, ok := claims["cnf"].(map[string]any); ok && cnf["jkt"] != nil && answer["token_type"] == nil {
		// If the response for a token with the member jkt in its claim cnf has a token_type, RFC
		// 9449, section 6.2, requires the value DPoP.
		answer["token_type"] = "DPoP"
	}
	if i.opts.Version == IdentityServer3 {
		if scope, ok := claims["scope"]; ok {
			answer["scope"] = scope
		}
		for _, name := range []string{"exp", "nbf", "auth_time"} {
			if number, ok := answer[name].(json.Number); ok {
				answer[name] = number.String()
			}
		}
		return answer
	}
	answer["scope"] = strings.Join(slices.DeleteFunc(scopes, func(scope string) bool {
		return !isAPIScope(scope)
	}), " ")
	return answer
}

// Issuer.isForAPI reports whether a token is for the API of the issuer. The parameter aud is the
// claim of the token that names its audiences. If the issuer has no API resources, every token is
// for the API.
func (i *Issuer) isForAPI(aud any) bool {
	if i.opts.ScopeOnly {
		return true
	}
	means := func(one any) bool {
		return one == i.opts.API || one == i.resource && i.opts.Version == IdentityServer3
	}
	list, ok := aud.([]any)
	return means(aud) || ok && slices.ContainsFunc(list, means)
}

// Issuer.claimsOf returns the claims of a token that the test issuer has made. It returns nil if
// the token is unknown or revoked.
func (i *Issuer) claimsOf(token string) map[string]any {
	i.mu.Lock()
	known := i.minted.find(token)
	if known == nil || known.revoked {
		i.mu.Unlock()
		return nil
	}
	payload := known.claims
	i.mu.Unlock()
	if payload == nil {
		parts := strings.Split(token, ".")
		payload, _ = base64.RawURLEncoding.DecodeString(parts[1])
	}
	var claims map[string]any
	decoder := json.NewDecoder(bytes.NewReader(payload))
	// With UseNumber, the introspection response contains each number in the same form as the
	// token.
	decoder.UseNumber()
	if decoder.Decode(&claims) != nil {
		return nil
	}
	return claims
}

// hasExpired reports whether the claim exp of a token is a time in the past. A token without exp
// never expires. A token whose exp is not a number counts as expired.
func hasExpired(exp any) bool {
	var digits string
	switch exp := exp.(type) {
	case nil:
		return false
	case json.Number:
		digits = exp.String()
	case string:
		digits = exp
	}
	seconds, err := strconv.ParseFloat(digits, 64)
	return err != nil || float64(time.Now().Unix()) >= seconds
}

// joinScopes returns the claim scope of a token as one string, with spaces between the scopes.
func joinScopes(scope any) string {
	switch scope := scope.(type) {
	case string:
		return scope
	case []any:
		var names []string
		for _, name := range scope {
			if name, ok := name.(string); ok {
				names = append(names, name)
			}
		}
		return strings.Join(names, " ")
	default:
		return ""
	}
}
