package xenaauth

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// patience is the time without a response after which a call is sent again. An issuer that was down
// is not called for one second, so a recovery takes less than two seconds.
const patience = 900 * time.Millisecond

// exchange is one call of a server. It is sent again after each 0.9 s without a response, on a new
// connection, and the first response is used. So a dead connection costs one second. A server that
// hung is found within a second after it works again, although it never responds to the calls that
// it received before.
//
// Few calls at a time are sent more than once. If a call gets its response on a new connection, and
// the connections in use are silent, these connections are closed and the other calls are sent
// again.
type exchange struct {
	network *network
	server  string                                       // scheme and host
	what    string                                       // the document that is fetched
	limit   int64                                        // of the body of the response, in bytes
	build   func(context.Context) (*http.Request, error) // its error is an outage

	results chan result
	over    chan struct{} // closed when do returns
	running int           // number of attempts that have no result yet
}

// result is the end of an attempt.
type result struct {
	pool  *pool
	fresh bool // only this attempt uses the pool
	reply *reply
	err   error
}

// do returns the response. If none comes before ctx ends, it returns an outage.
func (x *exchange) do(ctx context.Context) (*reply, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the attempts that are still running
	x.results, x.over = make(chan result), make(chan struct{})
	defer close(x.over)

	first := x.network.pool(x.server)
	began, dead := time.Now(), first.dead
	x.send(ctx, first, false)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var wanted chan<- struct{} // first.extra while this call wants to be sent more than once
	holds := false             // this call has a place in first.extra
	var failed, limited *result
	for x.running > 0 {
		select {
		case <-timer.C:
			if holds {
				x.send(ctx, x.network.fresh(), true)
				timer.Reset(patience)
			} else {
				wanted = first.extra
			}
		case wanted <- struct{}{}:
			wanted, holds = nil, true
			defer func() { <-first.extra }()
			x.send(ctx, x.network.fresh(), true)
			timer.Reset(patience)
		case <-dead:
			current := x.network.pool(x.server)
			dead = current.dead
			x.send(ctx, current, false)
		case r := <-x.results:
			x.running--
			switch {
			case r.err != nil:
				r.drop()
				if failed == nil {
					failed = &r
				}
			case r.reply.status == http.StatusTooManyRequests && x.running > 0: // the second attempt may have caused it
				r.drop()
				limited = &r
			default:
				x.settle(r, first, began)
				return r.reply, nil
			}
		}
	}
	if limited != nil {
		return limited.reply, nil
	}
	// If nothing came on the connections, the next call must not begin on them.
	if ctx.Err() != nil && first.silent(began) {
		x.network.replace(x.server, first, x.network.fresh())
	}
	return nil, failed.err
}

// settle decides which connections the next calls use, after r brought the response.
func (x *exchange) settle(r result, first *pool, began time.Time) {
	switch {
	case r.fresh && first.silent(began):
		r.pool.hear(time.Now())
		x.network.replace(x.server, first, r.pool)
	case r.fresh:
		r.drop()
	default:
		r.pool.hear(time.Now())
	}
}

// drop closes the connection of an attempt that had one of its own.
func (r *result) drop() {
	if r.fresh {
		r.pool.close()
	}
}

// send makes an attempt in a new goroutine.
func (x *exchange) send(ctx context.Context, p *pool, fresh bool) {
	x.running++
	go func() {
		r := result{pool: p, fresh: fresh}
		r.reply, r.err = x.attempt(ctx, p)
		select {
		case x.results <- r:
		case <-x.over:
			r.drop()
		}
	}()
}

// attempt sends the call and reads the response.
func (x *exchange) attempt(ctx context.Context, p *pool) (_ *reply, err error) {
	defer func() { // a panic of the configured client in this goroutine would end the process
		if recover() != nil {
			err = &outage{what: x.what, why: "the HTTP client panicked"}
		}
	}()
	req, err := x.build(ctx)
	if err != nil {
		return nil, err
	}
	client := x.network.client
	client.Transport = p.transport
	// A redirect would send the token and the credentials to a server that is not configured.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		return nil, &outage{what: x.what, why: publicCause(err), down: true}
	}
	defer resp.Body.Close() //nolint:errcheck // an error after the body was read has no effect
	text, err := io.ReadAll(io.LimitReader(resp.Body, x.limit+1))
	if err != nil {
		return nil, &outage{what: x.what, why: publicCause(err), down: true}
	}
	if int64(len(text)) > x.limit {
		return nil, &outage{what: x.what, why: fmt.Sprintf("the response is longer than %d bytes", x.limit)}
	}
	return &reply{status: resp.StatusCode, header: resp.Header, body: string(text)}, nil
}
