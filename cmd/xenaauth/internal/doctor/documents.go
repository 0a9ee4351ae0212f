package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/recording"
	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/setting"
	"github.com/xenaauth/xenaauth/internal/freshness"
	"github.com/xenaauth/xenaauth/internal/jose"
)

// examination.checkDocuments makes a Validator fetch the issuer's metadata and key set. It adds
// checks of the responses to the checklist.
func (e *examination) checkDocuments(ctx context.Context, cfg xenaauth.Config) {
	if cfg.AlwaysIntrospect {
		if cfg.Introspection.Endpoint != "" {
			e.add(Check{Name: "metadata", State: Skipped, Found: "not needed: " +
				"XENA_INTROSPECTION_ENDPOINT is set"})
		}
		e.add(Check{Name: "key set", State: Skipped, Found: "not needed: every token is " +
			"introspected"})
		return
	}
	// This Validator only fetches documents and does not introspect tokens. The method
	// checkIntrospection tests introspection.
	cfg.Introspection, cfg.RequireActive, cfg.AllowMissingClientID = nil, false, false
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		e.add(Check{Name: "configuration", State: Bad, Found: err.Error()})
		return
	}
	err = v.Warm(ctx)
	if cfg.JWKSURL != "" {
		e.add(Check{Name: "metadata", State: Skipped, Found: "not needed: XENA_JWKS_URL is set"})
	} else if !e.checkMetadata(err) {
		e.add(Check{Name: "key set", State: Skipped, Found: "not looked at: its URL is in " +
			"the metadata"})
		return
	}
	if e.checkKeySet(err) {
		e.checkCaching()
	}
}

// examination.checkMetadata adds a check of the issuer's metadata to the checklist, and reports
// whether they can be used. The parameter err is the error that the Validator returned.
func (e *examination) checkMetadata(err error) bool {
	const name = "metadata"
	call, called := e.recorder.LastCall(recording.Metadata)
	if err == nil || called && !strings.HasPrefix(refusalCause(err), "metadata:") {
		e.add(Check{Name: name, State: Good, Found: fmt.Sprintf("fetched in %s", took(call))})
		e.add(Check{Name: "issuer", State: Good, Found: fmt.Sprintf("%q, byte for byte", e.cfg.Issuer)})
		return true
	}
	found := strings.TrimPrefix(refusalCause(err), "metadata: ")
	var document struct{ Issuer *string }
	if call.Status == 200 && json.Unmarshal([]byte(call.Body), &document) == nil &&
		document.Issuer != nil && *document.Issuer != e.cfg.Issuer {
		e.add(Check{Name: name, State: Good, Found: fmt.Sprintf("fetched in %s", took(call))})
		e.add(otherIssuerCheck(e.cfg, *document.Issuer))
		return false
	}
	c := failedCheck(name, found, call)
	if c.Fix == "" {
		c.Fix = "Check XENA_ISSUER, and XENA_METADATA_URL if the metadata have another URL: the " +
			"document " +
			"must be that of OpenID Connect Discovery or RFC 8414."
	}
	if strings.Contains(found, "endpoint is not https") {
		c.Fix = "The issuer writes http URLs into its metadata, as behind a proxy that ends TLS. " +
			"Let it trust " +
			"X-Forwarded-Proto of the proxy, or set its public origin."
	}
	e.add(c)
	return false
}

// failedCheck returns the check for a document of the issuer that could not be fetched. The
// parameter call is the call to the issuer that failed.
func failedCheck(name, found string, call recording.Call) Check {
	c := Check{Name: name, State: Bad, Found: found}
	switch {
	case call.IsHTML():
		c.Found = fmt.Sprintf("the response is an HTML page (status %d), not JSON", call.Status)
		c.Fix = "A login page or a proxy answers instead of the issuer, or XENA_ISSUER has the " +
			"wrong path. " +
			"Let this path pass without login, or set XENA_METADATA_URL."
	case call.TLSProblem() != "":
		c.Found += ": " + call.TLSProblem()
		c.Fix = "Correct the certificate, or add its authority to the trusted ones of this " +
			"host: the " +
			"variable SSL_CERT_FILE names a file with them."
	case call.Status >= 300 && call.Status < 400:
		c.Fix = "Configure the URL to which the issuer redirects."
	case call.IsOutage():
		c.State = Unknown
		c.Fix = "Check that the issuer runs, and that this host reaches it: DNS, firewall, proxy " +
			"(HTTPS_PROXY). Then check the host and the port in XENA_ISSUER."
	}
	return c
}

// examination.checkKeySet checks whether the issuer's key set can be used, and adds the result to
// the checklist.
func (e *examination) checkKeySet(err error) bool {
	const name = "key set"
	call, _ := e.recorder.LastCall(recording.JWKS)
	skipped := skippedKeys(call.Body)
	if err != nil {
		c := failedCheck(name, strings.TrimPrefix(refusalCause(err), "key set: "), call)
		c.Details = skipped
		switch {
		case c.Fix != "":
		case strings.Contains(c.Found, "no usable key"):
			c.Fix = "Ask the operator of the issuer for a public key of a supported algorithm in " +
				"the key set."
		default:
			c.Fix = "Check the URL of the key set: jwks_uri in the metadata, or XENA_JWKS_URL. The " +
				"document must be a JWK Set (RFC 7517)."
		}
		e.add(c)
		return false
	}
	keys, err := jose.ParseKeySet(call.Body)
	if err != nil {
		e.add(Check{Name: name, State: Bad, Found: err.Error()})
		return false
	}
	c := Check{Name: name, State: Good}
	c.Found = fmt.Sprintf("%s, fetched in %s", count(keys.Len(), "usable key"), took(call))
	c.Details = usableKeys(call.Body)
	if len(skipped) > 0 {
		c.State, c.Details = Warning, append(c.Details, skipped...)
		c.Found += fmt.Sprintf(", %s skipped", count(len(skipped), "key"))
		c.Fix = "A token that is signed with a skipped key is refused. If access tokens are " +
			"signed with " +
			"one, ask the operator of the issuer to correct it."
	}
	e.add(c)
	e.checkAlgorithms(keys)
	return true
}

