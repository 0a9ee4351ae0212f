package introspection_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/conformance/harness"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// reasonsOfResponses lists the reasons for which an introspection response may cause a refusal.
var reasonsOfResponses = []xenaauth.Reason{
	xenaauth.ReasonInactive, xenaauth.ReasonUnavailable, xenaauth.ReasonIssuer, xenaauth.ReasonAudience, xenaauth.ReasonExpired,
	xenaauth.ReasonNotYetValid, xenaauth.ReasonLifetime, xenaauth.ReasonClaims, xenaauth.ReasonSubject, xenaauth.ReasonTokenType,
	xenaauth.ReasonConfirmation,
}

// activeResponse returns the introspection response for a valid token.
func activeResponse(issuer *xenaauthtest.Issuer) map[string]any {
	return harness.With(issuer.Claims(xenaauthtest.Token{}), map[string]any{"active": true, "scope": "testapi"})
}

// FuzzIntrospection makes the issuer answer the introspection of an opaque token with arbitrary
// responses. Validate returns a user only for status 200, a JSON content type, and claims that
// requireValidClaims accepts. The text of an error contains neither the token nor the client
// secret.
func FuzzIntrospection(f *testing.F) {
	issuer := harness.NewIssuer()
	good := string(harness.JSON(f, activeResponse(issuer)))
	f.Add(200, "application/json", good)
	f.Add(200, "application/token-introspection+json; charset=utf-8", `{"active":true,"sub":"a","client_id":"b"}`)
	f.Add(200, "application/json", `{"active":false}`)
	f.Add(200, "Application/Json", good)
	f.Add(200, "text/html", good)
	f.Add(400, "application/json", `{"error":"invalid_token"}`)
	f.Add(401, "application/json", `{"error":"invalid_client"}`)
	f.Add(503, "", "")
	for _, change := range []map[string]any{
		{"active": "true"}, {"active": nil}, {"exp": "1"}, {"exp": nil}, {"aud": "other"}, {"aud": nil}, {"iss": nil}, {"iss": "x"},
		{"client_id": nil}, {"sub": nil}, {"cnf": map[string]any{}}, {"token_type": "DPoP"}, {"token_use": "refresh_token"}, {"nbf": 1 << 33},
		{"exp": harness.RawJSON("1e10")}, {"sub": "b", "client_id": "b"},
	} {
		f.Add(200, "application/json", string(harness.JSON(f, harness.With(activeResponse(issuer), change))))
	}
	const token = "an-opaque-token-that-must-not-be-told"
	f.Fuzz(func(t *testing.T, status int, contentType, body string) {
		if status < 200 || status > 599 { // the test uses only the numbers of final HTTP statuses
			return
		}
		cfg := issuer.HybridConfig()
		cfg.Logger = harness.NoLog
		cfg.Introspection.Endpoint = issuer.URL() + "/connect/introspect"
		cfg.Introspection.CacheTTL, cfg.Introspection.NegativeTTL = time.Second, -1
		cfg.HTTPClient = harness.AnsweringClient(func(*http.Request) (int, http.Header, string) {
			return status, http.Header{"Content-Type": {contentType}}, body
		})
		v, err := xenaauth.NewValidator(cfg)
		require.NoError(t, err)
		user, err := v.Validate(t.Context(), token)
		if err == nil {
			require.Equal(t, 200, status)
			require.Contains(t, strings.ToLower(contentType), "json")
			requireValidClaims(t, body, issuer.URL(), issuer.API(), true)
			require.NotEmpty(t, user.Subject())
			require.NotEmpty(t, user.ClientID())
			return
		}
		require.Nil(t, user)
		refusal, ok := errors.AsType[*xenaauth.Error](err)
		require.True(t, ok)
		require.Contains(t, reasonsOfResponses, refusal.Reason)
		require.NotContains(t, err.Error(), token)
		require.NotContains(t, err.Error(), cfg.Introspection.ClientSecret)
		if status != 200 && status != 400 {
			require.Equal(t, xenaauth.ReasonUnavailable, refusal.Reason)
		}
	})
}

// plantedCache is a shared cache, a [xenaauth.Cache]. Its method Get returns the same value for
// every key. Its method Set puts the value that the library wants to store into a channel.
type plantedCache struct {
	value []byte
	set   chan []byte
}

func (p *plantedCache) Get(context.Context, [32]byte) ([]byte, error) { return p.value, nil }

func (p *plantedCache) Set(_ context.Context, _ [32]byte, value []byte, _ time.Duration) error {
	select {
	case p.set <- value:
	default:
	}
	return nil
}

