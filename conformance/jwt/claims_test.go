package jwt_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// A claimCase is a test case: changes to the claims of a valid token, and the reason of the refusal
// that the test expects. The reason is "" if the token is accepted.
type claimCase struct {
	changes map[string]any
	reason  xenaauth.Reason
}

// checkClaims sends the token of each test case to the API and requires the expected result.
func checkClaims(t *testing.T, a *harness.API, issuer *xenaauthtest.Issuer, cases map[string]claimCase) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			token := issuer.JWT(xenaauthtest.Token{Claims: c.changes})
			if c.reason == "" {
				a.Passes(t, token)
				return
			}
			a.Refuses(t, token, c.reason)
		})
	}
}

func TestJ11_IssuerByteForByte(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, issuer.Config())
	bad := map[string]claimCase{
		"missing": {map[string]any{"iss": nil}, xenaauth.ReasonIssuer},
		"number":  {map[string]any{"iss": 7}, xenaauth.ReasonClaims},
		"list":    {map[string]any{"iss": []string{xenaauth.IssuerProduction}}, xenaauth.ReasonClaims},
		"null":    {map[string]any{"iss": harness.RawJSON("null")}, xenaauth.ReasonClaims},
		"same":    {map[string]any{"iss": xenaauth.IssuerProduction}, ""},
		"escaped": {map[string]any{"iss": harness.RawJSON(`"https:\/\/login.xena.biz"`)}, ""},
	}
	for _, iss := range []string{
		"", "https://login.xena.biz/", "https://Login.xena.biz", "HTTPS://login.xena.biz", "http://login.xena.biz", "https://login.xena.biz:443",
		"https://login.xena.biz#", "https://login.xena.biz?", " https://login.xena.biz", "https://login.xena.biz ", "login.xena.biz",
		"https://login.xena.biz.evil.example", "https://evil.example/https://login.xena.biz", "https://logintest.xena.biz", "https://login.xena.bi",
		"https://login.xena.biz\u0000", "https://l\u043egin.xena.biz", "https://login.xena.biz/.", "https://login.xena%2Ebiz",
	} {
		bad[iss] = claimCase{map[string]any{"iss": iss}, xenaauth.ReasonIssuer}
	}
	checkClaims(t, a, issuer, bad)
}

// The library checks the iss of a token, and some other claims, before it fetches any key. So a
// token of another issuer causes no fetch.
func TestJ11_BeforeAnyKeyIsFetched(t *testing.T) {
	t.Parallel()
	issuer, other := harness.NewIssuer(), xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256", URL: "https://login.example"})
	a := harness.Serve(t, issuer.Config())
	a.Refuses(t, other.JWT(xenaauthtest.Token{}), xenaauth.ReasonIssuer)
	a.Refuses(t, issuer.JWT(xenaauthtest.Token{Lifetime: -time.Hour}), xenaauth.ReasonExpired)
	a.Refuses(t, issuer.IDToken(xenaauthtest.Token{}), xenaauth.ReasonTokenType)
	require.Zero(t, issuer.Calls(xenaauthtest.All)+other.Calls(xenaauthtest.All))
}

