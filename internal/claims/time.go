package claims

import (
	"strconv"
	"strings"
)

// lastSecond is the end of the year 9999: what lies beyond is no time that anybody meant.
const lastSecond = 253402300799

// maxDigits bounds a time, in characters: to convert a number of thousands of digits costs more than its digits.
const maxDigits = 600

// time reads a NumericDate (RFC 7519, section 2). Fractions are cut off, which makes a token expire early and not late.
func (p *parser) time(digitsToo bool) (int64, bool) {
	if n, ok := p.seconds(); ok {
		return n, true
	}
	var text string
	var ok bool
	if digitsToo && p.i < len(p.s) && p.s[p.i] == '"' {
		if text, ok = p.str(); !ok || text == "" || strings.Trim(text, "0123456789") != "" {
			return 0, false
		}
	} else if text, ok = p.number(); !ok {
		return 0, false
	}
	if len(text) > maxDigits {
		return 0, false
	}
	if n, err := strconv.ParseInt(whole(text), 10, 64); err == nil {
		return n, n >= 0 && n <= lastSecond && text[0] != '-'
	}
	return 0, false
}

// whole is a number without its fraction, by its digits: a float could be rounded up. It is "" if there are far too many.
func whole(text string) string {
	mantissa, exponent := text, 0
	if at := strings.IndexAny(text, "eE"); at >= 0 {
		mantissa = text[:at]
		exponent, _ = strconv.Atoi(text[at+1:]) // the largest or the smallest int, if it has too many digits
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

// seconds reads a time as all issuers write it, in ten digits.
func (p *parser) seconds() (n int64, ok bool) {
	const digits = 10
	if len(p.s)-p.i <= digits || p.s[p.i] == '0' {
		return 0, false
	}
	for _, c := range []byte(p.s[p.i : p.i+digits]) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	switch p.s[p.i+digits] {
	case ',', '}', ' ', '\t', '\n', '\r':
		p.i += digits
		return n, true
	}
	return 0, false // it goes on
}
