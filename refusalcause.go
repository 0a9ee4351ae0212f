package xenaauth

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/jose"
)

// Each error type of this file says why a token was refused. Its text names the value in the token,
// and usually the value that was expected. Most refusals create such an error, but few of these
// errors are logged. To make refusals cheap, an error stores values, and only its method Error
// builds the text. The text quotes the values of the token and cuts long values, because a stranger
// may have written them.

// These constants limit the text of an error that says why a token was refused. maxValueLength is
// how many bytes of one value the text contains. maxListLength is how many values of one list it
// contains.
const (
	maxValueLength = 80
	maxListLength  = 5
)

// quoteValue returns the text s in quotation marks, cut to maxValueLength bytes. It escapes control
// characters, and also every character beyond ASCII, because some of them look like an ASCII
// character.
func quoteValue(s string) string {
	if len(s) <= maxValueLength {
		return strconv.QuoteToASCII(s)
	}
	return strconv.QuoteToASCII(s[:maxValueLength]) + "..."
}

// quoteList returns a list of values as text: the first maxListLength values in quotation marks,
// and the number of the other values.
func quoteList(values []string) string {
	if len(values) == 0 {
		return "empty"
	}
	var b strings.Builder
	for i, v := range values {
		if i == maxListLength {
			fmt.Fprintf(&b, " and %d more", len(values)-i)
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(quoteValue(v))
	}
	return b.String()
}

// wrongIssuer is the error for a token whose iss is not Config.Issuer. tokenIssuer is "" if the
// token has no iss.
type wrongIssuer struct{ tokenIssuer, configIssuer string }

func (e *wrongIssuer) Error() string {
	if e.tokenIssuer == "" {
		return "iss is missing, Config.Issuer is " + quoteValue(e.configIssuer)
	}
	text := "iss is " + quoteValue(e.tokenIssuer) + ", Config.Issuer is " + quoteValue(e.configIssuer)
	got, want := strings.TrimRight(e.tokenIssuer, "/"), strings.TrimRight(e.configIssuer, "/")
	switch {
	case got == want:
		text += ": only the slash at the end differs"
	case strings.EqualFold(e.tokenIssuer, e.configIssuer):
		text += ": only upper and lower case differ"
	case strings.EqualFold(got, want):
		text += ": only upper and lower case and the slash at the end differ"
	}
	return text
}

// wrongAudience is the error for a token whose aud names none of the accepted audiences.
// acceptedNames contains the accepted audiences. settingName is what the text calls this list, for
// example "Config.Audiences".
type wrongAudience struct {
	tokenAudience []string
	settingName   string
	acceptedNames []string
}

func (e *wrongAudience) Error() string {
	got := "missing or empty"
	if len(e.tokenAudience) > 0 {
		got = quoteList(e.tokenAudience)
	}
	return "aud is " + got + ", " + e.settingName + " is " + quoteList(e.acceptedNames)
}

// wrongTime is the error for a token that has expired, or whose nbf or iat is in the future. Its
// text contains the time of the claim and the time on this machine, because a wrong clock is a
// frequent cause.
type wrongTime struct {
	claimName string
	claimTime int64 // claimTime is the value of the claim, in seconds since 1970
	now       time.Time
}

func (e *wrongTime) Error() string {
	now := e.now.Unix()
	ago, span := "after", durationText(e.claimTime-now)
	if e.claimTime < now {
		ago, span = "before", durationText(now-e.claimTime)
	}
	return fmt.Sprintf("%s is %s %s the time here: %s, %s here", e.claimName, span, ago, dateText(e.claimTime), dateText(now))
}

// wrongLifetime is the error for a token that is valid for longer than Config.MaxTokenLifetime.
type wrongLifetime struct {
	startClaim                 string // startClaim is nbf or iat, at which the lifetime begins
	tokenLifetime, maxLifetime int64  // both are in seconds; maxLifetime is the limit
}

func (e *wrongLifetime) Error() string {
	return fmt.Sprintf("exp is %s after %s, Config.MaxTokenLifetime is %s", durationText(e.tokenLifetime), e.startClaim, durationText(e.maxLifetime))
}

// durationText returns a duration of n seconds as text, for example "1h30m0s".
func durationText(n int64) string {
	if n < 0 || n > 100*365*24*3600 { // time.Duration overflows after 292 years
		return "more than a century"
	}
	return (time.Duration(n) * time.Second).String()
}

// dateText returns the text of a NumericDate (RFC 7519, section 2), in UTC.
func dateText(n int64) string {
	if n < 0 || n > 1<<37 {
		return strconv.FormatInt(n, 10)
	}
	return time.Unix(n, 0).UTC().Format(time.RFC3339)
}

// noUser is the error for a token that names no user. subject is the claim sub if it is the id of
// the client, and "" if the token has no sub.
type noUser struct{ subject, clientID string }

func (e *noUser) Error() string {
	text := "sub is missing"
	if e.subject != "" {
		text = "sub is that of the client"
	}
	return text + ", and the token of client " + quoteValue(e.clientID) + " has no user: see Config.Subject and Config.AllowClientTokens"
}

// wrongType is the error for a JWT whose typ is not that of an access token, or not that of a
// logout token where one is expected. tokenType is "" if the JWT has no typ.
type wrongType struct{ tokenType, wantedType string }

func (e *wrongType) Error() string {
	if e.tokenType == "" {
		return "typ is missing, not " + e.wantedType
	}
	return "typ is " + quoteValue(e.tokenType) + ", not " + e.wantedType
}

// wrongKind is the error for a token with a claim, for example token_use, that calls the token
// something other than an access token.
type wrongKind struct{ claimName, claimValue string }

func (e *wrongKind) Error() string {
	return e.claimName + " is " + quoteValue(e.claimValue) + ", which is not an access token"
}

// wrongAlgorithm is the error for an alg that is not accepted. acceptedAlgorithms is
// Config.Algorithms.
type wrongAlgorithm struct {
	tokenAlgorithm     string
	acceptedAlgorithms []string
}

func (e *wrongAlgorithm) Error() string {
	if jose.SupportsAlgorithm(e.tokenAlgorithm) {
		return "alg is " + quoteValue(e.tokenAlgorithm) + ", Config.Algorithms is " + quoteList(e.acceptedAlgorithms)
	}
	return "alg is " + quoteValue(e.tokenAlgorithm) + ", which is not supported"
}

func (e *wrongAlgorithm) Unwrap() error { return jose.ErrAlgorithm }

// noKeyFor is the error for a JWT whose alg fits none of the issuer's keys.
type noKeyFor struct{ algorithm string }

func (e *noKeyFor) Error() string {
	return "the issuer publishes no key for alg " + quoteValue(e.algorithm)
}

// unknownKey is the error for a JWT whose kid or x5t names a key that the issuer does not publish.
// keyCount is the number of usable keys that the issuer publishes.
type unknownKey struct {
	keyID, thumbprint string
	keyCount          int
}

func (e *unknownKey) Error() string {
	name := "kid " + quoteValue(e.keyID)
	if e.keyID == "" {
		name = "x5t " + quoteValue(e.thumbprint)
	}
	return fmt.Sprintf("%s is not among the %d usable keys of the issuer", name, e.keyCount)
}

// missingScope is the error for a valid token that lacks a scope that the route requires.
type missingScope struct{ tokenScopes, wantedScopes []string }

func (e *missingScope) Error() string {
	return "scope is " + quoteList(e.tokenScopes) + ", the route requires " + quoteList(e.wantedScopes)
}

// The text of each error below contains no value of the refused token. So all refusals can share
// the error.
var (
	errUnconfirmed   = errors.New("cnf binds the token to a key: proof of possession is not supported")
	errUnbound       = errors.New("the token has no cnf: this route requires a token that is bound to a key")
	errInactive      = errors.New("introspection response has active: false: the token is expired, revoked or for another API")
	errRepeated      = errors.New("the Authorization field is repeated")
	errCredentials   = errors.New("the Authorization field is not Bearer, a space and a token")
	errNotBearer     = errors.New("the scheme of the Authorization field is not Bearer")
	errSchemeDPoP    = errors.New("the scheme of the Authorization field is DPoP, and Options.Proofs is empty")
	errNoField       = errors.New("the Authorization field is missing")
	errBadIdentifier = errors.New("an identifier is too long or contains control characters")
	errBadSubject    = errors.New("the resolved subject is too long or has control characters")
	errEmpty         = errors.New("token is empty")
	errSyntax        = errors.New("token contains a character that RFC 6750, section 2.1, does not allow")
	errNoStart       = errors.New("nbf and iat are missing, so the lifetime is unknown: see Config.AllowAnyLifetime")
	errNotJWT        = errors.New("token is not a JWT, and Config.Introspection is not set")
	errOtherKey      = errors.New("introspection response has another cnf than the token")
	errOtherUser     = errors.New("introspection response is about another user or client")
)

// All requests share these refusals, so their fields must not be changed. The function withScopes
// copies a refusal before it adds the scopes of the route.
var (
	refusalNoField        = refuse(ReasonMissingToken, errNoField)
	refusalNotBearer      = refuse(ReasonMissingToken, errNotBearer)
	refusalSchemeDPoP     = refuse(ReasonMissingToken, errSchemeDPoP)
	refusalBadCredentials = refuse(ReasonMalformedRequest, errCredentials)
)

// refuseScheme returns the refusal of credentials whose scheme the middleware does not accept. line
// is the value of the Authorization field. p is nil if the middleware has no proofs. If a
// middleware without proofs refuses the scheme DPoP, the cause is often a forgotten Options.Proofs.
// So the refusal names the scheme DPoP. It never names another scheme: if a client forgets the
// scheme, its token is in that place, and the refusal would contain the token.
func refuseScheme(p *proofs, line string) error {
	scheme, _, _ := strings.Cut(line[:min(len(line), len("DPoP "))], " ")
	if p == nil && strings.EqualFold(scheme, "DPoP") {
		return refusalSchemeDPoP
	}
	return refusalNotBearer
}

// Each error below names the claim that shows that the refused token is not an access token. Some
// of these errors also name the setting that accepts this claim.
var (
	errNonce               = errors.New("nonce marks an ID token: see Config.AllowNonce")
	errIDToken             = errors.New("at_hash and c_hash mark an ID token")
	errEvents              = errors.New("events marks a logout token or a security event")
	errIntrospectionToken  = errors.New("token_introspection marks a signed introspection response")
	errClientAudience      = errors.New("an audience that is the client marks an ID token: see Config.AllowClientAudience")
	errClientAudienceAlone = errors.New("an audience that is the client and no scope mark an ID token")
	errNoScope             = errors.New("scope and scp are missing, which marks an ID token: see Config.ScopeClaims")
)

// otherKindError returns the error for a token that is not an access token. presentClaims says
// which claims the token contains. At least one of them belongs to another kind of token, for
// example an ID token.
func otherKindError(presentClaims claims.Member) error {
	switch {
	case presentClaims&(claims.AtHash|claims.CHash) != 0:
		return errIDToken
	case presentClaims&claims.Events != 0:
		return errEvents
	case presentClaims&claims.TokenIntrospection != 0:
		return errIntrospectionToken
	}
	return errNonce
}

// tooLong is the error for a token that is longer than a setting allows. tokenLength and maxLength
// are in bytes.
type tooLong struct {
	tokenLength, maxLength int
	settingName            string
}

func (e *tooLong) Error() string {
	return fmt.Sprintf("token has %d bytes: %s is %d", e.tokenLength, e.settingName, e.maxLength)
}
