// Package freshness reads two facts from an HTTP response: for how long the response is fresh (RFC
// 9111), and when the server may be called again (RFC 9110). It does not depend on net/http.
package freshness

import (
	"strconv"
	"strings"
	"time"
)

// Header is the header of an HTTP response. http.Header implements it.
type Header interface {
	Get(name string) string
	Values(name string) []string
}

// maxDelta is the largest number of seconds in a header field. A larger number counts as maxDelta
// (RFC 9111, section 1.2.2).
const maxDelta = 1 << 31

// Lifetime returns for how much longer a response is fresh: by max-age in Cache-Control, or else by
// Expires (RFC 9111, section 4.2.1). It subtracts the time that the response spent in caches
// (section 4.2.3). It returns 0 if the response does not say for how long it is fresh. It returns
// one nanosecond if the response is no longer fresh, or if Cache-Control has no-store or no-cache.
func Lifetime(h Header, now time.Time) time.Duration {
	const least = time.Nanosecond
	fresh, found := int64(0), false
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return least
		case "max-age":
			if seconds, ok := deltaSeconds(strings.Trim(value, `"`)); ok && !found {
				fresh, found = seconds, true
			}
		}
	}
	made := now
	if date, ok := parseDate(h.Get("Date")); ok {
		made = date
	}
	if expires := h.Values("Expires"); !found && len(expires) > 0 {
		found = true // an invalid Expires counts as a time in the past (RFC 9111, section 5.3)
		if at, ok := parseDate(expires[0]); ok {
			fresh = int64(min(max(at.Sub(made), 0)/time.Second, maxDelta))
		}
	}
	if !found {
		return 0
	}
	age, _ := deltaSeconds(h.Get("Age"))
	return max(least, time.Duration(fresh-age)*time.Second)
}

// RetryAfter returns how long a client must wait before its next call, as the server asks in
// Retry-After (RFC 9110, section 10.2.3). The result is at most limit. It is 0 if the response has
// no usable Retry-After, or if the time in it is over.
func RetryAfter(h Header, now time.Time, limit time.Duration) time.Duration {
	text := h.Get("Retry-After")
	if text != "" && isDigits(text) {
		seconds, err := strconv.Atoi(text)
		if err != nil {
			// the number of seconds is too large for the type int, so it is larger than limit
			return limit
		}
		return min(time.Duration(min(seconds, maxDelta))*time.Second, limit)
	}
	if at, ok := parseDate(text); ok {
		return min(max(at.Sub(now), 0), limit)
	}
	return 0
}

// deltaSeconds reads a number of seconds from a header field (RFC 9111, section 1.2.2).
func deltaSeconds(text string) (seconds int64, ok bool) {
	text = strings.TrimSpace(text)
	if text == "" || !isDigits(text) {
		return 0, false
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return maxDelta, true
	}
	return min(seconds, maxDelta), true
}

func isDigits(text string) bool { return strings.Trim(text, "0123456789") == "" }

// parseDate reads the date in a header field, in one of the three formats of RFC 9110, section
// 5.6.7.
func parseDate(text string) (time.Time, bool) {
	for _, format := range []string{"Mon, 02 Jan 2006 15:04:05 GMT", time.RFC850, time.ANSIC} {
		if t, err := time.Parse(format, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
