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

// verifier verifies JWTs. It caches the claims of verified JWTs, and the keys that verified their
// signatures.
type verifier struct {
	policy     *policy
	signatures *signatures
	// algorithms are the accepted algorithms; nil accepts all supported algorithms
	algorithms []string
	maxLength  int
	cache      *factcache.Cache[cachedJWT]
	hotTable   *factcache.Hot[*jwtFacts] // hotTable is a small, fast table of the tokens in use
}

// jwtFacts are the facts about a verified JWT: its claims, and the key that verified its signature.
type jwtFacts struct {
	user     User
	claimSet claims.Set
	verifyingKey
}

// cachedJWT is the form in which jwtFacts are stored in the cache. A cachedJWT takes half the
// memory of jwtFacts, because it contains the payload and not the parsed claims. To parse the
// payload again takes a microsecond.
type cachedJWT struct {
	payload string
	key     *jose.Key
}

// splitJWT is a JWT that is split at its dots. It is for a JWT that is not in the table of tokens
// in use. The fields header, signedHash and cacheKey are set when they are first needed.
type splitJWT struct {
	jose.Token
	header     *jose.Header // header is nil if the JWT was found in the cache
	signedHash *jose.Hashed // signedHash is the hash of the header and the payload
	// cacheKey is the key of the JWT in the cache of verified JWTs. It is set together with
	// signedHash.
	cacheKey factcache.Key
}

// errOpaque means that a text is not a JWT, so it may be an opaque token.
var errOpaque = errors.New("not a JWT")

// verifier.verify returns the user of a JWT, if its claims satisfy the Config and a key of the
// issuer verifies its signature. If text does not have three segments, the error is errOpaque.
//
// The facts about the JWT are its claims and the key that verified its signature. verify takes them
// from the table of tokens in use. For a JWT that is not in this table, it calls verifyOther.
func (v *verifier) verify(ctx context.Context, text string, now time.Time) (*User, error) {
	if facts, inUse := v.hotTable.Get(text); inUse {
		if err := v.policy.check(ctx, text, &facts.user, nil, claims.JWT, now); err != nil {
			return nil, err
		}
		published, err := v.signatures.issuer.keys.Get(ctx, now)
		if err != nil {
			return nil, refuseUnavailable(err)
		}
		if facts.keyIsIn(published.keys) {
			return &facts.user, nil
		}
		v.hotTable.Delete(text) // the issuer has withdrawn the key that verified the signature
	}
	return v.verifyOther(ctx, text, now)
}

// verifyOther does the work of verify for a JWT that is not in the table of tokens in use. It takes
// the facts about the JWT from the larger cache of verified JWTs, or else parses the JWT. The
// claims are checked before the signature, so a forged token with bad claims costs no verification.
func (v *verifier) verifyOther(ctx context.Context, text string, now time.Time) (*User, error) {
	for {
		var token splitJWT
		facts, err := v.findFacts(text, &token, now)
		if err != nil {
			return nil, err
		}
		if err := v.policy.check(ctx, text, &facts.user, token.header, claims.JWT, now); err != nil {
			// This refusal does not depend on the keys: with these claims, no key of the issuer
			// could make the JWT valid. So the response is 401 and not 503, also while the issuer
			// is down.
			return nil, err
		}
		if facts.key == nil {
			if token.signedHash == nil {
				token.computeHash()
				v.cache.Missed(&token.cacheKey)
			}
			err := v.signatures.verify(ctx, token.signedHash, token.header, &facts.claimSet, &facts.verifyingKey, now)
			if err != nil {
				return nil, err
			}
			facts.user.indexScopes()
			expires := time.Unix(facts.claimSet.ExpiresAt, 0).Add(v.policy.skew)
			v.cache.Put(&token.cacheKey, cachedJWT{facts.claimSet.Raw, facts.key}, expires, now)
			return &facts.user, nil
		}
		published, err := v.signatures.issuer.keys.Get(ctx, now)
		if err != nil {
			return nil, refuseUnavailable(err)
		}
		if facts.keyIsIn(published.keys) {
			v.hotTable.Put(text, facts, facts.size())
			return &facts.user, nil
		}
		// The issuer has withdrawn the key that verified the signature. So verify the signature
		// again: another key of the issuer may verify it.
		v.cache.Delete(&token.cacheKey)
	}
}

