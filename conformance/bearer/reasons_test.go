package bearer_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/gateway/routes"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// declaredReasons returns the constants of type Reason that errors.go declares.
func declaredReasons(t *testing.T) (reasons []xenaauth.Reason) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../errors.go", nil, 0)
	require.NoError(t, err)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) == 0 {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Reason" {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		require.NoError(t, err)
		reasons = append(reasons, xenaauth.Reason(value))
		return true
	})
	require.NotEmpty(t, reasons)
	return reasons
}

// A refusalCase is a test case: a request that must be refused, the configuration of the validator,
// and the requirements of the route.
type refusalCase struct {
	// the Authorization field of the request; "" means that the request has no such field
	field        string
	config       func(*xenaauth.Config)
	requirements []xenaauth.Requirement
	prepareAPI   func(a *harness.API)
	// If tableRules is set, the API is guarded by a table of routes with these rules. Otherwise it
	// is guarded by the requirements of this test case.
	tableRules  []routes.Rule
	editRequest func(*http.Request)
}

// refusalCases returns a test case for each reason of a refusal. A test case that needs an outage
// uses deadIssuer, which does not respond.
func refusalCases(t *testing.T, issuer, deadIssuer *xenaauthtest.Issuer) map[xenaauth.Reason]refusalCase {
	t.Helper()
	good := issuer.JWT(xenaauthtest.Token{})
	changed := func(name string, value any) string {
		return "Bearer " + issuer.JWT(xenaauthtest.Token{Claims: map[string]any{name: value}})
	}
	now := time.Now()
	revoked := issuer.JWT(xenaauthtest.Token{})
	return map[xenaauth.Reason]refusalCase{
		xenaauth.ReasonMissingToken:      {field: ""},
		xenaauth.ReasonMalformedRequest:  {field: "Bearer " + good + " " + good},
		xenaauth.ReasonMalformedToken:    {field: "Bearer " + good[:strings.LastIndexByte(good, '.')] + ".A"},
		xenaauth.ReasonTokenType:         {field: "Bearer " + issuer.IDToken(xenaauthtest.Token{})},
		xenaauth.ReasonAlgorithm:         {field: "Bearer " + issuer.JWT(xenaauthtest.Token{Header: map[string]any{"alg": "HS256"}})},
		xenaauth.ReasonUnknownKey:        {field: "Bearer " + harness.UnknownKeyToken(issuer, 1)},
		xenaauth.ReasonSignature:         {field: "Bearer " + good[:len(good)-8] + "AAAAAAAA"},
		xenaauth.ReasonIssuer:            {field: changed("iss", "https://login.example")},
		xenaauth.ReasonAudience:          {field: changed("aud", "otherapi")},
		xenaauth.ReasonExpired:           {field: "Bearer " + issuer.JWT(xenaauthtest.Token{Lifetime: -time.Hour})},
		xenaauth.ReasonNotYetValid:       {field: changed("nbf", now.Add(10*time.Minute).Unix())},
		xenaauth.ReasonLifetime:          {field: "Bearer " + issuer.JWT(xenaauthtest.Token{Lifetime: 2 * time.Hour})},
		xenaauth.ReasonClaims:            {field: changed("client_id", nil)},
		xenaauth.ReasonSubject:           {field: "Bearer " + issuer.JWT(xenaauthtest.Token{Machine: true})},
		xenaauth.ReasonConfirmation:      {field: changed("cnf", map[string]any{"jkt": "x"})},
		xenaauth.ReasonProof:             policyRefusal(changed("scope", "email"), xenaauth.ReasonProof),
		xenaauth.ReasonProofNonce:        policyRefusal(changed("scope", "email"), xenaauth.ReasonProofNonce),
		xenaauth.ReasonProofReplayed:     policyRefusal(changed("scope", "email"), xenaauth.ReasonProofReplayed),
		xenaauth.ReasonInactive:          {field: "Bearer no-such-reference-token"},
		xenaauth.ReasonInsufficientScope: {field: changed("scope", "email")},
		xenaauth.ReasonForbidden: {field: "Bearer " + good, requirements: []xenaauth.Requirement{
			xenaauth.Where("own company", func(context.Context, *xenaauth.User) error { return errors.New("not theirs") }),
		}},
		xenaauth.ReasonRevoked: {field: "Bearer " + revoked, prepareAPI: func(a *harness.API) {
			require.NoError(t, a.Validator.(*xenaauth.Validator).Revoke(t.Context(), xenaauth.Revocation{TokenHash: xenaauth.HashToken(revoked)}))
		}},
		xenaauth.ReasonNoRule: {field: "Bearer " + good, tableRules: []routes.Rule{{Pattern: "POST /", Access: routes.Public()}}},
		xenaauth.ReasonAmbiguousTarget: {field: "Bearer " + good, tableRules: []routes.Rule{{Pattern: "/", Access: routes.Public()}},
			editRequest: func(r *http.Request) { r.URL.Path += "//" }},
		xenaauth.ReasonUnavailable: {field: "Bearer " + deadIssuer.JWT(xenaauthtest.Token{}), config: func(c *xenaauth.Config) { *c = deadIssuer.HybridConfig() }},
	}
}

