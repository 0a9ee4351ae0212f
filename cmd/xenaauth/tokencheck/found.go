package tokencheck

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/setting"
	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/jose"
)

// parsedCheck.foundAt returns what the token contains for a step of the check, for example its
// issuer. It returns "" if there is nothing to show.
func (e *parsedCheck) foundAt(step string) string {
	switch step {
	case StepToken:
		if jose.IsJWT(e.Token) {
			return fmt.Sprintf("a JWT of %d bytes", len(e.Token))
		}
		return fmt.Sprintf("an opaque token of %d bytes", len(e.Token))
	case StepHeader:
		if e.header == nil {
			return ""
		}
		return fmt.Sprintf("alg %s, kid %s, typ %s",
			quotedOrMissing(e.header.Algorithm), quotedOrMissing(e.header.KeyID), quotedOrMissing(e.header.Type))
	case StepKeys:
		return e.foundKeys()
	case StepSignature:
		return "verified with a key of the issuer"
	case StepIntrospection:
		if !e.hasIntrospection() {
			return ""
		}
		if set, err := claims.Parse(e.Introspection, claims.Answer); err == nil {
			return fmt.Sprintf("active %t", set.Active)
		}
		return "a response that can't be read"
	case StepRoute:
		return e.foundRoute()
	}
	if e.claimSet == nil {
		return ""
	}
	return e.foundClaims(step)
}

func (e *parsedCheck) foundClaims(step string) string {
	s := e.claimSet
	switch step {
	case StepClaims:
		return fmt.Sprintf("%d claims", len(e.claimList()))
	case StepIssuer:
		return "iss " + quotedOrMissing(s.Issuer)
	case StepKind:
		if e.header != nil {
			return "typ " + quotedOrMissing(e.header.Type)
		}
		return "token_type " + quotedOrMissing(s.TokenType)
	case StepTimes:
		return fmt.Sprintf("nbf %s, exp %s, now %s",
			moment(s.NotBefore), moment(s.ExpiresAt), moment(time.Now().Unix()))
	case StepAudience:
		return "aud " + list(s.Audience)
	case StepParties:
		return "client_id " + quotedOrMissing(s.ClientID)
	case StepBinding:
		if s.Has&claims.Cnf != 0 {
			return "cnf binds the token to a key: each request needs a proof of possession"
		}
		return "no cnf: a bearer token"
	case StepProfile:
		return "RFC 9068"
	case StepScopeClaim:
		return "scope " + list(s.Scopes)
	case StepUser:
		return "sub " + quotedOrMissing(s.Subject)
	}
	return ""
}

func (e *parsedCheck) foundKeys() string {
	if e.JWKS == "" || e.header == nil {
		return ""
	}
	keys, err := jose.ParseKeySet(e.JWKS)
	if err != nil {
		return ""
	}
	fitting, _ := keys.Find(e.header)
	return fmt.Sprintf("%d of %d usable keys fit the header", len(fitting), keys.Len())
}

func (e *parsedCheck) foundRoute() string {
	if len(e.Scopes) == 0 {
		return "requires no scope: see --scope"
	}
	return "requires " + list(e.Scopes) + ", which the token has"
}

// quotedOrMissing returns a value from the token in quotes. If the value is empty, it returns the
// word "missing".
func quotedOrMissing(s string) string {
	if s == "" {
		return "missing"
	}
	return setting.QuoteForOutput(s)
}

const maxListed = 8

func list(values []string) string {
	if len(values) == 0 {
		return "missing"
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
		b.WriteString(setting.QuoteForOutput(v))
	}
	return b.String()
}

func moment(seconds int64) string {
	if seconds == 0 {
		return "missing"
	}
	if seconds < 0 || seconds > 1<<37 {
		return fmt.Sprint(seconds)
	}
	return time.Unix(seconds, 0).UTC().Format(time.RFC3339)
}

// maxValue is the largest number of bytes of a claim's value in the output.
const maxValue = 200

// parsedCheck.claimList returns the claims of the token in the order in which they are printed.
func (e *parsedCheck) claimList() (list []Claim) {
	if e.claimSet == nil {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(e.claimSet.Raw))
	if _, err := d.Token(); err != nil {
		return nil
	}
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return list
		}
		var compact bytes.Buffer
		if json.Compact(&compact, value) != nil {
			return list
		}
		text := e.withoutTokens(compact.String())
		if len(text) > maxValue {
			text = text[:maxValue] + "..."
		}
		list = append(list, Claim{Name: e.withoutTokens(fmt.Sprint(name)), Value: text})
	}
	return list
}

// parsedCheck.withoutTokens removes tokens from a text: the token that is explained, the signature
// of this token, and other JWTs. A claim may contain a JWT.
func (e *parsedCheck) withoutTokens(text string) string {
	if e.Token != "" {
		text = strings.ReplaceAll(text, e.Token, "[token]")
	}
	if token, ok := jose.Split(e.Token); ok && len(token.Signature()) > 20 {
		text = strings.ReplaceAll(text, token.Signature(), "[signature]")
	}
	isGap := func(r rune) bool { return strings.ContainsRune("\"\\ \t,:;[]{}()", r) }
	for word := range strings.FieldsFuncSeq(text, isGap) {
		if jose.IsJWT(word) {
			text = strings.ReplaceAll(text, word, "[a JWT]")
		}
	}
	return text
}
