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

// Each error type of this file says why a token was refused. Its text compares the value in the
// token with the value that was expected. Every refusal creates such an error, but few of these
// errors are logged. To make refusals cheap, an error stores values, and only its method Error
// builds the text. The text quotes the values of the token and cuts long values, because a stranger
// may have written them.

// These constants limit the text of an error that says why a token was refused. maxShown is the
// largest number of bytes of one value in the text. maxListed is the largest number of values of
// one list.
const (
	maxShown  = 80
	maxListed = 5
)

// The function shown returns the text s in quotation marks, cut to maxShown bytes. It escapes
// control characters, and also every character beyond ASCII, because some of them look like an
// ASCII character.
func shown(s string) string {
	if len(s) <= maxShown {
		return strconv.QuoteToASCII(s)
	}
	return strconv.QuoteToASCII(s[:maxShown]) + "..."
}

// The function listed returns a list of values as text: the first maxListed values in quotation
// marks, and the number of the other values.
func listed(values []string) string {
	if len(values) == 0 {
		return "empty"
	}
	var b strings.Builder
	for i, v := range values {
		if i == maxListed {
			fmt.Fprintf(&b, " and %d more", len(values)-i)
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(shown(v))
	}
	return b.String()
}

// wrongIssuer is the error for a token whose iss is not Config.Issuer. got is "" if the token has
// no iss.
type wrongIssuer struct{ got, want string }

func (e *wrongIssuer) Error() string {
	if e.got == "" {
		return "iss is missing, Config.Issuer is " + shown(e.want)
	}
	text := "iss is " + shown(e.got) + ", Config.Issuer is " + shown(e.want)
	got, want := strings.TrimRight(e.got, "/"), strings.TrimRight(e.want, "/")
	switch {
	case got == want:
		text += ": only the slash at the end differs"
	case strings.EqualFold(e.got, e.want):
		text += ": only upper and lower case differ"
	case strings.EqualFold(got, want):
		text += ": only upper and lower case and the slash at the end differ"
	}
	return text
}

// wrongAudience is the error for a token whose aud names none of the accepted audiences. want is
// the list of these audiences, and setting is its name in the text.
type wrongAudience struct {
	got     []string
	setting string
	want    []string
}

func (e *wrongAudience) Error() string {
	got := "missing or empty"
	if len(e.got) > 0 {
		got = listed(e.got)
	}
	return "aud is " + got + ", " + e.setting + " is " + listed(e.want)
}

// wrongTime is the error for a token that has expired, or whose nbf or iat is in the future. Its
// text contains the time of the claim and the time on this machine, because a wrong clock is a
// frequent cause.
type wrongTime struct {
	claim string
	at    int64 // the field at is the time in the claim, in seconds since 1970
	now   time.Time
}

func (e *wrongTime) Error() string {
	now := e.now.Unix()
	ago, span := "after", seconds(e.at-now)
	if e.at < now {
		ago, span = "before", seconds(now-e.at)
	}
	return fmt.Sprintf("%s is %s %s the time here: %s, %s here", e.claim, span, ago, date(e.at), date(now))
}

// wrongLifetime is the error for a token that is valid for longer than Config.MaxTokenLifetime.
type wrongLifetime struct {
	from      string // the field from is the claim at which the lifetime begins: nbf or iat
	have, max int64  // have is the lifetime, and max is the limit, both in seconds
}

func (e *wrongLifetime) Error() string {
	return fmt.Sprintf("exp is %s after %s, Config.MaxTokenLifetime is %s", seconds(e.have), e.from, seconds(e.max))
}

// The function seconds returns a duration of n seconds as text, for example "1h30m0s".
func seconds(n int64) string {
	if n < 0 || n > 100*365*24*3600 { // time.Duration can't contain much longer times
		return "more than a century"
	}
	return (time.Duration(n) * time.Second).String()
}

// The function date returns the text of a NumericDate (RFC 7519, section 2), in UTC.
func date(n int64) string {
	if n < 0 || n > 1<<37 {
		return strconv.FormatInt(n, 10)
	}
	return time.Unix(n, 0).UTC().Format(time.RFC3339)
}

// noUser is the error for a token that names no user. subject is the claim sub if it is the id of
// the client, and "" if the token has no sub.
type noUser struct{ subject, client string }

func (e *noUser) Error() string {
	text := "sub is missing"
	if e.subject != "" {
		text = "sub is that of the client"
	}
	return text + ", and the token of client " + shown(e.client) + " has no user: see Config.Subject and Config.AllowClientTokens"
}

// wrongType is the error for a JWT whose typ is not the type of an access token. got is "" if the
// JWT has no typ.
type wrongType struct{ got, want string }

func (e *wrongType) Error() string {
	if e.got == "" {
		return "typ is missing, not " + e.want
	}
	return "typ is " + shown(e.got) + ", not " + e.want
}

// wrongKind is the error for a token with a claim, for example token_use, that calls the token
// something other than an access token.
type wrongKind struct{ claim, got string }

func (e *wrongKind) Error() string {
	return e.claim + " is " + shown(e.got) + ", which is not an access token"
}

// wrongAlgorithm is the error for an alg that is not accepted. want is Config.Algorithms.
type wrongAlgorithm struct {
	got  string
	want []string
}

func (e *wrongAlgorithm) Error() string {
	if jose.Known(e.got) {
		return "alg is " + shown(e.got) + ", Config.Algorithms is " + listed(e.want)
	}
	return "alg is " + shown(e.got) + ", which is not supported"
}

func (e *wrongAlgorithm) Unwrap() error { return jose.ErrAlgorithm }

// noKeyFor is the error for a JWT whose alg fits none of the issuer's keys.
type noKeyFor struct{ algorithm string }

func (e *noKeyFor) Error() string { return "the issuer publishes no key for alg " + shown(e.algorithm) }

// unknownKey is the error for a JWT whose kid or x5t names a key that the issuer does not publish.
// keys is the number of keys that the issuer publishes.
type unknownKey struct {
	id, thumbprint string
	keys           int
}

func (e *unknownKey) Error() string {
	name := "kid " + shown(e.id)
	if e.id == "" {
		name = "x5t " + shown(e.thumbprint)
	}
	return fmt.Sprintf("%s is not among the %d usable keys of the issuer", name, e.keys)
}

// missingScope is the error for a valid token that lacks a scope that the route requires.
type missingScope struct{ have, want []string }

func (e *missingScope) Error() string {
	return "scope is " + listed(e.have) + ", the route requires " + listed(e.want)
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

// confusableError returns the error for a token that is not an access token. The argument has says
// which claims the token contains. At least one of them belongs to another kind of token, for
// example an ID token.
func confusableError(has claims.Member) error {
	switch {
	case has&(claims.AtHash|claims.CHash) != 0:
		return errIDToken
	case has&claims.Events != 0:
		return errEvents
	case has&claims.TokenIntrospection != 0:
		return errIntrospectionToken
	}
	return errNonce
}

// tooLong is the error for a token that is longer than a setting allows. have and max are in bytes.
type tooLong struct {
	have, max int
	setting   string
}

func (e *tooLong) Error() string {
	return fmt.Sprintf("token has %d bytes: %s is %d", e.have, e.setting, e.max)
}
