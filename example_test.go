package xenaauth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// The package documentation and the README contain the program of this example too.
func Example() {
	fiscalSetup := func(w http.ResponseWriter, r *http.Request) {
		user, _ := xenaauth.UserFromContext(r.Context())
		fmt.Fprintln(w, user.Subject(), user.ClientID())
	}

	v, err := xenaauth.NewValidator(xenaauth.Config{
		Issuer:    "https://login.xena.biz",
		Audiences: []string{"testapi"},
	})
	if err != nil {
		log.Fatal(err)
	}
	auth := xenaauth.NewMiddleware(v, nil)
	full := auth.Require(xenaauth.AllScopes(xenaauth.ScopeTestAPI))
	mux := http.NewServeMux()
	mux.Handle("GET /Api/User/FiscalSetup", full(http.HandlerFunc(fiscalSetup)))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/Api/User/FiscalSetup", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output: 401 Bearer realm="xena", scope="testapi"
}

// In this example, a policy of the service reads a claim. A token has the claim only if Token.Claims
// contains it.
func ExampleWhere() {
	employee := xenaauth.Where("employee", func(_ context.Context, u *xenaauth.User) error {
		var role string
		err := u.Claim("role", &role) // an error if the token has no claim "role"
		if err != nil || role != "employee" {
			return errors.New("the role is not employee") // 403; the text goes to the log only
		}
		return nil
	})

	issuer := xenaauthtest.NewIssuer(nil)
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		log.Fatal(err)
	}
	api := xenaauth.NewMiddleware(v, nil).Require(employee)(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))

	for _, token := range []string{
		issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"role": "employee"}}),
		issuer.JWT(xenaauthtest.Token{}),
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 200
	// 403
}

// This example uses WhereRequest to make a policy of the service a requirement. The policy can read
// the request.
func ExampleWhereRequest() {
	// members maps the id of a company to the id of the user who is its member.
	members := map[string]string{"22000": "104711"}
	member := xenaauth.WhereRequest("member of the company", func(r *http.Request, u *xenaauth.User) error {
		if members[r.PathValue("fiscalId")] != u.Subject() {
			return errors.New("not a member")
		}
		return nil
	})

	issuer := xenaauthtest.NewIssuer(nil)
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		log.Fatal(err)
	}
	orders := xenaauth.NewMiddleware(v, nil).Require(xenaauth.AllScopes(xenaauth.ScopeTestAPI), member)
	mux := http.NewServeMux()
	mux.Handle("GET /Api/Fiscal/{fiscalId}/Order", orders(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))

	for _, company := range []string{"22000", "1"} {
		r := httptest.NewRequest("GET", "/Api/Fiscal/"+company+"/Order", nil)
		r.Header.Set("Authorization", "Bearer "+issuer.JWT(xenaauthtest.Token{Subject: "104711"}))
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(company, w.Code)
	}
	// Output:
	// 22000 200
	// 1 403
}

// This example validates a token outside HTTP. The consumer of a queue validates the token in a
// message. Then it checks whether the user may do what the message says.
func ExampleRequirement_Check() {
	issuer := xenaauthtest.NewIssuer(nil)
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		log.Fatal(err)
	}
	booking := xenaauth.AllOf(
		xenaauth.AllScopes(xenaauth.ScopeTestAPI),
		xenaauth.Where("bookkeeper", func(_ context.Context, u *xenaauth.User) error {
			if u.Subject() != "104711" {
				return errors.New("not a bookkeeper")
			}
			return nil
		}),
	)
	for _, subject := range []string{"104711", "104712"} {
		message := issuer.JWT(xenaauthtest.Token{Subject: subject})
		user, err := v.Validate(context.Background(), message)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(subject, booking.Check(context.Background(), user))
	}
	// Output:
	// 104711 <nil>
	// 104712 xenaauth: forbidden: not a bookkeeper
}

// certificate is a ClientAuth for an API that identifies itself by a TLS client certificate (RFC
// 8705). Config.HTTPClient presents the certificate.
type certificate struct{}

func (certificate) Authenticate(r *http.Request, i xenaauth.Introspection) error {
	r.PostForm.Set("client_id", i.ClientID)
	return nil
}

// This example is for an issuer that accepts a client certificate instead of a secret.
func ExampleClientAuth() {
	var httpClient *http.Client // the Transport of this client presents the certificate
	config := xenaauth.Config{
		Audiences:     []string{"testapi"},
		HTTPClient:    httpClient,
		Introspection: &xenaauth.Introspection{ClientID: "testapi", Auth: certificate{}},
	}
	fmt.Println(config.Validate())
	// Output: <nil>
}