// maxListedKeys is the largest number of usable keys that the checklist lists for an issuer.
const maxListedKeys = 8

// usableKeys returns a line with the kid and the type of each usable key in the issuer's key set.
// An operator can compare the kid with that in a token.
func usableKeys(text string) (lines []string) {
	keys := keysIn(text)
	for i, k := range keys {
		if i == maxListedKeys {
			return append(lines, fmt.Sprintf("and %d more", len(keys)-i))
		}
		kty, _, _ := strings.Cut(k.material, " ")
		lines = append(lines, fmt.Sprintf("kid %s, %s", setting.QuoteForOutput(k.kid), kty))
	}
	return lines
}

// skippedKeys returns a line for each key in the issuer's key set that can't be used. The line says
// why.
func skippedKeys(text string) (reasons []string) {
	var set struct{ Keys []json.RawMessage }
	if json.Unmarshal([]byte(text), &set) != nil {
		return nil
	}
	for n, raw := range set.Keys {
		err := jose.CheckKey(string(raw))
		if err == nil {
			continue
		}
		var key struct{ Kid string }
		// If Unmarshal fails, the kid of the key is unknown. The output then has only the number of
		// the key in the set.
		_ = json.Unmarshal(raw, &key)
		reasons = append(reasons, fmt.Sprintf("key %d, kid %s: %v", n+1, setting.QuoteForOutput(key.Kid), err))
	}
	return reasons
}

// examination.checkAlgorithms adds a check that lists the accepted signature algorithms for which
// the issuer publishes keys. If there are none, the check has failed.
func (e *examination) checkAlgorithms(keys *jose.KeySet) {
	const name = "algorithms"
	var usable, refused []string
	for _, a := range jose.Algorithms() {
		found, _ := keys.Find(&jose.Header{Algorithm: a})
		switch {
		case len(found) == 0:
		case e.cfg.Algorithms == nil || jose.ContainsAlgorithm(e.cfg.Algorithms, a):
			usable = append(usable, a)
		default:
			refused = append(refused, a)
		}
	}
	switch {
	case len(usable) == 0:
		e.add(Check{
			Name: name, State: Bad,
			Found: fmt.Sprintf("the keys fit %s, XENA_ALGORITHMS is %s: every JWT is refused",
				strings.Join(refused, " "), strings.Join(e.cfg.Algorithms, " ")),
			Fix: "Add the algorithm of the access tokens to XENA_ALGORITHMS, or remove that " +
				"setting.",
		})
	default:
		e.add(Check{Name: name, State: Good, Found: "the keys fit " + strings.Join(usable, " ")})
	}
}

// A Validator keeps a key set for at least minLifetime and at most maxLifetime. If the response
// does not say for how long the key set is fresh, the Validator uses defaultLifetime.
const (
	defaultLifetime = 15 * time.Minute
	minLifetime     = time.Minute
	maxLifetime     = 24 * time.Hour
)

// examination.checkCaching adds a check that says for how long the Validator uses a key set before
// it fetches the key set again. Until then, the Validator accepts a key that the issuer has
// withdrawn. A new key is accepted earlier: a token that names an unknown key causes an immediate
// fetch.
func (e *examination) checkCaching() {
	call, _ := e.recorder.LastCall(recording.JWKS)
	fresh := freshness.Lifetime(call.Header, call.End)
	c := Check{Name: "caching", State: Good}
	const withdrawn = "a key that the issuer withdraws is refused after at most %s"
	switch {
	case fresh == 0:
		c.Found = fmt.Sprintf("the issuer does not say for how long the key set "+
			"is fresh: "+withdrawn, defaultLifetime)
	case fresh <= minLifetime:
		c.Found = fmt.Sprintf("the key set is fetched each minute: "+withdrawn, minLifetime)
	case fresh <= maxLifetime:
		c.Found = fmt.Sprintf("the key set is fresh for %s: "+withdrawn, fresh, fresh)
	default:
		c.State = Warning
		c.Found = fmt.Sprintf("the key set is fresh for %s: "+withdrawn, fresh, maxLifetime)
		c.Fix = "Ask the operator of the issuer for a max-age of at most an hour in " +
			"Cache-Control of the " +
			"key set, so that a compromised key is soon refused."
	}
	e.add(c)
}

// refusalCause returns why a Validator refused a token or a document of the issuer. The text may
// name fields of the Config. Checklist.add later replaces these names by the names that the
// operator uses.
func refusalCause(err error) string { return setting.Cause(err) }

func took(c recording.Call) time.Duration {
	return max(c.End.Sub(c.Start).Round(time.Millisecond), time.Millisecond)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
