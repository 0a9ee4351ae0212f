package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/xenaauth/xenaauth"
	"github.com/xenaauth/xenaauth/dpop"
	"github.com/xenaauth/xenaauth/xenaauthtest"
)

// These constants are the subject of the user in the demo, and the id of the user's company.
const (
	demoUser    = "104711"
	demoCompany = "22000"
)

// demoProgram runs the API of the quickstart together with an identity server that issues tokens
// for the API.
type demoProgram struct {
	addr     string
	tourOnly bool // if tourOnly is set, the program ends after the tour: see demoProgram.run
	plan     func(*xenaauthtest.Issuer) []tourSection
	out      io.Writer
}

// demoProgram.run makes a tour of the API: it sends requests to the API and prints the responses.
// After the tour, run returns if tourOnly is set. Otherwise run serves the API until ctx ends.
func (d demoProgram) run(ctx context.Context) error {
	issuer := xenaauthtest.StartIssuer(nil)
	defer issuer.Close()

	cfg := issuer.HybridConfig()
	// The cache of introspection responses is off: every request with an opaque token causes an
	// introspection call, so a revocation takes effect immediately.
	cfg.Introspection.CacheTTL = -1
	// the tour, in which the demo sends requests to the API, stops the issuer on purpose; nobody
	// needs a log of the failures that this causes
	cfg.Logger = slog.New(slog.DiscardHandler)
	v, err := xenaauth.NewValidator(cfg)
	if err != nil {
		return err
	}
	l, err := listenOn(ctx, d.addr, d.tourOnly)
	if err != nil {
		return err
	}
	base := baseURL(l.Addr())
	proof, err := dpop.New(dpop.Config{PublicOrigins: []string{base}})
	if err != nil {
		return err
	}
	auth := xenaauth.NewMiddleware(v, &xenaauth.Options{Proofs: []xenaauth.Proof{proof}})
	handler := newHandler(v, auth, companiesOf{demoUser: {demoCompany}})
	serving, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- serveUntilEnd(serving, l, handler) }()

	fmt.Fprintf(d.out, "A protected API, and an identity server of the test kit to issue tokens for it.\n\n")
	fmt.Fprintf(d.out, "  issuer  %s\n  API     %s\n\n", issuer.URL(), base)
	rows, err := runTour(ctx, base, d.plan(issuer))
	if err != nil {
		stop()
		return errors.Join(err, <-ended)
	}
	printTable(d.out, rows)
	if d.tourOnly {
		stop()
	} else {
		printCurl(d.out, base, issuer)
	}
	return errors.Join(<-ended, checkRows(rows))
}

// printCurl prints curl commands that send requests to the API. The tokens in the commands are from
// the issuer in this process, and only the API in this process accepts them.
func printCurl(out io.Writer, base string, issuer *xenaauthtest.Issuer) {
	scopes := []string{xenaauth.ScopeOpenID, xenaauth.ScopeProfile, xenaauth.ScopeTestAPI}
	token := xenaauthtest.Token{Subject: demoUser, Scopes: scopes}
	fmt.Fprint(out, "\nNow it's your turn. ",
		"Both tokens are the demo issuer's: good for an hour, here and nowhere else.\n\n")
	fmt.Fprintf(out, "JWT='%s'\n", issuer.JWT(token))
	fmt.Fprintf(out, "OPAQUE='%s'\n\n", issuer.Opaque(token))
	for _, line := range []struct{ path, variable string }{
		{"/readyz", ""},
		{"/Api/User/FiscalSetup", ""},
		{"/Api/User/FiscalSetup", "OPAQUE"},
		{"/Api/User/Profile", "JWT"},
		{"/Api/User/Contact", "JWT"},
		{"/Api/Fiscal/" + demoCompany + "/Order", "JWT"},
		{"/Api/Fiscal/1/Order", "JWT"},
	} {
		authorization := ""
		if line.variable != "" {
			authorization = fmt.Sprintf(` -H "Authorization: Bearer $%s"`, line.variable)
		}
		fmt.Fprintf(out, "curl -i %s%s%s\n", base, line.path, authorization)
	}
	fmt.Fprint(out, "\nThe API is up until Ctrl-C.\n")
}
