// Command gateway compares xenagate with programs that do the same work but check no tokens. The
// main pairs are: xenagate's reverse proxy and a bare httputil.ReverseProxy; xenagate's
// forward-auth endpoint and a server that always responds with 200; nginx that calls xenagate with
// auth_request and nginx without auth_request. The two programs of a pair run in turn, each for a
// short time, and this is repeated. Each repetition gives a ratio: the requests that the first
// program serves in a second, divided by those of the second program. The result is the median of
// these ratios. The output has the format of Go benchmarks.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	role := flag.String("role", "", "for internal use: be one of the programs that are measured")
	target := flag.String("target", "", "for internal use: the URL of the service")
	binary := flag.String("xenagate", "", "the xenagate `binary`; it is built if the flag is not set")
	length := flag.Duration("for", 8*time.Second, "how long each pair is measured")
	clients := flag.Int("clients", 8, "connections, each with one request at a time")
	only := flag.String("only", "", "measure this pair only: proxy, forward_auth, ext_authz or nginx")
	flag.Parse()
	if *role != "" {
		if err := playRole(*role, *target); err != nil {
			fmt.Fprintln(os.Stderr, "gateway:", err)
			os.Exit(1)
		}
		return
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM)
	b, err := newBench(*binary, *length, *clients)
	if err == nil {
		done := make(chan error, 1)
		go func() { done <- b.run(*only) }()
		select {
		case err = <-done:
		case <-interrupted:
			err = fmt.Errorf("interrupted")
		}
		b.close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}