func TestJ12_Audience(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	cfg := issuer.Config()
	cfg.Audiences = []string{"testapi", "https://my.xena.biz/Api"}
	checkClaims(t, harness.Serve(t, cfg), issuer, map[string]claimCase{
		"string":       {map[string]any{"aud": "testapi"}, ""},
		"ours, second": {map[string]any{"aud": "https://my.xena.biz/Api"}, ""},
		"list":         {map[string]any{"aud": []string{"x", "testapi", "y"}}, ""},
		"many":         {map[string]any{"aud": append(strings.Split(strings.Repeat("x,", 50), ","), "testapi")}, ""},
		"other":        {map[string]any{"aud": "otherapi"}, xenaauth.ReasonAudience},
		"others":       {map[string]any{"aud": []string{"a", "b"}}, xenaauth.ReasonAudience},
		"missing":      {map[string]any{"aud": nil}, xenaauth.ReasonAudience},
		"empty":        {map[string]any{"aud": ""}, xenaauth.ReasonAudience},
		"empty list":   {map[string]any{"aud": []string{}}, xenaauth.ReasonAudience},
		"case":         {map[string]any{"aud": "TestAPI"}, xenaauth.ReasonAudience},
		"slash":        {map[string]any{"aud": "https://my.xena.biz/Api/"}, xenaauth.ReasonAudience},
		"part":         {map[string]any{"aud": "test"}, xenaauth.ReasonAudience},
		"longer":       {map[string]any{"aud": "testapi2"}, xenaauth.ReasonAudience},
		"spaces":       {map[string]any{"aud": "other testapi"}, xenaauth.ReasonAudience},
		"null":         {map[string]any{"aud": harness.RawJSON("null")}, xenaauth.ReasonClaims},
		"number":       {map[string]any{"aud": 7}, xenaauth.ReasonClaims},
		"true":         {map[string]any{"aud": true}, xenaauth.ReasonClaims},
		"object":       {map[string]any{"aud": map[string]any{"testapi": true}}, xenaauth.ReasonClaims},
		"mixed":        {map[string]any{"aud": []any{"testapi", 7}}, xenaauth.ReasonClaims},
		"null in list": {map[string]any{"aud": []any{"testapi", nil}}, xenaauth.ReasonClaims},
		"nested":       {map[string]any{"aud": []any{[]string{"testapi"}}}, xenaauth.ReasonClaims},
	})
}

func TestJ13_Times(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	now := time.Now().Unix()
	cases := map[string]claimCase{
		"fraction":                {map[string]any{"exp": float64(now) + 600.75}, ""},
		"exponent":                {map[string]any{"exp": harness.RawJSON(strconv.FormatInt(10*(now+600), 10) + "e-1")}, ""},
		"exp missing":             {map[string]any{"exp": nil}, xenaauth.ReasonClaims},
		"exp within skew":         {map[string]any{"exp": now - 20, "nbf": now - 600}, ""},
		"exp past skew, no start": {map[string]any{"exp": now - 31, "nbf": nil, "iat": nil}, xenaauth.ReasonExpired},
		"exp past skew":           {map[string]any{"exp": now - 31, "nbf": now - 600}, xenaauth.ReasonExpired},
		"exp 0":                   {map[string]any{"exp": 0, "nbf": nil, "iat": nil}, xenaauth.ReasonExpired},
		"exp huge":                {map[string]any{"exp": harness.RawJSON("99999999999999999999")}, xenaauth.ReasonClaims},
		"nbf within skew":         {map[string]any{"nbf": now + 20}, ""},
		"nbf future":              {map[string]any{"nbf": now + 60}, xenaauth.ReasonNotYetValid},
		"nbf fraction":            {map[string]any{"nbf": float64(now) - 0.5}, ""},
		"iat within skew":         {map[string]any{"iat": now + 20}, ""},
		"iat future":              {map[string]any{"iat": now + 60}, xenaauth.ReasonNotYetValid},
		"iat old":                 {map[string]any{"iat": now - 30*86400}, ""},
		// without iat and nbf, the token may already be years old
		"neither":               {map[string]any{"iat": nil, "nbf": nil}, xenaauth.ReasonLifetime},
		"too long":              {map[string]any{"exp": now + 3700, "nbf": now}, xenaauth.ReasonLifetime},
		"just so":               {map[string]any{"exp": now + 3625, "nbf": now}, ""},
		"long by iat":           {map[string]any{"exp": now + 600, "nbf": nil, "iat": now - 3500}, xenaauth.ReasonLifetime},
		"long from now":         {map[string]any{"exp": now + 3700, "nbf": nil, "iat": nil}, xenaauth.ReasonLifetime},
		"began long ago":        {map[string]any{"exp": now + 600, "nbf": now - 86400}, xenaauth.ReasonLifetime},
		"nbf 0 is no nbf":       {map[string]any{"exp": now + 600, "nbf": 0, "iat": now}, ""},
		"nbf 0, long since iat": {map[string]any{"exp": now + 600, "nbf": 0, "iat": now - 3600}, xenaauth.ReasonLifetime},
		"nbf 0, without iat":    {map[string]any{"exp": now + 600, "nbf": 0, "iat": nil}, xenaauth.ReasonLifetime},
		"began in 1970":         {map[string]any{"exp": now + 600, "nbf": 1}, xenaauth.ReasonLifetime},
		"auth_time odd":         {map[string]any{"auth_time": "yesterday"}, ""},
	}
	for _, value := range []string{
		`"1790000000"`, `""`, `true`, `false`, `null`, `[]`, `{}`, `[1790000000]`, `1e400`, `-1e400`, `-1`, `-0`, `1e300`, `253402300800`, `9223372036854775808`,
		`"NaN"`, `-0.5`,
	} {
		for _, name := range []string{"exp", "nbf", "iat"} {
			cases[name+" "+value] = claimCase{map[string]any{name: harness.RawJSON(value)}, xenaauth.ReasonClaims}
		}
	}
	checkClaims(t, harness.Serve(t, issuer.Config()), issuer, cases)
	s := newSignerAPI(t) // these texts are not JSON numbers
	for _, value := range []string{"NaN", "Infinity", "-Infinity", "0x6ab0f000", "01790000000", "+1790000000", ".5", "1.", "1e", "1_000", "179000000O"} {
		payload := string(harness.JSON(t, harness.With(s.claims(), map[string]any{"exp": nil})))
		s.Refuses(t, s.token(t, string(harness.JSON(t, s.header())), payload[:len(payload)-1]+`,"exp":`+value+`}`), xenaauth.ReasonMalformedToken)
	}
}

