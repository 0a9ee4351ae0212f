package xenaauthtest

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
)

// Client sends requests to the API under test with an access token that is bound to a key, and
// proves that it possesses the key. It is the Transport of an [http.Client]. [NewDPoPClient] makes
// a client that signs DPoP proofs. [NewMTLSClient] makes a client with a certificate. The zero
// Client has no key, and sends its token as Bearer.
//
//	client := xenaauthtest.NewDPoPClient(nil)
//	client.Token = issuer.JWT(xenaauthtest.Token{BoundTo: client})
//	client.Handler = api
//	resp, err := (&http.Client{Transport: client}).Get("https://api.example/orders")
//
// A Client may be used by several goroutines, but its fields must not be changed while it is used.
type Client struct {
	// Token is the access token that the client sends. If Token is "", the client sends none.
	Token string

	// Handler is the API under test. The client calls Handler directly, without a network and in
	// the goroutine of the caller, so a testing/synctest bubble can use the client. The response
	// is complete when Handler returns.
	Handler http.Handler

	// Transport sends the requests if Handler is nil. If both are nil, [http.DefaultTransport]
	// sends them. A client with a certificate needs an [http.Transport], and adds the certificate
	// to a copy of it.
	Transport http.RoundTripper

	// Edit changes the header and the claims of each DPoP proof before the client signs it, for
	// tests with wrong proofs. If Edit sets a member to nil, the proof does not contain this
	// member. If Edit writes the key of another client into the header, the client still signs with
	// its own key. If the key is an RSA key, Edit may choose another RSA algorithm, for example
	// PS256. If Edit is nil, the client sends correct proofs.
	Edit func(header, claims map[string]any)

	key         *signingKey     // key signs DPoP proofs; nil for a client of NewMTLSClient
	certificate tls.Certificate // certificate is set for a client of NewMTLSClient
	thumbprint  string

	mu     sync.Mutex
	nonces map[string]string // nonces has the newest nonce of each server, by its origin
	// certTransport is a copy of baseTransport with the certificate of the client. A client with a
	// certificate sends its requests with certTransport.
	certTransport http.RoundTripper
	// baseTransport is the transport of which certTransport is a copy. If the field Transport has
	// another value later, the client makes a new certTransport from it.
	baseTransport http.RoundTripper
}

// Client.withHandler returns a client with the same token and key that calls handler.
func (c *Client) withHandler(handler http.Handler) *Client {
	return &Client{
		Token: c.Token, Handler: handler, Edit: c.Edit,
		key: c.key, certificate: c.certificate, thumbprint: c.thumbprint, nonces: make(map[string]string),
	}
}

// Thumbprint returns the thumbprint of the key of the client: the value of jkt or x5t#S256 in the
// claim cnf of a token that is bound to the key. [Token].BoundTo writes this claim.
func (c *Client) Thumbprint() string { return c.thumbprint }

// Client.confirmation returns the claim cnf of a token that is bound to the key of the client. It
// panics if the client has no key.
func (c *Client) confirmation() map[string]any {
	switch {
	case c.key != nil:
		return map[string]any{"jkt": c.thumbprint}
	case c.certificate.Leaf == nil:
		panic("xenaauthtest: Token.BoundTo has no key: use NewDPoPClient or NewMTLSClient")
	}
	return map[string]any{"x5t#S256": c.thumbprint}
}

// RoundTrip sends r with the token and the proof of the client. It does not change r. If r already
// has an Authorization or DPoP field, RoundTrip sends this field unchanged. So a test can send a
// proof again, or a bound token as Bearer.
//
// A DPoP client keeps the newest nonce of each origin. If the response is 401 with the error
// use_dpop_nonce, the client sends the request once more with the nonce of the response. It does
// not send r again if r has its own DPoP field, or a body without GetBody.
func (c *Client) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.key == nil {
		out := r.Clone(r.Context())
		c.authorize(out, "Bearer ")
		return c.send(out)
	}
	return c.sendWithProof(r)
}

func (c *Client) authorize(r *http.Request, scheme string) {
	if c.Token != "" && r.Header["Authorization"] == nil {
		if r.Header == nil {
			r.Header = make(http.Header)
		}
		r.Header.Set("Authorization", scheme+c.Token)
	}
}

// Client.send passes r to the Handler of the client, or sends r over the network if Handler is nil.
func (c *Client) send(r *http.Request) (*http.Response, error) {
	if c.Handler != nil {
		return c.call(r)
	}
	transport, err := c.transport()
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	return transport.RoundTrip(r)
}

// Client.transport returns the transport that sends requests over the network: the field Transport
// of the client. If the client has a certificate, the result is a copy of this Transport with the
// certificate.
func (c *Client) transport() (http.RoundTripper, error) {
	base := c.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	if c.certificate.Leaf == nil {
		return base, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.certTransport == nil || c.baseTransport != base {
		original, ok := base.(*http.Transport)
		if !ok {
			return nil, errors.New("xenaauthtest: Transport of a client with a certificate is not an *http.Transport")
		}
		copied := original.Clone()
		if copied.TLSClientConfig == nil {
			copied.TLSClientConfig = new(tls.Config)
		}
		copied.TLSClientConfig.Certificates = []tls.Certificate{c.certificate}
		c.certTransport, c.baseTransport = copied, base
	}
	return c.certTransport, nil
}

// Client.call calls the Handler of the client directly. The Handler gets a copy of r in the form in
// which a server receives requests.
func (c *Client) call(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer func() { _ = r.Body.Close() }()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	in.RequestURI, in.Host = r.URL.RequestURI(), hostOf(r)
	in.URL.Scheme, in.URL.Host, in.URL.Fragment = "", "", ""
	in.RemoteAddr = "192.0.2.1:1234" // httptest.NewRequest uses the same address
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/1.1", 1, 1
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.GetBody = nil
	if r.URL.Scheme == "https" {
		in.TLS = &tls.ConnectionState{
			Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: r.URL.Hostname(),
		}
		if c.certificate.Leaf != nil {
			in.TLS.PeerCertificates = append(in.TLS.PeerCertificates, c.certificate.Leaf)
		}
	}
	w := httptest.NewRecorder()
	c.Handler.ServeHTTP(w, in)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

// hostOf returns the host in the request r, as the server sees it in the field Host.
func hostOf(r *http.Request) string {
	if r.Host != "" {
		return r.Host
	}
	return r.URL.Host
}
