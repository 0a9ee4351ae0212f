package main_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// publicOrigin is the origin of the URLs that clients use. It differs from the address on which the
// gateway listens.
const publicOrigin = "https://api.example"

func dpopSection(use, more string) string {
	return "possession:\n  dpop: {use: " + use + ", public_origins: [\"" + publicOrigin + "\"]" + more + "}\n"
}

// authority.newDPoPClient returns a DPoP client. It connects to the gateway p, whatever the host in
// the URL is. So its URLs can begin with publicOrigin.
func (a *authority) newDPoPClient(p *process) *xenaauthtest.Client {
	c := xenaauthtest.NewDPoPClient(nil)
	transport := a.newTransport()
	transport.DisableKeepAlives = true
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, p.addr("proxy"))
	}
	c.Transport = transport
	return c
}

// A token is bound to a key of the client with DPoP. The gateway accepts it with a DPoP proof for
// the URL that the client uses. The service behind the gateway gets neither the token nor the
// proof.
func TestDPoP(t *testing.T) {
	issuer, service, ca := newIssuer(t), newService(t), newAuthority(t)
	for use, unbound := range map[string]int{"accepted": 200, "required": 401} {
		p := startGateway(t, commonConfig(issuer, service)+withTLS+dpopSection(use, ""), ca.files("one"))
		client := ca.newDPoPClient(p)
		client.Token = p.neverShow(issuer.JWT(xenaauthtest.Token{Subject: "anna", BoundTo: client}))
		got := roundTrip(t, client, publicOrigin+"/me", "", "dpop_: x").seen(t)
		got.wantField(t, "X-Auth-User", "anna")
		for _, name := range []string{"Dpop", "Authorization"} {
			if got.Header[name] != nil {
				t.Errorf("the service gets %s", name)
			}
		}
		proof := p.neverShow(client.Proof("GET", publicOrigin+"/me"))
		for _, want := range []struct {
			status int
			reason string
		}{{200, ""}, {401, "proof_replayed"}} {
			a := roundTrip(t, client, publicOrigin+"/me?a=b", "", "Dpop: "+proof)
			if a.status != want.status || a.reason() != want.reason {
				t.Errorf("%d %s, want %v", a.status, a.body, want)
			}
		}
		if a := roundTrip(t, client, publicOrigin+"/me", client.Token); a.status != 401 || a.reason() != "confirmation" {
			t.Errorf("as Bearer: %d %s", a.status, a.body)
		}
		for name, target := range map[string]string{
			"another path": publicOrigin + "/news", "another origin": "http://" + p.addr("proxy") + "/me",
			"another scheme": "http://api.example/me",
		} {
			a := roundTrip(t, client, publicOrigin+"/me", "", "Dpop: "+client.Proof("GET", target))
			if a.status != 401 || a.reason() != "proof" {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
		}
		token := p.neverShow(issuer.JWT(xenaauthtest.Token{}))
		a := roundTrip(t, client, publicOrigin+"/me", token)
		if a.status != unbound {
			t.Errorf("%s: %d for a token that is not bound", use, a.status)
		}
		a = roundTrip(t, client.Transport, publicOrigin+"/me", "")
		challenges := strings.Join(a.header.Values("Www-Authenticate"), "; ")
		if a.status != 401 || !strings.Contains(challenges, "DPoP ") || strings.Contains(challenges, "Bearer ") != (use == "accepted") {
			t.Errorf("%s: %d %s", use, a.status, challenges)
		}
	}
}

// If the configuration turns nonces on, the gateway refuses the first DPoP proof of a client, and
// the refusal contains a nonce. The client sends a second proof with this nonce, and this proof is
// accepted.
func TestDPoP_Nonces(t *testing.T) {
	issuer, service, ca := newIssuer(t), newService(t), newAuthority(t)
	p := startGateway(t, commonConfig(issuer, service)+withTLS+dpopSection("accepted", ", nonces: true, nonce_lifetime: 1h"), ca.files("one"))
	client := ca.newDPoPClient(p)
	client.Token = p.neverShow(issuer.JWT(xenaauthtest.Token{BoundTo: client}))
	for range 3 {
		if a := roundTrip(t, client, publicOrigin+"/me", ""); a.status != 200 {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	p.waitForLog(`"reason":"proof_nonce"`, `"status":401`)
	if n := p.lines(`"msg":"request"`, `"reason":"proof_nonce"`); n != 1 {
		t.Errorf("%d requests lacked a nonce", n)
	}
}

// If the configuration has "authorization: forward", the service gets the token and the DPoP proof
// of the request. Otherwise it gets neither of them.
func TestDPoP_Forward(t *testing.T) {
	issuer, service, ca := newIssuer(t), newService(t), newAuthority(t)
	for _, forward := range []bool{true, false} {
		config := commonConfig(issuer, service) + withTLS + dpopSection("accepted", "")
		if forward {
			config += "authorization: forward\n"
		}
		p := startGateway(t, config, ca.files("one"))
		client := ca.newDPoPClient(p)
		client.Token = p.neverShow(issuer.JWT(xenaauthtest.Token{BoundTo: client}))
		for _, path := range []string{"/me", "/news", "/open/"} {
			got := roundTrip(t, client, publicOrigin+path, "").seen(t)
			for _, name := range []string{"Authorization", "Dpop"} {
				if has := got.Header[name] != nil; has != forward {
					t.Errorf("%s: the service gets %s: %v", path, name, has)
				}
			}
		}
	}
}

// A token may be bound to a DPoP key and to a client certificate. The gateway accepts such a token
// only with a valid DPoP proof over a connection with the certificate.
func TestDPoP_AndCertificate(t *testing.T) {
	issuer, service, ca := newIssuer(t), newService(t), newAuthority(t)
	p := startGateway(t, commonConfig(issuer, service)+withTLS+dpopSection("required", "")+"  client_certificate: {use: required}\n", ca.files("one"))
	both, onlyKey := ca.newDPoPClient(p), ca.newDPoPClient(p)
	certificate := xenaauthtest.NewMTLSClient(nil)
	pair := certificate.Certificate()
	both.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{pair}
	for name, c := range map[string]struct {
		client *xenaauthtest.Client
		cnf    map[string]any
		status int
	}{
		"both":                 {both, map[string]any{"jkt": both.Thumbprint(), "x5t#S256": certificate.Thumbprint()}, 200},
		"no certificate":       {onlyKey, map[string]any{"jkt": onlyKey.Thumbprint(), "x5t#S256": certificate.Thumbprint()}, 401},
		"another key":          {both, map[string]any{"jkt": onlyKey.Thumbprint(), "x5t#S256": certificate.Thumbprint()}, 401},
		"bound to one of them": {onlyKey, map[string]any{"jkt": onlyKey.Thumbprint()}, 200},
	} {
		c.client.Token = p.neverShow(issuer.JWT(xenaauthtest.Token{Claims: map[string]any{"cnf": c.cnf}}))
		if a := roundTrip(t, c.client, publicOrigin+"/me", ""); a.status != c.status {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	// This DPoP proof is first sent without the client certificate, and refused. The refusal does
	// not use up the proof: the proof is accepted once when it is sent with the certificate.
	both.Token = p.neverShow(issuer.JWT(xenaauthtest.Token{Claims: map[string]any{
		"cnf": map[string]any{"jkt": both.Thumbprint(), "x5t#S256": certificate.Thumbprint()},
	}}))
	proof := "Dpop: " + both.Proof("GET", publicOrigin+"/me")
	onlyKey.Token = ""
	for _, c := range []struct {
		client *xenaauthtest.Client
		status int
	}{{onlyKey, 401}, {both, 200}, {both, 401}} {
		if a := roundTrip(t, c.client, publicOrigin+"/me", "", "Authorization: DPoP "+both.Token, proof); a.status != c.status {
			t.Errorf("%d %s, want %d", a.status, a.body, c.status)
		}
	}
}

// Another proxy may call the gateway to ask about a client's request. The DPoP proof in this call
// must be for the URL of the client's request, and not of the call.
func TestDPoP_AskingProxies(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	p := startGateway(t, commonConfig(issuer, service)+asking+dpopSection("accepted", "")+"ext_authz: {listen: 127.0.0.1:0}\n", nil)
	client := xenaauthtest.NewDPoPClient(nil)
	client.Token = p.neverShow(issuer.JWT(xenaauthtest.Token{Subject: "anna", BoundTo: client}))
	ask := func(endpoint, proof string, fields ...string) answer {
		t.Helper()
		r, _ := http.NewRequest(http.MethodGet, p.url("forward_auth", endpoint), nil)
		for _, f := range append(fields, "Authorization: DPoP "+client.Token, "Dpop: "+proof) {
			name, value, _ := strings.Cut(f, ": ")
			r.Header.Set(name, value)
		}
		r.Host = "api.example"
		return send(t, r)
	}
	for endpoint, fields := range map[string][]string{
		"/verify":         {"X-Original-Method: GET", "X-Original-Host: api.example", "X-Original-Uri: /Api/Read?a=b"},
		"/traefik":        {"X-Forwarded-Method: GET", "X-Forwarded-Host: api.example", "X-Forwarded-Uri: /Api/Read?a=b"},
		"/envoy/Api/Read": nil,
	} {
		proof := client.Proof("GET", publicOrigin+"/Api/Read")
		if a := ask(endpoint, proof, fields...); a.status != 200 || a.header.Get("X-Auth-User") != "anna" {
			t.Errorf("%s: %d %s", endpoint, a.status, a.body)
		}
		if a := ask(endpoint, proof, fields...); a.status != 401 || a.reason() != "proof_replayed" {
			t.Errorf("%s, again: %d %s", endpoint, a.status, a.body)
		}
		wrong := client.Proof("GET", "http://"+p.addr("forward_auth")+endpoint)
		if a := ask(endpoint, wrong, fields...); a.status != 401 || a.reason() != "proof" {
			t.Errorf("%s, for the subrequest: %d %s", endpoint, a.status, a.body)
		}
	}

	conn, err := grpc.NewClient(p.addr("ext_authz"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	proof := client.Proof("GET", publicOrigin+"/Api/Read")
	for _, want := range []int{200, 401} {
		res, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
				Method: "GET", Host: "api.example", Path: "/Api/Read?a=b", Scheme: "https",
				HeaderMap: &corev3.HeaderMap{Headers: []*corev3.HeaderValue{
					{Key: "authorization", RawValue: []byte("DPoP " + client.Token)}, {Key: "dpop", RawValue: []byte(proof)},
				}},
			}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		got := int(res.GetDeniedResponse().GetStatus().GetCode())
		if ok := res.GetOkResponse(); ok != nil {
			got = 200
			if !slices.Contains(ok.GetHeadersToRemove(), "dpop") {
				t.Errorf("Envoy forwards the proof: %v", ok.GetHeadersToRemove())
			}
		}
		if got != want {
			t.Errorf("ext_authz: %d, want %d: %v", got, want, res)
		}
	}
}

// If one gateway of a fleet has accepted a DPoP proof, the other gateways refuse this proof. If
// Redis is down, a request with a proof gets 503.
func TestDPoP_Fleet(t *testing.T) {
	issuer, service, ca := newIssuer(t), newService(t), newAuthority(t)
	redis, server := startRedis(t)
	files := ca.files("one")
	files["redis.password"], files["fleet.secret"] = "redis-password-0123456789\n", fleetSecret
	config := commonConfig(issuer, service) + withTLS + dpopSection("accepted", ", nonces: true") +
		"redis: {addresses: [\"" + redis + "\"], password_file: redis.password, secret_files: [fleet.secret], timeout: 1s}\n"
	one, two := startGateway(t, config, files), startGateway(t, config, files)
	client, sameKey := ca.newDPoPClient(one), ca.newDPoPClient(two)
	client.Token = one.neverShow(issuer.JWT(xenaauthtest.Token{BoundTo: client}))
	two.neverShow(client.Token)
	sameKey.Token = client.Token
	if a := roundTrip(t, client, publicOrigin+"/me", ""); a.status != 200 { // the client gets a nonce
		t.Fatalf("%d %s", a.status, a.body)
	}
	proof := "Dpop: " + client.Proof("GET", publicOrigin+"/me")
	if a := roundTrip(t, client, publicOrigin+"/me", "", proof); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := roundTrip(t, sameKey, publicOrigin+"/me", "", proof); a.status != 401 || a.reason() != "proof_replayed" {
		t.Errorf("at the other gateway: %d %s", a.status, a.body)
	}
	_ = server.Process.Kill()
	_ = server.Wait()
	a := roundTrip(t, client, publicOrigin+"/me", "")
	if a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("while Redis is down: %d %s", a.status, a.body)
	}
}

// If the configuration file does not say whether DPoP is used, environment variables decide it.
func TestDPoP_Environment(t *testing.T) {
	issuer, service, ca := newIssuer(t), newService(t), newAuthority(t)
	t.Setenv("XENA_DPOP", "required")
	t.Setenv("XENA_PUBLIC_ORIGINS", "https://other.example, "+publicOrigin)
	for section, want := range map[string]int{"": 200, "possession: {dpop: {use: off}}\n": 401} {
		p := startGateway(t, commonConfig(issuer, service)+withTLS+section, ca.files("one"))
		client := ca.newDPoPClient(p)
		client.Token = p.neverShow(issuer.JWT(xenaauthtest.Token{BoundTo: client}))
		if a := roundTrip(t, client, publicOrigin+"/me", ""); a.status != want {
			t.Errorf("%q: %d %s", section, a.status, a.body)
		}
	}
	t.Setenv("XENA_DPOP", "sometimes")
	if status, written := runCheck(t, commonConfig(issuer, service), nil); status != 1 || !strings.Contains(written, "XENA_DPOP") {
		t.Errorf("%d %s", status, written)
	}
}
