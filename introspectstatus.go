package xenaauth

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// refusedCredentials is the error text of an introspection call if the issuer refuses the
// credentials.
const refusedCredentials = "the issuer refuses our credentials: check Introspection.ClientID and ClientSecret"

// asking is the state of the latest call to the introspection endpoint.
type asking struct {
	failure atomic.Pointer[outage] // nil if it was answered, or if there was none
	probed  atomic.Int64           // when refused credentials were last tried again, in Unix nanoseconds
}

// note records the result of a call. An error that is not an outage is a response about the token.
func (a *asking) note(err error) {
	o, _ := errors.AsType[*outage](err)
	a.failure.Store(o)
}

// refused returns an outage if the issuer refused the credentials in the latest call, and nil
// otherwise.
func (a *asking) refused() *outage {
	if o := a.failure.Load(); o != nil && o.why == refusedCredentials {
		return o
	}
	return nil
}

// credentials returns an error if the issuer refuses the credentials. An instance that is not ready
// gets no requests, so no request would show that the credentials were corrected. So credentials
// calls the endpoint again, at most once a second, with a text that is no token.
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
