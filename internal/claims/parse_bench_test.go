package claims_test

import (
	"testing"

	"github.com/xenaauth/xenaauth/internal/claims"
)

// BenchmarkParse parses the claims of an ordinary access token.
func BenchmarkParse(b *testing.B) {
	const ordinary = `{"iss":"https://login.xena.biz","nbf":1700000000,"iat":1700000000,"exp":1700003600,` +
		`"aud":["testapi","https://login.xena.biz/resources"],"scope":["openid","profile","testapi","offline_access"],` +
		`"amr":["pwd"],"client_id":"9213946e-e688-4aab-8fc8-3d914a2ac275.xena.biz","sub":"104711",` +
		`"auth_time":1699999999,"idp":"local","sid":"6E9BF6A3E1B0C4C5","jti":"8C6A4E1F0B9D4B56"}`
	b.ReportAllocs()
	for b.Loop() {
		var set claims.Set
		if err := set.Parse(ordinary, claims.JWT); err != nil {
			b.Fatal(err)
		}
	}
}
