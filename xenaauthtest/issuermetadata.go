package xenaauthtest

import "bytes"

// metadata is the metadata document of the test issuer. The fields are in the order in which
// IdentityServer writes them.
type metadata struct {
	Issuer               string   `json:"issuer"`
	JWKS                 string   `json:"jwks_uri"`
	Authorization        string   `json:"authorization_endpoint"`
	Token                string   `json:"token_endpoint"`
	UserInfo             string   `json:"userinfo_endpoint"`
	EndSession           string   `json:"end_session_endpoint"`
	CheckSession         string   `json:"check_session_iframe"`
	Revocation           string   `json:"revocation_endpoint"`
	Introspection        string   `json:"introspection_endpoint"`
	DeviceAuthorization  string   `json:"device_authorization_endpoint,omitempty"`
	Backchannel          string   `json:"backchannel_authentication_endpoint,omitempty"`
	PushedAuthorization  string   `json:"pushed_authorization_request_endpoint,omitempty"`
	FrontchannelLogout   bool     `json:"frontchannel_logout_supported"`
	FrontchannelSession  bool     `json:"frontchannel_logout_session_supported"`
	BackchannelLogout    bool     `json:"backchannel_logout_supported,omitempty"`
	BackchannelSession   bool     `json:"backchannel_logout_session_supported,omitempty"`
	Scopes               []string `json:"scopes_supported"`
	Claims               []string `json:"claims_supported"`
	GrantTypes           []string `json:"grant_types_supported"`
	ResponseTypes        []string `json:"response_types_supported"`
	ResponseModes        []string `json:"response_modes_supported"`
	TokenAuthMethods     []string `json:"token_endpoint_auth_methods_supported"`
	IDTokenAlgorithms    []string `json:"id_token_signing_alg_values_supported"`
	SubjectTypes         []string `json:"subject_types_supported"`
	CodeChallengeMethods []string `json:"code_challenge_methods_supported"`
	RequestParameter     bool     `json:"request_parameter_supported,omitempty"`
	ResponseIssuer       bool     `json:"authorization_response_iss_parameter_supported,omitempty"`
	DPoPAlgorithms       []string `json:"dpop_signing_alg_values_supported,omitempty"`
}

// Issuer.metadataDocument returns the metadata that the issuer serves now.
func (i *Issuer) metadataDocument() []byte {
	i.mu.Lock()
	raw := bytes.Clone(i.metadata)
	i.mu.Unlock()
	if raw != nil {
		return raw
	}
	return mustMarshal(i.ownMetadata())
}

func (i *Issuer) ownMetadata() metadata {
	connect := i.base + "/connect/"
	m := metadata{
		Issuer:              i.id,
		JWKS:                i.base + i.paths.keySet[len(i.paths.prefix):],
		Authorization:       connect + "authorize",
		Token:               connect + "token",
		UserInfo:            connect + "userinfo",
		EndSession:          connect + "endsession",
		CheckSession:        connect + "checksession",
		Revocation:          connect + "revocation",
		Introspection:       connect + "introspect",
		FrontchannelLogout:  true,
		FrontchannelSession: true,
		Scopes:              []string{"openid", "profile", "email", apiScope, "offline_access"},
		Claims:              []string{"sub", "name"},
		GrantTypes:          []string{"authorization_code", "client_credentials", "refresh_token", "implicit"},
		ResponseTypes: []string{
			"code", "token", "id_token", "id_token token",
			"code id_token", "code token", "code id_token token",
		},
		ResponseModes:        []string{"form_post", "query", "fragment"},
		TokenAuthMethods:     []string{"client_secret_basic", "client_secret_post"},
		IDTokenAlgorithms:    []string{i.keys.algorithm},
		SubjectTypes:         []string{"public"},
		CodeChallengeMethods: []string{"plain", "S256"},
	}
	version := i.opts.Version
	if version != IdentityServer3 {
		m.BackchannelLogout, m.BackchannelSession = true, true
	}
	if version != IdentityServer3 && version != IdentityServer4v1 {
		m.DeviceAuthorization = connect + "deviceauthorization"
		m.RequestParameter = true
	}
	if version == Duende {
		m.Backchannel = connect + "ciba"
		m.PushedAuthorization = connect + "par"
		m.ResponseIssuer = true
		m.DPoPAlgorithms = []string{"RS256", "PS256", "ES256"}
	}
	return m
}
