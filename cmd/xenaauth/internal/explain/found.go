package explain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/recording"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/setting"
	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/jose"
)

// answer returns the output of the command. refusal is nil if the token may pass.
func (e *explanation) answer(refusal *xenaauth.Error, challenge []string, user string) *Answer {
	a := &Answer{
		Outcome: xenaauth.OutcomeAllowed, Challenge: challenge, Claims: e.claimList(), User: user,
	}
	steps := e.order()
	stop := len(steps)
	if refusal != nil {
		a.Reason, a.Status = string(refusal.Reason), refusal.StatusCode()
		a.Outcome = xenaauth.OutcomeRefused
		if a.Status == 503 {
			a.Outcome = xenaauth.OutcomeUnavailable
		}
		// If the failed step is unknown, the answer must not say that the checks of other steps
		// passed.
		stop = max(0, slices.Index(steps, e.failing(refusal)))
	}
	for i, name := range steps {
		s := Step{Name: name, State: Held}
		switch {
		case i < stop:
			s.Found = e.found(name)
		case i > stop:
			s.State = NotReached
		default:
			s.State = Failed
			if a.Outcome == xenaauth.OutcomeUnavailable {
				s.State = Unknown
			}
			s.Why = e.clean(setting.Variables(setting.Cause(refusal)))
			s.Fix = e.fix(name, refusal)
		}
		a.Steps = append(a.Steps, s)
		if name == stepSignature || name == stepIntrospection && !e.local {
			a.Verified = i < stop
		}
	}
	return a
}

// found returns what the token contains about a step, or "".
func (e *explanation) found(step string) string {
	switch step {
	case stepToken:
		if jose.IsJWT(e.token) {
			return fmt.Sprintf("a JWT of %d bytes", len(e.token))
		}
		return fmt.Sprintf("an opaque token of %d bytes", len(e.token))
	case stepHeader:
		if e.header == nil {
			return ""
		}
		return fmt.Sprintf("alg %s, kid %s, typ %s",
			shown(e.header.Algorithm), shown(e.header.KeyID), shown(e.header.Type))
	case stepKeys:
		return e.foundKeys()
	case stepSignature:
		return "verified with a key of the issuer"
	case stepIntrospection:
		if !e.asked {
			return ""
		}
		call, _ := e.recorder.Last(recording.Introspection)
		if set, err := claims.Parse(call.Body, claims.Answer); err == nil {
			return fmt.Sprintf("active %t", set.Active)
		}
		return "a response that can't be read"
	case stepRoute:
		return e.foundRoute()
	}
	if e.set == nil {
		return ""
	}
	return e.foundClaims(step)
}

func (e *explanation) foundClaims(step string) string {
	s := e.set
	switch step {
	case stepClaims:
		return fmt.Sprintf("%d claims", len(e.claimList()))
	case stepIssuer:
		return "iss " + shown(s.Issuer)
	case stepKind:
		if e.header != nil {
			return "typ " + shown(e.header.Type)
		}
		return "token_type " + shown(s.TokenType)
	case stepTimes:
		return fmt.Sprintf("nbf %s, exp %s, now %s",
			moment(s.NotBefore), moment(s.ExpiresAt), moment(time.Now().Unix()))
	case stepAudience:
		return "aud " + list(s.Audience)
	case stepParties:
		return "client_id " + shown(s.ClientID)
	case stepBinding:
		if s.Has&claims.Cnf != 0 {
			return "cnf binds the token to a key"
		}
		return "no cnf: a bearer token"
	case stepProfile:
		return "RFC 9068"
	case stepScopeClaim:
		return "scope " + list(s.Scopes)
	case stepUser:
		return "sub " + shown(s.Subject)
	}
	return ""
}

func (e *explanation) foundKeys() string {
	call, ok := e.recorder.Last(recording.JWKS)
	if !ok || e.header == nil {
		return ""
	}
	keys, err := jose.ParseKeySet(call.Body)
	if err != nil {
		return ""
	}
	fitting, _ := keys.Find(e.header)
	return fmt.Sprintf("%d of %d usable keys fit the header", len(fitting), keys.Len())
}

func (e *explanation) foundRoute() string {
	if len(e.scopes) == 0 {
		return "requires no scope: see --scope"
	}
	return "requires " + list(e.scopes) + ", which the token has"
}

// shown quotes a value from the token.
func shown(s string) string {
	if s == "" {
		return "missing"
	}
	return setting.Shown(s)
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
		b.WriteString(setting.Shown(v))
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

// maxValue is the largest length of a claim's value in the output, in bytes.
const maxValue = 200

// claimList returns the claims in the order in which they are shown.
func (e *explanation) claimList() (list []Claim) {
	if e.set == nil {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(e.set.Raw))
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
		text := e.clean(compact.String())
		if len(text) > maxValue {
			text = text[:maxValue] + "..."
		}
		list = append(list, Claim{Name: e.clean(fmt.Sprint(name)), Value: text})
	}
	return list
}

// clean removes tokens from a text: the token that is explained, the signature of this token, and
// other JWTs. A claim may contain a JWT.
func (e *explanation) clean(text string) string {
	if e.token != "" {
		text = strings.ReplaceAll(text, e.token, "[token]")
	}
	if token, ok := jose.Split(e.token); ok && len(token.Signature()) > 20 {
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
