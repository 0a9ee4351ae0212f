package claims

import (
	"strconv"
	"strings"
)

// lastSecond is the end of the year 9999. A claim with a later time is refused as a mistake.
const lastSecond = 253402300799

// maxDigits is the largest number of characters of a time in a token. The cost of converting a
// number grows faster than its length, so a longer number would take too much time.
const maxDigits = 600

// Time reads a time in a token (NumericDate in RFC 7519, section 2), without its fraction.
func (d *Decoder) Time() (int64, bool) { return d.time(false) }

// Decoder.time reads a time in a token (NumericDate in RFC 7519, section 2). It drops the fraction,
// so that a token expires early and not late. If allowString is true, it also reads a string of
// digits.
func (d *Decoder) time(allowString bool) (int64, bool) {
	if n, ok := d.seconds(); ok {
		return n, true
	}
	var text string
	var ok bool
	if allowString && d.i < len(d.s) && d.s[d.i] == '"' {
		if text, ok = d.str(); !ok || text == "" || strings.Trim(text, "0123456789") != "" {
			return 0, false
		}
	} else if text, ok = d.number(); !ok {
		return 0, false
	}
	if len(text) > maxDigits {
		return 0, false
	}
	if n, err := strconv.ParseInt(wholePart(text), 10, 64); err == nil {
		return n, n >= 0 && n <= lastSecond && text[0] != '-'
	}
	return 0, false
}

// wholePart returns the whole part of a JSON number as text. It works on the digits of the number,
// because a conversion to a float could round up. It returns "" if the number has too many digits.
func wholePart(text string) string {
	mantissa, exponent := text, 0
	if at := strings.IndexAny(text, "eE"); at >= 0 {
		mantissa = text[:at]
		// The error of Atoi is ignored. If the exponent does not fit into an int, Atoi returns the
		// largest or the smallest int, and the next condition treats it like any huge exponent.
		exponent, _ = strconv.Atoi(text[at+1:])
		if exponent > maxDigits || exponent < -maxDigits {
			if exponent > 0 && strings.Trim(mantissa, "-0.") != "" {
				return ""
			}
			return "0"
		}
	}
	before, after, _ := strings.Cut(mantissa, ".")
	digits := before + after
	point := len(before) + exponent
	switch {
	case point <= 0 || strings.Trim(digits, "-0") == "":
		return "0"
	case point <= len(digits):
		return digits[:point]
	case point > maxDigits:
		return ""
	}
	return digits + strings.Repeat("0", point-len(digits))
}

// Decoder.seconds reads a time of exactly ten digits, which is the form that all issuers write
// today. A comma, a closing brace or white space must follow. ok is false for a time in any other
// form.
func (d *Decoder) seconds() (n int64, ok bool) {
	const digits = 10
	if len(d.s)-d.i <= digits || d.s[d.i] == '0' {
		return 0, false
	}
	for _, c := range []byte(d.s[d.i : d.i+digits]) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	switch d.s[d.i+digits] {
	case ',', '}', ' ', '\t', '\n', '\r':
		d.i += digits
		return n, true
	}
	return 0, false // the time has another form, for example a fraction
}