// In this example, a service account sends its token, which has no sub. Config.Subject takes the
// user from the claim client_user_id, which the issuer has stored for this client.
func ExampleConfig_subject() {
	issuer := xenaauthtest.NewIssuer(nil)
	config := issuer.Config()
	config.Subject = func(_ context.Context, u *xenaauth.User) (subject string, err error) {
		if err := u.Claim("client_user_id", &subject); err != nil && !errors.Is(err, xenaauth.ErrNoClaim) {
			return "", err
		}
		return subject, nil
	}
	v, err := xenaauth.NewValidator(config)
	if err != nil {
		log.Fatal(err)
	}
	user, err := v.Validate(context.Background(), issuer.JWT(xenaauthtest.Token{
		Machine: true,
		Claims:  map[string]any{"user_id": "104711"},
	}))
	fmt.Println(user.Subject(), err)
	// Output: 104711 <nil>
}

// In this example, a unit test of a handler puts a user into the context. To test a whole route,
// send a token instead.
func ExampleContextWithUser() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := xenaauth.UserFromContext(r.Context())
		fmt.Fprint(w, "hello, ", user.Subject())
	})
	ctx := xenaauth.ContextWithUser(context.Background(), xenaauthtest.User(xenaauthtest.Token{Subject: "ann"}))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	fmt.Println(w.Body)
	// Output: hello, ann
}

// This example revokes a session. From then on, every request with a token of that session is
// refused.
func ExampleUser_Revocation() {
	issuer := xenaauthtest.NewIssuer(nil)
	v, err := xenaauth.NewValidator(issuer.Config())
	if err != nil {
		log.Fatal(err)
	}
	logout := func(w http.ResponseWriter, r *http.Request) {
		user, _ := xenaauth.UserFromContext(r.Context())
		err := v.Revoke(r.Context(), user.Revocation())
		if errors.Is(err, xenaauth.ErrNotPublished) {
			// The error ErrNotPublished means that this instance refuses the revoked tokens, but
			// that other instances may still accept them.
			log.Print(err)
		} else if err != nil {
			http.Error(w, "not logged out", http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
	h := xenaauth.NewMiddleware(v, nil).Require(xenaauth.AllScopes("testapi"))(http.HandlerFunc(logout))
	token := issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"sid": "0F3C"}})
	for range 2 {
		r := httptest.NewRequest("POST", "/logout", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 204
	// 401
}

// In this example, the logout handler is not behind the middleware of the API, because the logout
// request of the issuer contains no access token.
func ExampleValidator_LogoutHandler() {
	v, err := xenaauth.NewValidator(xenaauth.Config{Audiences: []string{"testapi"}})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/backchannel-logout", v.LogoutHandler("9213946e-e688-4aab-8fc8-3d914a2ac275.xena.biz"))
	mux.Handle("GET /status", v.StatusHandler())

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/backchannel-logout", nil))
	fmt.Println(w.Code, w.Header().Get("Allow"))
	// Output: 405 POST
}

// byIssuer is a TokenValidator for several issuers. It maps the iss of each issuer to the Validator
// for the tokens of this issuer.
type byIssuer map[string]*xenaauth.Validator

// byIssuer.Validate passes the token to the Validator of its issuer. A stranger can write any iss
// into a token, so the iss only chooses the Validator. The Validator checks the iss again, and
// everything else.
func (b byIssuer) Validate(ctx context.Context, token string) (*xenaauth.User, error) {
	var claims struct {
		Issuer string `json:"iss"`
	}
	if segments := strings.Split(token, "."); len(segments) == 3 {
		if payload, err := base64.RawURLEncoding.DecodeString(segments[1]); err == nil {
			_ = json.Unmarshal(payload, &claims) // without a readable iss, no Validator is found
		}
	}
	v, ok := b[claims.Issuer]
	if !ok {
		return nil, &xenaauth.Error{Reason: xenaauth.ReasonIssuer}
	}
	return v.Validate(ctx, token)
}

// In this example, an API accepts the JWTs of two issuers. An opaque token has no iss and is
// refused. Users of two issuers can have the same Subject, so the handler also reads User.Issuer.
func ExampleTokenValidator() {
	test := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{URL: "https://logintest.xena.biz"})
	production := xenaauthtest.NewIssuer(nil)
	other := xenaauthtest.NewIssuer(&xenaauthtest.IssuerOptions{URL: "https://login.example"})

	validators := make(byIssuer)
	for _, config := range []xenaauth.Config{production.Config(), test.Config()} {
		v, err := xenaauth.NewValidator(config)
		if err != nil {
			log.Fatal(err)
		}
		validators[config.Issuer] = v
	}
	auth := xenaauth.NewMiddleware(validators, &xenaauth.Options{EmptyBody: true})
	api := auth.Require(xenaauth.AllScopes("testapi"))(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			user, _ := xenaauth.UserFromContext(r.Context())
			fmt.Fprint(w, user.Subject(), " of ", user.Issuer())
		}))

	for _, issuer := range []*xenaauthtest.Issuer{production, test, other} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+issuer.JWT(xenaauthtest.Token{}))
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 104711 of https://login.xena.biz
	// 200 104711 of https://logintest.xena.biz
	// 401
}
