package xenaauth

// The issuers of Xena. Each is the exact iss of its access tokens and the base URL of its metadata.
const (
	// IssuerProduction is Xena's Identity server, and the issuer of a [Config] that names none.
	IssuerProduction = "https://login.xena.biz"
	// IssuerTest is the Identity server of Xena's test system.
	IssuerTest = "https://logintest.xena.biz"
)

// The scopes of Xena.
const (
	// ScopeTestAPI gives full access to all Xena data of the user. Every call of the Xena API needs it.
	ScopeTestAPI = "testapi"
	// ScopeProfile gives the user's profile: name, culture, picture.
	ScopeProfile = "profile"
	// ScopeEmail gives the user's e-mail address.
	ScopeEmail = "email"
	// ScopeOfflineAccess gives the application a refresh token.
	ScopeOfflineAccess = "offline_access"
	// ScopeOpenID gives the application an ID token: OpenID Connect Core 1.0, section 3.1.2.1.
	ScopeOpenID = "openid"
)
