package issuers_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A product is an identity server. It contains tokens that the server has issued, from
// xenaauthtest/testdata/issuers, and the settings that its access tokens need in addition to Issuer
// and Audiences.
type product struct {
	Product  string
	Issuer   string
	Audience string            // the audience of the API; "" if the product's tokens have no aud
	Settings map[string]string // Settings are environment variables for ConfigFromEnv
	Tested   string            // Tested says how the tokens were obtained
	Note     string
	Tokens   []productToken
}

type productToken struct {
	Name string
	Kind string // Kind is access token, ID token, refresh token, logout token, or other
	// If Introspected is true, Claims is an introspection response. The JSON member "active" is
	// left out of it, and the test adds "active": true. In this case the token is opaque, unless
	// Header and JWT are set too.
	Introspected bool
	JWT          map[string]any
	Header       map[string]any
	// Claims are the claims of the token. The value "@+60" stands for the time 60 s from now.
	Claims map[string]any
	// Defaults says what the library does with the token in its default configuration: "accepted",
	// or the reason of the refusal.
	Defaults string
	// Configured says what the library does with the token if it has the settings of the product
	// (product.Settings): "accepted", or the reason of the refusal.
	Configured   string
	User, Client string // User and Client are the user and the client of a token that is accepted
	// Unprotected says why a token is accepted although it is not an access token
	Unprotected string
}

const accepted = "accepted"

// readProducts reads the recorded tokens of each product, in the order of the table in
// docs/issuers.md.
func readProducts(t *testing.T) []product {
	t.Helper()
	files, err := filepath.Glob("../../xenaauthtest/testdata/issuers/*.json")
	require.NoError(t, err)
	slices.Sort(files)
	all := make([]product, len(files))
	for i, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		decoder := json.NewDecoder(strings.NewReader(string(text)))
		decoder.DisallowUnknownFields()
		require.NoError(t, decoder.Decode(&all[i]), file)
	}
	require.GreaterOrEqual(t, len(all), 25)
	return all
}

// fillTimes replaces some values in the claims by times. For example, it replaces "@+60" by the
// time 60 s after now.
func fillTimes(now time.Time, claims map[string]any) map[string]any {
	claims = maps.Clone(claims)
	for name, value := range claims {
		if text, ok := value.(string); ok && strings.HasPrefix(text, "@") {
			seconds, err := strconv.ParseInt(text[1:], 10, 64)
			if err == nil {
				claims[name] = now.Unix() + seconds
			}
		}
	}
	return claims
}

// product.config returns a configuration for tokens of a product. If withOwnSettings is false, this
// is the default configuration. If withOwnSettings is true, it is the product's own configuration,
// which docs/issuers.md shows.
func (p product) config(t *testing.T, issuer *xenaauthtest.Issuer, withOwnSettings bool) xenaauth.Config {
	t.Helper()
	harness.ClearEnv(t)
	t.Setenv("XENA_ISSUER", p.Issuer)
	t.Setenv("XENA_AUDIENCE", p.Audience)
	if slices.ContainsFunc(p.Tokens, func(t productToken) bool { return t.Introspected }) {
		t.Setenv("XENA_INTROSPECTION_CLIENT_ID", issuer.API())
		t.Setenv("XENA_INTROSPECTION_CLIENT_SECRET", issuer.APISecret())
	}
	if withOwnSettings {
		for name, value := range p.Settings {
			t.Setenv(name, value)
		}
	}
	cfg, err := xenaauth.ConfigFromEnv()
	require.NoError(t, err)
	cfg.HTTPClient = issuer.Client()
	if !withOwnSettings && p.Audience == "" {
		cfg.Audiences = []string{"testapi"}
	}
	if !withOwnSettings && strings.HasPrefix(p.Issuer, "http:") {
		// AllowHTTP is required because the URL of this issuer begins with http
		cfg.AllowHTTP = true
	}
	// xenaauthtest serves the metadata and the keys under the URL of the issuer
	cfg.MetadataURL, cfg.JWKSURL = "", ""
	return cfg
}

