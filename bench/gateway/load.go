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

// A caller is the load generator for one server, over HTTP/1.1 or gRPC. It has several clients, and
// call(client, n) sends the n-th request through the client with the given index.
type caller interface {
	call(client, n int) error
	io.Closer
}

// http1 is a caller (a load generator) that uses HTTP/1.1.
type http1 struct {
	clients  []*client
	requests [][]byte
}

// newHTTP1 opens one connection to the address addr for each client. The parameter requests is the
// list of requests. Every client sends this list from its beginning to its end, again and again.
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

// The function turn lets several clients of one caller send requests at the same time, until the
// duration slice is over. It returns the duration of each request.
func turn(c caller, clients int, slice time.Duration) ([]time.Duration, error) {
	end := time.Now().Add(slice)
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

// A result contains the measured values of xenagate and of the program that it is compared with.
type result struct {
	// n is the number of requests to xenagate, and otherN the number of requests to the other
	// program. Both include the requests of the warm-up.
	n, otherN int
	// ratio is the number of requests that xenagate served in a second, divided by that of the
	// other program
	ratio float64
	// perSecond is the number of requests that xenagate served in a second. The field other is that
	// of the other program. Both are medians over all slices of time that were measured.
	perSecond, other float64
	// p50 is the median duration of a request to xenagate, and otherP50 to the other program
	p50, otherP50 time.Duration
	p99           time.Duration
}

const slice = 200 * time.Millisecond

// The function pair compares two servers through their callers, in rounds. In each round, first one
// caller and then the other sends requests for one slice of time. The caller that begins changes
// from round to round.
func pair(ours, other caller, clients int, length time.Duration) (result, error) {
	var n, otherN int
	// First warm up the two servers: open the connections, and fill xenagate's cache with the
	// tokens.
	for range 2 {
		a, err := turn(ours, clients, slice)
		if err != nil {
			return result{}, err
		}
		b, err := turn(other, clients, slice)
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
			a, err = turn(ours, clients, slice)
			b, errOther = turn(other, clients, slice)
		} else {
			b, errOther = turn(other, clients, slice)
			a, err = turn(ours, clients, slice)
		}
		if err != nil {
			return result{}, err
		}
		if errOther != nil {
			return result{}, errOther
		}
		ratios = append(ratios, float64(len(a))/float64(len(b)))
		rates = append(rates, float64(len(a))/slice.Seconds())
		otherRates = append(otherRates, float64(len(b))/slice.Seconds())
		waits, otherWaits = append(waits, a...), append(otherWaits, b...)
	}
	return result{
		n: n + len(waits), otherN: otherN + len(otherWaits),
		ratio: quantile(ratios, 0.5), perSecond: quantile(rates, 0.5), other: quantile(otherRates, 0.5),
		p50: quantile(waits, 0.5), otherP50: quantile(otherWaits, 0.5), p99: quantile(waits, 0.99),
	}, nil
}

func quantile[T int | float64 | time.Duration](values []T, q float64) T {
	slices.Sort(values)
	return values[int(q*float64(len(values)-1))]
}
