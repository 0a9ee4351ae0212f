package xenaauthtest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xenaauth/xenaauth/xenaauthtest"
)

func TestFaults(t *testing.T) {
	i := fastIssuer(xenaauthtest.IdentityServer4)
	address := i.URL() + "/.well-known/openid-configuration"
	i.Fail(xenaauthtest.Metadata, xenaauthtest.Fault{
		Status: 503, Body: "<p>", ContentType: "text/html", Header: http.Header{"retry-after": {"7"}},
	})
	resp, body := get(t, i.Client(), address)
	if resp.StatusCode != 503 || resp.Status != "503 Service Unavailable" || string(body) != "<p>" {
		t.Errorf("%s %q", resp.Status, body)
	}
	equal(t, "header", resp.Header, http.Header{"Content-Type": {"text/html"}, "Retry-After": {"7"}})
	if resp, _ := introspectToken(t, i, "x"); resp.StatusCode != 200 {
		t.Error("a fault of another endpoint hits introspection")
	}

	i.Fail(xenaauthtest.All, xenaauthtest.Fault{Body: "{}"})
	resp, body = get(t, i.Client(), address)
	if resp.StatusCode != 200 || string(body) != "{}" {
		t.Errorf("%s %q", resp.Status, body)
	}
	i.Fail(xenaauthtest.Metadata, xenaauthtest.Fault{Status: 302, Header: http.Header{"Location": {address}}})
	resp, _ = get(t, i.Client(), address)
	equal(t, "status of a redirect", resp.StatusCode, 302)

	i.Heal()
	equal(t, "issuer after Heal", metadata(t, i)["issuer"], i.URL())
	equal(t, "calls of metadata", i.Calls(xenaauthtest.Metadata), 4)
	equal(t, "calls of introspection", i.Calls(xenaauthtest.Introspection), 1)
	equal(t, "all calls", i.Calls(xenaauthtest.All), 5)
	i.ResetCalls()
	equal(t, "calls after reset", i.Calls(xenaauthtest.All), 0)
}

// This test needs the same behavior from an issuer in memory and from an issuer that listens on a
// port. With Fault.Break, the client gets a body that breaks off. While the issuer is down and
// after Issuer.Close, each request of the client fails. The test checks the kind of the error while
// the issuer is down only for the issuer in memory.
func TestBrokenConnections(t *testing.T) {
	started := xenaauthtest.StartIssuer(&xenaauthtest.IssuerOptions{Algorithm: "ES256"})
	defer started.Close()
	for name, i := range map[string]*xenaauthtest.Issuer{"in memory": fastIssuer(0), "listening": started} {
		t.Run(name, func(t *testing.T) {
			client := i.Client()
			if i == started {
				client = &http.Client{Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
			}
			address := i.URL() + "/.well-known/openid-configuration"
			// After this request, the connection stays open and the client can use it again.
			get(t, client, address)
			for _, fault := range []xenaauthtest.Fault{{Break: true}, {Status: 500, Break: true}} {
				i.Fail(xenaauthtest.Metadata, fault)
				resp, err := client.Get(address)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("body of broken connection: %v", err)
				}
				_ = resp.Body.Close()
			}
			i.Heal()
			get(t, client, address)
			i.ResetCalls()
			i.Down()
			for range 3 {
				resp, err := client.Get(address)
				if err == nil {
					_ = resp.Body.Close()
					t.Fatal("an issuer that is down answers")
				}
				if i != started && !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("down: %v", err)
				}
			}
			equal(t, "calls while down", i.Calls(xenaauthtest.Metadata), 3)
			i.Heal()
			get(t, client, address)
			i.Close()
			i.Close()
			if resp, err := client.Get(address); !errors.Is(err, syscall.ECONNREFUSED) {
				if err == nil {
					_ = resp.Body.Close()
				}
				t.Errorf("closed: %v", err)
			}
		})
	}
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := fastIssuer(0)
		token := i.Opaque(xenaauthtest.Token{})
		i.Slow(2 * time.Second)
		i.Fail(xenaauthtest.Introspection, xenaauthtest.Fault{Delay: time.Second})
		start := time.Now()
		active(t, i, token)
		equal(t, "delay", time.Since(start), 3*time.Second)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, i.URL()+"/.well-known/openid-configuration", nil)
		if err != nil {
			t.Fatal(err)
		}
		start = time.Now()
		if resp, err := i.Client().Do(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("slower than the context: %v, %v", resp, err)
		}
		equal(t, "end of the context", time.Since(start), time.Second)

		i.Heal()
		start = time.Now()
		active(t, i, token)
		equal(t, "delay after Heal", time.Since(start), time.Duration(0))
		time.Sleep(time.Hour)
		wantInactive(t, i, "expired token", token)
	})
}
