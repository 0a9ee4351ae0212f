package doctor

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/setting"
	"github.com/xenaauth/xenaauth/internal/jose"
)

// publishedKeys has the usable keys that one issuer publishes in its key set.
type publishedKeys struct {
	issuer string
	keys   []publicKey
}

// A publicKey is one key in the key set of an issuer.
type publicKey struct {
	kid string
	// material consists of the members of the key that identify it (those of a JWK thumbprint, RFC
	// 7638, section 3.2). Two keys are the same key if, and only if, their material is equal.
	material string
}

// keysIn returns the usable keys in a key set. The parameter text is the JSON of the key set.
func keysIn(text string) (keys []publicKey) {
	var set struct{ Keys []json.RawMessage }
	if json.Unmarshal([]byte(text), &set) != nil {
		return nil
	}
	for _, raw := range set.Keys {
		var k struct{ Kid, Kty, Crv, N, E, X, Y string }
		if jose.CheckKey(string(raw)) == nil && json.Unmarshal(raw, &k) == nil {
			keys = append(keys, publicKey{k.Kid, strings.Join([]string{k.Kty, k.Crv, k.N, k.E, k.X, k.Y}, " ")})
		}
	}
	return keys
}

// compareKeys adds a check that says whether two issuers publish the same key, or two keys with one
// kid. If there is only one issuer, it adds nothing.
func compareKeys(l *Checklist, all []publishedKeys) {
	const name = "key ids"
	if len(all) < 2 {
		return
	}
	var checks []Check
	for i, a := range all {
		for _, b := range all[:i] {
			if a.issuer != b.issuer {
				checks = append(checks, compareTwo(name, b, a)...)
			}
		}
	}
	for _, p := range all {
		if len(p.keys) == 0 {
			checks = append(checks, Check{Name: name, State: Skipped, Found: "not compared for " +
				"an issuer whose key set was not fetched"})
			break
		}
	}
	if len(checks) == 0 {
		checks = []Check{{Name: name, State: Good, Found: "no two issuers publish the same key, or the same kid"}}
	}
	l.KeyChecks = append(l.KeyChecks, checks...)
}

// compareTwo looks for keys that two issuers have in common, and for a kid that both use for
// different keys.
func compareTwo(name string, a, b publishedKeys) (checks []Check) {
	same := Check{
		Name: name, State: Warning,
		Found: fmt.Sprintf("%s and %s publish the same key", setting.QuoteForOutput(a.issuer), setting.QuoteForOutput(b.issuer)),
		Fix: "Whoever can sign for one of the issuers can sign for the other: a stolen key, or an " +
			"administrator of a test system, makes tokens of both. Give each issuer a key of its own, " +
			"unless both names are one server.",
	}
	other := Check{
		Name: name, State: Warning,
		Found: fmt.Sprintf("%s and %s publish different keys with one kid", setting.QuoteForOutput(a.issuer), setting.QuoteForOutput(b.issuer)),
		Fix: "xenaauth looks a key up among those of one issuer, so it checks the tokens of both " +
			"rightly. Software that finds a key by its kid alone takes the wrong one and refuses valid " +
			"tokens: let each issuer choose kids at random, or derive them from the key (RFC 7638).",
	}
	for _, x := range a.keys {
		for _, y := range b.keys {
			switch {
			case x.material == y.material && x.kid == y.kid:
				same.Details = append(same.Details, "kid "+setting.QuoteForOutput(x.kid))
			case x.material == y.material:
				same.Details = append(same.Details, "kid "+setting.QuoteForOutput(x.kid)+" and kid "+setting.QuoteForOutput(y.kid))
			case x.kid == y.kid && x.kid != "":
				other.Details = append(other.Details, "kid "+setting.QuoteForOutput(x.kid))
			}
		}
	}
	for _, c := range []Check{same, other} {
		if len(c.Details) > 0 {
			checks = append(checks, c)
		}
	}
	return checks
}
