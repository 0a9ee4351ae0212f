package mtls

import (
	"encoding/hex"
	"errors"
	"strings"
)

// readXFCC reads the field of Envoy and returns the thumbprint of the client's certificate.
//
// The field contains one element for each proxy on the way, and the trusted proxy has written the
// last element. If there are several elements, other proxies or the client itself have written the
// first ones. No rule finds the element about the client in every chain of proxies: the last
// element may describe another proxy, and the client may have invented the first. So only a field
// with one element is accepted. Envoy writes one element if it is configured with SANITIZE_SET.
//
// Envoy copies names from the certificate into the field, some of them without quotes, and clients
// choose the names of a certificate that nobody verifies. So such a name may contain ";Hash=". The
// element must have exactly one Hash, which Envoy always writes. Cert may be missing, but if it is
// present, it must be the certificate of Hash.
func readXFCC(value string) (thumbprint, error) {
	var hash, cert string
	for unreadText := value; ; {
		name, text, textBehindPair, err := readPair(unreadText)
		if err != nil {
			return thumbprint{}, err
		}
		var found *string
		switch strings.ToLower(name) {
		case "hash":
			found = &hash
		case "cert":
			found = &cert
		}
		if found != nil {
			if *found != "" || text == "" {
				return thumbprint{}, errors.New("it has Hash or Cert twice, or without a value")
			}
			*found = text
		}
		if textBehindPair == "" {
			break
		}
		if textBehindPair[0] == ',' {
			return thumbprint{}, errors.New("it has several elements: the proxy must write one (SANITIZE_SET)")
		}
		unreadText = textBehindPair[1:]
	}
	sum, err := hex.DecodeString(hash)
	if err != nil || len(sum) != len(thumbprint{}) {
		return thumbprint{}, errors.New("its Hash is missing, or not a SHA-256 in hexadecimal digits")
	}
	if cert != "" {
		if ofCert, err := readEscapedPEM(cert); err != nil || ofCert != thumbprint(sum) {
			return thumbprint{}, errors.New("its Cert is not the certificate of Hash")
		}
	}
	return thumbprint(sum), nil
}

// readPair reads the pair at the beginning of text: a name, "=", and a value that may be in quotes.
// The result textBehindPair is empty, or begins with a separator: ";" or ",".
func readPair(text string) (name, value, textBehindPair string, err error) {
	name, text, ok := strings.Cut(text, "=")
	if !ok || name == "" || strings.ContainsAny(name, `,;" `) {
		return "", "", "", errors.New("it has a pair without a name")
	}
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, `,;"`)
		if end < 0 {
			return name, text, "", nil
		}
		if text[end] == '"' {
			return "", "", "", errors.New("it has a quote in a value")
		}
		return name, text[:end], text[end:], nil
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++ // the character after the backslash belongs to the value, also if it is a quote
		case '"':
			value, textBehindPair = text[1:i], text[i+1:]
			if textBehindPair != "" && textBehindPair[0] != ';' && textBehindPair[0] != ',' {
				return "", "", "", errors.New("it has text behind a quote")
			}
			return name, value, textBehindPair, nil
		}
	}
	return "", "", "", errors.New("it has a quote without an end")
}
