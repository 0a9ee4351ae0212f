package xenaauth_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth"
)

// Fuzz targets keep tokens out of their inputs, since keys and times differ in each process: these words stand for
// tokens that are made anew.
const (
	wordJWT    = "GOOD-JWT"
	wordOpaque = "GOOD-OPAQUE"
	wordLogout = "GOOD-LOGOUT"
)

// acceptable is what each accepted set of claims satisfies, whatever else the policy asks for. It reads JSON with
// encoding/json and shares nothing with the library. audience is optional in an introspection response.
func acceptable(t testing.TB, text, issuer, audience string, response bool) {
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

// wellAnswered holds a refusal to the table of statuses and to what each of them has in its header and body. secrets
// must not be in it.
func wellAnswered(t testing.TB, status int, header http.Header, body string, secrets ...string) {
	t.Helper()
	require.Contains(t, []int{400, 401, 403, 503}, status)
	require.Equal(t, []string{"no-store"}, header["Cache-Control"])
	if status == 503 {
		require.Empty(t, header["Www-Authenticate"])
		wait, err := strconv.Atoi(header.Get("Retry-After"))
		require.NoError(t, err)
		require.True(t, wait >= 1 && wait <= 60, "Retry-After %d", wait)
	} else {
		require.Empty(t, header["Retry-After"])
		require.Len(t, header["Www-Authenticate"], 1)
		require.Regexp(t, `^Bearer realm="xena"(, [a-z_]+="[ -!#-\[\]-~]*")*$`, header.Get("WWW-Authenticate"))
	}
	if body != "" {
		var told struct {
			Status int
			Reason xenaauth.Reason
		}
		require.NoError(t, json.Unmarshal([]byte(body), &told))
		require.Equal(t, status, told.Status)
		require.NotEmpty(t, told.Reason)
	}
	var all bytes.Buffer
	require.NoError(t, header.Write(&all))
	for _, secret := range secrets {
		if len(secret) >= 16 {
			require.NotContains(t, body+all.String(), secret)
		}
	}
}

// answering is a transport that answers each request with what answer returns, and never reaches a network.
func answering(answer func(r *http.Request) (status int, header http.Header, body string)) *http.Client {
	return &http.Client{Transport: rvTransport(func(r *http.Request) (*http.Response, error) {
		status, header, body := answer(r)
		return &http.Response{
			StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(body)),
		}, nil
	})}
}

var silent = slog.New(slog.DiscardHandler)
