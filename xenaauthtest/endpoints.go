package xenaauthtest

import (
	"bytes"
	"net/http"
	"strconv"
	"time"
)

// endpointPaths has the paths of the URLs at which the test issuer serves its documents and
// endpoints.
type endpointPaths struct {
	prefix     string // prefix is the path in the issuer's URL, without a last slash
	openID     string // openID is the path of the metadata of OpenID Connect Discovery
	oauth      string // oauth is the path of the metadata of RFC 8414
	keySet     string
	introspect string
}

func newEndpointPaths(path string, version Version) endpointPaths {
	p := endpointPaths{
		prefix:     path,
		openID:     path + "/.well-known/openid-configuration",
		oauth:      "/.well-known/oauth-authorization-server" + path,
		introspect: path + "/connect/introspect",
	}
	p.keySet = p.openID + "/jwks"
	if version == IdentityServer3 {
		p.keySet = path + "/.well-known/jwks"
	}
	return p
}

// endpointPaths.endpoint returns which endpoint of the test issuer is at a path, or "" if none is
// there.
func (p endpointPaths) endpoint(path string) Endpoint {
	switch path {
	case p.openID, p.oauth:
		return Metadata
	case p.keySet:
		return JWKS
	case p.introspect:
		return Introspection
	default:
		return ""
	}
}

// reply is a response of the test issuer that is not sent yet. If a request came over the network,
// the reply is written to its connection. Otherwise, the HTTP client of the issuer gets it
// directly.
type reply struct {
	status      int
	header      http.Header
	body        []byte
	breakInBody bool // if breakInBody is true, the connection breaks in the middle of the body
}

// firstHalf returns the first half of the body. If a Fault breaks the connection in the middle of
// the response, the client gets only this part.
func (r *reply) firstHalf() []byte { return r.body[:len(r.body)/2] }

func emptyReply(status int) *reply {
	return &reply{status: status, header: make(http.Header)}
}

func jsonReply(status int, body []byte) *reply {
	r := emptyReply(status)
	r.header.Set("Content-Type", jsonType)
	r.body = body
	return r
}

const jsonType = "application/json; charset=UTF-8"

// ServeHTTP sends the response of the test issuer. It ignores the host of the request. While the
// issuer is down, ServeHTTP panics with [http.ErrAbortHandler], so that net/http closes the
// connection. It also panics after [Issuer.Close], if the context of the request ends during a
// delay, and for a [Fault] with Break after it has sent half of the body.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reply, err := i.respond(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	for name, values := range reply.header {
		w.Header()[name] = values
	}
	if !reply.breakInBody {
		w.WriteHeader(reply.status)
		_, _ = w.Write(reply.body)
		return
	}
	// The header announces one byte more than the body has. So the client notices that the end is
	// missing, even if the body is empty.
	w.Header().Set("Content-Length", strconv.Itoa(len(reply.body)+1))
	w.WriteHeader(reply.status)
	_, _ = w.Write(reply.firstHalf())
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// Issuer.respond returns the issuer's response to r. It makes the response, and then waits for the
// delay that Slow or a Fault sets. It returns errRefused while the issuer is down and after Close,
// and the error of the context if the context ends before the delay.
func (i *Issuer) respond(r *http.Request) (*reply, error) {
	endpoint := i.paths.endpoint(r.URL.Path)
	fault, err := i.admit(endpoint)
	if err != nil {
		return nil, err
	}
	// The content of the response is made when the request arrives. So a delayed response can be
	// outdated when it is sent, as on a slow network.
	reply := i.answer(endpoint, r)
	fault.apply(reply)
	if fault.Delay > 0 {
		timer := time.NewTimer(fault.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	return reply, nil
}

// Issuer.answer returns the real response of the issuer to r, without the faults that Fail sets.
func (i *Issuer) answer(endpoint Endpoint, r *http.Request) *reply {
	if endpoint == Introspection {
		return i.introspect(r)
	}
	served := r.URL.Path == i.paths.keySet || r.URL.Path == i.paths.openID
	if i.opts.OAuthMetadataOnly {
		served = r.URL.Path == i.paths.keySet || r.URL.Path == i.paths.oauth
	}
	switch {
	case !served:
		return emptyReply(http.StatusNotFound)
	case r.Method != http.MethodGet:
		return emptyReply(http.StatusMethodNotAllowed)
	}
	var body []byte
	if endpoint == JWKS {
		body = i.JWKS()
	} else {
		body = i.metadataDocument()
	}
	reply := jsonReply(http.StatusOK, body)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.cacheControl != "" {
		reply.header.Set("Cache-Control", i.cacheControl)
	}
	return reply
}

// SetMetadata makes the issuer serve exactly the bytes raw as its metadata. If raw is nil, the
// issuer serves its real metadata again.
func (i *Issuer) SetMetadata(raw []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.metadata = bytes.Clone(raw)
}

// SetCacheControl sets the Cache-Control field of the metadata and of the key set. If value is "",
// responses have no Cache-Control field. This is the default, because IdentityServer sends no
// Cache-Control field either.
func (i *Issuer) SetCacheControl(value string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.cacheControl = value
}
