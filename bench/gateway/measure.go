package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
)

// bench.run compares xenagate with other programs, one pair of programs after the other, and prints
// the results. An example of a pair is the reverse proxy of xenagate and a bare reverse proxy. If
// wantedPair is not "", run measures only the pair with this name.
func (b *bench) run(wantedPair string) error {
	for _, m := range []struct {
		name string
		do   func() error
	}{{"proxy", b.proxy}, {"forward_auth", b.forwardAuth}, {"ext_authz", b.extAuthz}, {"nginx", b.nginx}} {
		if wantedPair != "" && wantedPair != m.name {
			continue
		}
		switch err := m.do(); {
		case errors.Is(err, errors.ErrUnsupported):
			fmt.Fprintln(os.Stderr, "gateway:", m.name, "is left out:", err)
		case err != nil:
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

// A comparison describes the measurement of two programs. It creates a load generator for each
// program, and names the programs whose processor time is measured.
type comparison struct {
	name, unit            string
	ours, other           func(clients int) (loadGenerator, error)
	program, otherProgram string
}

// bench.measure compares two programs, first with all clients at the same time, and then with one
// client. A single client sends no two requests at the same time, so no request waits for another
// request. The measured latency is then the duration of one request.
func (b *bench) measure(c comparison) error {
	for _, clients := range []int{b.clients, 1} {
		ours, err := c.ours(clients)
		if err != nil {
			return err
		}
		other, err := c.other(clients)
		if err != nil {
			return err
		}
		used, usedByOther := b.processorTime(c.program), b.processorTime(c.otherProgram)
		r, err := compareServers(ours, other, clients, b.length)
		used, usedByOther = b.processorTime(c.program)-used, b.processorTime(c.otherProgram)-usedByOther
		_, _ = ours.Close(), other.Close()
		if err != nil {
			return err
		}
		fmt.Printf("BenchmarkGateway/pair=%s/clients=%d-%d\t%d\t%.0f requests/s\t%.0f others/s\t%.4f %s\t"+
			"%.1f p50-µs\t%.1f other-p50-µs\t%.1f p99-µs\t%.1f cpu-µs\t%.1f other-cpu-µs\n",
			c.name, clients, runtime.GOMAXPROCS(0), r.n, r.perSecond, r.otherPerSecond, r.ratio, c.unit,
			micros(r.p50), micros(r.otherP50), micros(r.p99),
			micros(used)/float64(r.n), micros(usedByOther)/float64(r.otherN))
	}
	return nil
}

// bench.proxy compares xenagate's reverse proxy with a bare httputil.ReverseProxy.
func (b *bench) proxy() error {
	requests := b.requests("/Api/User/FiscalSetup", "Host: api.example\r\n")
	return b.measure(comparison{
		name: "proxy", unit: "x-bare", ours: b.http1(b.endpointAddrs["proxy"], requests), other: b.http1(b.bareAddr, requests),
		program: "xenagate", otherProgram: "bare",
	})
}

// forwardAuth compares xenagate's forward-auth endpoint for nginx with a server that always
// responds with 200.
func (b *bench) forwardAuth() error {
	requests := b.requests("/verify", "Host: xenagate\r\nX-Original-Method: GET\r\n"+
		"X-Original-Host: api.example\r\nX-Original-URI: /Api/User/FiscalSetup\r\n")
	return b.measure(comparison{
		name: "forward_auth", unit: "x-empty",
		ours: b.http1(b.endpointAddrs["forward_auth"], requests), other: b.http1(b.emptyAddr, requests),
		program: "xenagate", otherProgram: "empty",
	})
}

func (b *bench) http1(addr string, requests []string) func(int) (loadGenerator, error) {
	return func(clients int) (loadGenerator, error) { return newHTTP1(addr, clients, requests) }
}

// bench.requests returns the HTTP requests that a browser application would send to xenagate, one
// request for each token.
func (b *bench) requests(path, fields string) []string {
	var all []string
	for _, token := range b.tokens {
		all = append(all, "GET "+path+" HTTP/1.1\r\n"+fields+
			"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"+
			"Accept: application/json\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n"+
			"Authorization: Bearer "+token+"\r\n\r\n")
	}
	return all
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
