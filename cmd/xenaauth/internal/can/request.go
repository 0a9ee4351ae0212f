package can

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"strings"
)

// The function request makes the HTTP request that the command "can" asks about, in the form in
// which a server receives it.
func request(ctx context.Context, method, path, host string) (*http.Request, error) {
	for _, one := range []struct{ name, value string }{
		{"method", method}, {"path", path}, {"host", host},
	} {
		if one.value == "" || strings.ContainsAny(one.value, " \t\r\n") {
			return nil, errors.New(one.name + ": it is empty or contains white space")
		}
	}
	text := method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	// The error of ReadRequest is not shown, because its text contains the query of the URL, and
	// the query may contain a secret.
	if err != nil {
		return nil, errors.New("method, path and host: a server can't read such a request")
	}
	return r.WithContext(ctx), nil
}
