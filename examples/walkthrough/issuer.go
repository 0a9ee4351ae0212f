package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/examples/walkthrough/identityserver"
)

// issuer is the issuer of the walkthrough: its own Identity server, or the one that XENA_ISSUER
// names.
type issuer struct {
	url    string
	own    *identityserver.Server // nil for a real issuer
	client *Client                // the client of a real issuer; nil before it is registered at our own
	config xenaauth.Config        // of the API

	http *http.Client
	mu   sync.Mutex
	meta *metadata // nil before the first fetch
}

// metadata are the endpoints that the application uses (OpenID Connect Discovery 1.0).
type metadata struct {
	Issuer     string `json:"issuer"`
	Authorize  string `json:"authorization_endpoint"`
	Token      string `json:"token_endpoint"`
	Revocation string `json:"revocation_endpoint"`
	EndSession string `json:"end_session_endpoint"`
}

// chooseIssuer starts our own Identity server, unless XENA_ISSUER is set.
func chooseIssuer(pages templates, redirectURI string) (*issuer, error) {
	if os.Getenv("XENA_ISSUER") == "" {
		own, err := identityserver.Start(pages.identity, texts.Scopes, http.HandlerFunc(static))
		if err != nil {
			return nil, err
		}
		return &issuer{
			url: own.URL(), own: own, http: &http.Client{},
			config: xenaauth.Config{
				Issuer: own.URL(), Audiences: []string{identityserver.Audience},
				Introspection: &xenaauth.Introspection{
					ClientID: identityserver.Audience, ClientSecret: own.APISecret(),
					CacheTTL: -1, NegativeTTL: -1, // so that each call shows what the issuer says now
				},
			},
		}, nil
	}
	cfg, err := xenaauth.ConfigFromEnv()
	client := &Client{
		Name: "Walkthrough", ID: os.Getenv("XENA_CLIENT_ID"), Secret: os.Getenv("XENA_CLIENT_SECRET"),
		RedirectURI: redirectURI,
	}
	if client.ID == "" || client.Secret == "" {
		err = errors.Join(err, errors.New("XENA_CLIENT_ID and XENA_CLIENT_SECRET are missing: "+
			"with XENA_ISSUER, the application needs a client of that issuer"))
	}
	if err := errors.Join(err, cfg.Validate()); err != nil {
		return nil, err
	}
	return &issuer{url: cfg.Issuer, client: client, config: cfg, http: &http.Client{}}, nil
}

func (i *issuer) close() {
	if i.own != nil {
		_ = i.own.Close()
	}
}

// endpoints returns the endpoints of the issuer.
func (i *issuer) endpoints(ctx context.Context) (*metadata, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.meta != nil {
		return i.meta, nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(i.url, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return nil, err
	}
	response, err := i.http.Do(r)
	if err != nil {
		return nil, errors.New("the issuer can't be reached")
	}
	defer response.Body.Close() //nolint:errcheck // only read
	var m metadata
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the metadata of the issuer: %s", response.Status)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&m); err != nil {
		return nil, fmt.Errorf("the metadata of the issuer: %w", err)
	}
	if m.Issuer != i.url { // OpenID Connect Discovery 1.0, section 4.3
		return nil, errors.New("the metadata are those of another issuer")
	}
	i.meta = &m
	return i.meta, nil
}