// verifier.findFacts returns the facts about a JWT from the cache. If the JWT is not in the cache,
// findFacts parses it. If the field key of the result is nil, the caller must verify the signature.
// For this case, findFacts stores what the verification needs in its parameter of type *splitJWT.
func (v *verifier) findFacts(text string, token *splitJWT, now time.Time) (*jwtFacts, error) {
	if len(text) > v.maxLength {
		return nil, refuse(ReasonMalformedToken, &tooLong{len(text), v.maxLength, "Config.MaxTokenLength"})
	}
	var ok bool
	if token.Token, ok = jose.Split(text); !ok {
		return nil, errOpaque
	}
	header, full := v.signatures.headers.Get(token.Header())
	// signatures.headers contains the header of each verified JWT, until it is full. If it is not
	// full and lacks the header of this JWT, no JWT with this header was verified. Then this JWT is
	// not in the cache, and the look-up in the cache is skipped.
	if header != nil || full {
		token.computeHash()
		if cached, ok := v.cache.Get(&token.cacheKey, now); ok {
			facts := &jwtFacts{verifyingKey: verifyingKey{key: cached.key}}
			if err := facts.claimSet.Parse(cached.payload, claims.JWT); err != nil {
				return nil, refuse(ReasonMalformedToken, err)
			}
			facts.user = v.policy.user(&facts.claimSet)
			facts.user.indexScopes()
			return facts, nil
		}
	}
	return v.parse(token, header, now)
}

// verifier.parse parses the header and the claims of a JWT. The parameter header is nil, or it is
// the parsed header of an earlier JWT that has the same header. In the second case, parse uses it
// and does not parse the header again. parse compares the claim iss with Config.Issuer before any
// key is fetched (RFC 8725, section 3.8).
func (v *verifier) parse(token *splitJWT, header *jose.Header, now time.Time) (*jwtFacts, error) {
	if header == nil {
		var err error
		if header, err = jose.ParseHeader(token.Header()); errors.Is(err, jose.ErrMalformed) {
			return nil, refuse(ReasonMalformedToken, err)
		} else if err != nil {
			return nil, refuse(ReasonAlgorithm, err)
		}
		known := jose.SupportsAlgorithm(header.Algorithm)
		if !known || v.algorithms != nil && !jose.ContainsAlgorithm(v.algorithms, header.Algorithm) {
			return nil, refuse(ReasonAlgorithm, &wrongAlgorithm{header.Algorithm, v.algorithms})
		}
		// The key set is fetched at most once a second. If it was fetched less than a second ago
		// and lacks the key that the header names, a new fetch is not possible yet, so the token is
		// refused. At this point the payload of the token was not read yet. So this refusal costs
		// little, and a flood of such tokens does little harm.
		if keys := v.signatures.recentKeys(now); keys != nil && keys.Absent(header) {
			return nil, refuse(ReasonUnknownKey, &unknownKey{header.KeyID, header.Thumbprint, keys.Len()})
		}
	}
	token.header = header
	payload, err := token.Payload()
	if err != nil {
		return nil, refuse(ReasonMalformedToken, err)
	}
	facts := new(jwtFacts)
	if err := facts.claimSet.Parse(payload, claims.JWT); err != nil {
		if _, ok := errors.AsType[*claims.TypeError](err); ok {
			return nil, refuse(ReasonClaims, err)
		}
		return nil, refuse(ReasonMalformedToken, err)
	}
	if err := v.policy.checkIssuer(&facts.claimSet, claims.JWT); err != nil {
		return nil, err
	}
	facts.user = v.policy.user(&facts.claimSet)
	return facts, nil
}

// splitJWT.computeHash computes the hash of the signed part of the JWT, which is its header and
// payload. From this hash and the signature, it computes the key of the JWT in the cache. The
// verification of the signature uses the same hash, so the signed part is hashed only once.
func (t *splitJWT) computeHash() {
	t.signedHash = t.Token.Hash()
	t.cacheKey = factcache.KeyOf("jwt", string(t.signedHash.Sum[:]), t.Signature())
}

// jwtFacts.size estimates how many bytes of memory the facts about a JWT take. User.size already
// counts the claims in the field claimSet, so jwtFacts.size does not count them again.
func (f *jwtFacts) size() int {
	return int(unsafe.Sizeof(*f)-unsafe.Sizeof(f.user)-unsafe.Sizeof(f.claimSet)) + f.user.size()
}

func (c cachedJWT) size() int { return int(unsafe.Sizeof(c)) + len(c.payload) }
