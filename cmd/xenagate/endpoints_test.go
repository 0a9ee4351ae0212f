package main_test

import "testing"

// A path of one of the gateway's own endpoints may contain every character that a URL may contain
// without encoding. Both listeners serve exactly this path.
func TestEndpointPaths(t *testing.T) {
	issuer, service := newIssuer(t), newService(t)
	const path = "/keys(1)!,x=1:2@3&4+5$6'7"
	p := startGateway(t, commonConfig(issuer, service)+asking+"identity:\n  assertion: {issuer: a, audience: b, "+
		"key_files: [key.pem], jwks_path: \""+path+"\"}\n", map[string]string{"key.pem": newKey(t)})
	for _, listener := range []string{"proxy", "forward_auth"} {
		if a := sendRequest(t, "GET", p.url(listener, path), ""); a.status != 200 {
			t.Errorf("%s: %d %s", listener, a.status, a.body)
		}
		for _, other := range []string{"/%6beys" + path[5:], path + "/", "/" + path} {
			if a := sendRequest(t, "GET", p.url(listener, other), ""); a.status < 400 {
				t.Errorf("%s %s: %d", listener, other, a.status)
			}
		}
	}
}
