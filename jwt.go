package xenaauth

import (
	"context"
	"errors"
	"time"
	"unsafe"

	"github.com/xenaauth/xenaauth/internal/claims"
	"github.com/xenaauth/xenaauth/internal/factcache"
	"github.com/xenaauth/xenaauth/internal/jose"
)

// verifier verifies JWTs, and caches what it found out about them.
type verifier struct {
	policy     *policy
	signatures *signatures
	algorithms []string // nil allows all
	maxLength  int
	cache      *factcache.Cache[cachedJWT]
	hot        *factcache.Hot[*jwtFacts] // of the tokens in use
}

// jwtFacts are the claims of a JWT and the key that verified its signature.
type jwtFacts struct {
	user User
	set  claims.Set
	verifiedBy
}

// cachedJWT is how the facts about a JWT are cached that is not in use. It takes half the memory of
// jwtFacts. To parse the payload again takes a microsecond.
type cachedJWT struct {
	payload string
	key     *jose.Key
}

// splitJWT is a JWT that was looked up in the cache.
type splitJWT struct {
	jose.Token
	header *jose.Header  // nil if the JWT is in the cache
	hashed *jose.Hashed  // nil if no look-up needed it yet
	key    factcache.Key // the key of the JWT in the cache, if hashed is not nil
}

// errOpaque says that a text is not a JWT.
var errOpaque = errors.New("not a JWT")

// verify returns the user of a JWT whose claims satisfy the policy and whose signature is good. The
// error is errOpaque if text does not have three segments. The claims come from the table of tokens
// in use, from the cache, or from the JWT itself. They are checked before the signature, so a
// forged token with bad claims costs no signature check.
func (v *verifier) verify(ctx context.Context, text string, now time.Time) (*User, error) {
	for {
		var token splitJWT
		facts, inUse := v.hot.Get(text)
		if !inUse {
			var err error
			if facts, err = v.lookup(text, &token, now); err != nil {
				return nil, err
			}
		}
		if err := v.policy.check(ctx, &facts.user, token.header, claims.JWT, now); err != nil {
			return nil, err // also while the issuer is unreachable: no key would change that
		}
		if facts.key == nil {
			if token.hashed == nil {
				token.hash()
				v.cache.Missed(&token.key)
			}
			err := v.signatures.verify(ctx, token.hashed, token.header, &facts.set, &facts.verifiedBy, now)
			if err != nil {
				return nil, err
			}
			facts.user.indexScopes()
			expires := time.Unix(facts.set.ExpiresAt, 0).Add(v.policy.skew)
			v.cache.Put(&token.key, cachedJWT{facts.set.Raw, facts.key}, expires, now)
			return &facts.user, nil
		}
		published, err := v.signatures.issuer.keys.Get(ctx, now)
		if err != nil {
			return nil, unavailable(err)
		}
		if facts.holds(published.keys) {
			if !inUse {
				v.hot.Put(text, facts, facts.size())
			}
			return &facts.user, nil
		}
		// The issuer withdrew the key that verified the signature. Another key may verify it.
		v.hot.Delete(text)
		if !inUse {
			v.cache.Delete(&token.key)
		}
	}
}

// lookup returns the facts about a JWT from the cache. If the cache has none, lookup parses the
// JWT: then the facts have no key, and token is ready for the check of the signature.
func (v *verifier) lookup(text string, token *splitJWT, now time.Time) (*jwtFacts, error) {
	if len(text) > v.maxLength {
		return nil, refuse(ReasonMalformedToken, &tooLong{len(text), v.maxLength, "Config.MaxTokenLength"})
	}
	var ok bool
	if token.Token, ok = jose.Split(text); !ok {
		return nil, errOpaque
	}
	header, full := v.signatures.headers.Get(token.Header())
	if header != nil || full { // otherwise no token with this header was good, so none is in the cache
		token.hash()
		if cached, ok := v.cache.Get(&token.key, now); ok {
			facts := &jwtFacts{verifiedBy: verifiedBy{key: cached.key}}
			if err := facts.set.Parse(cached.payload, claims.JWT); err != nil {
				return nil, refuse(ReasonMalformedToken, err)
			}
			facts.user = v.policy.user(&facts.set)
			facts.user.indexScopes()
			return facts, nil
		}
	}
	return v.parse(token, header, now)
}

// parse reads the header and the claims of a JWT, and compares iss before any key is fetched (RFC
// 8725, section 3.8). header is nil unless a token with the same header was good before.
func (v *verifier) parse(token *splitJWT, header *jose.Header, now time.Time) (*jwtFacts, error) {
	if header == nil {
		var err error
		if header, err = jose.ParseHeader(token.Header()); errors.Is(err, jose.ErrMalformed) {
			return nil, refuse(ReasonMalformedToken, err)
		} else if err != nil {
			return nil, refuse(ReasonAlgorithm, err)
		}
		known := jose.Known(header.Algorithm)
		if !known || v.algorithms != nil && !jose.Among(v.algorithms, header.Algorithm) {
			return nil, refuse(ReasonAlgorithm, &wrongAlgorithm{header.Algorithm, v.algorithms})
		}
		// A key that was looked for less than a second ago is still absent. In a flood of tokens
		// that name it, the rest of each token is not read.
		if keys := v.signatures.current(now); keys != nil && keys.Absent(header) {
			return nil, refuse(ReasonUnknownKey, &unknownKey{header.KeyID, header.Thumbprint, keys.Len()})
		}
	}
	token.header = header
	payload, err := token.Payload()
	if err != nil {
		return nil, refuse(ReasonMalformedToken, err)
	}
	facts := new(jwtFacts)
	if err := facts.set.Parse(payload, claims.JWT); err != nil {
		if _, ok := errors.AsType[*claims.TypeError](err); ok {
			return nil, refuse(ReasonClaims, err)
		}
		return nil, refuse(ReasonMalformedToken, err)
	}
	if err := v.policy.checkIssuer(&facts.set, claims.JWT); err != nil {
		return nil, err
	}
	facts.user = v.policy.user(&facts.set)
	return facts, nil
}

// hash hashes the JWT, for the cache and for the signature. The key of the cache depends on the
// whole JWT, although its signed part is hashed only once.
func (t *splitJWT) hash() {
	t.hashed = t.Token.Hash()
	t.key = factcache.KeyOf("jwt", string(t.hashed.Sum[:]), t.Signature())
}

// size is about how many bytes the facts take. It counts the claims once: the user refers to them.
func (f *jwtFacts) size() int {
	return int(unsafe.Sizeof(*f)-unsafe.Sizeof(f.user)-unsafe.Sizeof(f.set)) + f.user.size()
}

func (c cachedJWT) size() int { return int(unsafe.Sizeof(c)) + len(c.payload) }