// product.sendToken sends a token to an API that requires the scope testapi. It returns "accepted"
// or the reason of the refusal.
func (p product) sendToken(t *testing.T, issuer *xenaauthtest.Issuer, a *harness.API, token productToken) string {
	t.Helper()
	issuer.Heal()
	claims := fillTimes(time.Now(), token.Claims)
	text := "opaque-" + strconv.Itoa(len(token.Name)) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	if token.Introspected {
		claims["active"] = true
		body, err := json.Marshal(claims)
		require.NoError(t, err)
		harness.SetIntrospectionResponse(issuer, string(body))
		claims = fillTimes(time.Now(), token.JWT)
	}
	if token.Header != nil {
		header := map[string]any{"alg": issuer.Header()["alg"], "kid": issuer.KeyID()}
		maps.Copy(header, token.Header)
		h, err := json.Marshal(header)
		require.NoError(t, err)
		c, err := json.Marshal(claims)
		require.NoError(t, err)
		text = issuer.SignBytes(h, c)
	}
	got := a.Get(t, text)
	if got.Status == 200 {
		u := harness.UserOf(t, a.Validator, text)
		require.Equal(t, token.Client, u.ClientID(), token.Name)
		require.Equal(t, token.User, u.Subject(), token.Name)
		require.Equal(t, "hello, "+token.User, got.Body)
		return accepted
	}
	var body struct{ Reason string }
	require.NoError(t, json.Unmarshal([]byte(got.Body), &body), got.Body)
	return body.Reason
}

// A table in docs/issuers.md has one line for each product. The line shows the product's own
// configuration. It also says whether the default configuration accepts the product's access
// tokens. The product's own configuration accepts all of them. Both configurations refuse the
// product's ID tokens, refresh tokens and logout tokens, except those that a second table lists as
// unprotected.
func TestIssuers(t *testing.T) {
	for _, p := range readProducts(t) {
		t.Run(p.Product, func(t *testing.T) {
			issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{URL: p.Issuer, Algorithm: "ES256"})
			standard := harness.Mount(t, p.config(t, issuer, false))
			configured := harness.Mount(t, p.config(t, issuer, true))
			kinds := make(map[string]int)
			for _, token := range p.Tokens {
				kinds[token.Kind]++
				require.Equal(t, token.Defaults, p.sendToken(t, issuer, standard, token), "defaults: %s", token.Name)
				require.Equal(t, token.Configured, p.sendToken(t, issuer, configured, token), "configured: %s", token.Name)
				switch token.Kind {
				case "access token":
					require.Equal(t, accepted, token.Configured, token.Name)
				case "ID token", "refresh token", "logout token":
					if token.Unprotected == "" {
						require.NotEqual(t, accepted, token.Defaults, token.Name)
						require.NotEqual(t, accepted, token.Configured, token.Name)
					}
				default:
					require.Equal(t, "other", token.Kind)
				}
			}
			require.NotZero(t, kinds["access token"])
			require.NotZero(t, kinds["ID token"], "each product needs an ID token among its tokens")
		})
	}
}

// A product needs some settings in addition to the default configuration (docs/issuers.md). This
// test uses the default configuration. For each missing setting in configFields, one token of the
// product must be refused, and the log line of the refusal must name the setting.
func TestIssuers_RefusalsNameTheSetting(t *testing.T) {
	configFields := map[string]string{
		"XENA_CLIENT_CLAIMS": "ClientClaims", "XENA_SCOPE_CLAIMS": "ScopeClaims", "XENA_ALLOW_NONCE": "AllowNonce",
		"XENA_ALLOW_CLIENT_AUDIENCE": "AllowClientAudience", "XENA_ALLOW_MISSING_CLIENT_ID": "AllowMissingClientID",
		"XENA_ALLOW_ANY_LIFETIME": "AllowAnyLifetime", "XENA_MAX_TOKEN_LIFETIME": "MaxTokenLifetime",
		"XENA_ALLOW_CLIENT_TOKENS": "AllowClientTokens",
		// If a token has no aud, the log line names the setting with the wanted aud.
		"XENA_ALLOW_ANY_AUDIENCE": "Audiences",
	}
	for _, p := range readProducts(t) {
		for name := range p.Settings {
			field, ok := configFields[name]
			if !ok || name == "XENA_ALLOW_CLIENT_AUDIENCE" && p.Settings["XENA_CLIENT_CLAIMS"] == "aud" {
				// This loop tests that the log line of a refused token names the missing setting.
				// It skips the settings that no such log line names: the addresses of the issuer,
				// XENA_PROFILE, XENA_ALLOW_HTTP and XENA_ALWAYS_INTROSPECT.
				// TestIssuers_ConfigurationNamesAllowHTTP tests XENA_ALLOW_HTTP. The loop also
				// skips XENA_ALLOW_CLIENT_AUDIENCE for a product whose XENA_CLIENT_CLAIMS is "aud".
				// For such a product, the default configuration finds no client in the token. So
				// the log line of the refusal names ClientClaims and not AllowClientAudience.
				continue
			}
			t.Run(p.Product+"/"+field, func(t *testing.T) {
				issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{URL: p.Issuer, Algorithm: "ES256"})
				a := harness.Mount(t, p.config(t, issuer, false))
				for _, token := range p.Tokens {
					p.sendToken(t, issuer, a, token)
				}
				require.Contains(t, a.Log.String(), "Config."+field)
			})
		}
	}
}

