package xenaauth

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// refusedCredentials is why a question fails when the issuer doesn't accept who asks.
const refusedCredentials = "the issuer refuses our credentials: check Introspection.ClientID and ClientSecret"

// asking is how the latest question to the introspection endpoint went.
type asking struct {
	failure atomic.Pointer[outage] // nil if it was answered, or if there was none
	probed  atomic.Int64           // when refused credentials were last tried again, in Unix nanoseconds
}

// note notes how a question went. An error that is no outage is an answer about the token.
func (a *asking) note(err error) {
	o, _ := errors.AsType[*outage](err)
	a.failure.Store(o)
}

// refused returns an outage if the issuer refused our credentials when it was asked last, and else nil.
func (a *asking) refused() *outage {
	if o := a.failure.Load(); o != nil && o.why == refusedCredentials {
		return o
	}
	return nil
}

// credentials returns an error if the issuer refuses our credentials. An instance that isn't ready is sent no requests
// that would find out that they were put right, so refused ones are tried again here, at most once a second, with a text
// that is no token.
func (i *introspector) credentials(ctx context.Context, endpoint string, now time.Time) error {
	if i.asking.refused() == nil {
		return nil
	}
	last := i.asking.probed.Load()
	if now.UnixNano()-last >= int64(time.Second) && i.asking.probed.CompareAndSwap(last, now.UnixNano()) {
		err := i.guard.Do(ctx, true, func(ctx context.Context) error {
			_, err := i.ask(ctx, endpoint, "no-token-but-a-readiness-check")
			return err
		})
		i.asking.note(err)
	}
	if o := i.asking.refused(); o != nil {
		return o
	}
	return nil
}
