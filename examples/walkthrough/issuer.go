package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/zitadel/oidc/v3/pkg/client"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/examples/walkthrough/identityserver"
	"github.com/xenaauth/xenaauth/examples/walkthrough/pages"
)

// issuer is the issuer of the walkthrough: its own Identity server, or the issuer that XENA_ISSUER
// names.
type issuer struct {
	url       string
	ownServer *identityserver.Server // our Identity server; nil if XENA_ISSUER is set
	client    *pages.Client          // our client at a real issuer; nil with our own Identity server
	config    xenaauth.Config        // the configuration of the API

	http     *http.Client
	mu       sync.Mutex
	metadata *oidc.DiscoveryConfiguration // metadata is nil before the first fetch
}

// issuerTimeout limits each call of the application to the issuer.
const issuerTimeout = 10 * time.Second

// chooseIssuer starts our own Identity server, unless XENA_ISSUER is set.
func chooseIssuer(redirectURI string) (*issuer, error) {
	if os.Getenv("XENA_ISSUER") == "" {
		ownServer, err := identityserver.Start(pages.WriteIdentity, pages.Texts.Scopes, http.HandlerFunc(pages.Static))
		if err != nil {
			return nil, err
		}
		return &issuer{
			url: ownServer.URL(), ownServer: ownServer, http: &http.Client{Timeout: issuerTimeout},
			config: xenaauth.Config{
				Issuer: ownServer.URL(), Audiences: []string{identityserver.Audience},
				Introspection: &xenaauth.Introspection{
					ClientID: identityserver.Audience, ClientSecret: ownServer.APISecret(),
					CacheTTL: -1, NegativeTTL: -1, // without a cache, the API always asks the issuer
				},
			},
		}, nil
	}
	cfg, err := xenaauth.ConfigFromEnv()
	credentials := &pages.Client{
		Name: "Walkthrough", ID: os.Getenv("XENA_CLIENT_ID"), Secret: os.Getenv("XENA_CLIENT_SECRET"),
		RedirectURI: redirectURI,
	}
	if credentials.ID == "" || credentials.Secret == "" {
		err = errors.Join(err, errors.New("XENA_CLIENT_ID and XENA_CLIENT_SECRET are missing: "+
			"with XENA_ISSUER, the application needs a client of that issuer"))
	}
	if err := errors.Join(err, cfg.Validate()); err != nil {
		return nil, err
	}
	return &issuer{url: cfg.Issuer, client: credentials, config: cfg, http: &http.Client{Timeout: issuerTimeout}}, nil
}

func (i *issuer) close() {
	if i.ownServer != nil {
		_ = i.ownServer.Close()
	}
}

// issuer.endpoints returns the metadata of the issuer (OpenID Connect Discovery 1.0).
func (i *issuer) endpoints(ctx context.Context) (*oidc.DiscoveryConfiguration, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.metadata == nil {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second) // a short timeout, because the user waits for the page
		defer cancel()
		found, err := client.Discover(ctx, i.url, i.http)
		if err != nil {
			return nil, errors.New("the issuer can't be reached, or its metadata are not usable")
		}
		i.metadata = found
	}
	return i.metadata, nil
}