func TestJ13_Bounds(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	now := time.Now().Unix()
	long := map[string]any{"exp": now + 90*86400, "nbf": now}
	t.Run("skew", func(t *testing.T) {
		cfg := issuer.Config()
		cfg.ClockSkew = 2 * time.Minute
		checkClaims(t, harness.Serve(t, cfg), issuer, map[string]claimCase{
			"exp within": {map[string]any{"exp": now - 100, "nbf": now - 600}, ""},
			"exp beyond": {map[string]any{"exp": now - 125, "nbf": now - 600}, xenaauth.ReasonExpired},
			"nbf within": {map[string]any{"nbf": now + 100}, ""},
			"iat beyond": {map[string]any{"iat": now + 150}, xenaauth.ReasonNotYetValid},
		})
		cfg.ClockSkew = 2*time.Minute + 1
		require.ErrorContains(t, cfg.Validate(), "ClockSkew")
	})
	t.Run("a longer lifetime", func(t *testing.T) {
		cfg := issuer.Config()
		cfg.MaxTokenLifetime = 2 * time.Hour
		checkClaims(t, harness.Serve(t, cfg), issuer, map[string]claimCase{
			"two hours":  {map[string]any{"exp": now + 7200, "nbf": now}, ""},
			"more":       {map[string]any{"exp": now + 7300, "nbf": now}, xenaauth.ReasonLifetime},
			"three days": {long, xenaauth.ReasonLifetime},
		})
	})
	// a lifetime may be longer than MaxTokenLifetime, by at most ClockSkew
	for name, tt := range map[string]struct{ skew, most, longest time.Duration }{
		"the defaults":              {0, 0, time.Hour + 30*time.Second},
		"another skew":              {time.Minute, 0, time.Hour + time.Minute},
		"another lifetime":          {0, 2 * time.Hour, 2*time.Hour + 30*time.Second},
		"another skew and lifetime": {2 * time.Minute, 10 * time.Minute, 12 * time.Minute},
	} {
		t.Run("the longest lifetime, "+name, func(t *testing.T) {
			cfg := issuer.Config()
			cfg.ClockSkew, cfg.MaxTokenLifetime = tt.skew, tt.most
			longest := int64(tt.longest / time.Second)
			checkClaims(t, harness.Serve(t, cfg), issuer, map[string]claimCase{
				"since nbf":         {map[string]any{"exp": now + longest, "nbf": now}, ""},
				"since nbf, more":   {map[string]any{"exp": now + longest + 1, "nbf": now}, xenaauth.ReasonLifetime},
				"since iat":         {map[string]any{"exp": now + longest, "nbf": nil, "iat": now}, ""},
				"since iat, more":   {map[string]any{"exp": now + longest + 1, "nbf": nil, "iat": now}, xenaauth.ReasonLifetime},
				"nearly over":       {map[string]any{"exp": now + 60, "nbf": now + 60 - longest}, ""},
				"nearly over, more": {map[string]any{"exp": now + 60, "nbf": now + 59 - longest}, xenaauth.ReasonLifetime},
			})
		})
	}
	t.Run("any lifetime", func(t *testing.T) {
		cfg := issuer.Config()
		cfg.AllowAnyLifetime = true
		checkClaims(t, harness.Serve(t, cfg), issuer, map[string]claimCase{
			"90 days": {long, ""}, "no start": {map[string]any{"exp": now + 1e9, "nbf": nil, "iat": nil}, ""},
			"expired": {map[string]any{"exp": now - 31}, xenaauth.ReasonExpired},
		})
	})
}

