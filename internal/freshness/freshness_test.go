package freshness_test

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/xenaauth/xenaauth/internal/freshness"
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func date(after time.Duration) string { return now.Add(after).Format(http.TimeFormat) }

func TestLifetime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		header http.Header
		want   time.Duration
	}{
		{header(), 0},
		{header("Cache-Control", "public"), 0},
		{header("Cache-Control", "max-age=60"), time.Minute},
		{header("Cache-Control", `public, MAX-AGE="60"`), time.Minute},
		{header("Cache-Control", "public", "Cache-Control", "max-age=60"), time.Minute},
		{header("Cache-Control", "max-age=60, max-age=5"), time.Minute},
		{header("Cache-Control", "max-age=x"), 0},
		{header("Cache-Control", "max-age=-1"), 0},
		{header("Cache-Control", "max-age=0"), 1},
		{header("Cache-Control", "max-age=99999999999999999999"), time.Duration(1<<31) * time.Second},
		{header("Cache-Control", "max-age=60, no-cache"), 1},
		{header("Cache-Control", "no-store, max-age=60"), 1},
		{header("Cache-Control", "max-age=60", "Age", "20"), 40 * time.Second},
		{header("Cache-Control", "max-age=60", "Age", "61"), 1},
		{header("Cache-Control", "max-age=60", "Age", "x"), time.Minute},
		{header("Expires", date(time.Hour)), time.Hour},
		{header("Expires", date(time.Hour), "Date", date(-time.Minute)), time.Hour + time.Minute},
		{header("Expires", date(time.Hour), "Cache-Control", "max-age=60"), time.Minute},
		{header("Expires", date(-time.Hour)), 1},
		{header("Expires", "0"), 1},
		{header("Expires", now.Add(time.Hour).Format(time.RFC850)), time.Hour},
		{header("Expires", now.Add(time.Hour).Format(time.ANSIC)), time.Hour},
		{header("Expires", date(time.Hour), "Age", "60"), 59 * time.Minute},
	} {
		require.Equal(t, c.want, freshness.Lifetime(c.header, now), "%v", c.header)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"": 0, "x": 0, "-5": 0, "1.5": 0, "0": 0, "5": 5 * time.Second, "61": time.Minute,
		"99999999999999999999": time.Minute, date(30 * time.Second): 30 * time.Second,
		date(time.Hour): time.Minute, date(-time.Hour): 0,
	} {
		require.Equal(t, want, freshness.RetryAfter(header("Retry-After", text), now, time.Minute), text)
	}
}

// This fuzz test compares RetryAfter with the parser of dates in net/http. If net/http reads a
// date, RetryAfter must return the time until this date. If a text is neither a date nor a number,
// RetryAfter must return 0. But RetryAfter also returns 0 for a date in the past. So the test
// passes a current time that is before the date: the year -1 if net/http does not read the text,
// and otherwise one hour before the date.
func FuzzDate(f *testing.F) {
	for _, format := range []string{http.TimeFormat, time.RFC850, time.ANSIC, time.RFC1123Z} {
		f.Add(now.Format(format))
	}
	f.Add("Sun, 06 Nov 1994 08:49:37 GMT")
	f.Add("Sun, 06 Nov 1994 08:49:37 GMT ")
	f.Fuzz(func(t *testing.T, text string) {
		at, err := http.ParseTime(text)
		field := header("Retry-After", text)
		switch {
		case err != nil && strings.Trim(text, "0123456789") != "":
			got := freshness.RetryAfter(field, time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), math.MaxInt64)
			require.Zero(t, got, "%q is neither a date nor a number", text)
		case err == nil:
			got := freshness.RetryAfter(field, at.Add(-time.Hour), math.MaxInt64)
			require.Equal(t, time.Hour, got, "%q", text)
			require.Zero(t, freshness.RetryAfter(field, at.Add(time.Hour), math.MaxInt64), "%q", text)
		}
	})
}