// Some products need the setting XENA_ALLOW_HTTP. Without it, their configuration is invalid, and
// the error names the setting.
func TestIssuers_ConfigurationNamesAllowHTTP(t *testing.T) {
	tested := 0
	for _, p := range readProducts(t) {
		if _, ok := p.Settings["XENA_ALLOW_HTTP"]; ok {
			issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{URL: p.Issuer, Algorithm: "ES256"})
			cfg := p.config(t, issuer, true)
			require.NoError(t, cfg.Validate())
			cfg.AllowHTTP = false
			require.ErrorContains(t, cfg.Validate(), "AllowHTTP")
			tested++
		}
	}
	require.Positive(t, tested)
}

// Each setting of a product in docs/issuers.md is necessary. Without one of these settings, the
// configuration is invalid, or it refuses one of the product's access tokens.
func TestIssuers_NoSettingTooMany(t *testing.T) {
	for _, p := range readProducts(t) {
		for name := range p.Settings {
			switch name {
			case "XENA_METADATA_URL", "XENA_JWKS_URL", "XENA_PROFILE", "XENA_ALLOW_HTTP":
				// The test does not remove these four settings from a configuration, because it may
				// not be able to show that they are necessary. XENA_METADATA_URL, XENA_JWKS_URL and
				// XENA_ALLOW_HTTP concern addresses of the real issuer, which the test issuer does
				// not use. XENA_PROFILE only adds checks of the token. So a configuration without
				// XENA_PROFILE still accepts all access tokens of the product.
				continue
			}
			t.Run(p.Product+"/"+name, func(t *testing.T) {
				issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{URL: p.Issuer, Algorithm: "ES256"})
				fewer := p
				fewer.Settings = maps.Clone(p.Settings)
				delete(fewer.Settings, name)
				cfg := fewer.config(t, issuer, true)
				if cfg.Validate() != nil {
					return
				}
				a := harness.Mount(t, cfg)
				for _, token := range p.Tokens {
					if token.Kind == "access token" && fewer.sendToken(t, issuer, a, token) != accepted {
						return
					}
				}
				t.Errorf("without %s the results are the same", name)
			})
		}
	}
}

// The test makes ID tokens that look like access tokens: they lack the claim scope and the claims
// that ID tokens usually have. Some have roles or permissions instead, and a product may have
// configured one of these claims as the scope. The token may be for any client, including a client
// with the name of the API. The configuration of each product in docs/issuers.md must refuse each
// of these ID tokens.
func TestIssuers_PlainIDTokens(t *testing.T) {
	for _, p := range readProducts(t) {
		t.Run(p.Product, func(t *testing.T) {
			issuer := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{URL: p.Issuer, Algorithm: "ES256"})
			v, err := xenaauth.NewValidator(p.config(t, issuer, true))
			require.NoError(t, err)
			types := []any{"JWT", nil, "at+jwt"}
			if p.Settings["XENA_PROFILE"] == "rfc9068" {
				// This configuration accepts the typ at+jwt only, and no ID token has this typ.
				types = types[:2]
			}
			for _, typ := range types {
				for _, client := range []string{"web-portal", p.Audience} {
					for _, named := range []string{"", "azp", "client_id", "cid", "appid"} {
						for _, aud := range [][]string{{client}, {client, p.Audience}} {
							for _, more := range []string{"", "roles", "permissions"} {
								claims := map[string]any{
									"scope": nil, "client_id": nil, "iss": p.Issuer, "sub": "u", "aud": aud, more: []string{"testapi"}, named: client,
								}
								delete(claims, "")
								token := issuer.JWT(xenaauthtest.Token{Header: map[string]any{"typ": typ}, Claims: claims})
								require.NotEmpty(t, harness.ReasonOf(t, v, token), "%v %v", typ, claims)
							}
						}
					}
				}
			}
		})
	}
}
