package doctor

import (
	"fmt"
	"net/http"
	"time"
)

// defaultSkew is the default of Config.ClockSkew, the difference between two clocks that a service
// tolerates.
const defaultSkew = 30 * time.Second

// examination.checkClock checks that the clock of this machine agrees with the issuer's clock. The
// issuer's responses say its time in the header field Date.
func (e *examination) checkClock() {
	const name = "clock"
	ahead, known := e.clockDifference()
	if !known {
		e.add(Check{Name: name, State: Skipped, Found: "not compared: no response of the issuer " +
			"has a Date"})
		return
	}
	skew := e.cfg.ClockSkew
	if skew == 0 {
		skew = defaultSkew
	}
	c := Check{Name: name, State: Good, Found: "the clock here and that of the issuer agree"}
	size := max(ahead, -ahead).Round(time.Second)
	if size > 0 {
		which := "ahead of"
		if ahead < 0 {
			which = "behind"
		}
		c.Found = fmt.Sprintf("the issuer's clock is %s %s the clock here, "+
			"XENA_CLOCK_SKEW is %s", size, which, skew)
	}
	switch {
	case size > skew && ahead > 0:
		c.State = Bad
		c.Found += ": new tokens are refused as not_yet_valid"
	case size > skew:
		c.State = Bad
		c.Found += ": tokens are refused as expired too early"
	case size > skew/2:
		c.State = Warning
	}
	if c.State != Good {
		c.Fix = "Find out which clock is wrong, and let it follow a time server (chronyc " +
			"tracking, " +
			"timedatectl status). A larger XENA_CLOCK_SKEW hides the fault: its maximum is 2m."
	}
	e.add(c)
}

// examination.clockDifference compares the field Date in each response of the issuer with the times
// at which the call began and ended. It returns the smallest difference. The difference is positive
// if the issuer's clock is ahead. The field Date has whole seconds, so differences below a second
// are not found. A response does not count if it has no valid Date, or if an HTTP cache has sent
// it. If no response counts, the second result is false.
func (e *examination) clockDifference() (ahead time.Duration, known bool) {
	for _, call := range e.recorder.AllCalls() {
		date, err := http.ParseTime(call.Header.Get("Date"))
		// If the response has the header field Age, an HTTP cache has sent it, so its Date is old.
		if err != nil || call.Header.Get("Age") != "" {
			continue
		}
		difference := time.Duration(0)
		switch next := date.Add(time.Second); {
		case date.After(call.End):
			difference = date.Sub(call.End)
		case next.Before(call.Start):
			difference = next.Sub(call.Start)
		}
		if !known || max(difference, -difference) < max(ahead, -ahead) {
			ahead, known = difference, true
		}
	}
	return ahead, known
}

// expiresSoon is a limit: the command "doctor" warns about a certificate that remains valid for a
// shorter time.
const expiresSoon = 14 * 24 * time.Hour

// examination.checkCertificate checks how long the TLS certificates of the issuer's servers remain
// valid. It reports the one that expires first.
func (e *examination) checkCertificate() {
	const name = "certificate"
	var first time.Time
	for _, call := range e.recorder.AllCalls() {
		if call.TLS == nil || len(call.TLS.PeerCertificates) == 0 {
			continue
		}
		if end := call.TLS.PeerCertificates[0].NotAfter; first.IsZero() || end.Before(first) {
			first = end
		}
	}
	if first.IsZero() {
		e.add(Check{Name: name, State: Skipped, Found: "not looked at: there was no TLS " +
			"connection"})
		return
	}
	left := time.Until(first)
	days := int(left / (24 * time.Hour))
	c := Check{Name: name, State: Good}
	c.Found = fmt.Sprintf("valid for %s more, until %s", count(days, "day"), first.UTC().Format(time.DateOnly))
	if left < expiresSoon {
		c.State = Warning
		c.Fix = "The operator of the issuer should renew the certificate now. After that day " +
			"every call of the issuer fails."
	}
	e.add(c)
}