// FuzzSharedCache puts arbitrary values into the shared cache, while the issuer reports the token
// as inactive. Validate returns a user only if the value is complete, has the current version of
// the format, is neither too old nor from the future, and has claims that requireValidClaims
// accepts.
func FuzzSharedCache(f *testing.F) {
	issuer := harness.NewIssuer()
	config := func(cache xenaauth.Cache, answer string) xenaauth.Config {
		cfg := issuer.HybridConfig()
		cfg.Logger = harness.NoLog
		cfg.Introspection.Endpoint = issuer.URL() + "/connect/introspect"
		cfg.Introspection.Cache = cache
		cfg.HTTPClient = harness.AnsweringClient(func(*http.Request) (int, http.Header, string) {
			return 200, http.Header{"Content-Type": {"application/json"}}, answer
		})
		return cfg
	}
	good := string(harness.JSON(f, activeResponse(issuer)))
	probe := &plantedCache{set: make(chan []byte, 1)}
	v, err := xenaauth.NewValidator(config(probe, good))
	require.NoError(f, err)
	_, err = v.Validate(f.Context(), "token")
	require.NoError(f, err)
	stored := <-probe.set
	named := append(binary.BigEndian.AppendUint16(nil, uint16(len(issuer.URL()))), issuer.URL()...)
	require.True(f, len(stored) > 10 && bytes.HasPrefix(stored[10:], named) && json.Valid(stored[10+len(named):]),
		"the form of values changed: %q", stored)
	version := stored[0]

	f.Add(version, byte(1), int64(0), good)
	f.Add(version, byte(0), int64(0), "")
	f.Add(version+1, byte(1), int64(0), good)
	f.Add(version, byte(2), int64(0), good)
	f.Add(version, byte(1), int64(-3_600_000), good)
	f.Add(version, byte(1), int64(3_600_000), good)
	f.Add(version, byte(1), int64(-1<<62), good)
	f.Add(version, byte(1), int64(0), `{"active":false}`)
	f.Add(version, byte(1), int64(0), `{"active":true,"sub":"a","client_id":"b","exp":1}`)
	f.Fuzz(func(t *testing.T, first, second byte, ago int64, body string) {
		at := time.Now().UnixMilli() + ago
		value := binary.BigEndian.AppendUint64([]byte{first, second}, uint64(at))
		value = append(append(value, named...), body...)
		if len(value)%7 == 6 { // some of the cached values are cut off at the end
			value = value[:len(value)%(11+len(named))]
		}
		cache := &plantedCache{value: value}
		v, err := xenaauth.NewValidator(config(cache, `{"active":false}`))
		require.NoError(t, err)
		user, err := v.Validate(t.Context(), "token")
		if err != nil {
			require.Nil(t, user)
			refusal, ok := errors.AsType[*xenaauth.Error](err)
			require.True(t, ok)
			require.Contains(t, reasonsOfResponses, refusal.Reason)
			return
		}
		require.Greater(t, len(value), 10+len(named))
		require.Equal(t, version, first)
		require.Equal(t, byte(1), second)
		require.Less(t, ago, int64(31_000), "the value is from the future")
		require.Greater(t, ago, int64(-61_000), "the value is older than its lifetime")
		requireValidClaims(t, string(value[10+len(named):]), issuer.URL(), issuer.API(), true)
	})
}

// requireValidClaims fails the test unless the claims in text satisfy the most important rules for
// accepted tokens. It reads JSON with encoding/json and shares no code with the library. If the
// claims are from an introspection response, iss, aud and exp are optional, and active must be
// true.
func requireValidClaims(t testing.TB, text, issuer, audience string, response bool) {
	t.Helper()
	var c struct {
		Iss      *string      `json:"iss"`
		Sub      string       `json:"sub"`
		Client   string       `json:"client_id"`
		Azp      string       `json:"azp"`
		Aud      any          `json:"aud"`
		Exp      *json.Number `json:"exp"`
		Nbf      json.Number  `json:"nbf"`
		Active   any          `json:"active"`
		Cnf      any          `json:"cnf"`
		Nonce    any          `json:"nonce"`
		Events   any          `json:"events"`
		TokenUse any          `json:"token_use"`
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&c), "%s", text)
	seconds := func(n json.Number) float64 {
		if f, err := strconv.ParseFloat(string(n), 64); err == nil {
			return f
		}
		return 0
	}
	now := float64(time.Now().Unix())
	if response {
		require.Equal(t, true, c.Active, "%s", text)
	}
	if c.Iss != nil || !response {
		require.NotNil(t, c.Iss, "%s", text)
		require.Equal(t, issuer, *c.Iss, "%s", text)
	}
	if c.Aud != nil || !response {
		switch aud := c.Aud.(type) {
		case string:
			require.Equal(t, audience, aud, "%s", text)
		default:
			require.Contains(t, aud, audience, "%s", text)
		}
	}
	if c.Exp != nil || !response {
		require.NotNil(t, c.Exp, "%s", text)
		require.Greater(t, seconds(*c.Exp), now-31, "%s", text)
	}
	require.Less(t, seconds(c.Nbf), now+31, "%s", text)
	require.NotEmpty(t, c.Sub, "%s", text)
	require.NotEmpty(t, c.Client+c.Azp, "%s", text)
	require.Nil(t, c.Cnf, "%s", text)
	require.Nil(t, c.Nonce, "%s", text)
	require.Nil(t, c.Events, "%s", text)
}
