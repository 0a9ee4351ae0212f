package mtls

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

// readByteSequence reads a Byte Sequence (RFC 9440, section 2.1; RFC 8941, section 3.3.5). RFC 9440
// defines no parameters, so parameters are refused.
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

// readList reads certificates in base64 with commas between them, and returns the thumbprint of the
// first. Older versions of Traefik write "+", "/" and "=" with "%" encoding.
func readList(value string) (thumbprint, error) {
	first, _, _ := strings.Cut(value, ",")
	first, err := unescape(first)
	if err != nil {
		return thumbprint{}, err
	}
	return readBase64(first)
}

// readEscapedPEM reads one certificate in PEM with "%" encoding.
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

// readBase64 returns the thumbprint of a certificate in base64. It accepts only what an encoder
// writes: padding, no white space, and no bits that have no meaning.
func readBase64(text string) (thumbprint, error) {
	// The decoder of the standard library would skip line breaks.
	if text == "" || strings.ContainsAny(text, "\r\n") {
		return thumbprint{}, errors.New("it is not base64")
	}
	der, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return thumbprint{}, errors.New("it is not base64")
	}
	return sha256.Sum256(der), nil
}

// unescape decodes "%" encoding. Besides encoded bytes, the text may contain the characters of PEM
// only. A "+" stands for itself, because proxies encode spaces as "%20".
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
