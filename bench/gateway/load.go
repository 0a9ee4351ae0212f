package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A client of the load generator sends requests one after the other on one connection. It reads no
// more of a response than necessary, so that the measured time is mostly the time of the server and
// not of the client.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(addr string) (*client, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, in: bufio.NewReaderSize(conn, 16<<10)}, nil
}

var (
	lengthField = []byte("Content-Length: ")
	okLine      = []byte("HTTP/1.1 200 ")
)

// client.do sends a request and reads the response. The response must have the status 200 and a
// header field Content-Length.
func (c *client) do(request []byte) error {
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	length := -1
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.HasPrefix(line, okLine) {
			return fmt.Errorf("answered %q", line)
		}
		if value, ok := bytes.CutPrefix(line, lengthField); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
		if len(line) <= 2 {
			break
		}
	}
	if length < 0 {
		return fmt.Errorf("no Content-Length in the response")
	}
	_, err := c.in.Discard(length)
	return err
}

// A loadGenerator sends requests to one server, over HTTP/1.1 or gRPC. It has several clients,
// which can send requests at the same time. call(client, n) sends the n-th request through the
// client with the given index.
type loadGenerator interface {
	call(client, n int) error
	io.Closer
}

// http1 is a loadGenerator that uses HTTP/1.1.
type http1 struct {
	clients  []*client
	requests [][]byte
}

// newHTTP1 opens one connection to the address addr for each client. Every client sends the given
// requests in their order, again and again.
func newHTTP1(addr string, clients int, requests []string) (*http1, error) {
	h := &http1{}
	for _, r := range requests {
		h.requests = append(h.requests, []byte(r))
	}
	for range clients {
		c, err := dial(addr)
		if err != nil {
			return nil, err
		}
		h.clients = append(h.clients, c)
	}
	return h, nil
}

func (h *http1) call(client, n int) error {
	return h.clients[client].do(h.requests[n%len(h.requests)])
}

// Close closes the HTTP connections of all clients.
func (h *http1) Close() error {
	for _, c := range h.clients {
		_ = c.conn.Close()
	}
	return nil
}

// sendFor lets the clients of a load generator send requests at the same time, until the given
// duration is over. It returns how long each request took.
func sendFor(c loadGenerator, clients int, duration time.Duration) ([]time.Duration, error) {
	end := time.Now().Add(duration)
	waits := make([][]time.Duration, clients)
	errs := make([]error, clients)
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for n := i; errs[i] == nil; n++ {
				at := time.Now()
				if at.After(end) {
					return
				}
				errs[i] = c.call(i, n)
				waits[i] = append(waits[i], time.Since(at))
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return slices.Concat(waits...), nil
}

// A result contains the measured values of a comparison of xenagate with another server, for
// example with a bare reverse proxy.
type result struct {
	// n is the number of requests to xenagate. otherN is the number of requests to the server with
	// which xenagate is compared. Both include the requests of the warm-up.
	n, otherN int
	// ratio is the number of requests that xenagate served in a second, divided by the number that
	// the compared server served in a second. It is the median of the rounds.
	ratio float64
	// perSecond is the number of requests that xenagate served in a second. otherPerSecond is this
	// number for the server with which xenagate is compared. The function compareServers measures
	// each of these two servers many times. Both numbers are medians of the measurements.
	perSecond, otherPerSecond float64
	// p50 is the median duration of a request to xenagate. otherP50 is the median duration of a
	// request to the server with which xenagate is compared.
	p50, otherP50 time.Duration
	p99           time.Duration
}

// turnLength is the length of one turn: compareServers sends requests to two servers in turn.
const turnLength = 200 * time.Millisecond

// compareServers sends requests to two servers, each through its own load generator. In each round,
// first one server and then the other gets requests for the time turnLength. The server that comes
// first changes from round to round. When the given length of time is over, compareServers returns.
func compareServers(ours, other loadGenerator, clients int, length time.Duration) (result, error) {
	var n, otherN int
	// First warm up the two servers: open the connections, and fill xenagate's cache with the
	// tokens.
	for range 2 {
		a, err := sendFor(ours, clients, turnLength)
		if err != nil {
			return result{}, err
		}
		b, err := sendFor(other, clients, turnLength)
		if err != nil {
			return result{}, err
		}
		n, otherN = n+len(a), otherN+len(b)
	}
	var ratios, rates, otherRates []float64
	var waits, otherWaits []time.Duration
	for started := time.Now(); time.Since(started) < length; {
		var a, b []time.Duration
		var err, errOther error
		if len(ratios)%2 == 0 {
			a, err = sendFor(ours, clients, turnLength)
			b, errOther = sendFor(other, clients, turnLength)
		} else {
			b, errOther = sendFor(other, clients, turnLength)
			a, err = sendFor(ours, clients, turnLength)
		}
		if err != nil {
			return result{}, err
		}
		if errOther != nil {
			return result{}, errOther
		}
		ratios = append(ratios, float64(len(a))/float64(len(b)))
		rates = append(rates, float64(len(a))/turnLength.Seconds())
		otherRates = append(otherRates, float64(len(b))/turnLength.Seconds())
		waits, otherWaits = append(waits, a...), append(otherWaits, b...)
	}
	return result{
		n: n + len(waits), otherN: otherN + len(otherWaits),
		ratio: quantile(ratios, 0.5), perSecond: quantile(rates, 0.5), otherPerSecond: quantile(otherRates, 0.5),
		p50: quantile(waits, 0.5), otherP50: quantile(otherWaits, 0.5), p99: quantile(waits, 0.99),
	}, nil
}

func quantile[T int | float64 | time.Duration](values []T, q float64) T {
	slices.Sort(values)
	return values[int(q*float64(len(values)-1))]
}
