package xenaauth

// The issuers of Xena. Each constant is the iss of access tokens and the base URL of the metadata.
const (
	// IssuerProduction is Xena's Identity server. It is the default of [Config.Issuer].
	IssuerProduction = "https://login.xena.biz"
	// IssuerTest is the Identity server of Xena's test system.
	IssuerTest = "https://logintest.xena.biz"
)

// These constants are the scopes that Xena issues.
const (
	// ScopeTestAPI gives access to all Xena data of the user. Every call of the Xena API requires
	// it.
	ScopeTestAPI = "testapi"
	// ScopeProfile gives access to the user's profile: name, culture and picture.
	ScopeProfile = "profile"
	// ScopeEmail gives access to the user's e-mail address.
	ScopeEmail = "email"
	// ScopeOfflineAccess gives a refresh token to the application.
	ScopeOfflineAccess = "offline_access"
	// ScopeOpenID gives an ID token to the application (OpenID Connect Core 1.0, section 3.1.2.1).
	ScopeOpenID = "openid"
)
