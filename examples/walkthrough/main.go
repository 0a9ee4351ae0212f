// Walkthrough shows in a browser how an application gets access to an API, in seven steps.
//
//	go run ./examples/walkthrough
//
// The program prints one URL. It needs no other server: an Identity server, the API that xenaauth
// guards, and the application run in this process, each on its own loopback port. No request leaves
// the machine.
//
// If XENA_ISSUER is set, the program uses that issuer in place of its own. XENA_AUDIENCE is then
// the name of the API in its tokens, and XENA_CLIENT_ID and XENA_CLIENT_SECRET are the credentials
// of a client with the redirect URI that the program prints. [xenaauth.ConfigFromEnv] lists the
// other variables.
//
// ADDR is the loopback address of the pages. The default is 127.0.0.1:8090.
//
// Read api.go for what a service needs, and signin.go for what an application needs. The folder
// identityserver is for the walkthrough only.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from now on, a second interrupt ends the process immediately
	if err := run(ctx, cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8090"), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "walkthrough:", err)
		os.Exit(1)
	}
}

// run runs the walkthrough until ctx ends.
func run(ctx context.Context, addr string, out io.Writer) error {
	pages, err := listen(addr)
	if err != nil {
		return fmt.Errorf("ADDR is the address of the pages: %w", err)
	}
	api, err := listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	a, err := newApp(baseURL(pages), baseURL(api))
	if err != nil {
		return err
	}
	defer a.issuer.close()
	fmt.Fprintf(out, "Xena's seven steps, in a browser. Ctrl-C stops them.\n\n  %s\n\n", a.base)
	if a.issuer.ownServer == nil {
		fmt.Fprintf(out, "The issuer is %s. The redirect URI of the client must be\n  %s\n", a.issuer.url, a.redirectURI())
	}
	return serve(ctx, server{pages, a.handler()}, server{api, a.api})
}
