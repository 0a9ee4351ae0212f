package can

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"strings"
)

// request returns the request as a server reads it from a connection.
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
	if err != nil { // the text of the error contains the query, which may be a secret
		return nil, errors.New("method, path and host: a server can't read such a request")
	}
	return r.WithContext(ctx), nil
}
