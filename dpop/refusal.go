package dpop

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/replay"
)

// proofError is the error inside the refusal of a client's DPoP proof. There is one exception: if
// the key of the proof is not the key of the token, the refusal contains no proofError. The method
// Proof.Respond reads two values in a proofError.
//
// jkt is the thumbprint of the key to which the token is bound: Respond makes a nonce for this key.
// checker is the value of the type Proof that checked and refused the client's proof. A middleware
// may have several values of this type, and only the checker makes a nonce for the refusal.
type proofError struct {
	error
	jkt     string
	checker *Proof
}

func (c *proofError) Unwrap() error { return c.error }

// Proof.refuse returns the refusal of a DPoP proof. jkt is the thumbprint of the key to which the
// token is bound.
func (p *Proof) refuse(reason xenaauth.Reason, jkt string, err error) error {
	return &xenaauth.Error{Reason: reason, Err: &proofError{err, jkt, p}}
}

var (
	errOtherKey   = errors.New("the key of the proof is not the key of cnf.jkt")
	errOtherToken = errors.New("ath is not the hash of the access token")
	errReplayed   = errors.New("the jti of the proof was used before")
	errNoNonce    = errors.New("the proof has no nonce")
	errBadNonce   = errors.New("the nonce of the proof is too old, for another key, or not from this service")
)

// replayCheckError is the error for a DPoP proof if the replay store has returned an error. It
// wraps the error of the replay store. The log gets only the text of replayCheckError, because the
// wrapped error may contain the name of a server.
type replayCheckError struct{ err error }

func (e *replayCheckError) Error() string {
	if errors.Is(e.err, replay.ErrFull) {
		return "dpop: the replay store is full"
	}
	return "dpop: the replay store returned an error, so it is unknown whether the proof was used before"
}

func (e *replayCheckError) Unwrap() error { return e.err }

func nonceError(nonce string) error {
	if nonce == "" {
		return errNoNonce
	}
	return errBadNonce
}

// Each error type below stores values, and builds its text only if the refusal is logged. The text
// quotes the values of the proof and cuts long values, because a stranger may have written them.

// quoteForLog returns the text s in quotation marks. It cuts a long text, and escapes every
// character beyond printable ASCII.
func quoteForLog(s string) string {
	const maxShown = 200
	if len(s) > maxShown {
		return strconv.QuoteToASCII(s[:maxShown]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

// wrongValue is the error for a DPoP proof in which a claim or a header member does not have the
// expected value. memberName is the name of this claim or header member.
type wrongValue struct{ memberName, got, want string }

func (e *wrongValue) Error() string {
	return fmt.Sprintf("%s is %s, not %s", e.memberName, quoteForLog(valueForLog(e.got)), quoteForLog(valueForLog(e.want)))
}

// valueForLog returns the text that the log shows for a value of a DPoP proof, which is usually
// short: the claim htm or the header member typ. A client may have written a token there by
// mistake. So if the value has more than maxWord bytes, valueForLog returns only its beginning.
func valueForLog(s string) string {
	const maxWord, start = 20, 8
	if len(s) > maxWord {
		return s[:start] + "..."
	}
	return s
}

// wrongAlgorithm is the error for a DPoP proof whose algorithm Config.Algorithms does not list.
type wrongAlgorithm struct {
	got  string
	want []string
}

func (e *wrongAlgorithm) Error() string {
	return fmt.Sprintf("alg is %s, Config.Algorithms is %v", quoteForLog(e.got), e.want)
}

// wrongOrigin is the error for a DPoP proof for another origin: its htu does not name the origin of
// the request.
type wrongOrigin struct {
	got    origin
	host   string // host is the host of the request
	origin []origin
}

func (e *wrongOrigin) Error() string {
	if slices.Contains(e.origin, e.got) {
		return fmt.Sprintf("htu has the origin %s, the host of the request is %s", quoteForLog(e.got.String()), quoteForLog(e.host))
	}
	const maxListed = 5
	return fmt.Sprintf("htu has the origin %s, Config.PublicOrigins is %v",
		quoteForLog(e.got.String()), e.origin[:min(len(e.origin), maxListed)])
}

// wrongPath is the error for a DPoP proof for another path: its htu does not name the path of the
// request.
type wrongPath struct{ got, want string }

func (e *wrongPath) Error() string {
	return fmt.Sprintf("htu has the path %s, the request has %s",
		quoteForLog(pathForLog(e.got)), quoteForLog(pathForLog(e.want)))
}

// wrongTime is the error for a proof whose iat, exp or nbf does not fit the current time. Its text
// contains the time in the claim and the time on this machine, because a wrong clock is a frequent
// cause.
type wrongTime struct {
	claim string
	at    int64
	now   time.Time
}

func (e *wrongTime) Error() string {
	return fmt.Sprintf("%s is %s, the time here is %s", e.claim,
		time.Unix(e.at, 0).UTC().Format(time.RFC3339), e.now.UTC().Format(time.RFC3339))
}
