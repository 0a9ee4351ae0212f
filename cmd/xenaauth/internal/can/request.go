package can

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/xenaauth/xenaauth/cmd/xenaauth/internal/setting"
)

// methods are the usual HTTP methods. If an operator writes one of them in lower case, the command
// suggests the same method in capital letters.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// newRequest returns a request in the form in which a server receives it.
func newRequest(ctx context.Context, method, path, host string) (*http.Request, error) {
	for _, one := range []struct{ name, value string }{
		{"method", method}, {"path", path}, {"host", host},
	} {
		if one.value == "" || strings.ContainsAny(one.value, " \t\r\n") {
			return nil, errors.New(one.name + ": it is empty or contains white space")
		}
	}
	if strings.HasPrefix(method, "/") {
		return nil, errors.New("the method comes before the path: usage: xenaauth can METHOD PATH")
	}
	text := method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	// The error is not shown, because its text contains the query, and the query may contain a
	// secret.
	if err != nil && !strings.HasPrefix(path, "/") {
		plain, _, _ := strings.Cut(path, "?")
		return nil, fmt.Errorf("the path must begin with \"/\": got %s", setting.QuoteForOutput(plain))
	}
	if err != nil {
		return nil, errors.New("method, path and host: a server can't read such a request")
	}
	return r.WithContext(ctx), nil
}
