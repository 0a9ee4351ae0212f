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

// The errors of this file say why a token is refused: what was expected and what came. Each refusal
// creates one, but few are read. So an error contains values, and its method Error creates the
// text. It quotes and cuts the values of a token, because a stranger may have written them.

// maxShown bounds the part of a value that an error shows, in bytes. maxListed bounds the values of
// a list.
const (
	maxShown  = 80
	maxListed = 5
)

// shown quotes a value. It escapes control characters, and characters beyond ASCII, because they
// may look like other characters.
func shown(s string) string {
	if len(s) <= maxShown {
		return strconv.QuoteToASCII(s)
	}
	return strconv.QuoteToASCII(s[:maxShown]) + "..."
}

// listed quotes the values of a list.
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

// wrongIssuer is about iss. got is "" if it is missing.
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

// wrongAudience is about aud. setting is the name of the list want.
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

// wrongTime is about exp in the past, or about another time in the future. Its text shows both
// clocks.
type wrongTime struct {
	claim string
	at    int64 // seconds
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

// wrongLifetime is about a token that is valid for too long.
type wrongLifetime struct {
	from      string // the claim from which the time counts
	have, max int64  // seconds
}

func (e *wrongLifetime) Error() string {
	return fmt.Sprintf("exp is %s after %s, Config.MaxTokenLifetime is %s", seconds(e.have), e.from, seconds(e.max))
}

// seconds returns a length of time as text.
func seconds(n int64) string {
	if n < 0 || n > 100*365*24*3600 { // longer durations and differences may overflow
		return "more than a century"
	}
	return (time.Duration(n) * time.Second).String()
}

// date returns a NumericDate as text.
func date(n int64) string {
	if n < 0 || n > 1<<37 {
		return strconv.FormatInt(n, 10)
	}
	return time.Unix(n, 0).UTC().Format(time.RFC3339)
}

// noUser is about a token without a user. subject is "" or the id of the client.
type noUser struct{ subject, client string }

func (e *noUser) Error() string {
	text := "sub is missing"
	if e.subject != "" {
		text = "sub is that of the client"
	}
	return text + ", and the token of client " + shown(e.client) + " has no user: see Config.Subject and Config.AllowClientTokens"
}

// wrongType is about typ. got is "" if it is missing.
type wrongType struct{ got, want string }

func (e *wrongType) Error() string {
	if e.got == "" {
		return "typ is missing, not " + e.want
	}
	return "typ is " + shown(e.got) + ", not " + e.want
}

// wrongKind is about a claim that says that the token is not an access token.
type wrongKind struct{ claim, got string }

func (e *wrongKind) Error() string {
	return e.claim + " is " + shown(e.got) + ", which is not an access token"
}

// wrongAlgorithm is about alg. want is Config.Algorithms.
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

// noKeyFor is about a token with an algorithm for which the issuer publishes no key.
type noKeyFor struct{ algorithm string }

func (e *noKeyFor) Error() string { return "the issuer publishes no key for alg " + shown(e.algorithm) }

// unknownKey is about a token with the name of a key that the issuer doesn't publish.
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

// missingScope is about a valid token without the scopes that the route requires.
type missingScope struct{ have, want []string }

func (e *missingScope) Error() string {
	return "scope is " + listed(e.have) + ", the route requires " + listed(e.want)
}

// The errors without a value to show.
var (
	errUnconfirmed   = errors.New("cnf binds the token to a key: proof of possession is not supported")
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

// The marks of other kinds of tokens, and the settings that accept them.
var (
	errNonce               = errors.New("nonce marks an ID token: see Config.AllowNonce")
	errIDToken             = errors.New("at_hash and c_hash mark an ID token")
	errEvents              = errors.New("events marks a logout token or a security event")
	errIntrospectionToken  = errors.New("token_introspection marks a signed introspection response")
	errClientAudience      = errors.New("an audience that is the client marks an ID token: see Config.AllowClientAudience")
	errClientAudienceAlone = errors.New("an audience that is the client and no scope mark an ID token")
	errNoScope             = errors.New("scope and scp are missing, which marks an ID token: see Config.ScopeClaims")
)

// confusableError returns the error for the first of the confusable claims that a token has.
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

// tooLong is about a token that is longer than a setting allows.
type tooLong struct {
	have, max int
	setting   string
}

func (e *tooLong) Error() string {
	return fmt.Sprintf("token has %d bytes: %s is %d", e.have, e.setting, e.max)
}
