package mtls

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

// readByteSequence returns the thumbprint of the certificate in a header field. The value of the
// field has the form of RFC 9440: a Byte Sequence (RFC 8941, section 3.3.5). readByteSequence
// refuses parameters behind the Byte Sequence, because RFC 9440 defines none.
func readByteSequence(value string) (thumbprint, error) {
	inner, ok := strings.CutPrefix(value, ":")
	if ok {
		inner, ok = strings.CutSuffix(inner, ":")
	}
	if !ok {
		return thumbprint{}, errors.New("it is not a Byte Sequence")
	}
	return readBase64(inner)
}

// readList returns the thumbprint of the first certificate in the header field that Traefik writes.
// The field contains certificates in base64, separated by commas. Older versions of Traefik write
// "+", "/" and "=" with "%" encoding.
func readList(value string) (thumbprint, error) {
	first, _, _ := strings.Cut(value, ",")
	first, err := unescape(first)
	if err != nil {
		return thumbprint{}, err
	}
	return readBase64(first)
}

// readEscapedPEM returns the thumbprint of the certificate in the header field that nginx writes.
// The value of the field is the certificate in PEM, with "%" encoding.
func readEscapedPEM(value string) (thumbprint, error) {
	text, err := unescape(value)
	if err != nil {
		return thumbprint{}, err
	}
	inner, ok := strings.CutPrefix(text, "-----BEGIN CERTIFICATE-----\n")
	if ok {
		inner, ok = strings.CutSuffix(strings.TrimSuffix(inner, "\n"), "\n-----END CERTIFICATE-----")
	}
	if !ok {
		return thumbprint{}, errors.New("it is not one certificate in PEM")
	}
	return readBase64(strings.ReplaceAll(inner, "\n", ""))
}

// readBase64 decodes a certificate, and returns its thumbprint. The parameter text is the DER of
// the certificate in base64. readBase64 accepts only the one text that an encoder writes: the
// padding is required, white space is refused, and the unused bits of the last digit must be 0.
func readBase64(text string) (thumbprint, error) {
	// DecodeString ignores line breaks, so they are refused here.
	if text == "" || strings.ContainsAny(text, "\r\n") {
		return thumbprint{}, errors.New("it is not base64")
	}
	der, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return thumbprint{}, errors.New("it is not base64")
	}
	return sha256.Sum256(der), nil
}

// unescape decodes "%" encoding. Characters that are not encoded must be letters, digits, "+", "/",
// "=" or "-". A "+" is not a space: proxies encode a space as "%20".
func unescape(text string) (string, error) {
	var out strings.Builder
	out.Grow(len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '%':
			if len(text) < i+3 {
				return "", errors.New("its % encoding is incomplete")
			}
			high, low := hexDigit(text[i+1]), hexDigit(text[i+2])
			if high > 15 || low > 15 {
				return "", errors.New("its % encoding has a character that is not a hexadecimal digit")
			}
			c = high<<4 | low
			i += 2
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '+', c == '/', c == '=', c == '-':
		default:
			return "", errors.New("it has a character that needs % encoding")
		}
		out.WriteByte(c)
	}
	return out.String(), nil
}

// hexDigit returns the value of a hexadecimal digit, or 16 if c is not a hexadecimal digit.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}