// The library checks the times in a token at each request, also if the token is in the cache.
func TestJ13_TimesAreCheckedAtEachRequest(t *testing.T) {
	t.Parallel()
	harness.FakeTime(t, func(t *testing.T) {
		issuer := harness.NewIssuer()
		a := harness.Mount(t, issuer.Config())
		token := issuer.JWT(xenaauthtest.Token{Lifetime: 10 * time.Minute})
		for range 10 { // after ten requests the token is in each cache of tokens
			a.Passes(t, token)
		}
		time.Sleep(10*time.Minute + 29*time.Second)
		a.Passes(t, token) // the time exp is over, but by less than the clock skew
		time.Sleep(time.Second)
		for range 3 {
			a.Refuses(t, token, xenaauth.ReasonExpired)
		}
		time.Sleep(time.Hour)
		a.Refuses(t, token, xenaauth.ReasonExpired)
	})
}

func TestJ14_Types(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, issuer.Config())
	for _, typ := range []any{"at+jwt", "AT+JWT", "at+JWT", "application/at+jwt", "Application/AT+JWT", "JWT", "jwt", nil} {
		a.Passes(t, issuer.JWT(xenaauthtest.Token{Header: map[string]any{"typ": typ}}))
	}
	for _, typ := range []string{
		"dpop+jwt", "logout+jwt", "secevent+jwt", "token-introspection+jwt", "application/logout+jwt", "id+jwt", "JOSE", "JWS", "at", "jwt+at",
		"at+jwt;x=y", " at+jwt", "at+jwt ", "at jwt", "text/at+jwt", "application/application/at+jwt", "kb+jwt", "entity-statement+jwt", "JWTX",
	} {
		a.Refuses(t, issuer.JWT(xenaauthtest.Token{Header: map[string]any{"typ": typ}}), xenaauth.ReasonTokenType)
	}
	for _, typ := range []any{"", 7, harness.RawJSON("null"), []string{"at+jwt"}} {
		a.Refuses(t, issuer.JWT(xenaauthtest.Token{Header: map[string]any{"typ": typ}}), xenaauth.ReasonMalformedToken)
	}
}

func TestJ14_OtherKindsOfToken(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, issuer.Config())
	client := "9213946e-e688-4aab-8fc8-3d914a2ac275.xena.biz"
	event := map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}
	cases := map[string]claimCase{
		"the client as audience":         {map[string]any{"aud": client}, xenaauth.ReasonTokenType},
		"the client as audience, listed": {map[string]any{"aud": []string{client}}, xenaauth.ReasonTokenType},
		"the client and us":              {map[string]any{"aud": []string{client, "testapi"}}, ""},
		"the client as azp and audience": {map[string]any{"aud": client, "client_id": nil, "azp": client}, xenaauth.ReasonTokenType},
	}
	for name, value := range map[string]any{
		"nonce": "n", "at_hash": "h", "c_hash": "h", "events": event, "token_introspection": map[string]any{"active": true},
	} {
		cases[name] = claimCase{map[string]any{name: value}, xenaauth.ReasonTokenType}
		cases[name+" null"] = claimCase{map[string]any{name: harness.RawJSON("null")}, xenaauth.ReasonTokenType}
	}
	checkClaims(t, a, issuer, cases)
	// the library accepts access tokens with each of these values of typ
	for _, typ := range []any{"at+jwt", "JWT", nil} {
		header := map[string]any{"typ": typ}
		a.Refuses(t, issuer.IDToken(xenaauthtest.Token{Header: header}), xenaauth.ReasonTokenType)
		a.Refuses(t, issuer.LogoutToken(xenaauthtest.Token{Header: header}), xenaauth.ReasonTokenType)
		// This ID token lacks the claims that ID tokens usually have. Its audience is a client that
		// has the same name as the API.
		plain := map[string]any{"nonce": nil, "at_hash": nil, "aud": "testapi"}
		a.Refuses(t, issuer.IDToken(xenaauthtest.Token{Header: header, Claims: plain}), xenaauth.ReasonClaims)
		plain["azp"] = "testapi"
		a.Refuses(t, issuer.IDToken(xenaauthtest.Token{Header: header, Claims: plain}), xenaauth.ReasonTokenType)
	}
}