// policyRefusal returns a test case in which a policy refuses the request with the given reason.
// The tests in the folder possession show real refusals by proofs of possession.
func policyRefusal(field string, reason xenaauth.Reason) refusalCase {
	policy := func(context.Context, *xenaauth.User) error { return &xenaauth.Error{Reason: reason} }
	return refusalCase{field: field, requirements: []xenaauth.Requirement{
		xenaauth.Where("proof", policy), xenaauth.AllScopes(xenaauth.ScopeTestAPI),
	}}
}

func TestReasons_EachOverHTTP(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	down := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	defer down.Close()
	down.Down()
	table := refusalCases(t, issuer, down)
	for _, reason := range declaredReasons(t) {
		t.Run(string(reason), func(t *testing.T) {
			c, ok := table[reason]
			require.True(t, ok, "refusals has no request for this reason")
			a := c.serve(t, issuer)
			c.ask(t, a, http.MethodGet).IsRefusal(t, reason)
			head := c.ask(t, a, http.MethodHead)
			require.Empty(t, head.Body)
			require.Equal(t, harness.Refusals[reason].Status, head.Status)
			want := xenaauth.ScopeTestAPI
			switch reason {
			case xenaauth.ReasonForbidden, xenaauth.ReasonAmbiguousTarget, xenaauth.ReasonNoRule:
				want = ""
			}
			head.HasRefusalHeader(t, reason, want)
		})
	}
	require.Len(t, table, len(declaredReasons(t)))
	require.Len(t, harness.Refusals, len(declaredReasons(t)))
}

func (c refusalCase) serve(t *testing.T, issuer *xenaauthtest.Issuer) *harness.API {
	t.Helper()
	cfg := issuer.HybridConfig()
	if c.config != nil {
		c.config(&cfg)
	}
	a := harness.Serve(t, cfg, c.requirements...)
	if c.tableRules != nil {
		table, err := routes.New(c.tableRules, nil)
		require.NoError(t, err)
		guard := routes.NewGuard(xenaauth.NewMiddleware(a.Validator, nil), table.Find).Handler
		a.Server = httptest.NewServer(guard(http.HandlerFunc(harness.Hello)))
		t.Cleanup(a.Server.Close)
	}
	if c.prepareAPI != nil {
		c.prepareAPI(a)
	}
	return a
}

func (c refusalCase) ask(t *testing.T, a *harness.API, method string) *harness.Response {
	t.Helper()
	r := a.Request(t, method)
	if c.field != "" {
		r.Header.Set("Authorization", c.field)
	}
	if c.editRequest != nil {
		c.editRequest(r)
	}
	return a.Do(t, r)
}