func TestJ15_Names(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	cases := map[string]claimCase{
		"sub missing":           {map[string]any{"sub": nil}, xenaauth.ReasonSubject},
		"sub empty":             {map[string]any{"sub": ""}, xenaauth.ReasonClaims},
		"client_id missing":     {map[string]any{"client_id": nil}, xenaauth.ReasonClaims},
		"client_id empty":       {map[string]any{"client_id": ""}, xenaauth.ReasonClaims},
		"client_id empty, azp":  {map[string]any{"client_id": "", "azp": "app"}, xenaauth.ReasonClaims},
		"azp in its place":      {map[string]any{"client_id": nil, "azp": "app"}, ""},
		"azp empty":             {map[string]any{"client_id": nil, "azp": ""}, xenaauth.ReasonClaims},
		"azp beside it, odd":    {map[string]any{"azp": 7}, xenaauth.ReasonClaims},
		"Unicode":               {map[string]any{"sub": "Søren Ångström 猫"}, ""},
		"jti with a line break": {map[string]any{"jti": "a\nb"}, xenaauth.ReasonClaims},
		"sid with a line break": {map[string]any{"sid": "a\nb"}, xenaauth.ReasonClaims},
		"jti a number":          {map[string]any{"jti": 7}, xenaauth.ReasonClaims},
		"sid a list":            {map[string]any{"sid": []string{"a"}}, xenaauth.ReasonClaims},
	}
	for _, name := range []string{"sub", "client_id"} {
		for label, value := range map[string]any{
			"number": 104711, "null": harness.RawJSON("null"), "list": []string{"104711"}, "object": map[string]any{}, "true": true,
			"513 bytes": strings.Repeat("x", 513), "NUL": "a\x00b", "line break": "a\r\nb", "escape": "a\x1b[31m", "DEL": "a\x7f", "C1": "a\u0085b", "C1 last": "a\u009f",
		} {
			cases[name+" "+label] = claimCase{map[string]any{name: value}, xenaauth.ReasonClaims}
		}
		cases[name+" 512 bytes"] = claimCase{map[string]any{name: strings.Repeat("x", 512)}, ""}
	}
	checkClaims(t, harness.Serve(t, issuer.Config()), issuer, cases)
}

// The claim cnf binds a token to a key (RFC 7800, RFC 8705, RFC 9449). This API checks no proofs of
// possession, so it refuses each token with cnf.
func TestD1_T1_BoundTokenUnderBearer(t *testing.T) {
	t.Parallel()
	issuer := harness.NewIssuer()
	a := harness.Serve(t, issuer.HybridConfig())
	for _, cnf := range []any{
		map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}, map[string]any{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"},
		map[string]any{"kid": "x"}, map[string]any{"unheard of": 1}, map[string]any{}, "x", 7, []any{},
	} {
		bound := map[string]any{"cnf": cnf}
		a.Refuses(t, issuer.JWT(xenaauthtest.Token{Claims: bound}), xenaauth.ReasonConfirmation)
		a.Refuses(t, issuer.Opaque(xenaauthtest.Token{Claims: bound}), xenaauth.ReasonConfirmation)
	}
	a.Refuses(t, issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"cnf": harness.RawJSON("null")}}), xenaauth.ReasonConfirmation)
}