// No response and no log line contains a token, a secret or the address of a server. The only
// exception is the name of the trusted issuer: log lines may contain this name, because each token
// of the issuer contains the name too.
func TestReasons_NothingLeaks(t *testing.T) {
	t.Parallel()
	options := &xenaauthtest.IssuerOptions{Algorithm: "ES256", APISecret: "s3cr+t/of the%API"}
	issuer := xenaauthtest.NewIssuer(options)
	down := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256", APISecret: options.APISecret})
	defer down.Close()
	down.Down()
	table := refusalCases(t, issuer, down)
	secrets := []string{options.APISecret, url.QueryEscape(options.APISecret), strings.TrimPrefix(down.Addr(), "http://"), "login.xena.biz", "127.0.0.1", "idp.internal"}
	check := func(t *testing.T, c refusalCase, texts ...string) {
		t.Helper()
		needles := secrets
		if fields := strings.Fields(c.field); len(fields) > 1 {
			needles = append(needles[:len(needles):len(needles)], fields[1])
			for _, part := range strings.Split(fields[1], ".") {
				if len(part) > 16 {
					needles = append(needles, part, string(decodedOrNothing(part)))
				}
			}
		}
		for _, text := range texts {
			for _, needle := range needles {
				require.False(t, needle != "" && strings.Contains(text, needle), "%q is in %q", needle, text)
			}
		}
	}
	for reason, c := range table {
		t.Run(string(reason), func(t *testing.T) {
			a := c.serve(t, issuer)
			got := c.ask(t, a, http.MethodGet)
			require.Equal(t, harness.Refusals[reason].Status, got.Status)
			check(t, c, got.Body, fmt.Sprint(got.Header))
			forLogs := []string{a.Log.String()}
			if token, ok := strings.CutPrefix(c.field, "Bearer "); ok {
				_, err := a.Validator.Validate(t.Context(), token)
				forLogs = append(forLogs, errorTexts(err)...)
			}
			for _, text := range forLogs {
				text = harness.WithoutIssuer(text, down.Config().Issuer)
				// the log line of the refusal names the issuer that the library expected
				if reason == xenaauth.ReasonIssuer {
					text = strings.ReplaceAll(text, xenaauth.IssuerProduction, "")
				}
				check(t, c, text)
			}
		})
	}
	good := harness.NewIssuer()
	for name, fault := range map[string]xenaauthtest.Fault{
		"500": {Status: 500, Body: "login.xena.biz s3cr+t/of the%API"}, "401": {Status: 401}, "302": {Status: 302, Header: http.Header{"Location": {"https://idp.internal/"}}},
		"HTML": {Body: "login.xena.biz", ContentType: "text/html"}, "broken": {Break: true}, "bad": {Body: `{"active":true,"exp":"login.xena.biz"}`},
		"keys": {Body: `{"keys":[{"kty":"idp.internal","kid":"127.0.0.1"}]}`}, "other": {Body: `{"issuer":"https://idp.internal"}`},
	} {
		for _, endpoint := range []xenaauthtest.Endpoint{xenaauthtest.Introspection, xenaauthtest.Metadata, xenaauthtest.JWKS} {
			t.Run(name+" from "+string(endpoint), func(t *testing.T) {
				issuer := xenaauthtest.NewIssuer(options)
				issuer.Fail(endpoint, fault)
				c := refusalCase{field: "Bearer " + issuer.JWT(xenaauthtest.Token{})}
				if endpoint == xenaauthtest.Introspection {
					c.field = "Bearer " + issuer.Opaque(xenaauthtest.Token{})
				}
				a := c.serve(t, issuer)
				got := c.ask(t, a, http.MethodGet)
				// The issuer sends a bad response. If the bad introspection response is JSON
				// without the member "active", the library treats the token as inactive. All other
				// refusals must report an outage.
				if strings.Contains(got.Body, "inactive") {
					require.Equal(t, xenaauthtest.Introspection, endpoint)
				} else {
					got.IsRefusal(t, xenaauth.ReasonUnavailable)
					require.NotEmpty(t, a.Log.String(), "an outage must be logged")
				}
				_, err := a.Validator.Validate(t.Context(), strings.TrimPrefix(c.field, "Bearer "))
				check(t, c, append(errorTexts(err), got.Body, fmt.Sprint(got.Header), harness.WithoutIssuer(a.Log.String()), fmt.Sprint(a.Validator.(*xenaauth.Validator).Warm(t.Context())))...)
			})
		}
	}
	t.Run("a host that nobody knows", func(t *testing.T) {
		cfg := good.HybridConfig()
		cfg.MetadataURL = "https://idp.internal:8443/.well-known/openid-configuration"
		c := refusalCase{field: "Bearer " + good.JWT(xenaauthtest.Token{}), config: func(have *xenaauth.Config) { *have = cfg }}
		for _, client := range []*http.Client{good.Client(), down.Client()} {
			cfg.HTTPClient = client
			a := c.serve(t, good)
			got := c.ask(t, a, http.MethodGet)
			got.IsRefusal(t, xenaauth.ReasonUnavailable)
			_, err := a.Validator.Validate(t.Context(), strings.TrimPrefix(c.field, "Bearer "))
			check(t, c, append(errorTexts(err), got.Body, harness.WithoutIssuer(a.Log.String()))...)
		}
	})
}

// errorTexts returns the texts that fmt prints for an error and for the errors that it wraps.
func errorTexts(err error) (texts []string) {
	for ; err != nil; err = errors.Unwrap(err) {
		texts = append(texts, err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err))
	}
	return texts
}

func decodedOrNothing(segment string) []byte {
	raw, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil || !strings.HasPrefix(string(raw), "{") {
		return nil
	}
	return raw
}
